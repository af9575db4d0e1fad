"""Agreement between measured and synthetic DVR: correlation, its uncertainty by patient, bias and limits.

Lesions of one patient resemble each other, so every interval resamples patients, not lesions (cluster bootstrap). The
sums for a correlation are computed once per patient; a replicate is a weighted sum of them, and all replicates are one
matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import stdtr

from ..data.participants import SHAPES_OF, unit_of

REPLICATES = 5000
CONFIDENCE = 0.95
MIN_POINTS = 3  # a correlation of two points is always 1
MIN_PATIENTS = 5  # fewer draw the same few replicates again and again: no interval (ours)
LIMIT_DEVIATIONS = 1.96  # Bland and Altman 1986


def pearson(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Compute the Pearson correlation with its two-sided p value.

    p is from t = r sqrt((n - 2) / (1 - r^2)) with n - 2 degrees of freedom. It treats the pairs as independent, which
    the lesions of one patient are not: prefer the interval.

    Args:
        x: (n,); pairs with a value that is not finite are left out.
        y: (n,).

    Returns:
        {r, p, n}; r and p are None with fewer than three pairs or if one variable is constant.
    """
    x, y = _finite(x, y)
    n = int(x.size)
    if n < MIN_POINTS or _constant(x) or _constant(y):
        return {"r": None, "p": None, "n": n}
    dx, dy = x - x.mean(), y - y.mean()
    r = float(np.clip((dx @ dy) / np.sqrt((dx @ dx) * (dy @ dy)), -1, 1))
    rest = (1 - r) * (1 + r)
    p = float(2 * stdtr(n - 2, -abs(r) * np.sqrt((n - 2) / rest))) if rest > 0 else 0.0
    return {"r": r, "p": p, "n": n}


def _finite(*columns: Any) -> list[np.ndarray]:
    arrays = [np.asarray(column, float).ravel() for column in columns]
    keep = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    return [array[keep] for array in arrays]


def _constant(values: np.ndarray) -> bool:
    return bool(np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())))


