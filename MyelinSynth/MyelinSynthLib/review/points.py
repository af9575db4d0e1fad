"""The point at which a lesion is shown, in views and pictures."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from ..run.childprocess import importTrainingCore
from ..scene.geometry import imageToWorld, imageVoxels, pointsToWorld
from .segments import segmentsByLesion
from .table import Review

LABELMAP = "Binary labelmap"


def loadDistances() -> None:
    """Import what `lesionPoint` needs for a centre of gravity outside its lesion: no choice waits 0.15 s for it."""
    importTrainingCore()
    with contextlib.suppress(ModuleNotFoundError):  # SciPy is installed with the first synthesis
        import TrainingCore.imaging.distances  # noqa: F401


def lesionPoint(review: Review, row: int, mapNode: Any, segmentation: Any) -> np.ndarray:
    """Return a point in the lesion, following transforms applied to the map since.

    Args:
        review: review of the lesion table.
        row: row of the table node.
        mapNode: the map in whose own space the table's coordinates are.
        segmentation: vtkMRMLSegmentationNode of the lesions; None if it was deleted.

    Returns:
        World point in RAS mm: the centre of gravity if it lies in the lesion, else the lesion's deepest voxel. The
        centre of gravity of a lesion without outline; NaN if the table has no coordinates.
    """
    centre = review.localCentre(row)
    if not np.isfinite(centre).all():
        return centre
    segment = None if segmentation is None else segmentsByLesion(segmentation).get(review.lesion(row))
    if segment is not None:
        centre = _inside(segment.GetRepresentation(LABELMAP), segment.GetLabelValue(), centre)
    return pointsToWorld(mapNode, centre[None])[0]


def _inside(image: Any, label: int, centre: np.ndarray) -> np.ndarray:
    """Return a point in the voxels of a label, in the space of the image, RAS mm; the centre if there are none."""
    voxels = None if image is None else imageVoxels(image)
    if voxels is None:
        return centre
    importTrainingCore()
    from TrainingCore.imaging.lesion_points import point_in_lesion

    affine = imageToWorld(image)
    affine[:3, 3] += affine[:3, :3] @ image.GetExtent()[::2]
    try:
        return point_in_lesion(voxels.transpose(2, 1, 0), label, affine, centre)
    except ModuleNotFoundError:  # SciPy is installed with the first synthesis
        return centre
