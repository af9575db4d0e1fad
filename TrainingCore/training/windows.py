"""Random window of a visit, for networks that are trained on a part of the head at a time."""

from __future__ import annotations

import numpy as np

from ..data.case import Case


def random_window(case: Case, edges: tuple[int, int, int], lesion_share: float, rng: np.random.Generator) -> Case:
    """Cut a box of `edges` voxels out of a visit, or all of it along an axis that is shorter.

    Args:
        case: a prepared visit with a brain mask.
        edges: voxels along each axis.
        lesion_share: probability that the box is centred on a lesional voxel, if there is one; else, and otherwise,
            it is centred on any voxel of the brain. The centre is moved by up to a quarter of the box.
        rng: three draws or four, whatever the visit.

    Returns:
        The same visit within the box.
    """
    shape = case.shape
    lesions = case.volumes.get("lesions")
    centred = rng.random() < lesion_share and lesions is not None and bool(lesions.any())
    where = np.flatnonzero(lesions if centred and lesions is not None else case.volumes["brain"])
    draw = rng.random()
    centre = np.array(np.unravel_index(where[int(draw * len(where))], shape)) if len(where) else np.array(shape) // 2
    sizes = np.minimum(edges, shape)
    moved = centre + rng.uniform(-0.25, 0.25, 3) * sizes
    first = np.clip(np.rint(moved - sizes / 2).astype(int), 0, np.array(shape) - sizes)
    box = tuple(slice(int(start), int(start + size)) for start, size in zip(first, sizes))
    affine = case.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ first
    volumes = {name: np.ascontiguousarray(array[box]) for name, array in case.volumes.items()}
    return Case(case.person, case.visit, volumes, affine, case.info)
