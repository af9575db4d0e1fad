"""Label lesions and measure each of them in a DVR map.

All statistics of all lesions come from one pass over the lesional voxels, so that hundreds cost no more than one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from ..data import lesion_columns
from ..imaging.labelling import mean_by_label
from .blur_correction import corrected_ratios

PAPER_MINIMUM_MM3 = 50.0  # Soulier et al. 2024 leave smaller lesions out of the correlation
THRESHOLD_DEVIATIONS = 2.0  # demyelinated = below NAWM mean - 2 SD (ours)


def demyelination_limit(dvr: np.ndarray, nawm: np.ndarray, deviations: float = THRESHOLD_DEVIATIONS) -> float | None:
    """Compute the DVR below which a voxel counts as demyelinated: mean minus some SDs of the patient's own NAWM (ours).

    Args:
        dvr: (I, J, K), unitless.
        nawm: (I, J, K) mask.
        deviations: number of SDs.

    Returns:
        DVR; None if no voxel of NAWM has a finite value.
    """
    mean, sd = _mean_and_sd(dvr, np.asarray(nawm, bool))
    return mean - deviations * sd if np.isfinite(mean) else None


def _mean_and_sd(values: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Mean and SD of the finite values in a mask, NaN if there is none."""
    inside = values[mask]
    inside = inside[np.isfinite(inside)]
    if inside.size == 0:
        return np.nan, np.nan
    return float(inside.mean(dtype=float)), float(inside.std(dtype=float))


def lesion_table(
    labels: np.ndarray,
    dvr: np.ndarray,
    nawm: np.ndarray,
    affine: np.ndarray,
    measured: np.ndarray | None = None,
    demyelination_threshold: float | None = None,
) -> list[dict[str, Any]]:
    """Measure every lesion.

    Args:
        labels: int (I, J, K), lesions 1..n (see `label_lesions`).
        dvr: (I, J, K), unitless.
        nawm: (I, J, K) mask of white matter; lesional voxels in it are left out.
        affine: 4x4, voxel -> world mm RAS+.
        measured: a second, measured DVR map on the same grid, or None.
        demyelination_threshold: DVR, for both maps; None for each map's own `demyelination_limit`.

    Returns:
        One row per lesion: id, volume_mm3, x_mm, y_mm, z_mm (centre of gravity, world RAS), mean_dvr, sd_dvr (over
            voxels), min_dvr, ratio_to_nawm, surrounding_nawm_dvr (see `surrounding_nawm_mean`), ratio_to_surrounding,
            corrected_ratio (see `blur_correction`), demyelinated_share (share of the voxels below the threshold, 0 to
            1); with `measured` the DVR keys again as measured_*. None if not estimable (no NAWM, no finite voxel).
    """
    inside = np.flatnonzero(labels)
    if inside.size == 0:
        return []
    owner = labels.ravel()[inside].astype(np.intp)
    order = np.argsort(owner, kind="stable")
    inside, owner = inside[order], owner[order]
    healthy = np.asarray(nawm, bool) & (labels == 0)
    columns = _positions(inside, owner, labels.shape, np.asarray(affine, float))
    maps = {"": dvr} if measured is None else {"": dvr, "measured_": measured}
    surroundings = _shell_means(labels, healthy, list(maps.values()), affine)
    corrected = corrected_ratios(labels, list(maps.values()), surroundings, affine)
    for (prefix, values), around, ratio in zip(maps.items(), surroundings, corrected):
        columns |= _statistics(prefix, values, inside, owner, healthy, (around, ratio), demyelination_threshold)
    present = np.flatnonzero(np.bincount(owner))
    return [{name: _plain(column[label]) for name, column in columns.items()} for label in present]