class ClusterBootstrap:
    """Replicates of patients drawn with replacement, the same ones for every measure of one table.

    >>> draws = ClusterBootstrap(["A", "A", "B", "C"], seed=0)
    >>> draws.interval(draws.correlations(x, y))                                        # doctest: +SKIP

    Args:
        clusters: (n,) patient of each point; with the same clusters and seed two models meet the same replicates, so
            their differences are paired.
    """

    def __init__(self, clusters: Sequence[Any] | np.ndarray, replicates: int = REPLICATES, seed: int = 0) -> None:
        names, self.index = np.unique(np.asarray(clusters), return_inverse=True)
        self.patients = int(names.size)
        generator = np.random.default_rng([seed, 1986])
        if self.patients < MIN_PATIENTS:
            self.weights = np.zeros((0, self.patients))
        else:
            shares = np.full(self.patients, 1 / self.patients)
            self.weights = generator.multinomial(self.patients, shares, size=replicates).astype(float)

    def correlations(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Compute the Pearson r of every replicate.

        Args:
            x: (n,), finite.
            y: (n,), finite.

        Returns:
            (replicates,); NaN if a replicate has no spread.
        """
        x, y = np.asarray(x, float), np.asarray(y, float)
        x, y = x - x.mean(), y - y.mean()
        terms = (np.ones_like(x), x, y, x * x, y * y, x * y)
        sums = np.stack([np.bincount(self.index, term, self.patients) for term in terms], axis=1)
        n, sx, sy, sxx, syy, sxy = (self.weights @ sums).T
        spread = (sxx - sx * sx / n) * (syy - sy * sy / n)
        possible = spread > 1e-12 * max(float((x @ x) * (y @ y)), 1e-300)
        r = (sxy - sx * sy / n) / np.sqrt(np.where(possible, spread, 1.0))
        return np.where(possible, np.clip(r, -1, 1), np.nan)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Compute the mean over the points of every replicate.

        Args:
            values: (n,), finite.

        Returns:
            (replicates,).
        """
        counts = self.weights @ np.bincount(self.index, minlength=self.patients)
        return self.weights @ np.bincount(self.index, values, self.patients) / counts

    @staticmethod
    def interval(replicates: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float | None, float | None]:
        """Compute a percentile interval.

        Args:
            replicates: (replicates,), NaN for replicates without a value.
            confidence: 0 to 1.

        Returns:
            Low and high; (None, None) if fewer than half of the replicates have a value.
        """
        finite = replicates[np.isfinite(replicates)]
        if finite.size == 0 or finite.size < replicates.size / 2:
            return None, None
        low, high = np.quantile(finite, [(1 - confidence) / 2, (1 + confidence) / 2])
        return float(low), float(high)


def correlation_with_interval(
    x: np.ndarray, y: np.ndarray, clusters: Sequence[Any], seed: int = 0, ceiling: np.ndarray | None = None
) -> dict[str, Any]:
    """Correlate measured and synthetic DVR (Pearson), with a 95 % interval by patient.

    Args:
        x: (n,) measured.
        y: (n,) synthetic.
        clusters: (n,) patients.
        seed: random seed.
        ceiling: (n,) noise-free truth of the same points: r_ceiling is its correlation with `x`, the best that can be
            expected without knowledge of the noise. No ceiling is computed unless all points have it: a share of two
            sets of points would be wrong.

    Returns:
        {r, p, n, patients, r_low, r_high, r_ceiling, share_of_ceiling, share_low, share_high}; None: not estimable.
    """
    x, y = np.asarray(x, float).ravel(), np.asarray(y, float).ravel()
    keep = np.isfinite(x) & np.isfinite(y)
    x, y = x[keep], y[keep]
    truth = None if ceiling is None else np.asarray(ceiling, float).ravel()[keep]
    result = pearson(x, y)
    people = np.asarray(clusters)[keep]
    result |= {"patients": int(np.unique(people).size), "r_low": None, "r_high": None}
    result |= {"r_ceiling": None, "share_of_ceiling": None, "share_low": None, "share_high": None}
    if result["r"] is None:
        return result
    draws = ClusterBootstrap(people, seed=seed)
    replicates = draws.correlations(x, y)
    result["r_low"], result["r_high"] = draws.interval(replicates)
    best = pearson(truth, x)["r"] if truth is not None and np.isfinite(truth).all() else None
    if truth is not None and best is not None and best > 0:
        result |= {"r_ceiling": best, "share_of_ceiling": result["r"] / best}
        ceilings = draws.correlations(truth, x)
        ceilings[~(ceilings > 0)] = np.nan
        result["share_low"], result["share_high"] = draws.interval(replicates / ceilings)
    return result


def correlation_difference(
    truth: np.ndarray, first: np.ndarray, second: np.ndarray, clusters: Sequence[Any], seed: int = 0
) -> dict[str, Any]:
    """Compute r(truth, second) - r(truth, first) on the same points, with a paired 95 % interval and p by patient.

    p: two-sided, from the share of replicates on the other side of 0, never below 2 / (replicates + 1).

    Args:
        truth: (n,).
        first: (n,).
        second: (n,).
        clusters: (n,) patients.
        seed: random seed.

    Returns:
        {difference, low, high, p, n}; None: not estimable.
    """
    arrays = [np.asarray(column, float).ravel() for column in (truth, first, second)]
    keep = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    truth, first, second = (array[keep] for array in arrays)
    first_r, second_r = pearson(truth, first)["r"], pearson(truth, second)["r"]
    empty = {"difference": None, "low": None, "high": None, "p": None, "n": int(keep.sum())}
    if first_r is None or second_r is None:
        return empty
    draws = ClusterBootstrap(np.asarray(clusters)[keep], seed=seed)
    replicates = draws.correlations(truth, second) - draws.correlations(truth, first)
    return empty | {"difference": second_r - first_r} | bootstrap_test(replicates)


def bootstrap_test(replicates: np.ndarray) -> dict[str, float | None]:
    """Compute interval and p value of a difference from its replicates.

    Args:
        replicates: (replicates,) differences.

    Returns:
        {low, high, p}: 95 % percentiles, and twice the share beyond 0, never below 2 / (replicates + 1); all None if
        there is no interval.
    """
    low, high = ClusterBootstrap.interval(replicates)
    if low is None:
        return {"low": None, "high": None, "p": None}
    finite = replicates[np.isfinite(replicates)]
    fewer = min(int((finite <= 0).sum()), int((finite >= 0).sum()))
    return {"low": low, "high": high, "p": min(1.0, 2 * (fewer + 1) / (finite.size + 1))}


def mean_difference(differences: np.ndarray, clusters: Sequence[Any], seed: int = 0) -> dict[str, Any]:
    """Average paired differences, with a 95 % interval and p by patient.

    Args:
        differences: (n,); values that are not finite are left out.
        clusters: (n,) patient of each difference.
        seed: of the bootstrap.

    Returns:
        {difference, low, high, p, n}; None: not estimable.
    """
    differences = np.asarray(differences, float)
    keep = np.isfinite(differences)
    result: dict[str, Any] = {"difference": None, "low": None, "high": None, "p": None, "n": int(keep.sum())}
    if not keep.any():
        return result
    draws = ClusterBootstrap(np.asarray(clusters)[keep], seed=seed)
    replicates = draws.means(differences[keep]) if len(draws.weights) else np.zeros(0)
    return result | {"difference": float(differences[keep].mean())} | bootstrap_test(replicates)


def bland_altman(
    measured: np.ndarray, synthetic: np.ndarray, clusters: Sequence[Any] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Compute bias and 95 % limits of agreement of synthetic - measured, and the calibration line.

    Limits of agreement after Bland and Altman 1986.

    Args:
        measured: (n,), unitless DVR.
        synthetic: (n,), unitless DVR.
        clusters: (n,) patients, for the interval of the bias; None for no interval.
        seed: random seed.

    Returns:
        {bias, bias_low, bias_high, sd, lower_limit, upper_limit, slope, intercept, n}: sd with n - 1; slope and
        intercept of the least-squares line of synthetic on measured. None: not estimable (fewer than two points, three
        for the line).
    """
    arrays = [np.asarray(measured, float).ravel(), np.asarray(synthetic, float).ravel()]
    keep = np.isfinite(arrays[0]) & np.isfinite(arrays[1])
    x, y = (array[keep] for array in arrays)
    names = ("bias", "bias_low", "bias_high", "sd", "lower_limit", "upper_limit", "slope", "intercept")
    result: dict[str, Any] = dict.fromkeys(names) | {"n": int(x.size)}
    if x.size < 2:
        return result
    difference = y - x
    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    result |= {"bias": bias, "sd": sd}
    result |= {"lower_limit": bias - LIMIT_DEVIATIONS * sd, "upper_limit": bias + LIMIT_DEVIATIONS * sd}
    if clusters is not None:
        draws = ClusterBootstrap(np.asarray(clusters)[keep], seed=seed)
        result["bias_low"], result["bias_high"] = draws.interval(draws.means(difference))
    if x.size >= MIN_POINTS and not _constant(x):
        centred = x - x.mean()
        slope = float(centred @ y / (centred @ centred))
        result |= {"slope": slope, "intercept": float(y.mean() - slope * x.mean())}
    return result


def clusters(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which rows are drawn, or left out, together.

    Args:
        rows: each with person, and SHAPES_OF if the person is simulated with the lesions of a real mask.

    Returns:
        The person of each row, or the mask: several people may have the lesions of one.
    """
    return [unit_of(row["person"], row.get(SHAPES_OF)) for row in rows]


def weighted_mean(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    """Compute the weighted mean of the finite values.

    Args:
        values: None counts as missing.
        weights: not negative.

    Returns:
        Mean; None without a finite value of positive weight.
    """
    array, weight = _finite([np.nan if value is None else value for value in values], weights)
    return float(array @ weight / weight.sum()) if weight.sum() > 0 else None
