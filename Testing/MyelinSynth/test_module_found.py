# ruff: noqa: F811 - fixtures that are imported
"""Lesions that a network found: reviewed, added by a click, merged, split, taken back, exported and reopened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import digital_result
import numpy as np
import pytest
from digital_result import LESIONS, MISSED
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

import slicer
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.patient.nodes import Patient
from MyelinSynthLib.review.changes import addLesion, canGrow, mergeLesions, splitLesion
from MyelinSynthLib.review.edits import NOT_AGAIN, Memory, measureAgain, regionsOf
from MyelinSynthLib.review.points import lesionPoint
from MyelinSynthLib.review.segments import labelsOnGrid, segmentIds
from MyelinSynthLib.review.table import ACCEPTED, ADDED, MERGED, REVIEW_COLUMNS, SPLIT, UNREVIEWED, Review, fillTable
from MyelinSynthLib.scene import geometry, provenance
from MyelinSynthLib.scene.geometry import toArray, toWorld
from stand_in_host import Host
from test_module_edits import draw
from test_module_panel import child, host, synthesize, until, widget  # noqa: F401 - fixtures
from test_module_reviewpanel import cell, press, states, titles
from test_module_scene import GEOMETRIES, makePatient, place, through
from test_module_synthesis import FINDS


def foundPatient(folder: Path, name: str = "LPS", spacing: tuple[float, float, float] = (1.5, 1.5, 2.0)) -> Any:
    """Outputs of a synthesis that found the lesions itself."""
    patient = makePatient(name, spacing)
    slicer.mrmlScene.RemoveNode(patient.lesions)
    return through(Patient(patient.t1w, patient.flair), folder, found=True)


def volumes(outputs: Any) -> dict[int, float]:
    review = Review(outputs.table)
    return {review.lesion(row): review.number(row, "volume_mm3") for row in range(len(review))}


def drawn(outputs: Any) -> dict[int, int]:
    """Voxels by lesion, as they are drawn now."""
    layers = np.concatenate([layer.ravel() for layer in labelsOnGrid(outputs.segmentation, outputs.dvr)])
    numbers, counts = np.unique(layers[layers > 0], return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist()))


def contents(outputs: Any) -> list[dict[str, Any]]:
    review = Review(outputs.table)
    return sorted((review.values(row) for row in range(len(review))), key=lambda values: values["id"])


def test_found_lesions_arrive_as_segments_that_say_so(application: Application, tmp_path: Path) -> None:
    outputs = foundPatient(tmp_path)
    assert provenance.hasNetworkLesions(outputs.nodes())
    assert outputs.segmentation.GetName() == "T1w lesions found automatically, to be reviewed"
    assert sorted(segmentIds(outputs.segmentation)) == [1, 2]
    review = Review(outputs.table)
    assert all(0.5 < review.number(row, "confidence") < 1 for row in (0, 1))
    assert outputs.probability.GetScalarVolumeDisplayNode().GetWindowLevelMax() == 1
    assert canGrow(outputs.nodes())
    assert not measureAgain(outputs.nodes()), "measured as the Result says, confidence included"


@pytest.mark.parametrize(("name", "spacing"), GEOMETRIES)
def test_a_lesion_that_was_missed_grows_where_somebody_clicks(
    application: Application, tmp_path: Path, name: str, spacing: tuple[float, float, float]
) -> None:
    outputs = foundPatient(tmp_path, name, spacing)
    before, voxels = contents(outputs), drawn(outputs)
    memory = Memory()
    change = addLesion(outputs.nodes(), MISSED[0], memory)
    review = Review(outputs.table)
    row = review.rowOf(3)
    assert row is not None
    assert (change.lesion, review.outline(row), review.state(row)) == (3, ADDED, UNREVIEWED)
    assert review.number(row, "mean_dvr") == pytest.approx(MISSED[2], abs=0.06)
    np.testing.assert_allclose(review.centre(row, outputs.dvr), MISSED[0], atol=1.0)
    sphere = 4 / 3 * np.pi * MISSED[1] ** 3
    assert review.number(row, "volume_mm3") == pytest.approx(sphere, rel=0.5)
    assert 0.1 < review.number(row, "confidence") < 0.4
    assert review.text(row, "region") == "juxtacortical"
    interval = (review.number(row, "dvr_low"), review.number(row, "dvr_high"))
    assert interval == pytest.approx((MISSED[2] - 0.2, MISSED[2] + 0.2), abs=0.06)
    interval = (review.number(row, "noise_free_low"), review.number(row, "noise_free_high"))
    assert interval == pytest.approx((MISSED[2] - 0.1, MISSED[2] + 0.1), abs=0.06)
    blank = [name for name, value in review.values(row).items() if value in (None, "")]
    assert set(blank) == {*NOT_AGAIN, "comment"}, "every column that can be measured again is filled"
    assert [values for values in contents(outputs) if values["id"] != 3] == before, "no other row is touched"
    assert not measureAgain(outputs.nodes(), memory), "measured as every other lesion"
    change.undo()
    assert (contents(outputs), drawn(outputs)) == (before, voxels)
    assert sorted(segmentIds(outputs.segmentation)) == [1, 2]


@pytest.mark.parametrize("threshold", [0.2, 0.8])
def test_a_lesion_grows_at_the_threshold_of_the_network_that_found_the_others(
    application: Application, tmp_path: Path, threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digital_result, "FINDER_THRESHOLD", threshold)
    outputs = foundPatient(tmp_path)
    segments = outputs.segmentation.GetSegmentation()
    segments.RemoveSegment(segmentIds(outputs.segmentation)[1])
    change = addLesion(outputs.nodes(), LESIONS[0][0], Memory())
    assert f"{threshold:.0%}" in change.words
    probability = slicer.util.arrayFromVolume(outputs.probability)
    (layer,) = labelsOnGrid(outputs.segmentation, outputs.dvr)
    assert threshold <= probability[layer == 3].min() < threshold + 0.25


def test_a_lesion_can_be_added_where_none_was_found(application: Application, tmp_path: Path) -> None:
    outputs = foundPatient(tmp_path)
    nodes = outputs.nodes()
    fillTable(outputs.table, [], Review(outputs.table).columns[: -len(REVIEW_COLUMNS)])
    outputs.segmentation.GetSegmentation().RemoveAllSegments()
    addLesion(nodes, LESIONS[0][0], Memory())
    review = Review(outputs.table)
    assert (len(review), review.lesion(0), review.text(0, "region")) == (1, 1, "periventricular")


def test_an_edited_lesion_gets_the_region_that_it_is_in_now(application: Application, tmp_path: Path) -> None:
    outputs = foundPatient(tmp_path)
    review = Review(outputs.table)
    assert [review.text(row, "region") for row in (0, 1)] == ["periventricular", "deep white matter"]
    layers = labelsOnGrid(outputs.segmentation, outputs.dvr)
    regions = regionsOf(outputs.nodes(), layers, {1, 2})
    assert regions == {1: {"region": "periventricular"}, 2: {"region": "deep white matter"}}
    both = np.any([layer > 0 for layer in layers], axis=0)
    draw(outputs, 2, both)
    assert 2 in measureAgain(outputs.nodes()).edited
    assert review.text(1, "region") == "periventricular"


def test_a_moved_patient_grows_in_its_own_space(application: Application, tmp_path: Path) -> None:
    outputs = foundPatient(tmp_path)
    transform = place(outputs.dvr.GetNodeReference(provenance.T1W_REFERENCE))
    for node in outputs.nodes().values():
        if node.IsA("vtkMRMLTransformableNode") and node is not outputs.flair:
            node.SetAndObserveTransformNodeID(transform.GetID())
    world = (toWorld(outputs.dvr, "map") @ [*MISSED[0], 1.0])[:3].tolist()  # where the views show it
    addLesion(outputs.nodes(), world, Memory())
    review = Review(outputs.table)
    np.testing.assert_allclose(review.centre(review.rowOf(3), outputs.dvr), world, atol=1.0)


def test_nothing_is_added_where_there_is_a_lesion_or_none(application: Application, tmp_path: Path) -> None:
    outputs = foundPatient(tmp_path)
    before = contents(outputs)
    with pytest.raises(SynthesisError, match="already a lesion at this point: 1"):
        addLesion(outputs.nodes(), LESIONS[0][0], Memory())
    for nowhere in ((3.0, -5.0, 17.0), (500.0, 0.0, 0.0)):
        with pytest.raises(SynthesisError, match="The lesion finder sees no lesion"):
            addLesion(outputs.nodes(), nowhere, Memory())
    assert contents(outputs) == before


def test_merging_and_splitting_are_opposites_and_can_be_taken_back(application: Application, tmp_path: Path) -> None:
    outputs = foundPatient(tmp_path)
    nodes, memory, review = outputs.nodes(), Memory(), Review(outputs.table)
    review.setState(0, ACCEPTED)
    review.setComment(1, "small")
    before, voxels, size = contents(outputs), drawn(outputs), volumes(outputs)
    merged = mergeLesions(nodes, [2, 1], memory)
    assert merged.words == "Lesion 2 was merged into lesion 1."
    assert volumes(outputs) == {1: pytest.approx(size[1] + size[2])}
    assert (review.state(0), review.outline(0), review.comment(0)) == (UNREVIEWED, MERGED, "small")
    assert drawn(outputs) == {1: voxels[1] + voxels[2]}
    weighted = sum(values["mean_dvr"] * values["volume_mm3"] for values in before) / sum(size.values())
    assert review.number(0, "mean_dvr") == pytest.approx(weighted, rel=1e-3)
    split = splitLesion(nodes, 1, memory)
    assert volumes(outputs) == size
    assert [review.outline(row) for row in (0, 1)] == [SPLIT, SPLIT]
    for row, values in enumerate(before):
        for name in ("mean_dvr", "x_mm", "y_mm", "z_mm", "confidence", "ratio_to_surrounding"):
            assert review.number(row, name) == pytest.approx(values[name], rel=1e-4, abs=1e-4), name
    assert not measureAgain(nodes, memory)
    split.undo()
    merged.undo()
    assert (contents(outputs), drawn(outputs)) == (before, voxels)


@pytest.mark.parametrize(("name", "spacing"), GEOMETRIES)
def test_a_merged_lesion_is_shown_in_one_of_its_parts(
    application: Application, tmp_path: Path, name: str, spacing: tuple[float, float, float]
) -> None:
    outputs = foundPatient(tmp_path, name, spacing)
    nodes, review = outputs.nodes(), Review(outputs.table)
    addLesion(nodes, MISSED[0], Memory())
    merged = mergeLesions(nodes, [2, 3], Memory()).lesion
    (layer,) = labelsOnGrid(outputs.segmentation, outputs.dvr)
    row = review.rowOf(merged)

    def lesionAt(point: np.ndarray) -> int:
        i, j, k = np.rint((np.linalg.inv(geometry.ijkToRas(outputs.dvr)) @ [*point, 1.0])[:3]).astype(int)
        return int(layer[k, j, i])

    assert lesionAt(review.centre(row, outputs.dvr)) == 0
    assert lesionAt(lesionPoint(review, row, outputs.dvr, outputs.segmentation)) == merged
    np.testing.assert_array_equal(
        lesionPoint(review, row, outputs.dvr, None), review.centre(row, outputs.dvr), "the outlines were deleted"
    )


def test_what_cannot_be_merged_or_split_is_said(application: Application, tmp_path: Path) -> None:
    outputs = foundPatient(tmp_path)
    with pytest.raises(SynthesisError, match="select two or more"):
        mergeLesions(outputs.nodes(), [1], Memory())
    with pytest.raises(SynthesisError, match="without a narrow point"):
        splitLesion(outputs.nodes(), 2, Memory())
    outputs.segmentation.GetSegmentation().RemoveSegment(segmentIds(outputs.segmentation)[2])
    with pytest.raises(SynthesisError, match="no outline"):
        splitLesion(outputs.nodes(), 2, Memory())


@pytest.fixture
def found(host: Host, application: Application, widget: Any, child: Callable[[str], None]) -> Any:
    """The widget after a synthesis without a lesion mask, in front of a main window's views."""
    host.openViews(application)
    patient = makePatient()
    slicer.mrmlScene.RemoveNode(patient.lesions)
    widget.ui.t1wSelector.setCurrentNode(patient.t1w)
    widget.ui.flairSelector.setCurrentNode(patient.flair)
    child(FINDS)
    synthesize(host, widget)
    assert not host.messages, host.messages
    host.process()
    return widget


