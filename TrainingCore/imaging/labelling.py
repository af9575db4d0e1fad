"""Label the lesions of a mask, and average an image over each label."""

from __future__ import annotations

import numpy as np


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
    order = order[counts[order] * voxel_volume >= minimum_mm3 - 1e-9]
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