def confidence_by_label(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Compute the mean probability of each segmented lesion.

    Args:
        probability: (I, J, K), 0 to 1.
        labels: int (I, J, K).

    Returns:
        (n + 1,), entry i for label i, NaN without a voxel.
    """
    return mean_by_label(labels, probability)


def _positions(
    inside: np.ndarray, owner: np.ndarray, shape: tuple[int, ...], affine: np.ndarray
) -> dict[str, np.ndarray]:
    """Columns indexed by label: id, volume and centre of gravity."""
    counts = np.bincount(owner)
    divisor = np.maximum(counts, 1)
    voxel = [np.bincount(owner, axis) / divisor for axis in np.unravel_index(inside, shape)]
    world = affine[:3, :3] @ np.array(voxel) + affine[:3, 3:]
    volume = counts * abs(np.linalg.det(affine[:3, :3]))
    return {"id": np.arange(counts.size), "volume_mm3": volume, "x_mm": world[0], "y_mm": world[1], "z_mm": world[2]}


def _measured_by_entries(
    prefix: str, voxels: np.ndarray, owner: np.ndarray, starts: np.ndarray, size: int
) -> dict[str, np.ndarray]:
    """Return the columns whose entry in the list of columns has a `measure`, indexed by label."""
    result = {}
    for column in lesion_columns.COLUMNS:
        if column.measure is not None:
            values = np.full(size, np.nan)
            parts = np.split(voxels, starts[1:]) if owner.size else []
            values[owner[starts]] = [column.measure(part) for part in parts]
            result[f"{prefix}{column.name}"] = values
    return result


def _statistics(
    prefix: str,
    values: np.ndarray,
    inside: np.ndarray,
    owner: np.ndarray,
    healthy: np.ndarray,
    surroundings: tuple[np.ndarray, np.ndarray],
    threshold: float | None,
) -> dict[str, np.ndarray]:
    """Return the columns of one DVR map, indexed by label; `owner` is sorted, so that reduceat finds the minima.

    surroundings: DVR of the NAWM around each lesion, and the lesion's ratio to it corrected for blur.
    """
    around, corrected = surroundings
    size = int(owner[-1]) + 1
    voxels = values.ravel()[inside].astype(float)
    finite = np.isfinite(voxels)
    voxels, owner = voxels[finite], owner[finite]
    counts = np.bincount(owner, minlength=size).astype(float)
    counts[counts == 0] = np.nan
    mean = np.bincount(owner, voxels, size) / counts
    spread = np.sqrt(np.bincount(owner, (voxels - mean[owner]) ** 2, size) / counts)
    lowest = np.full(size, np.nan)
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    if owner.size:
        lowest[owner[starts]] = np.minimum.reduceat(voxels, starts)
    nawm_mean, nawm_sd = _mean_and_sd(values, healthy)
    limit = nawm_mean - THRESHOLD_DEVIATIONS * nawm_sd if threshold is None else threshold
    below = np.full(size, np.nan) if np.isnan(limit) else np.bincount(owner, voxels < limit, size) / counts
    return {
        **_measured_by_entries(prefix, voxels, owner, starts, size),
        f"{prefix}mean_dvr": mean,
        f"{prefix}sd_dvr": spread,
        f"{prefix}min_dvr": lowest,
        f"{prefix}ratio_to_nawm": _ratio(mean, nawm_mean),
        f"{prefix}surrounding_nawm_dvr": around,
        f"{prefix}ratio_to_surrounding": _ratio(mean, around),
        f"{prefix}corrected_ratio": corrected,
        f"{prefix}demyelinated_share": below,
    }


def _ratio(above: np.ndarray, below: np.ndarray | float) -> np.ndarray:
    """Quotient, NaN if the divisor is not positive."""
    divisor = np.where(np.asarray(below) > 0, below, np.nan)
    return above / divisor


def _plain(value: Any) -> int | float | None:
    if isinstance(value, np.integer):
        return int(value)
    return float(value) if np.isfinite(value) else None


def surrounding_nawm_mean(
    labels: np.ndarray,
    nawm: np.ndarray,
    dvr: np.ndarray,
    affine: np.ndarray,
    inner_mm: float = 2.0,
    outer_mm: float = 8.0,
) -> np.ndarray:
    """Compute the mean DVR of the NAWM around each lesion (ours).

    The inner distance excludes the blur of the PET; voxels that close to any other lesion are left out too.

    Args:
        labels: int (I, J, K).
        nawm: mask (I, J, K).
        dvr: (I, J, K).
        affine: 4x4, voxel -> world mm.
        inner_mm: smallest distance from the lesion's nearest voxel.
        outer_mm: largest distance from the lesion's nearest voxel.

    Returns:
        (n,), entry i for label i + 1, NaN if no such NAWM is near.
    """
    healthy = np.asarray(nawm, bool) & (labels == 0)
    return _shell_means(labels, healthy, [dvr], affine, inner_mm, outer_mm)[0][1:]


def means_with_surroundings(
    labels: np.ndarray, image: np.ndarray, nawm: np.ndarray, affine: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Average an image in each lesion and in the white matter around it.

    Args:
        labels: int (I, J, K), lesions 1..n.
        image: (I, J, K).
        nawm: bool (I, J, K), white matter; lesional voxels in it are left out.
        affine: 4x4, voxel -> world mm.

    Returns:
        Two (n + 1,), entry i for label i; NaN without a voxel.
    """
    healthy = np.asarray(nawm, bool) & (labels == 0)
    (around,) = _shell_means(labels, healthy, [image], affine)
    return mean_by_label(labels, image, len(around) - 1), around


def _shell_means(
    labels: np.ndarray,
    healthy: np.ndarray,
    maps: list[np.ndarray],
    affine: np.ndarray,
    inner_mm: float = 2.0,
    outer_mm: float = 8.0,
) -> np.ndarray:
    """(maps, n + 1) means indexed by label. Distances are measured in a box around each lesion only."""
    spacing = np.linalg.norm(np.asarray(affine, float)[:3, :3], axis=0)
    boxes = ndimage.find_objects(labels)
    means = np.full((len(maps), len(boxes) + 1), np.nan)
    margin = np.ceil(outer_mm / spacing).astype(int)
    near = _near_any(labels, spacing, inner_mm)
    for label, box in enumerate(boxes, start=1):
        if box is None:
            continue
        wide = tuple(slice(max(s.start - m, 0), s.stop + m) for s, m in zip(box, margin))
        allowed = healthy[wide] & ~near[wide]
        if not allowed.any():
            continue
        distance = ndimage.distance_transform_edt(labels[wide] != label, sampling=spacing)
        shell = allowed & (distance <= outer_mm)
        for row, values in enumerate(maps):
            around = values[wide][shell]
            around = around[np.isfinite(around)]
            if around.size:
                means[row, label] = around.mean(dtype=float)
    return means


def _near_any(labels: np.ndarray, spacing: np.ndarray, inner_mm: float) -> np.ndarray:
    """Mask of the voxels closer than `inner_mm` to any lesion: the lesions dilated by a ball."""
    reach = np.ceil(inner_mm / spacing).astype(int)
    offsets = np.meshgrid(*(np.arange(-r, r + 1) * s for r, s in zip(reach, spacing)), indexing="ij")
    ball = sum(offset**2 for offset in offsets) < inner_mm**2
    near = np.zeros(labels.shape, bool)
    voxels = np.argwhere(labels)
    for shift in np.argwhere(ball) - reach:
        moved = voxels + shift
        moved = moved[((moved >= 0) & (moved < labels.shape)).all(axis=1)]
        near[tuple(moved.T)] = True
    return near
