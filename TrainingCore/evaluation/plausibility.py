"""Check a DVR map against five known findings of myelin PET in people with MS.

No open PiB PET of MS exists, so a map of a real patient has no reference. Findings on which published PET and MRI
studies agree can still be checked: white matter is above grey matter (Veronese 2015), lesions are below the white
matter around them (Zeydan et al., Bodini 2016), DVR falls from the lesion's edge to its centre (Bodini 2016), lesions
that are dark in T1w have lost more than isointense ones (after van Waesberghe 1999: T1 contrast and axonal density),
and normal-appearing white matter loses towards the ventricles (Brown et al.: MTR). A map that fails one of them is not
plausible; one that passes all need not be accurate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from ..imaging.distances import distance_to
from ..imaging.labelling import at_least
from .lesions import PAPER_MINIMUM_MM3, surrounding_nawm_mean

CORE_MINIMUM_MM3 = 100.0  # smaller lesions have no centre at the resolution of PET (ours)
CORE_DEPTH = 0.5  # the centre: voxels deeper than this share of the lesion's greatest depth (ours)
MIN_LESIONS = 3  # to compare two kinds of lesions, or to give a share (ours)
DARK = 0.5  # dark in T1w: closer to grey matter than to normal-appearing white matter (ours)
NEAR_MM, FAR_MM = (2.0, 5.0), (5.0, 10.0)  # bands of distance from the ventricles; Brown et al. see 1 to 5 mm. Ours
# begins at 2 mm, where the blur of PET no longer mixes in the fluid
MIN_BAND_VOXELS = 50  # (ours)


class Check(NamedTuple):
    """A published finding: its words, unit and plausible range, as text and as a test of the value."""

    words: str
    unit: str
    expected: str
    holds: Callable[[float], bool]


def _negative(value: float) -> bool:
    return value < 0


CHECKS = {
    "white_above_grey": Check(
        "white matter above grey matter", "mean DVR of NAWM / grey matter", "> 1", lambda value: value > 1
    ),
    "below_surround": Check(
        "lesions below the white matter around them",
        "share of lesions of 50 mm3 or more",
        ">= 80 %",
        lambda value: value >= 0.8,
    ),
    "towards_centre": Check(
        "DVR falls towards the lesion's centre",
        "mean DVR of centre - edge, lesions of 100 mm3 or more",
        "< 0",
        _negative,
    ),
    "dark_below_isointense": Check(
        "lesions dark in T1w below isointense ones", "mean DVR of dark - isointense lesions", "< 0", _negative
    ),
    "towards_ventricles": Check(
        "NAWM falls towards the ventricles", "mean DVR 2-5 mm from them - 5-10 mm from them", "< 0", _negative
    ),
}


@dataclass(frozen=True)
class Finding:
    """One row of the table.

    Attributes:
        check: published finding.
        value: measured number, None if it cannot be computed.
        unit: unit or kind of the number.
        n: number of lesions or voxels.
        expected: plausible range.
        holds: whether the value is plausible, None without a value.
    """

    check: str
    value: float | None
    unit: str
    n: int
    expected: str
    holds: bool | None

    def row(self) -> dict[str, Any]:
        """As JSON, or as a row of a report's table."""
        return asdict(self)


def _finding(key: str, value: float | None = None, n: int = 0) -> Finding:
    check = CHECKS[key]
    return Finding(check.words, value, check.unit, n, check.expected, None if value is None else check.holds(value))


