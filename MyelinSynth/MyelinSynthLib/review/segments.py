"""Lesions as segments: one segment for each row of the lesion table, which a tag links to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..display.views import COLOURS_OF_STATE, dvrColour
from ..errors import SynthesisError
from ..scene.geometry import ijkToRas, imageToWorld, imageVoxels, removeExported, toVtk
from ..words import _
from .table import Review

LESION_TAG = "MyelinSynth.Lesion"  # links a segment to its row, whatever its name and language
OFF_GRID = 0.01  # largest offset from the grid, in voxels, at which voxels are used without resampling (ours)


Colour = tuple[float, float, float]


def addSegmentation(
    name: str, labels: np.ndarray, reference: Any, ids: Sequence[int], colours: Mapping[int, Colour] | None = None
) -> Any:
    """Add a segmentation to the scene, with one segment per lesion.

    The segments are made before it is added: at changes in the scene, the subject hierarchy goes through all of them,
    which took 14 s with 159 lesions, and 8 s with all changes at once.

    Args:
        name: name of the node.
        labels: number of the lesion in each voxel, (K, J, I).
        reference: volume that defines the grid.
        ids: lesion numbers in the table.
        colours: red, green and blue, 0 to 1, by lesion; others keep the colours that Slicer gives.

    Returns:
        vtkMRMLSegmentationNode.

    Raises:
        SynthesisError: labels and table do not have the same lesions.
    """
    numbers = [int(number) for number in np.flatnonzero(np.bincount(labels.ravel())) if number]
    if sorted(ids) != numbers:
        raise SynthesisError(_("The lesion labels of the result do not match its lesion table."))
    segmentation = slicer.vtkMRMLSegmentationNode()
    segmentation.SetName(slicer.mrmlScene.GenerateUniqueName(name))
    if numbers:
        content = _segments(labels, reference)
        for lesion, identifier in zip(numbers, list(content.GetSegmentIDs())):
            segment = content.GetSegment(identifier)
            segment.SetName(_segmentName(lesion))
            segment.SetTag(LESION_TAG, str(lesion))
            if colours is not None and lesion in colours:
                segment.SetColor(*colours[lesion])
        segmentation.SetAndObserveSegmentation(content)
    with _atOnce():
        return slicer.mrmlScene.AddNode(segmentation)


@contextmanager
def _atOnce() -> Iterator[None]:
    """Let trees of the scene follow once at the end, instead of segment by segment."""
    scene = slicer.mrmlScene
    scene.StartState(scene.BatchProcessState)
    try:
        yield
    finally:
        scene.EndState(scene.BatchProcessState)


def _segments(labels: np.ndarray, reference: Any) -> Any:
    """Let Slicer make a segment of every label, in a scene that nothing observes."""
    scene = slicer.vtkMRMLScene()
    labelmap, segmentation = slicer.vtkMRMLLabelMapVolumeNode(), slicer.vtkMRMLSegmentationNode()
    scene.AddNode(labelmap)
    scene.AddNode(segmentation)
    labelmap.CopyOrientation(reference)
    slicer.util.updateVolumeFromArray(labelmap, labels)
    if not slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labelmap, segmentation):
        raise SynthesisError(_("The lesions could not be converted to segments."))
    return segmentation.GetSegmentation()


def _segmentName(lesion: int) -> str:
    """Return the name of a lesion's segment."""
    return _("Lesion {id}").format(id=lesion)


def setMask(segmentation: Any, lesion: int, mask: np.ndarray | None, reference: Any) -> None:
    """Set the voxels of a lesion; its segment is created if necessary.

    Args:
        segmentation: vtkMRMLSegmentationNode of the lesions.
        lesion: number of the lesion.
        mask: voxels (K, J, I) on the grid of the reference; None removes the segment.
        reference: volume that defines the grid.

    Raises:
        SynthesisError: Slicer could not write the segment.
    """
    content, logic = segmentation.GetSegmentation(), slicer.vtkSlicerSegmentationsModuleLogic
    identifier = segmentIds(segmentation).get(lesion)
    if mask is None:
        if identifier is not None:
            content.RemoveSegment(identifier)
        return
    if identifier is None:
        identifier = content.AddEmptySegment("", _segmentName(lesion))
        content.GetSegment(identifier).SetTag(LESION_TAG, str(lesion))
    if not logic.SetBinaryLabelmapToSegment(_oriented(mask, reference), segmentation, identifier, logic.MODE_REPLACE):
        raise SynthesisError(_("Slicer could not draw the outline of lesion {id}.").format(id=lesion))


