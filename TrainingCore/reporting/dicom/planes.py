"""Arrays of a NIfTI grid as the planes of a DICOM image: no voxel is resampled, axes are only reordered and flipped.

A T1w that was converted to NIfTI has its axes in another order and direction than the slices, may be cropped, or lie on
a grid of its own. Axes are brought as near to those of the series as they can be, so that a map's slices look like the
T1w's in every viewer; where the grids are the same, each plane has its slice.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...imaging.volumes import LPS_FROM_RAS
from ...runtime.errors import BadInput
from .reference import Reference

SAME_LATTICE_MM = 0.05  # between the corners of two grids that count as one (ours)
PERPENDICULAR = 1e-3  # largest cosine between the rows and columns of a plane (ours)


@dataclass(frozen=True)
class Planes:
    """How an array (I, J, K) becomes planes (slices, rows, columns).

    Attributes:
        order: axes of the array along columns, rows and slices.
        turned: which of those are flipped.
        affine: (column, row, slice) -> LPS mm.
        positions: (slices, 3) in LPS mm.
        same: whether they are the slices of the series.
    """

    order: tuple[int, int, int]
    turned: tuple[bool, bool, bool]
    affine: np.ndarray
    positions: np.ndarray
    same: bool

    def of(self, data: np.ndarray) -> np.ndarray:
        """Reorder an array as planes.

        Args:
            data: (I, J, K) on the NIfTI grid.

        Returns:
            (slices, rows, columns), contiguous.
        """
        turned = np.transpose(data, self.order)[tuple(slice(None, None, -1 if back else 1) for back in self.turned)]
        return np.ascontiguousarray(turned.T)

    @property
    def spacing(self) -> np.ndarray:
        """mm between columns, rows and slices."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def cosines(self) -> np.ndarray:
        """Direction along a row, then down a column: six numbers."""
        return (self.affine[:3, :2] / self.spacing[:2]).T.ravel()


def planes_of(shape: tuple[int, ...], affine: np.ndarray, reference: Reference) -> Planes:
    """The planes of a grid beside those of a series.

    Args:
        shape: voxels along each axis.
        affine: 4x4, voxel -> world mm, RAS+.
        reference: the series.

    Raises:
        BadInput: rows and columns would not be perpendicular, which DICOM cannot hold.
    """
    own = np.asarray(affine, float)
    theirs = reference.volume.affine
    order = _nearest_axes(own, theirs)
    turned = tuple(bool(own[:3, axis] @ theirs[:3, number] < 0) for number, axis in enumerate(order))
    matrix = np.eye(4)
    for number, (axis, back) in enumerate(zip(order, turned)):
        matrix[:3, number] = -own[:3, axis] if back else own[:3, axis]
    start = [shape[axis] - 1 if axis in order and turned[order.index(axis)] else 0 for axis in range(3)]
    matrix[:3, 3] = (own @ [*start, 1])[:3]
    size = tuple(shape[axis] for axis in order)
    same = size == reference.volume.data.shape and _corner_gap(size, matrix, theirs) < SAME_LATTICE_MM
    lps = LPS_FROM_RAS @ (theirs if same else matrix)
    positions = reference.positions if same else (lps[:3, 3] + np.arange(size[2])[:, None] * lps[:3, 2])
    planes = Planes((order[0], order[1], order[2]), (turned[0], turned[1], turned[2]), lps, positions, same)
    if abs(planes.cosines[:3] @ planes.cosines[3:]) > PERPENDICULAR:
        raise BadInput("The T1w's voxels are slanted within a slice, which DICOM cannot hold. Give the T1w as DICOM.")
    return planes


def plane_geometry(planes: Planes) -> dict[str, Any]:
    """Describe position, orientation and spacing of planes for highdicom.

    Args:
        planes: the planes.

    Returns:
        Keyword arguments of highdicom's image classes.
    """
    import highdicom

    patient = highdicom.CoordinateSystemNames.PATIENT
    columns, rows, slices = planes.spacing
    return {
        "plane_positions": [
            highdicom.PlanePositionSequence(patient, [float(f"{value:.9g}") for value in position])
            for position in planes.positions
        ],
        "plane_orientation": highdicom.PlaneOrientationSequence(
            patient, [float(f"{value:.10f}") for value in planes.cosines]
        ),
        "pixel_measures": highdicom.PixelMeasuresSequence((float(rows), float(columns)), float(slices), float(slices)),
    }


def _nearest_axes(own: np.ndarray, theirs: np.ndarray) -> tuple[int, ...]:
    """Which axis of a grid runs most nearly along each axis of another."""
    unit = [matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0) for matrix in (theirs, own)]
    along = np.abs(unit[0].T @ unit[1])
    return max(itertools.permutations(range(3)), key=lambda axes: sum(along[n, axis] for n, axis in enumerate(axes)))


def _corner_gap(size: tuple[int, ...], first: np.ndarray, second: np.ndarray) -> float:
    ends = np.array([[i, j, k, 1] for i in (0, size[0] - 1) for j in (0, size[1] - 1) for k in (0, size[2] - 1)])
    return float(np.abs(ends @ (first - second).T).max())
