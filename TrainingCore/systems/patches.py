"""Extract patches from a volume, with gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def patch_corners(centres: np.ndarray, shape: Sequence[int], size: int = 16) -> np.ndarray:
    """First voxel of each patch around `centres`, shifted so that no patch leaves the volume.

    Args:
        centres: (N, 3) voxel indices (fractions are rounded).
        shape: of the volume (D, H, W).
        size: edge of a patch in voxels.

    Returns:
        (N, 3) int64.

    Raises:
        ValueError: the volume is smaller than a patch.
    """
    edges = np.asarray(shape, dtype=np.int64)
    if edges.shape != (3,) or (edges < size).any():
        raise ValueError(f"a volume of {tuple(edges.tolist())} voxels is too small for patches of {size}^3")
    centres = np.asarray(centres, dtype=np.float64).reshape(-1, 3)
    return np.clip(np.rint(centres).astype(np.int64) - size // 2, 0, edges - size)


def share_in_patches(mask: np.ndarray, centres: np.ndarray, size: int) -> float:
    """Mean share of a mask's voxels in the patches around some centres, 0 to 1; 0 if there is no centre.

    Args:
        mask: bool (D, H, W).
        centres: (N, 3) voxel indices; patches are shifted into the volume as in `patch_corners`.
        size: edge of the patches in voxels.
    """
    if len(centres) == 0:
        return 0.0
    sums = np.zeros(tuple(length + 1 for length in mask.shape), np.int32)  # of all voxels before, along each axis
    sums[1:, 1:, 1:] = mask.astype(np.int32).cumsum(0).cumsum(1).cumsum(2)
    first = patch_corners(centres, mask.shape, size)
    count = np.zeros(len(first), np.int64)
    for steps in np.ndindex(2, 2, 2):
        i, j, k = (first + size * np.array(steps)).T
        count += (-1) ** (3 - sum(steps)) * sums[i, j, k].astype(np.int64)
    return float(count.mean() / size**3)


def cut_patches(volume: Tensor, corners: np.ndarray | Tensor, size: int = 16) -> Tensor:
    """Cut cubes out of a volume.

    Gradients flow back into `volume`; those of overlapping patches add up. Implemented as one flat index_select,
    because `unfold` would need 71 GB in backward for 48 patches of a 128^3 volume, and slices with `stack` are forty
    times slower.

    Args:
        volume: (C, D, H, W).
        corners: first voxel of each patch, integers (N, 3).
        size: edge of a patch in voxels.

    Returns:
        Patches, (N, C, size, size, size).

    Raises:
        ValueError: a patch extends beyond the volume.
    """
    corners = torch.as_tensor(corners, dtype=torch.int64, device=volume.device).reshape(-1, 3)
    _, depth, height, width = volume.shape
    last = torch.tensor((depth - size, height - size, width - size), device=volume.device)
    if bool(((corners < 0) | (corners > last)).any()):
        raise ValueError(f"a patch of {size}^3 leaves the volume of {depth}x{height}x{width} voxels")
    step = torch.arange(size, device=volume.device)
    z, y, x = (corners[:, axis, None] + step for axis in range(3))
    index = (z[:, :, None, None] * height + y[:, None, :, None]) * width + x[:, None, None, :]
    patches = volume.flatten(1).index_select(1, index.flatten())
    return patches.unflatten(1, (len(corners), size, size, size)).transpose(0, 1)


def grid_patches(volume: Tensor, size: Sequence[int]) -> Tensor:
    """Cut a volume into all patches of a regular grid.

    The last plane is repeated until the grid fits. Nothing overlaps, so the gradient is a rearrangement as well.

    Args:
        volume: (N, C, D, H, W).
        size: edges of a patch in voxels, three numbers.

    Returns:
        Patches, (N P, C, *size): P patches of each volume one after the other.
    """
    missing = [-length % edge for length, edge in zip(volume.shape[2:], size)]
    if any(missing):
        padding = (0, missing[2], 0, missing[1], 0, missing[0])
        volume = torch.nn.functional.pad(volume, padding, mode="replicate")
    n, channels = volume.shape[:2]
    counts = [length // edge for length, edge in zip(volume.shape[2:], size)]
    split = volume.reshape(n, channels, counts[0], size[0], counts[1], size[1], counts[2], size[2])
    return split.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(-1, channels, *size)
