"""Framing of slice views: the whole brain fitted to each view, or a close view of one lesion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer

from ..scene.geometry import ijkToRas, pointsToWorld, toArray

MARGIN_MM = 14.0  # scalp and skull around the brain, so that the legend in the corner lies beside the head (ours)
CLOSE_UP_MM = 70.0  # across the shorter side of a view (ours)


def brainCorners(brain: Any) -> np.ndarray:
    """Return the corners of the box around a brain mask plus MARGIN_MM.

    Args:
        brain: volume whose non-zero voxels are the brain; the whole volume if there are none.

    Returns:
        World points (8, 3), RAS mm; the box follows the axes of the volume.
    """
    voxels = slicer.util.arrayFromVolume(brain) > 0
    ranges = []
    for axis in (2, 1, 0):  # i, j, k of an array (K, J, I)
        present = np.flatnonzero(voxels.any(axis=tuple(other for other in range(3) if other != axis)))
        ranges.append((present[0] - 0.5, present[-1] + 0.5) if present.size else (-0.5, voxels.shape[axis] - 0.5))
    matrix = ijkToRas(brain)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    low, high = np.array(ranges).T
    low, high = low - MARGIN_MM / spacing, high + MARGIN_MM / spacing
    index = np.array([[(low, high)[bit][axis] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])
    return pointsToWorld(brain, index @ matrix[:3, :3].T + matrix[:3, 3])


def frame(point: Sequence[float] | None, corners: np.ndarray | None, closely: bool = False) -> None:
    """Show the same position in every slice view of the layout, or in all slice views if no layout is known.

    Args:
        point: world point (RAS mm) that all views cut through; None for the middle of the brain.
        corners: points to fit into the views (`brainCorners`); None keeps the field of view.
        closely: centre the views on the point instead, CLOSE_UP_MM across.
    """
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    for node in [node for node in nodes if node.IsMappedInLayout()] or nodes:
        with slicer.util.NodeModify(node):  # a view cuts through all lesions at every change
            if closely and point is not None:
                _closeUp(node, np.asarray(point, float))
            elif corners is not None:
                _fit(node, corners, None if point is None else np.asarray(point, float))
            elif point is not None:
                node.JumpSliceByCentering(*map(float, point))


def frame3D(corners: np.ndarray) -> None:
    """Fit the brain to every 3D view, seen from where its camera stands.

    Args:
        corners: world points (`brainCorners`), RAS mm.
    """
    layoutManager = slicer.app.layoutManager()
    bounds = np.stack([corners.min(axis=0), corners.max(axis=0)], axis=1).ravel().tolist()
    for index in range(layoutManager.threeDViewCount):
        view = layoutManager.threeDWidget(index).threeDView()
        view.renderWindow().GetRenderers().GetFirstRenderer().ResetCamera(bounds)
        view.scheduleRender()


def jumpTo(point: Sequence[float]) -> None:
    """Move the crosshair.

    Args:
        point: world point, RAS mm.
    """
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if crosshair is not None:
        crosshair.SetCrosshairRAS(*map(float, point))


def showCrosshair() -> None:
    """Show Slicer's crosshair, with a gap at the lesion, unless the user shows one already."""
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if crosshair is not None and crosshair.GetCrosshairMode() == crosshair.NoCrosshair:
        crosshair.SetCrosshairMode(crosshair.ShowSmallBasic)


def _shape(node: Any) -> tuple[float, float]:
    width, height, _depth = node.GetDimensions()
    return max(float(width), 1.0), max(float(height), 1.0)


def _closeUp(node: Any, point: np.ndarray) -> None:
    width, height = _shape(node)
    perPixel = CLOSE_UP_MM / min(width, height)
    node.SetFieldOfView(width * perPixel, height * perPixel, node.GetFieldOfView()[2])
    node.JumpSliceByCentering(*point.tolist())


def _fit(node: Any, corners: np.ndarray, point: np.ndarray | None) -> None:
    """Fit the whole box into the view and centre it; the slice cuts the point."""
    width, height = _shape(node)
    toWorldMatrix = toArray(node.GetSliceToRAS())
    inPlane = (corners - toWorldMatrix[:3, 3]) @ toWorldMatrix[:3, :3]  # the axes of a slice are orthonormal
    low, high = inPlane.min(axis=0), inPlane.max(axis=0)
    extent = high - low
    perPixel = max(extent[0] / width, extent[1] / height)
    node.SetFieldOfView(width * perPixel, height * perPixel, node.GetFieldOfView()[2])
    middle = toWorldMatrix[:3, :3] @ ((low + high) / 2) + toWorldMatrix[:3, 3]  # a bent box is not symmetric
    node.JumpSliceByCentering(*middle.tolist())
    if point is not None:
        node.JumpSliceByOffsetting(*point.tolist())
