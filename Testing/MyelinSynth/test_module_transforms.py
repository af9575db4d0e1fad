# ruff: noqa: F811 - fixtures that are imported
"""A result that was moved since, by a transform that may bend it: views follow, and what cannot be measured is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")

import slicer
import vtk
from MyelinSynthLib.display.framing import brainCorners, frame
from MyelinSynthLib.scene import geometry
from MyelinSynthLib.selftest.nodes import makeNodes
from stand_in_host import Host
from test_module_panel import host, until, widget  # noqa: F401 - fixtures


def bend(scale: float) -> Any:
    """A transform that no matrix describes: it stretches the right side only, and twists."""
    points = [np.array(corner) * 100.0 - 100.0 for corner in np.ndindex(3, 3, 3)]
    moved = [
        point * ([scale, 1, 1] if point[0] > 0 else [1, 1, 1]) + [0, 8, (scale - 1) * point[0] * point[1] / 50]
        for point in points
    ]
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetBasisToR()
    for setLandmarks, places in ((spline.SetSourceLandmarks, points), (spline.SetTargetLandmarks, moved)):
        landmarks = vtk.vtkPoints()
        for place in places:
            landmarks.InsertNextPoint(*place)
        setLandmarks(landmarks)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "bend")
    node.SetAndObserveTransformToParent(spline)
    return node


def assertInViews(point: Any, corners: np.ndarray) -> None:
    """Every slice view cuts through the point and holds the whole brain."""
    shown = [node for node in slicer.util.getNodesByClass("vtkMRMLSliceNode") if node.IsMappedInLayout()]
    assert shown
    for node in shown:
        fromWorld = np.linalg.inv(geometry.toArray(node.GetSliceToRAS()))
        assert abs((fromWorld @ [*point, 1.0])[2]) < 1.0, node.GetLayoutName()
        places = np.abs(corners @ fromWorld[:3, :3].T + fromWorld[:3, 3])[:, :2]
        assert (places <= np.array(node.GetFieldOfView()[:2]) / 2 + 0.01).all(), node.GetLayoutName()


def test_a_bent_result_is_shown_where_it_is(host: Host, application: Application, widget: Any, tmp_path: Path) -> None:
    host.openViews(application)
    nodes = makeNodes()
    widget.enter()
    widget.ui.nextButton.click()
    until(host, lambda: not widget.displayPanel._timer.active)
    before = np.array(widget.reviewPanel.position())
    transform = bend(1.2)
    volumes = [nodes["dvr"].GetNodeReference("MyelinSynth.T1w"), *nodes.values()]
    for node in volumes:
        if node.IsA("vtkMRMLTransformableNode") and not node.IsA("vtkMRMLTransformNode"):
            node.SetAndObserveTransformNodeID(transform.GetID())
    ui = widget.ui
    for lesion in (1, 0):
        widget.reviewPanel.choose(lesion)
    point = np.array(widget.reviewPanel.position())
    wanted = transform.GetTransformToParent().TransformPoint(*before)
    np.testing.assert_allclose(point, wanted, atol=1e-3)
    ui.closelyBox.setChecked(False)
    corners = brainCorners(nodes["brain"])
    for button in (ui.fourUpButton, ui.lesions3dButton, ui.sideBySideButton, ui.plotsButton):
        button.click()
        until(host, lambda: not widget.displayPanel._timer.active)
        assertInViews(point, corners)
    ui.wipeBox.setChecked(True)
    ui.wipeSlider.value = 0.5
    ui.wipeBox.setChecked(False)
    widget.reviewPanel.onEdited()
    transform.SetAndObserveTransformToParent(bend(1.0).GetTransformToParent())
    ui.fourUpButton.click()
    until(host, lambda: not widget.displayPanel._timer.active)
    assertInViews(widget.reviewPanel.position(), brainCorners(nodes["brain"]))
    assert not host.errors, host.errors
    ui.exportFolderEdit.text = str(tmp_path)
    ui.exportButton.click()
    assert all("non-linear" in said for said in host.messages), host.messages
    host.messages.clear()


def test_an_oblique_view_holds_a_brain_that_is_not_a_box(host: Host, application: Application, widget: Any) -> None:
    """Seen in the real application: slices along the planes of a tilted acquisition cut a bent brain off."""
    host.openViews(application)
    turn = vtk.vtkTransform()
    turn.RotateZ(35)
    turn.RotateX(20)
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        tilted = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Multiply4x4(turn.GetMatrix(), node.GetSliceToRAS(), tilted)
        node.GetSliceToRAS().DeepCopy(tilted)
        node.UpdateMatrices()
    corners = np.array([[0, 0, 0], [150, 0, 0], [0, 120, 0], [0, 0, 90]], float)
    frame([10.0, 10.0, 10.0], corners)
    assertInViews([10.0, 10.0, 10.0], corners)
