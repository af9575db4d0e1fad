"""Process fine images at about 1 mm: registration, brain, tissues and the network need no more.

A head at 0.5 mm has 58 million voxels, 230 MB for each array; the 20 and more arrays of a patient took 5.8 GB.
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
    """Check whether a volume has more voxels than the processing steps need.

    Args:
        volume: volume.

    Returns:
        True below 0.3 mm3 per voxel (0.67 mm), if at least one axis can be averaged.
    """
    return volume.voxel_volume < FINE_MM3 and bool(_block_size(volume).max() > 1)


def _block_size(volume: Volume) -> np.ndarray:
    """Return the number of voxels along each axis that are averaged into one, (3,) int."""
    return np.maximum(np.round(WORKING_MM / volume.spacing), 1).astype(int)


def working_copy(volume: Volume) -> Volume:
    """Average blocks of voxels to about 1 mm.

    If the background was set to one value (a stripped brain), it is left out of the means, and a block is background if
    at least half of it is, so that the brain keeps its size.

    Args:
        volume: volume.

    Returns:
        Averaged volume; the volume itself if it is not fine.
    """
    if not is_fine(volume):
        return volume
    size = _block_size(volume)
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
    """Copy a volume's grid, name and header with zeros that take no memory.

    Args:
        volume: volume.
    """
    return replace(volume, data=np.broadcast_to(np.float32(0), volume.data.shape))


def mask_on_own_grid(mask: np.ndarray, affine: np.ndarray, grid: Volume) -> Volume:
    """Resample a mask from the working grid to a finer grid (linear, thresholded at one half).

    Args:
        mask: (I, J, K) bool.
        affine: 4x4 of its grid.
        grid: volume that defines the target grid.

    Returns:
        uint8 0/1 on the target grid.
    """
    values = resample(Volume(np.asarray(mask, np.float32), affine), grid.data.shape, grid.affine)
    return replace(grid, data=(values > 0.5).astype(np.uint8))
