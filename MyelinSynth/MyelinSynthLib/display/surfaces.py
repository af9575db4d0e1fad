"""Lesions in 3D, within a translucent brain for orientation. Surfaces are made when they are asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..scene import provenance
from ..scene.geometry import ijkToRas, toVtk
from ..words import _

BRAIN_COLOUR, BRAIN_OPACITY = (0.85, 0.85, 0.85), 0.15
BRAIN_SPACING_MM = 2.0  # coarse enough to be quick, fine enough to know the gyri by (ours)
CLOSED_SURFACE = "Closed surface"


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
    content = segmentation.GetSegmentation()
    if not content.ContainsRepresentation(CLOSED_SURFACE):
        # Slicer's own smoothing of 0.5 shrinks a lesion of 3 mm radius to 1 mm; 0.2 keeps it within 10 %
        content.SetConversionParameter("Smoothing factor", "0.2")
        segmentation.CreateClosedSurfaceRepresentation()
    segmentation.CreateDefaultDisplayNodes()
    display = segmentation.GetDisplayNode()
    display.SetPreferredDisplayRepresentationName3D(CLOSED_SURFACE)
    display.SetVisibility3D(True)


def refresh(segmentation: Any) -> None:
    """Make closed surfaces again where they were shown and an edit dropped them."""
    display = segmentation.GetDisplayNode()
    content = segmentation.GetSegmentation()
    if display is None or not content.GetNumberOfSegments() or content.ContainsRepresentation(CLOSED_SURFACE):
        return
    if display.GetVisibility3D() and display.GetPreferredDisplayRepresentationName3D() == CLOSED_SURFACE:
        segmentation.CreateClosedSurfaceRepresentation()


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
    place = np.eye(4)
    place[:3, :3] = np.diag(step)
    place[:3, 3] = -step  # the padding
    transform = vtk.vtkTransform()
    transform.SetMatrix(toVtk(matrix @ place))
    moved = vtk.vtkTransformPolyDataFilter()
    moved.SetInputConnection(edges.GetOutputPort())
    moved.SetTransform(transform)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(moved.GetOutputPort())
    normals.AutoOrientNormalsOn()
    normals.SplittingOff()
    normals.Update()
    return normals.GetOutput()