def clickInView(host: Host, position: tuple[float, ...], name: str = "Red") -> None:
    """A click of the mouse into a slice view, at a world position."""
    assert host.views is not None
    view = host.views.sliceWidget(name)
    view.mrmlSliceNode().JumpSliceByOffsetting(*position)
    across, up = np.linalg.solve(toArray(view.mrmlSliceNode().GetXYToRAS()), [*position, 1.0])[:2]
    view.interactor().SetEventPosition(round(across), round(up))
    view.interactor().InvokeEvent("LeftButtonPressEvent")


def test_from_no_mask_to_a_reviewed_export_that_is_reopened(
    host: Host, application: Application, found: Any, tmp_path: Path
) -> None:
    """Found, said, sorted, rejected, added, kept, taken back, split, exported, saved and opened again."""
    ui, panel = found.ui, found.reviewPanel
    assert "found automatically, to be reviewed" in ui.reviewLabel.text
    assert ui.resultLabel.text.startswith("Found automatically, to be reviewed: 2 lesions")
    column = titles(found).index("Confidence")
    assert cell(found, 0, column).endswith("%")
    header = ui.reviewTable.horizontalHeader()
    for title in ("Confidence", "Volume (mm\u00b3)"):
        column = next(index for index, one in enumerate(titles(found)) if one.startswith(title))
        header._real.sectionClicked.emit(column)
        shown = [float(cell(found, line, column).rstrip("%")) for line in (0, 1)]
        assert shown == sorted(shown), title

    ui.addButton.click()
    interactor, others = host.views.sliceWidget("Red").interactor(), list[str]()
    interactor.AddObserver("LeftButtonPressEvent", lambda _caller, event: others.append(event))
    assert "Click on the lesion" in panel._annotation.text("Red")
    clickInView(host, (3.0, -5.0, 17.0))
    assert "The lesion finder sees no lesion" in ui.editsLabel.text
    assert ui.addButton.checked, "try again"
    clickInView(host, MISSED[0])
    assert not ui.addButton.checked
    assert not others, "Slicer's own interaction does not get these clicks"
    assert ui.reviewTable.rowCount == 3
    assert panel.review.lesion(panel.currentRow()) == 3
    assert panel._annotation.text("Red").startswith(ui.editsLabel.text[:20])
    assert ui.resultLabel.text.startswith("Found automatically, to be reviewed: 3 lesions")
    clickInView(host, MISSED[0])
    assert ui.reviewTable.rowCount == 3, "a click is a click again"
    assert others
    press(found, "reviewTable", "A")
    assert panel.review.state(panel.review.rowOf(3)) == ACCEPTED
    panel.ui.undoButton.click()
    panel.ui.undoButton.click()
    assert ui.reviewTable.rowCount == 2, "one key takes it back"
    assert ui.resultLabel.text.startswith("Found automatically, to be reviewed: 2 lesions")
    until(host, lambda: not panel._timer.active)
    assert states(found) == [UNREVIEWED, UNREVIEWED]


