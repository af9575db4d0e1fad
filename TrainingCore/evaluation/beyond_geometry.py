"""Information of a map about lesions beyond their size and location.

Two measures on the same lesions: the partial correlation of measured and synthetic DVR given geometry, and the
difference to a regression on geometry fitted to this cohort's own measured DVR, each person predicted from the others.
Such a regression was fitted to data of the same scanner, which no model was: the comparison is strict on purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .statistics import ClusterBootstrap, bootstrap_test, correlation_difference, correlation_with_interval

MIN_SPARE = 10  # lesions more than there are features and variables, below which nothing is estimated (ours)
RIDGE = 1e-6  # share of the variance, against features that are constant or that others determine (ours)


def partial_correlation(
    measured: np.ndarray, synthetic: np.ndarray, features: np.ndarray, people: Sequence[Any], seed: int = 0
) -> dict[str, Any]:
    """Correlate measured and synthetic DVR after removing a linear function of geometry from both.

    Args:
        measured: (n,) measured mean DVR of each lesion.
        synthetic: (n,) synthetic mean DVR of each lesion.
        features: (n, F) geometry of the same lesions; lesions with a value that is not finite are left out.
        people: (n,) person of each lesion.
        seed: of the bootstrap.

    Returns:
        {r, r_low, r_high, n}: 95 % interval by bootstrap of people; None: not estimable.
    """
    table, owners = _complete(np.column_stack([features, measured, synthetic]), people)
    result: dict[str, Any] = {"r": None, "r_low": None, "r_high": None, "n": len(table)}
    r, replicates = _with_replicates(table, owners, seed)
    if r is None:
        return result
    low, high = ClusterBootstrap.interval(replicates)
    return result | {"r": r, "r_low": low, "r_high": high}


def partial_difference(
    measured: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    features: np.ndarray,
    people: Sequence[Any],
    seed: int = 0,
) -> dict[str, Any]:
    """Compute the partial correlation of `second` minus that of `first` on the same lesions, paired by person.

    Args:
        measured: (n,) measured mean DVR of each lesion.
        first: (n,) synthetic mean DVR of one model.
        second: (n,) synthetic mean DVR of the other model.
        features: (n, F) geometry of each lesion.
        people: (n,) person of each lesion.
        seed: of the bootstrap.

    Returns:
        {difference, low, high, p, n}; None: not estimable.
    """
    table, owners = _complete(np.column_stack([features, measured, first, second]), people)
    result: dict[str, Any] = {"difference": None, "low": None, "high": None, "p": None, "n": len(table)}
    first_r, first_draws = _with_replicates(table[:, :-1], owners, seed)
    second_r, second_draws = _with_replicates(np.delete(table, -2, axis=1), owners, seed)
    if first_r is None or second_r is None:
        return result
    return result | {"difference": second_r - first_r} | bootstrap_test(second_draws - first_draws)


def partial_replicates(
    measured: np.ndarray, synthetic: np.ndarray, features: np.ndarray, people: Sequence[Any], seed: int = 0
) -> tuple[float | None, np.ndarray]:
    """Compute the partial correlation and its bootstrap replicates by person.

    The same lesions and seed give the same draws, so that replicates of several models are paired.

    Args:
        measured: (n,) measured mean DVR of each lesion.
        synthetic: (n,) synthetic mean DVR of each lesion.
        features: (n, F) geometry of each lesion.
        people: (n,) person of each lesion.
        seed: of the bootstrap.

    Returns:
        (r, (replicates,)); (None, empty) if it is not estimable.
    """
    table, owners = _complete(np.column_stack([features, measured, synthetic]), people)
    return _with_replicates(table, owners, seed)


def _complete(table: np.ndarray, people: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows without a gap, and their people."""
    keep = np.isfinite(table.astype(float)).all(axis=1)
    return table[keep].astype(float), np.asarray(people)[keep]


def _with_replicates(table: np.ndarray, owners: np.ndarray, seed: int) -> tuple[float | None, np.ndarray]:
    """Partial correlation of the last two columns given the others, and its bootstrap replicates by owner."""
    if len(table) < table.shape[1] + MIN_SPARE:
        return None, np.zeros(0)
    scaled = _standardised(table)
    r = float(_partial(_moments(scaled, np.zeros(len(scaled), int), 1))[0])
    if not np.isfinite(r):
        return None, np.zeros(0)
    draws = ClusterBootstrap(owners, seed=seed)
    sums = _moments(scaled, draws.index, draws.patients).reshape(draws.patients, -1)
    replicates = (draws.weights @ sums).reshape(-1, table.shape[1] + 1, table.shape[1] + 1)
    return r, _partial(replicates) if len(replicates) else np.zeros(0)


