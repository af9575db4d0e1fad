"""Summarise visits and lesions as in a paper's table: lesion level, visit level, patient level, images, groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.participants import SHAPES_OF
from ..imaging.labelling import at_least
from .beyond_geometry import beside_geometry, geometry_predictions, partial_difference
from .cases import KINDS, TISSUES
from .conformal import CLASSES_MM3, class_title, coverage, coverage_by_site, coverage_of, volume_class
from .lesion_geometry import FEATURES, GEOMETRY
from .lesion_myelin import T1W_LIMITS
from .lesions import PAPER_MINIMUM_MM3
from .plausibility import beside
from .statistics import (
    ClusterBootstrap,
    bland_altman,
    clusters,
    correlation_difference,
    correlation_with_interval,
    mean_difference,
    weighted_mean,
)

Row = dict[str, Any]
IMAGE_MEASURES = tuple(f"{kind}_{region}" for region in ("brain", "lesions") for kind in ("mae", "psnr", "ssim"))
LEVELS = ("lesion", "visit", "patient")
COLUMNS = {
    "measured": "measured_mean_dvr",
    "synthetic": "mean_dvr",
    "corrected": "corrected_ratio",
    "t1w": "t1w_contrast",
    "estimated_loss": "estimated_loss",
    "clean": "clean_mean_dvr",
    "myelin_loss": "myelin_loss",
}

ESTIMATES = ("measured_mean_dvr", "mean_dvr", "corrected_ratio", "t1w_contrast", "estimated_loss")  # of true myelin


def lesion_level(lesions: Sequence[Row], minimum_mm3: float = PAPER_MINIMUM_MM3) -> list[Row]:
    """Select lesions for the lesion level, all visits of all people pooled.

    Args:
        lesions: rows of `evaluate_case`.
        minimum_mm3: smallest lesion (Soulier et al. 2024: 50 mm3).

    Returns:
        Rows of person, visit, id, volume_mm3, measured, synthetic, clean (mean DVR), corrected (ratio without blur),
        t1w (contrast), estimated_loss and myelin_loss (estimated and true share), and `geometry`, the lesion's
        features; None: unknown.
    """
    kept = [row for row in lesions if at_least(row["volume_mm3"], minimum_mm3)]
    return [
        {name: row[name] for name in ("person", "visit", "id", "volume_mm3")}
        | _mask_of(row)
        | {kind: row.get(column) for kind, column in COLUMNS.items()}
        | {"geometry": [row.get(f"{GEOMETRY}{name}") for name in FEATURES]}
        for row in kept
    ]


def _mask_of(row: Row) -> Row:
    """The real mask that the lesion of a simulated person comes from, if any (see `statistics.clusters`)."""
    return {SHAPES_OF: row[SHAPES_OF]} if row.get(SHAPES_OF) else {}


def pooled_level(lesions: Sequence[Row], by: Sequence[str]) -> list[Row]:
    """Average DVR over the lesions of a visit or a person, weighted by volume.

    Args:
        lesions: rows of `evaluate_case`.
        by: `("person", "visit")` or `("person",)`.

    Returns:
        Rows of person, visit ("" for a person), volume_mm3, and the means of COLUMNS. Those of KINDS are of the lesions
        that have both a measured and a synthetic DVR; `clean` is None unless all of these have it. People without
        lesions have no row.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in lesions:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    pooled = []
    for members in groups.values():
        volumes = [row["volume_mm3"] for row in members]
        visit = members[0]["visit"] if "visit" in by else ""
        point = {"person": members[0]["person"], "visit": visit, "volume_mm3": float(sum(volumes))} | _mask_of(
            members[0]
        )
        for kind, column in COLUMNS.items():
            point[kind] = weighted_mean([row.get(column) for row in members], volumes)
        pooled.append(point | _means_of_same_lesions(members))
    return pooled


def _means_of_same_lesions(members: Sequence[Row]) -> Row:
    """Mean of each of KINDS over the lesions that are measured and synthetic, so that the means can be compared."""
    both = [row for row in members if None not in (row.get(COLUMNS["measured"]), row.get(COLUMNS["synthetic"]))]
    if not both:
        return {}
    volumes = [row["volume_mm3"] for row in both]
    means = {kind: weighted_mean([row.get(COLUMNS[kind]) for row in both], volumes) for kind in KINDS}
    if any(row.get(COLUMNS["clean"]) is None for row in both):
        means["clean"] = None
    return means


def levels(lesions: Sequence[Row], minimum_mm3: float = PAPER_MINIMUM_MM3) -> dict[str, list[Row]]:
    """Compute the points of the three levels.

    Args:
        lesions: rows of `evaluate_case`.
        minimum_mm3: smallest lesion, for all three levels.

    Returns:
        Points by level: lesion, visit, patient.
    """
    kept = [row for row in lesions if at_least(row["volume_mm3"], minimum_mm3)]
    return {
        "lesion": lesion_level(kept, minimum_mm3),
        "visit": pooled_level(kept, ("person", "visit")),
        "patient": pooled_level(kept, ("person",)),
    }