def plausibility(
    dvr: np.ndarray,
    labels: np.ndarray,
    tissues: Mapping[str, np.ndarray],
    affine: np.ndarray,
    t1w: np.ndarray | None = None,
    ventricles: np.ndarray | None = None,
) -> list[Finding]:
    """Check one map against five published findings.

    Args:
        dvr: (I, J, K), unitless.
        labels: int (I, J, K), lesions 1..n, 0 elsewhere (see `lesions.label_lesions`).
        tissues: bool masks (I, J, K): `white_matter` and `grey_matter`; optionally `nawm`, normal-appearing white
            matter at least 2 mm from other tissue (without it, all white matter outside lesions is used).
        affine: 4 x 4, voxel to world, mm.
        t1w: (I, J, K), bias-corrected, arbitrary units, or None.
        ventricles: mask (I, J, K), or None.

    Returns:
        Five findings, in the order of CHECKS; value and holds are None if a finding cannot be computed.
    """
    lesional = labels > 0
    white = np.asarray(tissues["white_matter"], bool) & ~lesional
    grey = np.asarray(tissues["grey_matter"], bool) & ~lesional
    nawm = np.asarray(tissues.get("nawm", white), bool) & ~lesional
    spacing = np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0)
    lesions = _Lesions(labels, float(abs(np.linalg.det(np.asarray(affine, float)[:3, :3]))))
    return [
        _white_above_grey(dvr, nawm, grey),
        _below_surround(dvr, labels, white, affine, lesions),
        _towards_centre(dvr, labels, spacing, lesions),
        _dark_below_isointense(dvr, t1w, nawm, grey, lesions),
        _towards_ventricles(dvr, nawm, ventricles, spacing),
    ]


