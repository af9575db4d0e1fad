"""Grid of the network input: a cube of isotropic voxels around the brain, along the world axes.

Soulier et al. 2024 crop to the brain and resize to 128x128x128. This grid keeps isotropic voxels, 1.5 mm if the brain
fits, slightly coarser otherwise, so that a lesion has the same shape in every patient (ours).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MARGIN_MM = 3.0
ENDS_TOLERANCE = 0.03  # of the voxel edge, between two estimates from one brain (ours)
SIGMA_PER_FWHM = 1 / np.sqrt(8 * np.log(2))  # of a Gaussian


@dataclass(frozen=True)
class Grid:
    """A voxel grid.

    Attributes:
        shape: voxels along each axis.
        affine: 4x4, voxel indices -> world mm, RAS+.
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Voxel edge lengths in mm."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    def same_as(self, shape: tuple[int, ...], affine: np.ndarray, tolerance_mm: float = 1e-3) -> bool:
        """Check whether another grid is the same.

        Args:
            shape: voxels along each axis.
            affine: 4x4, voxel -> world mm.
            tolerance_mm: largest distance between corresponding corners.
        """
        if tuple(shape) != tuple(self.shape):
            return False
        corners = np.array([[i, j, k, 1] for i in (0, shape[0]) for j in (0, shape[1]) for k in (0, shape[2])]).T
        return bool(np.abs((self.affine - affine) @ corners).max() < tolerance_mm)


def brain_grid(
    brain: np.ndarray, affine: np.ndarray, shape: tuple[int, int, int] = (128, 128, 128), spacing: float = 1.5
) -> Grid:
    """Compute a cube of isotropic voxels along the world axes, centred on the brain.

    If the volume has such voxels already, the cube uses its lattice, so that resampling does not blur.

    Args:
        brain: (I, J, K) mask, not empty.
        affine: its voxel -> world matrix, RAS mm.
        shape: voxels along each axis.
        spacing: voxel edge in mm, enlarged if the brain with a margin of 3 mm would not fit.

    Returns:
        The grid.

    Raises:
        ValueError: empty mask.
    """
    low, high = world_bounds(brain, affine)
    affine, requested = np.asarray(affine, float), spacing
    spacing = max(requested, float(((high - low + 2 * MARGIN_MM) / np.array(shape)).max()))
    if tuple(brain.shape) == tuple(shape) and _has_model_voxels(affine, requested, spacing):
        return Grid((shape[0], shape[1], shape[2]), affine)
    origin = (low + high) / 2 - spacing * (np.array(shape) - 1) / 2
    if spacing == requested and _along_the_world(affine, requested):
        origin = affine[:3, 3] + spacing * np.floor((origin - affine[:3, 3]) / spacing + 0.5 + 1e-6)
    matrix = np.diag([spacing, spacing, spacing, 1.0])
    matrix[:3, 3] = origin
    return Grid((shape[0], shape[1], shape[2]), matrix)


def _along_the_world(affine: np.ndarray, spacing: float) -> bool:
    """Whether a grid has voxels of one size along the world's axes, in any order and direction (LAS, PSR, ...)."""
    turn = np.round(affine[:3, :3] / spacing)
    one_each = all((np.abs(turn).sum(axis=axis) == 1).all() for axis in (0, 1))
    return bool(one_each and np.allclose(affine[:3, :3], spacing * turn, atol=1e-4))


def _has_model_voxels(affine: np.ndarray, requested: float, needed: float) -> bool:
    """Check whether a grid has the desired voxels, or the larger ones that this brain needs.

    The ends of a brain shift by up to a voxel when it is resampled.
    """
    own = float(affine[0, 0])
    isotropic = own > 0 and np.allclose(affine[:3, :3], own * np.eye(3), atol=1e-4)
    return bool(
        isotropic and (abs(own - requested) < 1e-4 or (own > requested and abs(own / needed - 1) < ENDS_TOLERANCE))
    )


def world_bounds(mask: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the lowest and highest world coordinates of a mask, voxel edges included.

    Args:
        mask: (I, J, K).
        affine: 4x4, voxel -> world mm.

    Returns:
        Two (3,) arrays, RAS mm.

    Raises:
        ValueError: empty mask.
    """
    occupied = [np.flatnonzero(mask.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    if any(indices.size == 0 for indices in occupied):
        raise ValueError("the mask is empty")
    ends = [(indices[0] - 0.5, indices[-1] + 0.5) for indices in occupied]
    corners = np.array([[i, j, k, 1.0] for i in ends[0] for j in ends[1] for k in ends[2]])
    world = corners @ np.asarray(affine, float).T
    return world[:, :3].min(axis=0), world[:, :3].max(axis=0)