def with_all_estimates(lesions: Sequence[Row]) -> list[Row]:
    """Select the lesions whose myelin every method knows, so that correlations with the truth can be compared.

    Args:
        lesions: rows of `evaluate_case`.

    Returns:
        The rows that have each of ESTIMATES that any row has.
    """
    present = [name for name in ESTIMATES if any(row.get(name) is not None for row in lesions)]
    return [row for row in lesions if all(row.get(name) is not None for name in present)]


def column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Extract one column.

    Args:
        rows: dicts.
        name: key.

    Returns:
        (n,) float, NaN if there is no value.
    """
    return np.array([np.nan if row.get(name) is None else row[name] for row in rows], float)


def point_agreement(points: Sequence[Row], seed: int = 0) -> Row:
    """Measure the agreement of the points of one level.

    Args:
        points: rows with measured, synthetic and clean.
        seed: of the bootstrap.

    Returns:
        Correlation and share of the noise ceiling, mae with interval, bland_altman, and without_truth: number of
        points that lack the noise-free DVR that others have, in which case there is no ceiling.
    """
    measured, synthetic, clean = (column(points, kind) for kind in KINDS)
    people = clusters(points)
    result = correlation_with_interval(measured, synthetic, people, seed, clean)
    unknown = np.isnan(clean[np.isfinite(synthetic - measured)])
    result["without_truth"] = 0 if unknown.all() else int(unknown.sum())
    error = np.abs(synthetic - measured)
    error = error[np.isfinite(error)]
    result["mae"] = float(error.mean()) if error.size else None
    draws = ClusterBootstrap(np.array(people)[np.isfinite(synthetic - measured)], seed=seed) if error.size else None
    result["mae_low"], result["mae_high"] = draws.interval(draws.means(error)) if draws else (None, None)
    return result | {"bland_altman": bland_altman(measured, synthetic, people, seed)}


def _with_true_myelin(points: Sequence[Row], seed: int = 0) -> Row:
    """Correlate with the remaining true myelin (1 - loss), which is known for simulated patients only.

    points: of lesions whose estimates are all known. Returns {synthetic, corrected, measured, t1w, estimated}, each as
    `correlation_with_interval`: the mean DVR of the map, its ratio corrected for blur, the mean DVR of the scanner
    itself, the contrast in T1w alone (the simplest explanation), and 1 - the estimated loss.
    """
    left = 1.0 - column(points, "myelin_loss")
    people = clusters(points)
    estimates = {kind: column(points, kind) for kind in ("synthetic", "corrected", "measured", "t1w")}
    estimates["t1w"] = np.clip(estimates["t1w"], *T1W_LIMITS)
    estimates["estimated"] = 1.0 - column(points, "estimated_loss")
    return {kind: correlation_with_interval(left, values, people, seed) for kind, values in estimates.items()}


def geometry_features(points: Sequence[Row]) -> np.ndarray:
    """Collect the geometry of lesion-level points.

    Args:
        points: rows of `lesion_level`.

    Returns:
        (n, features), NaN if unknown.
    """
    rows = [[np.nan if value is None else value for value in row["geometry"]] for row in points]
    return np.array(rows, float).reshape(len(rows), len(FEATURES))


def _beyond_geometry(points: Sequence[Row], seed: int = 0) -> Row:
    """Compare a model with geometry alone (see `beyond_geometry.beside_geometry`).

    The correlation of geometry alone with the true myelin is added. points: of the lesion level.
    """
    measured, synthetic = column(points, "measured"), column(points, "synthetic")
    people = clusters(points)
    features = geometry_features(points)
    result = beside_geometry(measured, synthetic, features, people, seed)
    alone = geometry_predictions(measured, features, people)
    return result | {"myelin": correlation_with_interval(1.0 - column(points, "myelin_loss"), alone, people, seed)}


def _by_volume(lesions: Sequence[Row], seed: int = 0) -> list[Row]:
    """Measure the agreement of the lesions of each size class.

    Rows: volume, lesions, r, r_low, r_high, mae, mae_low, mae_high, bias, bias_low, bias_high.
    """
    rows = []
    for index in range(len(CLASSES_MM3)):
        own = [row for row in lesions if volume_class(row["volume_mm3"]) == index]
        if own:
            result = point_agreement(lesion_level(own, 0.0), seed)
            bias = {key: result["bland_altman"][key] for key in ("bias", "bias_low", "bias_high")}
            kept = {key: result[key] for key in ("r", "r_low", "r_high", "mae", "mae_low", "mae_high")}
            rows.append({"volume": class_title(index), "lesions": len(own)} | kept | bias)
    return rows


def mean_and_sd(values: np.ndarray) -> Row:
    """Compute mean, SD (n - 1) and number of the finite values.

    Args:
        values: (n,).

    Returns:
        {mean, sd, n}; None: not estimable.
    """
    finite = values[np.isfinite(values)]
    return {
        "mean": float(finite.mean()) if finite.size else None,
        "sd": float(finite.std(ddof=1)) if finite.size > 1 else None,
        "n": int(finite.size),
    }


def group_means(visits: Sequence[Row]) -> list[Row]:
    """Compute mean and SD over visits of the mean DVR of each tissue, by group and kind of map.

    Args:
        visits: rows of `evaluate_case`, with `group` (patient, control, ...).

    Returns:
        Rows: group, tissue, n, `<kind>_mean`, `<kind>_sd` for kind measured, synthetic, clean.
    """
    rows = []
    for group in sorted({str(visit["group"]) for visit in visits}, reverse=True):
        members = [visit for visit in visits if str(visit["group"]) == group]
        for tissue in TISSUES:
            row: Row = {"group": group or "all", "tissue": tissue}
            for kind in KINDS:
                result = mean_and_sd(column(members, f"{kind}_{tissue}"))
                row |= {"n": max(result["n"], row.get("n", 0))}
                row |= {f"{kind}_mean": result["mean"], f"{kind}_sd": result["sd"]}
            if row["n"]:
                rows.append(row)
    return rows


def summarise(
    visits: Sequence[Row], lesions: Sequence[Row], seed: int = 0, minimum_mm3: float = PAPER_MINIMUM_MM3
) -> Row:
    """Summarise one model: counts, agreement at each level, image measures over visits, group means.

    Args:
        visits: rows of `evaluate_case`.
        lesions: rows of `evaluate_case`.
        seed: of the bootstrap.
        minimum_mm3: smallest lesion at the three levels.
    """
    points = levels(lesions, minimum_mm3)
    known = levels(with_all_estimates(lesions), minimum_mm3)
    return {
        "people": len({visit["person"] for visit in visits}),
        "visits": len(visits),
        "sites": sorted({str(row["site"]) for row in lesions if row.get("site")}),
        "lesion_shapes": sorted({str(visit["lesion_shapes"]) for visit in visits if visit.get("lesion_shapes")}),
        "lesions": len(lesions),
        "lesions_in_correlation": len(points["lesion"]),
        "minimum_mm3": minimum_mm3,
        **{level: point_agreement(points[level], seed) for level in LEVELS},
        "myelin": {level: _with_true_myelin(known[level], seed) for level in ("lesion", "patient")},
        "geometry": _beyond_geometry(points["lesion"], seed),
        "by_volume": _by_volume(lesions, seed),
        "intervals": coverage(lesions, seed),
        "intervals_by_site": coverage_by_site(lesions, seed),
        "loss_intervals": coverage_of(lesions, "myelin_loss", "estimated_loss", seed),
        "images": {name: mean_and_sd(column(visits, name)) for name in IMAGE_MEASURES},
        "groups": group_means(visits),
        "plausibility": beside(visits, KINDS),
    }


def lesion_differences(
    first: Sequence[Row], other: Sequence[Row], seed: int = 0, minimum_mm3: float = PAPER_MINIMUM_MM3
) -> Row:
    """Compare two models on the same lesions and the same bootstrap replicates: `other` minus `first`.

    Args:
        first: lesion rows on one evaluation grid.
        other: lesion rows on the same grid.
        seed: random seed.
        minimum_mm3: smallest lesion volume in mm3.

    Returns:
        Differences of r at each level, and over lesions of `partial` (r given geometry), `myelin` (r with the true
        myelin) and `mae`.

    Raises:
        ValueError: their lesions differ.
    """
    result = {}
    for level in LEVELS:
        first_points, other_points = levels(first, minimum_mm3)[level], levels(other, minimum_mm3)[level]
        keys = [
            [(row["person"], row["visit"], row.get("id"), row["volume_mm3"]) for row in rows]
            for rows in (first_points, other_points)
        ]
        if keys[0] != keys[1]:
            raise ValueError("two models can be compared on the same lesions only")
        people = clusters(first_points)
        truth, a, b = (
            column(first_points, "measured"),
            column(first_points, "synthetic"),
            column(other_points, "synthetic"),
        )
        result[level] = correlation_difference(truth, a, b, people, seed)
    first_points, other_points = levels(first, minimum_mm3)["lesion"], levels(other, minimum_mm3)["lesion"]
    people = clusters(first_points)
    truth, a, b = column(first_points, "measured"), column(first_points, "synthetic"), column(other_points, "synthetic")
    result["partial"] = partial_difference(truth, a, b, geometry_features(first_points), people, seed)
    result["myelin"] = correlation_difference(1.0 - column(first_points, "myelin_loss"), a, b, people, seed)
    result["mae"] = mean_difference(np.abs(b - truth) - np.abs(a - truth), people, seed)
    return result
