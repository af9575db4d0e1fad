"""Lesions in 3D, within a translucent brain for orientation. Surfaces are made when they are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..scene import provenance
from ..scene.geometry import ijkToRas, toVtk
from ..words import _

BRAIN_COLOUR, BRAIN_OPACITY = (0.85, 0.85, 0.85), 0.15
BRAIN_SPACING_MM = 2.0  # coarse enough to be quick, fine enough to know the gyri by (ours)
CLOSED_SURFACE, LABELMAP = "Closed surface", "Binary labelmap"
# Slicer's own smoothing of 0.5 shrinks a lesion of 3 mm radius to 1 mm; 0.2 keeps it within 10 %
SMOOTHING = ("Smoothing factor", "0.2")


def showIn3D(nodes: dict[str, Any]) -> None:
    """Show the lesions as closed surfaces, and the brain around them. nodes: those of one synthesis by role."""
    if "lesions" in nodes:
        showLesionSurfaces(nodes["lesions"])
    surface = provenance.sameRun(nodes["dvr"]).get("brain_surface")
    if surface is None and "brain" in nodes:
        surface = _addBrainSurface(nodes)
    if surface is not None:
        surface.GetDisplayNode().SetVisibility(True)


def showLesionSurfaces(segmentation: Any) -> None:
    """Make closed surfaces of the segments where there are none, and show them in 3D. An edit drops old ones."""
    if not segmentation.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE):
        makeSurfaces(segmentation)
    segmentation.CreateDefaultDisplayNodes()
    display = segmentation.GetDisplayNode()
    display.SetPreferredDisplayRepresentationName3D(CLOSED_SURFACE)
    display.SetVisibility3D(True)


def refresh(segmentation: Any) -> None:
    """Make closed surfaces again where they were shown and an edit dropped them."""
    display = segmentation.GetDisplayNode()
    content = segmentation.GetSegmentation()
    if display is None or all(
        content.GetSegment(segmentId).GetRepresentation(CLOSED_SURFACE) for segmentId in _ids(content)
    ):
        return
    if display.GetVisibility3D() and display.GetPreferredDisplayRepresentationName3D() == CLOSED_SURFACE:
        makeSurfaces(segmentation)


def _ids(content: Any) -> list[str]:
    return list(content.GetSegmentIDs())


def makeSurfaces(segmentation: Any) -> None:
    """Slicer's closed surfaces of all segments, each made from the box around it.

    Slicer looks at every voxel of the shared labelmap once for each segment: 2.5 s with 150 lesions of 1 mm.
    """
    content, boxes = segmentation.GetSegmentation(), slicer.vtkSegmentation()
    content.SetConversionParameter(*SMOOTHING)
    boxes.SetSourceRepresentationName(LABELMAP)
    boxes.SetConversionParameter(*SMOOTHING)
    for layer in range(content.GetNumberOfLayers(LABELMAP)):
        image = content.GetLayerDataObject(layer, LABELMAP)
        extents = _extents(image)
        for identifier in content.GetSegmentIDsForLayer(layer, LABELMAP):
            value = content.GetSegment(identifier).GetLabelValue()
            segment = slicer.vtkSegment()
            segment.SetLabelValue(value)
            segment.AddRepresentation(LABELMAP, _cut(image, extents.get(value, (0, -1, 0, -1, 0, -1))))
            boxes.AddSegment(segment, identifier)
    boxes.CreateRepresentation(CLOSED_SURFACE)
    wasModified = segmentation.StartModify()
    for identifier in _ids(boxes):
        surface = boxes.GetSegment(identifier).GetRepresentation(CLOSED_SURFACE)
        content.GetSegment(identifier).AddRepresentation(CLOSED_SURFACE, surface)
    segmentation.EndModify(wasModified)


def _extents(image: Any) -> dict[int, tuple[int, ...]]:
    """The extent of every label of a labelmap and one voxel around it, within the image's own."""
    scalars, own = image.GetPointData().GetScalars(), image.GetExtent()
    if scalars is None or not scalars.GetNumberOfTuples():
        return {}
    voxels = vtk_to_numpy(scalars).reshape([own[2 * axis + 1] - own[2 * axis] + 1 for axis in (2, 1, 0)])
    inside = np.nonzero(voxels)
    order = np.argsort(voxels[inside], kind="stable")
    values, first = np.unique(voxels[inside][order], return_index=True)
    if not values.size:
        return {}
    sides = []
    for axis, occupied in enumerate(reversed(inside)):
        low = np.minimum.reduceat(occupied[order], first) + own[2 * axis] - 1
        high = np.maximum.reduceat(occupied[order], first) + own[2 * axis] + 1
        sides += [np.maximum(low, own[2 * axis]), np.minimum(high, own[2 * axis + 1])]
    return dict(zip(values.tolist(), map(tuple, np.array(sides).T.tolist())))


def _cut(image: Any, extent: tuple[int, ...]) -> Any:
    """A copy of the part of an oriented image."""
    part = slicer.vtkOrientedImageData()
    slicer.vtkOrientedImageDataResample.CopyImage(image, part, extent)
    return part


def _addBrainSurface(nodes: dict[str, Any]) -> Any:
    brain = nodes["brain"]
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", f"{brain.GetName()} {_('surface')}")
    node.SetAndObservePolyData(_surface(slicer.util.arrayFromVolume(brain) > 0, ijkToRas(brain)))
    node.SetAndObserveTransformNodeID(brain.GetTransformNodeID())
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(*BRAIN_COLOUR)
    display.SetOpacity(BRAIN_OPACITY)
    display.SetVisibility2D(False)
    provenance.signLike(node, "brain_surface", brain)
    provenance.putBeside(node, brain)
    return node


def _surface(mask: np.ndarray, matrix: np.ndarray) -> Any:
    """Smooth closed surface of a mask (K, J, I) in the space of `matrix` (i, j, k -> mm RAS)."""
    step = np.maximum(1, np.floor(BRAIN_SPACING_MM / np.linalg.norm(matrix[:3, :3], axis=0))).astype(int)  # (i, j, k)
    coarse = np.pad(mask[:: step[2], :: step[1], :: step[0]].astype(np.float32), 1)
    image = vtk.vtkImageData()
    image.SetDimensions(*coarse.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(coarse.ravel(), deep=True))
    blur = vtk.vtkImageGaussianSmooth()
    blur.SetInputData(image)
    blur.SetStandardDeviation(0.8)
    edges = vtk.vtkFlyingEdges3D()
    edges.SetInputConnection(blur.GetOutputPort())
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    edges.ComputeScalarsOff()
    toWorldMatrix = np.eye(4)
    toWorldMatrix[:3, :3] = np.diag(step)
    toWorldMatrix[:3, 3] = -step  # the padding
    transform = vtk.vtkTransform()
    transform.SetMatrix(toVtk(matrix @ toWorldMatrix))
    moved = vtk.vtkTransformPolyDataFilter()
    moved.SetInputConnection(edges.GetOutputPort())
    moved.SetTransform(transform)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(moved.GetOutputPort())
    normals.AutoOrientNormalsOn()
    normals.SplittingOff()
    normals.Update()
    return normals.GetOutput()