def _standardised(table: np.ndarray) -> np.ndarray:
    spread = table.std(axis=0)
    return (table - table.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)


def _moments(table: np.ndarray, owner: np.ndarray, groups: int) -> np.ndarray:
    """Sums of products of [1, columns], (groups, F + 1, F + 1)."""
    full = np.column_stack([np.ones(len(table)), table])
    return np.stack([full[owner == group].T @ full[owner == group] for group in range(groups)])


def _partial(moments: np.ndarray) -> np.ndarray:
    """Partial correlation of the last two columns given the others, one for each (F + 1, F + 1) of `moments`."""
    counts = moments[:, :1, :1]
    means = moments[:, :1, 1:] / counts
    covariance = moments[:, 1:, 1:] / counts - means.transpose(0, 2, 1) * means
    covariance = covariance + RIDGE * np.eye(covariance.shape[-1])
    precision = np.linalg.inv(covariance)
    a, b, both = precision[:, -2, -2], precision[:, -1, -1], precision[:, -2, -1]
    flat = np.minimum(covariance[:, -2, -2], covariance[:, -1, -1]) < 10 * RIDGE
    return np.where(flat, np.nan, -both / np.sqrt(a * b))


def geometry_predictions(measured: np.ndarray, features: np.ndarray, people: Sequence[Any]) -> np.ndarray:
    """Predict the mean DVR of each lesion from geometry alone, fitted to the lesions of all other people.

    Least squares with a constant.

    Args:
        measured: (n,) measured mean DVR of each lesion.
        features: (n, F) geometry of each lesion.
        people: (n,) person of each lesion.

    Returns:
        (n,), NaN if the others are too few or a feature is not finite.
    """
    measured, owners = np.asarray(measured, float), np.asarray(people)
    usable = np.isfinite(measured) & np.isfinite(features).all(axis=1)
    predicted = np.full(len(measured), np.nan)
    if not usable.any():
        return predicted
    scaled = np.full(features.shape, np.nan)
    scaled[usable] = _standardised(features[usable])
    for person in np.unique(owners):
        others, own = usable & (owners != person), (owners == person) & np.isfinite(scaled).all(axis=1)
        if others.sum() >= features.shape[1] + MIN_SPARE:
            weights = _fit_linear(scaled[others], measured[others])
            predicted[own] = weights[0] + scaled[own] @ weights[1:]
    return predicted


def _fit_linear(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return least-squares weights, a constant first: (n, F), (n,) -> (F + 1,). RIDGE shrinks undetermined ones."""
    full = np.column_stack([np.ones(len(features)), features])
    penalty = RIDGE * len(full) * np.eye(full.shape[1])
    penalty[0, 0] = 0.0
    return np.linalg.solve(full.T @ full + penalty, full.T @ values)


def beside_geometry(
    measured: np.ndarray, synthetic: np.ndarray, features: np.ndarray, people: Sequence[Any], seed: int = 0
) -> dict[str, Any]:
    """Compare a model with geometry alone.

    Args:
        measured: (n,) measured mean DVR of each lesion.
        synthetic: (n,) synthetic mean DVR of each lesion.
        features: (n, F) geometry of each lesion.
        people: (n,) person of each lesion.
        seed: of the bootstrap.

    Returns:
        {partial: of `partial_correlation`, alone: of `statistics.correlation_with_interval` for `geometry_predictions`,
        difference: r of the model - r of geometry with its paired interval, beats: whether that interval lies above
        zero, None if there is none}.
    """
    alone = geometry_predictions(measured, features, people)
    known = np.isfinite(alone)
    owners = np.asarray(people)[known]
    difference = correlation_difference(measured[known], alone[known], synthetic[known], owners, seed)
    return {
        "partial": partial_correlation(measured, synthetic, features, people, seed),
        "alone": correlation_with_interval(measured[known], alone[known], owners, seed),
        "difference": difference,
        "beats": None if difference["low"] is None else difference["low"] > 0,
    }
