"""Which voxels belong to which row of the lesion table, and the segmentation that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from .childprocess import importTrainingCore
from .display import COLOURS_OF_STATE, dvrColour
from .errors import SynthesisError
from .review import Review
from .words import _

LESION_TAG = "MyelinSynth.Lesion"  # which row a segment belongs to, whatever it is renamed to and in any language
PLACE_TOLERANCE_MM = 0.05  # lesions.csv has five digits


def measuredLesions(exported: Path, result: Path) -> tuple[np.ndarray, np.ndarray]:
    """The lesions as `synthesize` measured them: labels int32 (I, J, K), and voxel -> mm RAS of the exported T1w.

    exported: folder with t1w.nrrd and lesions.nrrd; result: folder with brain_mask.nii.gz. Uses synthesize's own
    functions.
    """
    importTrainingCore()
    from TrainingCore.evaluation.lesions import label_lesions
    from TrainingCore.imaging.checks import lesions_on_grid
    from TrainingCore.imaging.volumes import read_volume

    t1w, brain = read_volume(exported / "t1w.nrrd"), read_volume(result / "brain_mask.nii.gz", mask=True)
    mask, _warnings = lesions_on_grid(read_volume(exported / "lesions.nrrd", mask=True), t1w, brain)
    return label_lesions(mask.data, t1w.voxel_volume)[0], t1w.affine


def numberAsInTable(labels: np.ndarray, affine: np.ndarray, rows: Sequence[dict[str, Any]]) -> np.ndarray:
    """The labels under the numbers of the table, int16 of the same shape (I, J, K), 0 outside.

    affine: voxel -> mm RAS of the table's places. Volume and place decide which is which, not the order. Raises
    SynthesisError where a row has no lesion: the mask is not the one that was measured.
    """
    inside = np.nonzero(labels)
    owner = labels[inside]
    counts = np.bincount(owner, minlength=2)
    places = np.array([np.bincount(owner, axis, len(counts)) / np.maximum(counts, 1) for axis in inside]).T
    places = places @ affine[:3, :3].T + affine[:3, 3]
    volumes = counts * abs(np.linalg.det(affine[:3, :3]))
    number = np.zeros(len(counts), np.int16)
    for row in rows:
        apart = np.linalg.norm(places - [row["x_mm"], row["y_mm"], row["z_mm"]], axis=1)
        same = (np.abs(volumes - row["volume_mm3"]) <= 1e-3 * row["volume_mm3"]) & (apart < PLACE_TOLERANCE_MM)
        if same.sum() != 1:
            raise SynthesisError(_("Lesion {id} of the table is not in the lesion mask.").format(id=int(row["id"])))
        number[int(np.flatnonzero(same)[0])] = int(row["id"])
    return number[labels]


def addSegments(segmentation: Any, labels: np.ndarray, reference: Any, ids: Sequence[int]) -> None:
    """One segment per lesion, named after its row, on the grid of the reference volume; labels: (K, J, I)."""
    labelmap = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    try:
        labelmap.CopyOrientation(reference)
        slicer.util.updateVolumeFromArray(labelmap, labels)
        imported = slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labelmap, segmentation)
        if ids and not imported:
            raise SynthesisError(_("The lesions could not be made into segments."))
    finally:
        slicer.mrmlScene.RemoveNode(labelmap)
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    content = segmentation.GetSegmentation()
    for lesion, identifier in zip(sorted(ids), list(content.GetSegmentIDs())):
        segment = content.GetSegment(identifier)
        segment.SetName(segmentName(lesion))
        segment.SetTag(LESION_TAG, str(lesion))


def segmentName(lesion: int) -> str:
    """What the segment of a lesion is called."""
    return _("Lesion {id}").format(id=lesion)


def colourSegments(segmentation: Any, review: Review, by: str = "state") -> None:
    """Colour every lesion by its review `state`, or by a DVR column (which over the map is the map's own colour)."""
    segments = segmentsByLesion(segmentation)
    for row in range(len(review)):
        segment = segments.get(int(review.number(row, "id")))
        if segment is not None:
            colour = COLOURS_OF_STATE[review.state(row)] if by == "state" else dvrColour(review.number(row, by))
            segment.SetColor(*colour)


def segmentsByLesion(segmentation: Any) -> dict[int, Any]:
    """Segments by the lesion number of their row; segments that belong to none are left out."""
    content = segmentation.GetSegmentation()
    found = {}
    for index in range(content.GetNumberOfSegments()):
        segment = content.GetNthSegment(index)
        tag = vtk.reference("")
        if segment.GetTag(LESION_TAG, tag):
            found[int(str(tag))] = segment
    return found
