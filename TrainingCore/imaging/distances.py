"""Distances to the edge of a mask, computed in the box where they are needed.

A distance transform of a whole head takes about 0.6 s at 1 mm; most of the head is far from what is asked about.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def depth_inside(mask: np.ndarray, spacing: Sequence[float] | np.ndarray) -> np.ndarray:
    """Distance of each voxel of a mask to the nearest voxel outside it.

    Args:
        mask: bool (I, J, K).
        spacing: voxel edges in mm.

    Returns:
        Distance in mm, float (I, J, K), 0 outside the mask; inf if the mask has no outside.
    """
    depth = np.zeros(mask.shape)
    box = _box(mask, (1, 1, 1))
    if box is None:
        return depth
    if mask.all():
        return np.full(mask.shape, np.inf)
    depth[box] = ndimage.distance_transform_edt(mask[box], sampling=tuple(spacing))
    return depth


def distance_to(mask: np.ndarray, reach: float, spacing: Sequence[float] | np.ndarray) -> np.ndarray:
    """Distance of each voxel to a mask, up to a reach.

    Args:
        mask: bool (I, J, K).
        reach: in mm; farther voxels are inf.
        spacing: voxel edges in mm.

    Returns:
        Distance in mm, float (I, J, K), 0 in the mask; inf farther away than `reach` and for an empty mask.
    """
    distance = np.full(mask.shape, np.inf)
    box = _box(mask, [int(np.ceil(reach / edge)) for edge in spacing])
    if box is not None:
        distance[box] = ndimage.distance_transform_edt(~mask[box], sampling=tuple(spacing))
        distance[distance > reach] = np.inf
    return distance


def _box(mask: np.ndarray, margin: Sequence[int]) -> tuple[slice, ...] | None:
    """Bounding box of a mask with a margin in voxels, cut at the edge of the array; None for an empty mask."""
    sides = []
    for axis, size in enumerate(mask.shape):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        voxels = np.flatnonzero(mask.any(axis=others))
        if not len(voxels):
            return None
        sides.append(slice(max(int(voxels[0]) - margin[axis], 0), min(int(voxels[-1]) + 1 + margin[axis], size)))
    return tuple(sides)
