# ruff: noqa: F811 - fixtures that are imported
"""Many lesions: how long a person waits. The head of 1 mm with 150 lesions is slow, and run by hand; what made the
application slow is counted here: at every event it goes through all segments, or cuts a view through all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")

import slicer
import vtk
from MyelinSynthLib.review import segments
from MyelinSynthLib.review.table import ACCEPTED, Review, fillTable
from stand_in_host import Host
from test_module_display import settle, sliceNodes, views  # noqa: F401 - fixtures
from test_module_panel import child, host, widget  # noqa: F401 - fixtures
from test_module_reviewpanel import reviewed  # noqa: F401 - fixtures

from Testing.benchmarks.slicer_review import measure


@pytest.mark.slow
def test_choosing_and_reopening_are_quick(host: Host, application: Application, widget: Any) -> None:
    seconds = measure(widget, lambda: host.openViews(application), lambda: None)
    assert seconds["choose_cpu"] < 0.1
    assert seconds["decide_cpu"] < 0.3
    assert seconds["reopen_cpu"] < 3


def events(node: Any, *kinds: Any) -> list[str]:
    """A list that grows with every event of these kinds, or with every modification."""
    heard: list[str] = []
    for kind in kinds or ("ModifiedEvent",):
        node.AddObserver(kind, lambda _caller, event: heard.append(event))
    return heard


def test_many_lesions_are_made_before_the_scene_sees_them_and_coloured_at_once(
    host: Host, application: Application
) -> None:
    lesions = list(range(1, 28))
    labels = np.zeros((12, 12, 12), np.int16)
    for lesion, corner in zip(lesions, np.ndindex(3, 3, 3)):
        labels[tuple(slice(4 * start, 4 * start + 2) for start in corner)] = lesion
    reference = slicer.util.addVolumeFromArray(labels.astype(np.float32), name="T1w")
    arrived: list[tuple[int, int, int]] = []

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def count(_scene: Any, _event: str, node: Any) -> None:
        if node.IsA("vtkMRMLSegmentationNode"):
            segmentsThere = node.GetSegmentation().GetNumberOfSegments()
            arrived.append((segmentsThere, len(segments.segmentIds(node)), slicer.mrmlScene.IsBatchProcessing()))

    observer = slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, count)
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    segmentation = segments.addSegmentation("lesions", labels, reference, lesions, {3: (0.1, 0.2, 0.3)})
    slicer.mrmlScene.RemoveObserver(observer)
    assert arrived == [(27, 27, 1)], "the application sees it once, with all its segments and their tags"
    assert not slicer.mrmlScene.IsBatchProcessing()
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes + 1
    assert segments.segmentsByLesion(segmentation)[3].GetColor() == pytest.approx((0.1, 0.2, 0.3))
    kinds = slicer.vtkSegmentation
    heard = events(segmentation, kinds.SegmentAdded, kinds.SegmentModified)
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    fillTable(table, [{"id": float(lesion), "mean_dvr": 1.0} for lesion in lesions], ("id", "mean_dvr"))
    for row in range(len(lesions)):
        Review(table).setState(row, ACCEPTED)
    heard.clear()
    batches = events(slicer.mrmlScene, slicer.vtkMRMLScene.EndBatchProcessEvent)
    segments.colourSegments(segmentation, Review(table))
    assert len(heard) == len(batches) == 1, "trees of the scene follow once"


def test_a_single_lesion_that_changes_colour_is_named_to_the_application(host: Host, application: Application) -> None:
    labels = np.zeros((4, 4, 4), np.int16)
    labels[0, 0, 0], labels[2, 2, 2] = 1, 2
    reference = slicer.util.addVolumeFromArray(labels.astype(np.float32), name="T1w")
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    fillTable(table, [{"id": float(lesion), "mean_dvr": 1.0} for lesion in (1, 2)], ("id", "mean_dvr"))
    colours = segments.lesionColours(Review(table))
    segmentation = segments.addSegmentation("lesions", labels, reference, [1, 2], colours)
    named: list[str] = []

    @vtk.calldata_type(vtk.VTK_STRING)
    def hear(_node: Any, _event: str, identifier: str) -> None:
        named.append(identifier)

    segmentation.AddObserver(slicer.vtkSegmentation.SegmentModified, hear)
    segments.colourSegments(segmentation, Review(table))
    assert not named, "nothing changed"
    Review(table).setState(1, ACCEPTED)
    segments.colourSegments(segmentation, Review(table))
    assert named == [segments.segmentIds(segmentation)[2]], "else it would go through all segments"


def test_only_the_views_of_the_layout_follow_a_choice(host: Host, reviewed: Any, views: Any) -> None:
    ui = reviewed.ui
    ui.closelyBox.setChecked(True)
    ui.sideBySideButton.click()
    settle(host)
    reviewed.reviewPanel.choose(0)
    nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    heard = {node.GetLayoutName(): events(node) for node in nodes}
    reviewed.reviewPanel.choose(1)
    shown = {node.GetLayoutName() for node in nodes if node.IsMappedInLayout()}
    assert {name for name, those in heard.items() if those} == shown, "the others follow when their layout comes"
    assert all(len(those) == 1 for those in heard.values() if those)
    ui.fourUpButton.click()
    settle(host)
    assert all(heard[node.GetLayoutName()] for node in sliceNodes(("Red", "Green", "Yellow")))


@pytest.mark.parametrize("step", ["choose", "accept", "undo"])
def test_views_are_not_drawn_in_the_middle_of_a_step(host: Host, reviewed: Any, views: Any, step: str) -> None:
    """A view that is asked for its picture again after 17 ms draws at once: half of the change, and twice the time."""
    reviewed.ui.sideBySideButton.click()
    settle(host)
    reviewed.reviewPanel.choose(0)
    if step == "undo":
        reviewed.reviewPanel.decide(ACCEPTED)
    pauses: list[int] = []
    for node in (*sliceNodes(("T1w", "FLAIR", "Myelin")), reviewed.reviewPanel.nodes["lesions"].GetDisplayNode()):
        node.AddObserver("ModifiedEvent", lambda *_: pauses.append(slicer.app._pauses))
    {
        "choose": lambda: reviewed.reviewPanel.choose(1),
        "accept": lambda: reviewed.reviewPanel.decide(ACCEPTED),
        "undo": reviewed.reviewPanel._onUndo,
    }[step]()
    assert pauses
    assert min(pauses) > 0
    assert slicer.app._pauses == 0