class _Lesions:
    """Voxels of the lesions, sorted by label."""

    def __init__(self, labels: np.ndarray, voxel_volume: float) -> None:
        self.voxels = np.flatnonzero(labels)
        self.owner = labels.ravel()[self.voxels].astype(np.intp)
        self.counts = np.bincount(self.owner)
        self.volumes = self.counts * voxel_volume

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean of a map in each lesion, (n + 1,), NaN if a label has no voxel."""
        sums = np.bincount(self.owner, values.ravel()[self.voxels], self.counts.size)
        return sums / np.where(self.counts > 0, self.counts, np.nan)

    def at_least(self, minimum_mm3: float) -> np.ndarray:
        """Whether each label has this volume, (n + 1,)."""
        return np.asarray(at_least(self.volumes, minimum_mm3))


def _mean(values: np.ndarray, mask: np.ndarray) -> float | None:
    return float(values[mask].mean(dtype=float)) if mask.any() else None


def _white_above_grey(dvr: np.ndarray, nawm: np.ndarray, grey: np.ndarray) -> Finding:
    white_mean, grey_mean = _mean(dvr, nawm), _mean(dvr, grey)
    known = white_mean is not None and grey_mean is not None and grey_mean > 0
    ratio = white_mean / grey_mean if known else None  # type: ignore[operator]
    return _finding("white_above_grey", ratio, int(nawm.sum()))


def _below_surround(
    dvr: np.ndarray, labels: np.ndarray, white: np.ndarray, affine: np.ndarray, lesions: _Lesions
) -> Finding:
    """White matter counts up to its border: at the border it is blurred with grey matter, so this test is strict."""
    if not lesions.voxels.size:
        return _finding("below_surround")
    around = np.append(np.nan, surrounding_nawm_mean(labels, white, dvr, affine))
    gap = lesions.means(dvr) - around
    compared = lesions.at_least(PAPER_MINIMUM_MM3) & np.isfinite(gap)
    share = float((gap[compared] < 0).mean()) if compared.sum() >= MIN_LESIONS else None
    return _finding("below_surround", share, int(compared.sum()))


def _towards_centre(dvr: np.ndarray, labels: np.ndarray, spacing: np.ndarray, lesions: _Lesions) -> Finding:
    gaps = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None or not at_least(lesions.volumes[label], CORE_MINIMUM_MM3):
            continue
        own = np.pad(labels[box] == label, 1)
        depth = ndimage.distance_transform_edt(own, sampling=spacing)[1:-1, 1:-1, 1:-1]
        own = own[1:-1, 1:-1, 1:-1]
        centre = own & (depth > CORE_DEPTH * depth.max())
        edge = own & ~centre
        if edge.any():
            gaps.append(float(dvr[box][centre].mean(dtype=float) - dvr[box][edge].mean(dtype=float)))
    value = float(np.mean(gaps)) if len(gaps) >= MIN_LESIONS else None
    return _finding("towards_centre", value, len(gaps))


def _dark_below_isointense(
    dvr: np.ndarray, t1w: np.ndarray | None, nawm: np.ndarray, grey: np.ndarray, lesions: _Lesions
) -> Finding:
    white_t1, grey_t1 = (None, None) if t1w is None else (_mean(t1w, nawm), _mean(t1w, grey))
    if t1w is None or white_t1 is None or grey_t1 is None or white_t1 <= grey_t1 or not lesions.voxels.size:
        return _finding("dark_below_isointense")
    position = (lesions.means(t1w) - grey_t1) / (white_t1 - grey_t1)  # 0: as dark as grey matter, 1: as NAWM
    means, counted = lesions.means(dvr), lesions.at_least(PAPER_MINIMUM_MM3)
    dark, isointense = counted & (position < DARK), counted & (position >= DARK)
    enough = min(dark.sum(), isointense.sum()) >= MIN_LESIONS
    value = float(means[dark].mean() - means[isointense].mean()) if enough else None
    return _finding("dark_below_isointense", value, int(counted.sum()))


def _towards_ventricles(
    dvr: np.ndarray, nawm: np.ndarray, ventricles: np.ndarray | None, spacing: np.ndarray
) -> Finding:
    if ventricles is None or not np.any(ventricles):
        return _finding("towards_ventricles")
    distance = distance_to(np.asarray(ventricles, bool), FAR_MM[1], spacing)
    near, far = (nawm & (distance >= low) & (distance < high) for low, high in (NEAR_MM, FAR_MM))
    enough = min(near.sum(), far.sum()) >= MIN_BAND_VOXELS
    value = float(dvr[near].mean(dtype=float) - dvr[far].mean(dtype=float)) if enough else None
    return _finding("towards_ventricles", value, int(near.sum()))


def pooled(findings: Sequence[Sequence[Finding]]) -> list[dict[str, Any]]:
    """Count in how many maps each finding holds.

    Args:
        findings: results of `plausibility`, one list per map; maps that were checked for other findings than
            most (by another version) are left out.

    Returns:
        Rows {check, holds, maps, mean, unit, expected}; maps without a number are not counted.
    """
    rows = []
    names = [[finding.check for finding in checked] for checked in findings]
    usual = max((checks for checks in names if checks), key=names.count, default=[])
    for same in zip(*(checked for checked, own in zip(findings, names, strict=True) if own == usual)):
        known = [check for check in same if check.value is not None]
        rows.append(
            {
                "check": same[0].check,
                "holds": sum(bool(check.holds) for check in known),
                "maps": len(known),
                "mean": float(np.mean([check.value for check in known])) if known else None,
                "unit": same[0].unit,
                "expected": same[0].expected,
            }
        )
    return rows


def columns(findings: Sequence[Finding], kind: str) -> dict[str, float | None]:
    """Return the values of one map as columns of a table of visits.

    Args:
        findings: result of `plausibility`.
        kind: kind of the map, e.g. `synthetic`.

    Returns:
        `<kind>_<key of CHECKS>` -> value.
    """
    return {f"{kind}_{key}": finding.value for key, finding in zip(CHECKS, findings, strict=True)}


def beside(visits: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Count in how many maps of each kind a finding holds, e.g. in synthetic maps beside the measured ones.

    Args:
        visits: rows with `columns` of each kind; visits without them are not counted.
        kinds: kinds of map.

    Returns:
        Per finding {check, unit, expected, <kind>: {holds, maps, mean}}; mean is None without a map.
    """
    rows = []
    for key, check in CHECKS.items():
        row: dict[str, Any] = {"check": check.words, "unit": check.unit, "expected": check.expected}
        for kind in kinds:
            known = [float(value) for visit in visits if (value := visit.get(f"{kind}_{key}")) is not None]
            mean = float(np.mean(known)) if known else None
            row[kind] = {"holds": sum(map(check.holds, known)), "maps": len(known), "mean": mean}
        rows.append(row)
    return rows
