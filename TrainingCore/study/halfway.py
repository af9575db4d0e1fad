"""The space half-way between two visits: each map is resampled once, so that neither is blurred more than the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..imaging.volumes import Volume, corners, resample


@dataclass(frozen=True)
class HalfWay:
    """Half-way space of two visits.

    Attributes:
        to_before: 4x4 RAS mm, point of the half-way space -> point of the first visit.
        to_after: 4x4 RAS mm, point of the half-way space -> point of the second visit.
        shape: voxels along each axis of the grid.
        affine: 4x4 of the grid, RAS mm.
    """

    to_before: np.ndarray
    to_after: np.ndarray
    shape: tuple[int, int, int]
    affine: np.ndarray

    def before(self, volume: Volume, interpolation: str = "linear") -> np.ndarray:
        """Resample a volume of the first visit.

        Args:
            volume: any grid.
            interpolation: `linear`, or another one of `resample`.

        Returns:
            Values on the half-way grid, float32 (I, J, K).
        """
        return resample(volume, self.shape, self.affine, self.to_before, interpolation)

    def after(self, volume: Volume, interpolation: str = "linear") -> np.ndarray:
        """Resample a volume of the second visit.

        Args:
            volume: any grid.
            interpolation: `linear`, or another one of `resample`.

        Returns:
            Values on the half-way grid, float32 (I, J, K).
        """
        return resample(volume, self.shape, self.affine, self.to_after, interpolation)


def half_way(matrix: np.ndarray, before: Volume, after: Volume, spacing: float) -> HalfWay:
    """Compute the half-way space of two visits.

    Args:
        matrix: rigid, 4x4 RAS mm, a point of the first visit -> the same tissue at the second.
        before: brain mask of the first visit.
        after: brain mask of the second visit.
        spacing: voxel size of the grid in mm.

    Returns:
        The space with a grid that holds both brains, axes along the world.
    """
    from scipy.linalg import sqrtm

    half = np.real(sqrtm(matrix))  # rigid and far from a half turn: the principal root is rigid too
    to_before, to_after = np.linalg.inv(half), half
    edges = [_box(before, to_before), _box(after, to_after)]
    low = np.min([edge[0] for edge in edges], axis=0) - 2 * spacing
    high = np.max([edge[1] for edge in edges], axis=0) + 2 * spacing
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = low
    i, j, k = (int(np.ceil(extent / spacing)) + 1 for extent in high - low)
    return HalfWay(to_before, to_after, (i, j, k), affine)


def _box(brain: Volume, to_visit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner (mm) of the brain in the half-way space."""
    filled = np.argwhere(brain.data > 0.5)
    first, last = filled.min(axis=0), filled.max(axis=0)
    shifted = brain.affine.copy()
    shifted[:3, 3] += brain.affine[:3, :3] @ first
    points = corners(tuple(int(n) for n in last - first + 1), np.linalg.inv(to_visit) @ shifted)
    return points.min(axis=0), points.max(axis=0)
