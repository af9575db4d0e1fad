"""The point at which a lesion is shown: its centre of gravity, unless that lies outside the lesion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np


def point_in_lesion(
    labels: np.ndarray, label: int, affine: np.ndarray, centre: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Return the point of a lesion to which a view jumps.

    The centre of gravity of a crescent, or of a lesion with several parts, can lie outside it, for instance in a
    ventricle. Such a lesion is shown at its deepest voxel; of equally deep ones, at the one nearest to the centre.

    Args:
        labels: int (I, J, K), 0 outside.
        label: number of the lesion.
        affine: 4x4, voxel -> world mm.
        centre: its centre of gravity, world mm.

    Returns:
        Point (3,), world mm: `centre` if it lies in a voxel of the lesion, or if the lesion has no voxels.
    """
    affine, middle = np.asarray(affine, float), np.asarray(centre, float)
    nearest = np.rint((np.linalg.inv(affine) @ [*middle, 1.0])[:3]).astype(int)
    if (nearest >= 0).all() and (nearest < labels.shape).all() and labels[tuple(nearest)] == label:
        return middle
    # In the order of memory: ten times faster than argwhere
    order: Literal["C", "F"] = "F" if labels.flags.f_contiguous else "C"
    lesional = np.flatnonzero(labels.ravel(order) == label)
    voxels = np.column_stack(np.unravel_index(lesional, labels.shape, order))
    if not len(voxels):
        return middle
    from .distances import depth_inside  # needs SciPy, which Slicer may not have yet

    first = voxels.min(axis=0) - 1
    mask = np.zeros(voxels.max(axis=0) - first + 2, bool)
    in_box = tuple((voxels - first).T)
    mask[in_box] = True
    depth = depth_inside(mask, np.linalg.norm(affine[:3, :3], axis=0))[in_box]
    points = voxels[depth >= depth.max() - 1e-6] @ affine[:3, :3].T + affine[:3, 3]
    return points[np.linalg.norm(points - middle, axis=1).argmin()]