def test_merge_and_split_by_keys(host: Host, found: Any) -> None:
    ui, panel = found.ui, found.reviewPanel
    ui.reviewTable._real.selectAll()
    press(found, "reviewTable", "M")
    assert ui.reviewTable.rowCount == 1
    assert "Lesion 2 was merged into lesion 1." in ui.editsLabel.text
    assert cell(found, 0, 1) == "unreviewed (merged)"
    press(found, "reviewTable", "S")
    assert ui.reviewTable.rowCount == 2
    assert ui.resultLabel.text.startswith("Found automatically, to be reviewed: 2 lesions")
    content = panel.nodes["lesions"].GetSegmentation()
    assert all(content.GetSegment(one).GetRepresentation("Closed surface") for one in content.GetSegmentIDs())
    press(found, "reviewTable", "S")
    assert "without a narrow point" in ui.editsLabel.text
    until(host, lambda: not panel._timer.active)
    assert ui.reviewTable.rowCount == 2


def test_another_module_gets_its_clicks_back(host: Host, found: Any) -> None:
    found.ui.addButton.click()
    assert found.ui.editsLabel.text.startswith("Click on the lesion")
    found.exit()
    assert found.ui.editsLabel.text == "", "nobody waits for a click any more"
    clickInView(host, MISSED[0])
    assert not found.ui.addButton.checked
    assert len(found.reviewPanel.review) == 2