def _oriented(mask: np.ndarray, reference: Any) -> Any:
    """Return the occupied part of a mask as an oriented image."""
    where = np.nonzero(mask)
    ends = [(int(axis.min()), int(axis.max())) if axis.size else (0, 0) for axis in where]
    part = mask[tuple(slice(first, last + 1) for first, last in ends)].astype(np.uint8)
    image = slicer.vtkOrientedImageData()
    image.SetExtent(*(end for axis in reversed(ends) for end in axis))
    image.GetPointData().SetScalars(numpy_to_vtk(part.ravel(), deep=True))
    image.SetGeometryFromImageToWorldMatrix(toVtk(ijkToRas(reference)))
    return image


def colourSegments(segmentation: Any, review: Review, by: str = "state") -> None:
    """Colour every lesion by its review state or by a DVR column.

    Args:
        segmentation: vtkMRMLSegmentationNode of the lesions.
        review: review of their table.
        by: "state", or the name of a DVR column, which gives the colours of the map.
    """
    segments, changes = segmentsByLesion(segmentation), []
    for lesion, colour in lesionColours(review, by).items():
        segment = segments.get(lesion)
        if segment is not None and not np.allclose(segment.GetColor(), colour):
            changes.append((segment, colour))
    if len(changes) == 1:  # without NodeModify, which would hide the segment that changed
        changes[0][0].SetColor(*changes[0][1])
    elif changes:
        with _atOnce(), slicer.util.NodeModify(segmentation):
            for segment, colour in changes:
                segment.SetColor(*colour)


def lesionColours(review: Review, by: str = "state") -> dict[int, Colour]:
    """Return the colour of every lesion: red, green and blue, 0 to 1.

    Args:
        review: review of their table.
        by: "state", or the name of a DVR column, which gives the colours of the map.
    """
    return {
        review.lesion(row): COLOURS_OF_STATE[review.state(row)] if by == "state" else dvrColour(review.number(row, by))
        for row in range(len(review))
    }


def segmentIds(segmentation: Any) -> dict[int, str]:
    """Return segment IDs by lesion number; segments that were not made from a row are left out.

    Args:
        segmentation: vtkMRMLSegmentationNode of the lesions.
    """
    content = segmentation.GetSegmentation()
    segments = {}
    for identifier in list(content.GetSegmentIDs()):
        tag = vtk.reference("")
        if content.GetSegment(identifier).GetTag(LESION_TAG, tag):
            segments[int(str(tag))] = identifier
    return segments


@contextmanager
def drawnSegments(segmentation: Any, first: int) -> Iterator[dict[int, str]]:
    """Give lesion numbers to segments that were drawn by hand, or that an effect of the Segment Editor split off.

    Args:
        segmentation: vtkMRMLSegmentationNode of the lesions.
        first: lowest number to give.

    Yields:
        Names of these segments by number. Numbers that are removed from it are withdrawn at the end; the other segments
        get the name of a lesion.
    """
    content, known = segmentation.GetSegmentation(), segmentIds(segmentation)
    start = max([first - 1, *known]) + 1
    others = [
        content.GetSegment(identifier)
        for identifier in list(content.GetSegmentIDs())
        if identifier not in known.values()
    ]
    segments = dict(enumerate(filter(_isDrawn, others), start))
    for number, segment in segments.items():
        segment.SetTag(LESION_TAG, str(number))
    names = {number: segment.GetName() for number, segment in segments.items()}
    try:
        yield names
    except BaseException:
        names.clear()
        raise
    finally:
        for number, segment in segments.items():
            if number in names:
                segment.SetName(_segmentName(number))
            else:
                segment.RemoveTag(LESION_TAG)


def _isDrawn(segment: Any) -> bool:
    """Return whether a segment has voxels."""
    image = segment.GetRepresentation("Binary labelmap")
    voxels = None if image is None else imageVoxels(image)
    return voxels is not None and bool((voxels == segment.GetLabelValue()).any())


