"""Edit lesion masks: grow a lesion from a click, or split a lesion into parts. Works on any grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

THRESHOLD = 0.5  # probability from which on a voxel belongs to a lesion
NEAR_MM = 2.0  # (ours) how far beside a lesion a click may land: about one voxel of clinical MRI
LOWERED = 0.5  # (ours) share of the probability at the click that its surroundings need, where the click is below
LOWEST = 0.02  # (ours) the network sees nothing below this: a lesion grown from it would be noise
REACH_MM = 30.0  # (ours) from the click; keeps a low threshold from running through the whole white matter
WATERSHED_LEVELS_MM = (2.0, 1.5, 1.0, 0.75, 0.5, 0.25, 0.1)  # (ours) how much thinner a waist is than what it joins
MIN_PART_MM3 = 3.0  # (ours) as the smallest lesion that the literature counts (3 mm3 or more)


@dataclass(frozen=True)
class GrownLesion:
    """A lesion grown from a click.

    Attributes:
        mask: bool (I, J, K).
        threshold: lowest probability of its voxels.
    """

    mask: np.ndarray
    threshold: float


def grow_lesion(
    probability: np.ndarray,
    click: Sequence[int],
    spacing: Sequence[float],
    allowed: np.ndarray,
    threshold: float = THRESHOLD,
) -> GrownLesion | None:
    """Grow the lesion at a click in the probability map of a network.

    The lesion is the region of `probability >= threshold` connected (26-neighbourhood) to the click, which may be up to
    NEAR_MM beside it. If the probability there is below the threshold, the threshold is lowered to LOWERED times the
    local maximum.

    Args:
        probability: (I, J, K), 0 to 1.
        click: Voxel (i, j, k); outside the grid nothing grows.
        spacing: Size of a voxel, mm.
        allowed: Mask (I, J, K) of where a lesion may grow: the brain without the other lesions.
        threshold: Probability, above 0.

    Returns:
        The lesion, or None if the network sees nothing (below LOWEST) or nothing may grow.
    """
    steps = np.asarray(spacing, float)
    box, centre = _box(probability.shape, click, REACH_MM / steps)
    if box is None:
        return None
    values = np.where(allowed[box], probability[box], 0.0)
    away = np.sqrt(sum(((axis - c) * s) ** 2 for axis, c, s in zip(np.ogrid[_slices(values.shape)], centre, steps)))
    near = np.where(away <= max(NEAR_MM, float(steps.max())), values, 0.0)
    start = centre
    if values[centre] < threshold:
        start = tuple(int(index) for index in np.unravel_index(int(near.argmax()), near.shape))
    highest = float(values[start])
    if highest < LOWEST:
        return None
    used = threshold if highest >= threshold else LOWERED * highest
    mask = np.zeros(probability.shape, bool)
    mask[box] = _connected((values >= used) & (away <= REACH_MM), start)
    return GrownLesion(mask, used)


def split_lesion(mask: np.ndarray, spacing: Sequence[float], least_mm3: float = MIN_PART_MM3) -> np.ndarray:
    """Split a lesion into its disconnected parts, or at its narrowest points by a watershed of the distance map.

    Args:
        mask: (I, J, K).
        spacing: voxel edges in mm.
        least_mm3: smaller parts are merged with the nearest larger one.

    Returns:
        Labels, int32 (I, J, K), 1, 2, ... by decreasing volume; all 1 if there is no narrow point.
    """
    from .labelling import label_lesions

    lesional = np.asarray(mask) != 0
    volume = float(np.prod(spacing))
    labels = np.zeros(lesional.shape, np.int32)
    if not lesional.any():
        return labels
    occupied = [np.flatnonzero(lesional.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    box = tuple(slice(max(int(indices[0]) - 1, 0), int(indices[-1]) + 2) for indices in occupied)
    part = lesional[box]
    divided = _without_crumbs(label_lesions(part, volume)[0], least_mm3 / volume, spacing)
    if divided.max() < 2:
        divided = _watershed(part, spacing, least_mm3 / volume)
    labels[box] = divided
    return labels


def _slices(shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(0, size) for size in shape)


def _box(
    shape: Sequence[int], click: Sequence[int], reach: np.ndarray
) -> tuple[tuple[slice, ...] | None, tuple[int, ...]]:
    """The part of the grid within `reach` voxels of a voxel, and that voxel's place in it; None outside the grid."""
    if any(not 0 <= index < size for index, size in zip(click, shape)):
        return None, ()
    room = np.ceil(reach).astype(int).tolist()
    box = tuple(slice(max(index - r, 0), min(index + r + 1, size)) for index, r, size in zip(click, room, shape))
    return box, tuple(index - extent.start for index, extent in zip(click, box))


def _connected(mask: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """The voxels of a mask that are connected with a seed (26-neighbourhood)."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(mask).view(np.uint8))
    components = SimpleITK.GetArrayFromImage(SimpleITK.ConnectedComponent(image, True))
    return mask & (components == components[tuple(seed)])


def _watershed(lesional: np.ndarray, spacing: Sequence[float], least: float) -> np.ndarray:
    """Parts of one connected lesion, divided at its deepest waists; all 1 if there is none."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.pad(lesional, 1).astype(np.uint8))
    image.SetSpacing([float(step) for step in spacing][::-1])  # SimpleITK's axes of an array are reversed
    depth = SimpleITK.SignedMaurerDistanceMap(
        image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    for level in WATERSHED_LEVELS_MM:
        basins = SimpleITK.MorphologicalWatershed(depth, level=level, markWatershedLine=False, fullyConnected=True)
        basin_labels = SimpleITK.GetArrayFromImage(basins)[1:-1, 1:-1, 1:-1]
        divided = _without_crumbs(np.where(lesional, basin_labels, 0), least, spacing)
        if divided.max() > 1:
            return divided
    return lesional.astype(np.int32)


def _without_crumbs(labels: np.ndarray, least: float, spacing: Sequence[float]) -> np.ndarray:
    """Labels by falling size; the voxels of parts with fewer than `least` voxels go to the nearest larger part."""
    from scipy import ndimage

    values, counts = np.unique(labels[labels > 0], return_counts=True)
    kept = values[counts >= least] if (counts >= least).any() else values[[counts.argmax()]]
    order = kept[np.argsort(-counts[np.isin(values, kept)], kind="stable")]
    renumbered = np.zeros(int(values.max()) + 1, np.int32)
    renumbered[order] = np.arange(1, order.size + 1)
    ordered = renumbered[labels]
    crumbs = (labels > 0) & (ordered == 0)
    if crumbs.any():
        nearest = ndimage.distance_transform_edt(ordered == 0, spacing, return_distances=False, return_indices=True)
        ordered[crumbs] = ordered[tuple(axis[crumbs] for axis in nearest)]
    return ordered
