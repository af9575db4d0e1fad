"""Working on about 1 mm where an image is finer: registration, brain, tissues and the network need no more.

A head of 0.5 mm has 58 million voxels, 230 MB for each array; the 20 and more arrays of a patient took 5.8 GB.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .alignment import block_means
from .background import CONSTANT_FACES
from .volumes import Volume, resample

FINE_MM3 = 0.3  # voxels smaller than this (0.67 mm) are averaged in blocks (ours)
WORKING_MM = 1.1  # edge that blocks come near to (ours)


def is_fine(volume: Volume) -> bool:
    """Whether a volume has more voxels than the steps need."""
    return volume.voxel_volume < FINE_MM3 and bool(block_size(volume).max() > 1)


def block_size(volume: Volume) -> np.ndarray:
    """Voxels along each axis that are averaged into one, (3,) int."""
    return np.maximum(np.round(WORKING_MM / volume.spacing), 1).astype(int)


def working_copy(volume: Volume) -> Volume:
    """The means of blocks of voxels, about 1 mm; the volume itself where it is no finer.

    Where the background was set to one value (a stripped brain) it does not count in the means, and a block is
    background from one half on, so that the brain keeps its size.
    """
    if not is_fine(volume):
        return volume
    size = block_size(volume)
    means = block_means(volume, size)
    faces = np.concatenate([np.take(volume.data, end, axis).ravel() for axis in range(3) for end in (0, -1)])
    air = np.float32(np.median(faces))
    if np.mean(faces == air) < CONSTANT_FACES:
        return means
    filled = block_means(volume.with_data((volume.data != air).astype(np.float32)), size).data
    inside = filled >= 0.5
    values = np.full_like(means.data, air)
    values[inside] = air + (means.data[inside] - air) / filled[inside]
    return means.with_data(values)


def grid_only(volume: Volume) -> Volume:
    """A volume with the same grid, name and header, whose zeros take no memory."""
    return replace(volume, data=np.broadcast_to(np.float32(0), volume.data.shape))


def mask_on_own_grid(mask: np.ndarray, affine: np.ndarray, grid: Volume) -> Volume:
    """A mask of the working grid on a patient's own finer grid: linear, cut at one half, uint8 0/1.

    Args:
        mask: (I, J, K) bool.
        affine: 4x4 of its grid.
        grid: volume whose shape and affine are wanted.
    """
    values = resample(Volume(np.asarray(mask, np.float32), affine), grid.data.shape, grid.affine)
    return replace(grid, data=(values > 0.5).astype(np.uint8))