def segmentsByLesion(segmentation: Any) -> dict[int, Any]:
    """Return segments by lesion number; segments that were not made from a row are left out.

    Args:
        segmentation: vtkMRMLSegmentationNode of the lesions.
    """
    content = segmentation.GetSegmentation()
    return {lesion: content.GetSegment(identifier) for lesion, identifier in segmentIds(segmentation).items()}


def labelsOnGrid(segmentation: Any, reference: Any) -> list[np.ndarray]:
    """Return the lesions with their current outlines on the grid of a volume.

    Segments may overlap, so there is one array for each layer of segments that do not.

    Args:
        segmentation: vtkMRMLSegmentationNode of the lesions; it is never converted.
        reference: volume that defines the grid; fastest if it is under the same parent transform as the segmentation.

    Returns:
        Label maps, int32 (K, J, I), each holding lesion numbers.

    Raises:
        SynthesisError: there is no binary labelmap, or resampling failed.
    """
    content = segmentation.GetSegmentation()
    lesionOf = {identifier: lesion for lesion, identifier in segmentIds(segmentation).items()}
    if lesionOf and not content.ContainsRepresentation("Binary labelmap"):
        raise SynthesisError(
            _("The segmentation {name} has no binary labelmap. Create one in the Segmentations module.").format(
                name=segmentation.GetName()
            )
        )
    layers = []
    for layer in range(content.GetNumberOfLayers("Binary labelmap")):
        ids = [
            segmentId for segmentId in content.GetSegmentIDsForLayer(layer, "Binary labelmap") if segmentId in lesionOf
        ]
        if ids:
            shared = _sharedLayer(segmentation, layer, ids, lesionOf, reference)
            layers.append(_exportedLayer(segmentation, ids, lesionOf, reference) if shared is None else shared)
    return layers


def _sharedLayer(
    segmentation: Any, layer: int, ids: Sequence[str], lesionOf: dict[str, int], reference: Any
) -> np.ndarray | None:
    """Return a layer without resampling if its voxels are those of the reference (true after synthesis), else None.

    Slicer's export reads every voxel once for each segment, which takes seconds with many lesions after every stroke.
    """
    if segmentation.GetParentTransformNode() is not reference.GetParentTransformNode():
        return None
    content = segmentation.GetSegmentation()
    image = content.GetLayerDataObject(layer, "Binary labelmap")
    steps = np.linalg.inv(ijkToRas(reference)) @ imageToWorld(image)
    offset = np.rint(steps[:3, 3])
    shape = reference.GetImageData().GetDimensions()
    if (
        np.abs(steps[:3, :3] - np.eye(3)).max() * max(shape) > OFF_GRID
        or np.abs(steps[:3, 3] - offset).max() > OFF_GRID
    ):
        return None
    labels, extent, voxels = np.zeros(shape[::-1], np.int32), image.GetExtent(), imageVoxels(image)
    if voxels is None:
        return labels
    lesionOfValue = np.zeros(int(voxels.max()) + 1, np.int32)
    for identifier in ids:
        value = content.GetSegment(identifier).GetLabelValue()
        if value < lesionOfValue.size:  # others have no voxel
            lesionOfValue[value] = lesionOf[identifier]
    inside, onGrid = [], []
    for axis in (2, 1, 0):
        start = extent[2 * axis] + int(offset[axis])
        first, last = max(start, 0), min(start + voxels.shape[2 - axis], shape[axis])
        onGrid.append(slice(first, max(first, last)))
        inside.append(slice(first - start, max(first, last) - start))
    labels[tuple(onGrid)] = lesionOfValue[voxels[tuple(inside)]]
    return labels


def _exportedLayer(segmentation: Any, ids: Sequence[str], lesionOf: dict[str, int], reference: Any) -> np.ndarray:
    """Return a layer on any grid, using Slicer's resampling."""
    chosen = vtk.vtkStringArray()
    for identifier in ids:
        chosen.InsertNextValue(identifier)
    temporary = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    try:
        export = slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode
        if not export(segmentation, chosen, temporary, reference):
            raise SynthesisError(_("The lesions could not be resampled to the grid of the T1w."))
        order = [0] + [lesionOf[identifier] for identifier in ids]
        return np.array(order, np.int32)[slicer.util.arrayFromVolume(temporary)]
    finally:
        removeExported(temporary)
