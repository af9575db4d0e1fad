"""Label the lesions of a mask, and average an image over each label."""

from __future__ import annotations

from typing import Any

import numpy as np

VOLUME_TOLERANCE = 1e-4  # of a limit (ours)
"""50 voxels of 1 mm are 50 mm3 on an oblique grid and in single precision, too."""


def at_least(volumes: Any, minimum_mm3: float) -> Any:
    """Check lesion volumes against a limit, up to the error of a voxel volume computed from an affine.

    Args:
        volumes: in mm3; a number or an array.
        minimum_mm3: limit.

    Returns:
        Whether each is at least the limit; bool, or an array of bool.
    """
    return volumes >= minimum_mm3 * (1 - VOLUME_TOLERANCE)


def label_lesions(mask: np.ndarray, voxel_volume: float, minimum_mm3: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Number the lesions of a mask: voxels that touch by face, edge or corner (26-neighbourhood) are one lesion.

    Args:
        mask: (I, J, K), lesional where not 0.
        voxel_volume: mm3 of one voxel.
        minimum_mm3: smaller lesions get no label.

    Returns:
        Labels, int32 (I, J, K), 0 outside, 1, 2, ... by decreasing volume (equal ones in the order of their first
        voxel); and volumes in mm3, (n,), of label 1, 2, ... n is 0 for an empty mask.
    """
    import SimpleITK

    lesional = np.ascontiguousarray(np.asarray(mask) != 0)
    if not lesional.any():
        return np.zeros(lesional.shape, np.int32), np.zeros(0)
    image = SimpleITK.GetImageFromArray(lesional.view(np.uint8))
    components = SimpleITK.GetArrayFromImage(SimpleITK.ConnectedComponent(image, True)).ravel()
    voxels = np.flatnonzero(components)
    numbers, first, counts = np.unique(components[voxels], return_index=True, return_counts=True)
    order = np.lexsort((first, -counts))
    order = order[at_least(counts[order] * voxel_volume, minimum_mm3)]
    renumbered = np.zeros(int(numbers[-1]) + 1, np.int32)
    renumbered[numbers[order]] = np.arange(1, order.size + 1)
    return renumbered[components].reshape(lesional.shape), counts[order] * float(voxel_volume)


def mean_by_label(labels: np.ndarray, values: np.ndarray, count: int = 0) -> np.ndarray:
    """Average an image over the voxels of each label.

    Args:
        labels: int (I, J, K), 0 outside.
        values: (I, J, K).
        count: largest label to report, if it may have no voxel.

    Returns:
        (n + 1,) float64, entry i for label i; NaN if a label has no voxel.
    """
    inside = np.flatnonzero(labels)
    owner = labels.ravel()[inside]
    voxels = np.bincount(owner, minlength=count + 1).astype(float)
    voxels[voxels == 0] = np.nan
    return np.bincount(owner, values.ravel()[inside], voxels.size) / voxels
