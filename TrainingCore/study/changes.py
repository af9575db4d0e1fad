"""Change between two visits per lesion and per voxel, compared with repeatability.

A lesion counts as changed if the 95 % interval of its change excludes zero. The interval comes from repeatability, the
SD of the difference between two scans of the same person without a change, by lesion volume. Voxel shares follow Bodini
et al. 2016: a lesional voxel is demyelinated if its DVR is below a threshold; the demyelination index is the share of
lesional voxels that were normal before and are demyelinated after, the remyelination index the reverse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .lesion_matching import GONE, NEW, LesionMatch, match_lesions
from .repeatability import NORMAL, Repeatability

Row = dict[str, Any]
DEMYELINATING, REMYELINATING, STABLE, NOT_JUDGED = "demyelinating", "remyelinating", "stable", "not judged"


def lesion_changes(
    labels: tuple[np.ndarray, np.ndarray],
    dvr: tuple[np.ndarray, np.ndarray],
    affine: np.ndarray,
    repeatability: Repeatability | None = None,
) -> list[Row]:
    """One row per matched lesion.

    Args:
        labels: lesion labels before and after, int (I, J, K), on the half-way grid.
        dvr: maps before and after, unitless, on the same grid, 0 outside the brain.
        affine: 4x4 of that grid, RAS mm.
        repeatability: threshold for a change; None: no lesion is classified.

    Returns:
        Rows {lesion, before, after, kind, volume_before_mm3, volume_after_mm3, x_mm, y_mm, z_mm, dvr_before, dvr_after,
        difference, low, high, change}. Both means are over the union of the outlines, so that a redrawn border causes
        no change; the tissue of a new lesion before, and of a gone lesion after, is measured too.
    """
    voxel = float(abs(np.linalg.det(affine[:3, :3])))
    seen = (dvr[0] > 0) & (dvr[1] > 0)
    rows = []
    for number, match in enumerate(match_lesions(*labels), start=1):
        rows.append(_row(number, match, labels, dvr, seen, affine, voxel, repeatability))
    return rows


def _row(
    number: int,
    match: LesionMatch,
    labels: tuple[np.ndarray, np.ndarray],
    dvr: tuple[np.ndarray, np.ndarray],
    seen: np.ndarray,
    affine: np.ndarray,
    voxel: float,
    repeatability: Repeatability | None,
) -> Row:
    outlines = [np.isin(side, ids) & (side > 0) for side, ids in zip(labels, (match.before, match.after))]
    union = (outlines[0] | outlines[1]) & seen
    volumes = [float(outline.sum()) * voxel for outline in outlines]
    row: Row = {
        "lesion": number,
        "before": "+".join(map(str, match.before)),
        "after": "+".join(map(str, match.after)),
        "kind": match.kind,
        "volume_before_mm3": volumes[0],
        "volume_after_mm3": volumes[1],
    }
    centre = affine[:3, :3] @ np.argwhere(outlines[0] | outlines[1]).mean(axis=0) + affine[:3, 3]
    row |= dict(zip(("x_mm", "y_mm", "z_mm"), map(float, centre)))
    if not union.any():
        return row | dict.fromkeys(("dvr_before", "dvr_after", "difference", "low", "high")) | {"change": NOT_JUDGED}
    means = [float(image[union].mean()) for image in dvr]
    difference = means[1] - means[0]
    row |= {"dvr_before": means[0], "dvr_after": means[1], "difference": difference, "low": None, "high": None}
    if repeatability is not None:
        half = NORMAL * repeatability.of(max(volumes))
        row |= {"low": difference - half, "high": difference + half}
    return row | {"change": classify(match.kind, row["low"], row["high"])}


def relative_to_nawm(rows: Sequence[Row], shift: float | None, repeatability: Repeatability | None) -> list[Row]:
    """Judge the same lesions by their difference minus that of normal-appearing white matter (NAWM).

    A scanner, protocol or calibration that differs between the visits shifts lesions and NAWM alike. The variance of
    NAWM between two scans without a change adds to that of the lesion (ours: their correlation is not known).

    Args:
        rows: rows of `lesion_changes`.
        shift: difference of the mean DVR of NAWM, after minus before; None if there is no NAWM.
        repeatability: threshold for a change; without it, or without its nawm_sd, no lesion is classified.

    Returns:
        Copies of the rows with `difference_to_nawm`, in which low, high and change follow from it. `difference` stays.
    """
    judged = []
    for row in rows:
        relative = None if shift is None or row["difference"] is None else row["difference"] - shift
        low = high = None
        if relative is not None and repeatability is not None and repeatability.nawm_sd is not None:
            own = repeatability.of(max(row["volume_before_mm3"], row["volume_after_mm3"]))
            half = NORMAL * float(np.hypot(own, repeatability.nawm_sd))
            low, high = relative - half, relative + half
        verdict = NOT_JUDGED if row["difference"] is None else classify(row["kind"], low, high)
        judged.append(row | {"difference_to_nawm": relative, "low": low, "high": high, "change": verdict})
    return judged


def classify(kind: str, low: float | None, high: float | None) -> str:
    """Classify a lesion by its change.

    Args:
        kind: kind of the match: new, gone, or one of those present at both visits.
        low: lower end of the 95 % interval of the change in DVR; None without repeatability.
        high: upper end.

    Returns:
        Demyelinating, remyelinating, stable, new, gone, or not judged (without repeatability).
    """
    if kind in (NEW, GONE):
        return kind
    if low is None or high is None:
        return NOT_JUDGED
    return DEMYELINATING if high < 0 else REMYELINATING if low > 0 else STABLE


def voxel_indices(
    lesions: np.ndarray, dvr: tuple[np.ndarray, np.ndarray], limit: float | None
) -> dict[str, float | None]:
    """Demyelination and remyelination index (Bodini et al. 2016).

    Args:
        lesions: bool (I, J, K), lesional at either visit.
        dvr: maps before and after; voxels that are 0 in either are excluded.
        limit: DVR below which a voxel counts as demyelinated.

    Returns:
        {demyelination_index, remyelination_index, demyelinated_before, demyelinated_after}: shares of lesional voxels.
    """
    names = ("demyelination_index", "remyelination_index", "demyelinated_before", "demyelinated_after")
    inside = lesions & (dvr[0] > 0) & (dvr[1] > 0)
    if limit is None or not inside.any():
        return dict.fromkeys(names)
    before, after = (image[inside] < limit for image in dvr)
    shares = (~before & after, before & ~after, before, after)
    return {name: float(share.mean()) for name, share in zip(names, shares)}


def summarise_changes(rows: Sequence[Row], measure: str = "difference") -> dict[str, Any]:
    """Count lesions by type of change, and average the change of those present at both visits.

    Args:
        rows: rows of `lesion_changes`.
        measure: difference or, of rows of `relative_to_nawm`, difference_to_nawm.

    Returns:
        {lesions, by_change, mean_difference}: the latter in DVR, weighted by volume, None if there is no such lesion.
    """
    classes = [row["change"] for row in rows]
    both = [row for row in rows if row[measure] is not None and row["kind"] not in (NEW, GONE)]
    weights = np.array([max(row["volume_before_mm3"], row["volume_after_mm3"]) for row in both])
    differences = np.array([row[measure] for row in both])
    mean = float(differences @ weights / weights.sum()) if weights.sum() > 0 else None
    return {
        "lesions": len(rows),
        "by_change": {name: classes.count(name) for name in sorted(set(classes))},
        "mean_difference": mean,
    }
