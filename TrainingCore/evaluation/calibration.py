"""Calibration of a model's uncertainty: the spread of its predictions for a lesion against the error of its mean DVR.

An uncertainty is useful if lesions with a high one have larger errors (Spearman's rho above 0), and calibrated if the
error is about as large as stated (ratio about 1, 95 % of the errors within 1.96 of it). Error and spread measured on
one cohort, `errors_by_spread`, calibrate a model for the next one. Intervals resample people, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import nnls
from scipy.stats import rankdata

from ..imaging.labelling import at_least, mean_by_label
from .lesions import PAPER_MINIMUM_MM3
from .statistics import CONFIDENCE, MIN_PATIENTS, clusters

Row = dict[str, Any]
PARTS = 3  # lesions by rising uncertainty, in parts of one size
REPLICATES = 1000
DRAWS = 200
MIN_LESIONS = 6
LIMIT_95 = 1.96  # SDs of a normal error


def calibration(lesions: Sequence[Row], seed: int = 0, minimum_mm3: float = PAPER_MINIMUM_MM3) -> Row | None:
    """Compare the uncertainty of lesions with their absolute error.

    Args:
        lesions: rows with person, volume_mm3, mean_dvr, measured_mean_dvr and uncertainty.
        seed: random seed.
        minimum_mm3: smallest lesion volume in mm3.

    Returns:
        {rho (Spearman), low, high, n, people, attainable (the rho that these uncertainties would reach if each were the
        exact SD of a normal error), ratio (root mean square error over root mean square uncertainty), within_95 (share
        of the errors within 1.96 uncertainties), parts: [{uncertainty, error, n}] of three parts by uncertainty}; None
        with too few lesions.
    """
    rows = [row for row in lesions if at_least(row["volume_mm3"], minimum_mm3) and _complete(row)]
    if len(rows) < MIN_LESIONS:
        return None
    spread = np.array([row["uncertainty"] for row in rows], float)
    error = np.abs([row["mean_dvr"] - row["measured_mean_dvr"] for row in rows])
    people = np.array(clusters(rows))
    order = np.argsort(spread, kind="stable")
    parts = [
        {"uncertainty": float(spread[part].mean()), "error": float(error[part].mean()), "n": len(part)}
        for part in np.array_split(order, PARTS)
    ]
    low, high = _interval(spread, error, people, seed)
    scale = float(np.sqrt((spread**2).mean()))
    return {
        "rho": spearman(spread, error),
        "low": low,
        "high": high,
        "attainable": attainable(spread, seed),
        "n": len(rows),
        "people": len({row["person"] for row in rows}),
        "ratio": float(np.sqrt((error**2).mean())) / scale if scale > 0 else None,
        "within_95": float((error <= LIMIT_95 * spread).mean()),
        "parts": parts,
    }


def attainable(spread: np.ndarray, seed: int = 0) -> float | None:
    """Compute the Spearman's rho of |error| and SD that is expected if every SD is exactly right.

    Nearly equal SDs rank errors badly even if all are right, so an observed rho has to be compared with this one. Mean
    over 200 draws of normal errors.

    Args:
        spread: (n,) SDs.
        seed: random seed.

    Returns:
        rho; None if all SDs are the same.
    """
    if np.ptp(spread) == 0:
        return None
    errors = np.abs(np.random.default_rng([seed, 1905]).standard_normal((DRAWS, len(spread)))) * spread
    return float(np.mean([spearman(spread, error) for error in errors]))


def total_spread(spread: np.ndarray, scale: np.ndarray | None) -> np.ndarray:
    """Join the SD over several predictions with the SD of the error that the network itself predicts.

    Args:
        spread: SD over the predictions, any shape, DVR.
        scale: predicted SD, same shape; None if the network does not predict it.

    Returns:
        Root of the sum of both variances, DVR.
    """
    return spread if scale is None else np.hypot(spread, scale)


def spread_by_label(maps: Sequence[np.ndarray], labels: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
    """SD of each label's mean over the maps, joined with the mean SD that the network predicts for its voxels.

    The spread of a mean is what a row of the lesion table needs: the mean of the voxels' spreads would count what
    cancels out within a lesion. A predicted scale is averaged, because errors within a lesion go together.

    Args:
        maps: two or more (I, J, K), DVR.
        labels: int (I, J, K).
        scale: predicted SD (I, J, K), DVR; None if the network does not predict it.

    Returns:
        (n + 1,), entry i for label i, NaN if a label has no voxel.
    """
    spread = np.std([mean_by_label(labels, values) for values in maps], axis=0, ddof=1)
    return total_spread(spread, None if scale is None else mean_by_label(labels, scale))


def expected_error(spread: np.ndarray, fitted: Mapping[str, float] | None) -> np.ndarray:
    """Convert the spread of predictions to the SD of the expected error: sqrt(floor^2 + slope^2 spread^2).

    Args:
        spread: SD over predictions, any shape, DVR.
        fitted: measured floor (DVR) and slope (error per spread), see `errors_by_spread`; None returns the spread
            itself.

    Returns:
        DVR, same shape.
    """
    if fitted is None:
        return spread
    return np.sqrt(fitted["floor"] ** 2 + (fitted["slope"] * spread) ** 2)


def error_by_spread(spread: np.ndarray, error: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    """Fit error^2 = floor^2 + slope^2 spread^2 by weighted least squares, neither negative.

    Args:
        spread: (n,) SD over predictions, DVR.
        error: (n,) absolute error, DVR.
        weights: (n,), or None for equal weights.

    Returns:
        {floor, slope}.
    """
    root = np.ones(len(spread)) if weights is None else np.sqrt(weights)
    unit = float(np.sqrt((spread**2).mean())) or 1.0  # both columns of about one size
    columns = np.stack([root, root * (spread / unit) ** 2], axis=1)
    result, _ = nnls(columns, root * np.asarray(error) ** 2)
    return {"floor": float(np.sqrt(result[0])), "slope": float(np.sqrt(result[1])) / unit}


def errors_by_spread(
    lesions: Sequence[Row], visits: Sequence[Row], minimum_mm3: float = PAPER_MINIMUM_MM3
) -> Row | None:
    """Measure the errors that calibrate a model; every person has the same weight.

    Args:
        lesions: rows as in `calibration`, with the raw `spread`.
        visits: rows with voxel_floor, voxel_slope, predictions (see `cases.evaluate_case`).
        minimum_mm3: smallest lesion volume in mm3.

    Returns:
        {"lesions": {floor, slope}, "voxels": {floor, slope}, predictions}; None with too few lesions or people, or
        without several predictions.
    """
    rows = [row for row in lesions if at_least(row["volume_mm3"], minimum_mm3) and _complete(row)]
    people = [row["person"] for row in rows]
    known = [visit for visit in visits if visit.get("predictions")]
    if len(rows) < MIN_LESIONS or len(set(people)) < MIN_PATIENTS or not known:
        return None
    spread = np.array([row["spread"] for row in rows], float)
    error = np.array([row["mean_dvr"] - row["measured_mean_dvr"] for row in rows], float)
    _, index, counts = np.unique(people, return_inverse=True, return_counts=True)
    voxels = {
        key: float(np.sqrt(np.mean([visit[f"voxel_{key}"] ** 2 for visit in known]))) for key in ("floor", "slope")
    }
    return {
        "lesions": error_by_spread(spread, error, 1 / counts[index]),
        "voxels": voxels,
        "predictions": known[0]["predictions"],
    }


def _complete(row: Row) -> bool:
    return None not in (row.get("uncertainty"), row.get("mean_dvr"), row.get("measured_mean_dvr"))


def spearman(x: np.ndarray, y: np.ndarray) -> float | None:
    """Compute Spearman's rank correlation.

    Args:
        x: (n,).
        y: (n,).

    Returns:
        rho; None if one variable is constant.
    """
    a, b = rankdata(x), rankdata(y)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


def _interval(
    spread: np.ndarray, error: np.ndarray, people: np.ndarray, seed: int
) -> tuple[float | None, float | None]:
    names = np.unique(people)
    if len(names) < MIN_PATIENTS:
        return None, None
    members = [np.flatnonzero(people == name) for name in names]
    rng = np.random.default_rng([seed, 1904])
    result = []
    for _ in range(REPLICATES):
        drawn = np.concatenate([members[index] for index in rng.integers(len(names), size=len(names))])
        rho = spearman(spread[drawn], error[drawn])
        if rho is not None:
            result.append(rho)
    if len(result) < REPLICATES / 2:
        return None, None
    low, high = np.quantile(result, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
