"""Display, review and export, clicked through in the stand-in host: mouse, keys, sorting, editing, reopening."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digital_result import LESIONS
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")

import slicer
from MyelinSynthLib.display import layouts
from MyelinSynthLib.display import views as display
from MyelinSynthLib.patient import exchange
from MyelinSynthLib.review.segments import segmentIds, segmentsByLesion
from MyelinSynthLib.review.table import ACCEPTED, EDITED, FLAGGED, REJECTED, UNREVIEWED, Review
from MyelinSynthLib.scene import geometry, provenance
from MyelinSynthLib.selftest.nodes import makeNodes
from PySide6 import QtCore, QtTest
from stand_in_host import Host
from test_module_edits import draw, withMeasured
from test_module_panel import child, choosePatient, host, sliceView, synthesize, until, widget  # noqa: F401 - fixtures
from test_module_synthesis import WORKS


@pytest.fixture
def reviewed(host: Host, widget: Any, child: Callable[[str], None]) -> Any:  # noqa: F811
    """The widget with the map of a patient who has a measured DVR, in a window that has the focus."""
    patient = choosePatient(widget)
    withMeasured(patient)
    widget.ui.dvrSelector.setCurrentNode(patient.dvr)
    child(WORKS)
    synthesize(host, widget)
    assert not host.messages, host.messages
    host.window.resize(700, 1500)
    host.window.show()
    host.window.activateWindow()
    widget.ui.reviewTable._real.setFocus()
    host.process()
    return widget


def press(widget: Any, name: str, key: str) -> None:  # noqa: F811
    """Type into a widget of the panel."""
    QtTest.QTest.keyClick(getattr(widget.ui, name)._real, getattr(QtCore.Qt.Key, f"Key_{key}"))


def cell(widget: Any, line: int, column: int) -> str:  # noqa: F811
    return widget.ui.reviewTable.item(line, column).text()


def titles(widget: Any) -> list[str]:  # noqa: F811
    table = widget.ui.reviewTable
    return [table.horizontalHeaderItem(column).text() for column in range(table.columnCount)]


def click(widget: Any, line: int, column: int = 0) -> None:  # noqa: F811
    """A click of the mouse into the lesion table."""
    table = widget.ui.reviewTable._real
    place = table.visualItemRect(table.item(line, column)).center()
    QtTest.QTest.mouseClick(
        table.viewport(), QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier, place
    )


def states(widget: Any) -> list[str]:  # noqa: F811
    review = widget.reviewPanel.review
    return [review.state(row) for row in range(len(review))]


def test_the_table_says_everything_about_a_lesion(reviewed: Any) -> None:
    shown = titles(reviewed)
    assert shown[0] == "Lesion \u25b2"
    assert shown[1:6] == ["State", "Region", "Volume (mm\u00b3)", "Mean DVR", "Ratio to NAWM"]
    assert {"Demyelinated", "Measured mean DVR"} <= set(shown)
    assert shown[-1] == "Comment"
    assert "Uncertainty (SD)" not in shown, "it was not estimated"
    tips = [reviewed.ui.reviewTable.horizontalHeaderItem(column).toolTip() for column in range(len(shown))]
    assert "normal-appearing white matter" in tips[5]
    assert len(set(tips)) >= len(shown) - 1, "a measured ratio is explained as the ratio is"
    assert all(tips)
    cells = dict(zip(shown, (cell(reviewed, 0, column) for column in range(len(shown)))))
    assert [cells[name] for name in shown[:3]] == ["1", "unreviewed", "periventricular"]
    assert (cells["Mean DVR"], cells["Ratio to NAWM"], cells["Demyelinated"]) == ("0.80", "0.67", "100%")
    assert float(cells["Measured mean DVR"]) == pytest.approx(0.9, abs=0.03)
    assert cells["Comment"] == ""
    square = reviewed.ui.reviewTable.item(0, 1).data(QtCore.Qt.ItemDataRole.DecorationRole)
    assert square.name() == reviewed.ui.reviewTable.item(0, 1).background().color().name(), "seen on a chosen row"
    assert (reviewed.ui.reviewBar.value, reviewed.ui.reviewBar.maximum) == (0, 2)


def test_clicks_and_arrow_keys_jump_to_the_lesion(reviewed: Any) -> None:
    view = sliceView()

    def height() -> float:
        return geometry.toArray(view.GetSliceToRAS())[2, 3]

    click(reviewed, 1)
    assert height() == pytest.approx(LESIONS[1][0][2], abs=0.8)
    press(reviewed, "reviewTable", "Up")
    assert height() == pytest.approx(LESIONS[0][0][2], abs=0.8)
    view.JumpSliceByCentering(0, 0, -20)
    click(reviewed, 0)
    assert height() == pytest.approx(LESIONS[0][0][2], abs=0.8), "clicking the same lesion again comes back to it"


def test_keys_decide_and_move_on(reviewed: Any) -> None:
    click(reviewed, 0)
    press(reviewed, "reviewTable", "A")
    assert states(reviewed) == [ACCEPTED, UNREVIEWED]
    assert reviewed.reviewPanel.currentRow() == 1
    press(reviewed, "reviewTable", "F")
    assert states(reviewed) == [ACCEPTED, FLAGGED]
    press(reviewed, "reviewTable", "R")
    assert states(reviewed) == [ACCEPTED, REJECTED], "nothing is left to go on to, so the lesion stays chosen"
    press(reviewed, "reviewTable", "U")
    assert states(reviewed) == [ACCEPTED, UNREVIEWED]
    assert reviewed.ui.reviewBar.format == "1 accepted"
    press(reviewed, "acceptButton", "F")
    assert states(reviewed) == [ACCEPTED, FLAGGED], "the keys work on the section's buttons, too"


def test_keys_are_not_stolen_from_text_or_from_other_sections(reviewed: Any) -> None:
    click(reviewed, 0)
    reviewed.ui.commentEdit._real.setFocus()
    for key in "FAR":
        press(reviewed, "commentEdit", key)
    assert reviewed.ui.commentEdit.text == "far"
    assert states(reviewed) == [UNREVIEWED, UNREVIEWED]
    press(reviewed, "commentEdit", "Return")
    assert reviewed.reviewPanel.review.comment(0) == "far"
    assert reviewed.ui.reviewTable._real.hasFocus(), "the next key decides again"
    reviewed.ui.deviceBox._real.setFocus()
    press(reviewed, "deviceBox", "A")
    reviewed.ui.exportNameEdit._real.setFocus()
    press(reviewed, "exportNameEdit", "A")
    assert states(reviewed) == [UNREVIEWED, UNREVIEWED]


def test_keys_work_in_a_slice_view_and_rest_in_other_modules(
    host: Host,  # noqa: F811
    application: Application,
    reviewed: Any,
) -> None:
    """The focus is in the main window's views, far from the panel."""
    manager = host.openViews(application)
    reviewed.enter()
    click(reviewed, 0)
    window = host.mainWindow._real
    view = window.centralWidget()
    view.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
    view.setFocus()
    QtTest.QTest.keyClick(view, QtCore.Qt.Key.Key_A)
    assert states(reviewed) == [ACCEPTED, UNREVIEWED]
    said = reviewed.reviewPanel._annotation.text(manager.sliceViewNames()[0])
    assert said.splitlines() == ["Lesion 1: accepted", "Lesion 2 (unreviewed), DVR 0.95", "1 / 2"]
    QtTest.QTest.keyClick(view, QtCore.Qt.Key.Key_Up)
    assert reviewed.reviewPanel.currentRow() == 0
    QtTest.QTest.keyClick(view, QtCore.Qt.Key.Key_Z)
    assert reviewed.ui.closelyBox.checked
    reviewed.exit()
    QtTest.QTest.keyClick(view, QtCore.Qt.Key.Key_R)
    assert states(reviewed) == [ACCEPTED, UNREVIEWED], "another module is open"
    assert reviewed.reviewPanel._annotation.text(manager.sliceViewNames()[0]) == ""


def test_the_table_lies_below_the_views_with_all_its_columns(
    host: Host,  # noqa: F811
    application: Application,
    reviewed: Any,
) -> None:
    host.openViews(application)
    reviewed.enter()
    host.process()
    window, table = host.mainWindow._real, reviewed.ui.reviewTable._real
    dock = table.parent()
    assert window.dockWidgetArea(dock) == QtCore.Qt.DockWidgetArea.BottomDockWidgetArea
    assert table.isVisible()
    assert table.horizontalHeader().length() < window.width(), "no column is out of sight"
    click(reviewed, 1)
    assert reviewed.reviewPanel.currentRow() == 1
    reviewed.exit()
    assert not table.isVisible()
    reviewed.enter()
    assert table.isVisible()
    dock.close()
    reviewed.ui.nextButton.click()
    assert table.isVisible(), "closed with its own button, it is back with the next review"


def test_the_result_is_said_and_leads_on_to_the_review(
    host: Host,  # noqa: F811
    application: Application,
    reviewed: Any,
) -> None:
    ui = reviewed.ui
    assert ui.resultLabel.text.startswith("2 lesions, 0.")
    assert "mean DVR 0.8" in ui.resultLabel.text
    assert "DVR of NAWM 1.20" in ui.resultLabel.text
    assert ui.patientSection.collapsed
    assert ui.modelSection.collapsed
    host.openViews(application)
    crosshair = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    ui.nextButton.click()
    assert crosshair.GetCrosshairMode() == crosshair.ShowSmallBasic
    np.testing.assert_allclose(crosshair.GetCrosshairRAS(), LESIONS[0][0], atol=1.0)
    assert ui.synthesisSection.collapsed
    assert not ui.reviewSection.collapsed
    assert ui.closelyBox.checked
    assert reviewed.reviewPanel.currentRow() == 0
    reviewed.reviewPanel.decide(REJECTED)
    assert ui.resultLabel.text.startswith("1 lesion, 0.")
    assert "1 rejected" in ui.resultLabel.text
    ui.showReportButton.click()
    page = Path(host.opened[0]).read_text(encoding="utf-8")
    assert "After review: 1 lesion" in page
    assert page.index("After review") < page.index("<h2>"), "before the figures of the synthesis"
    assert "white-space: normal" in page, "cells break: no table is wider than the page"


def test_a_comment_belongs_to_the_lesion_it_was_written_for(reviewed: Any) -> None:
    click(reviewed, 0)
    reviewed.ui.commentEdit._real.setFocus()
    QtTest.QTest.keyClicks(reviewed.ui.commentEdit._real, "cyst")
    click(reviewed, 1)
    review = reviewed.reviewPanel.review
    assert [review.comment(row) for row in (0, 1)] == ["cyst", ""]
    assert reviewed.reviewPanel.currentRow() == 1
    assert reviewed.ui.commentEdit.text == ""


def test_access_keys_of_display_review_and_export_belong_to_one_widget_alone(widget: Any) -> None:  # noqa: F811
    from xml.etree import ElementTree

    from test_slicer_api import UI

    taken: dict[str, list[str]] = {}
    ours: set[str] = set()
    for section in ElementTree.parse(UI).iter("widget"):
        if section.get("class") != "ctkCollapsibleButton":
            continue
        for one in section.iter("widget"):
            for entry in one.findall("property"):
                text = entry.findtext("string") or ""
                if entry.get("name") == "text" and "&" in text:
                    key = text[text.index("&") + 1].upper()
                    taken.setdefault(key, []).append(one.get("name", ""))
                    ours |= (
                        {key} if section.get("name") in ("displaySection", "reviewSection", "exportSection") else set()
                    )
    assert len(ours) >= 8
    assert {key: names for key, names in taken.items() if key in ours and len(names) > 1} == {}


def test_the_last_decisions_can_be_undone(reviewed: Any) -> None:
    assert not reviewed.ui.undoButton.enabled
    click(reviewed, 0)
    press(reviewed, "reviewTable", "A")
    press(reviewed, "reviewTable", "R")
    reviewed.ui.undoButton.click()
    assert states(reviewed) == [ACCEPTED, UNREVIEWED]
    assert reviewed.reviewPanel.currentRow() == 1
    reviewed.reviewPanel.ui.undoButton.click()
    assert states(reviewed) == [UNREVIEWED, UNREVIEWED]
    assert reviewed.reviewPanel.currentRow() == 0
    assert not reviewed.ui.undoButton.enabled


def test_a_click_on_a_title_sorts_and_keeps_the_lesion(reviewed: Any) -> None:
    click(reviewed, 0)
    header = reviewed.ui.reviewTable.horizontalHeader()
    for column, wanted in ((4, ["1", "2"]), (4, ["2", "1"]), (2, ["2", "1"]), (3, ["2", "1"]), (3, ["1", "2"])):
        header._real.sectionClicked.emit(column)
        assert [cell(reviewed, line, 0) for line in (0, 1)] == wanted, titles(reviewed)[column]
        assert reviewed.reviewPanel.currentRow() == 0, "the same lesion is still chosen"
    assert titles(reviewed)[3] == "Volume (mm\u00b3) \u25bc"


def test_outlines_follow_the_review_or_the_dvr(reviewed: Any) -> None:
    outputs = reviewed.logic.chosenRun(None)
    first = segmentsByLesion(outputs["lesions"])[1]
    click(reviewed, 0)
    press(reviewed, "reviewTable", "F")
    assert first.GetColor() == pytest.approx(display.COLOURS_OF_STATE[FLAGGED], abs=1e-6)
    reviewed.ui.colourByDvrBox.setChecked(True)
    assert first.GetColor() == pytest.approx(display.dvrColour(LESIONS[0][2]), abs=1e-6)
    reviewed.ui.outlinesBox.setChecked(False)
    assert not outputs["lesions"].GetDisplayNode().GetVisibility2DOutline()
    reviewed.ui.outlinesBox.setChecked(True)
    assert outputs["lesions"].GetDisplayNode().GetVisibility2DOutline()


def test_an_edited_lesion_is_measured_again(host: Host, reviewed: Any) -> None:  # noqa: F811
    outputs = reviewed.logic.chosenRun(None)
    click(reviewed, 1)
    press(reviewed, "reviewTable", "A")
    click(reviewed, 1)
    reviewed.ui.editButton.click()
    assert host.modules == ["SegmentEditor"]
    told = host.segmentEditor.told
    assert told["setSegmentationNode"] is outputs["lesions"]
    assert told["setSourceVolumeNode"].GetName() == "T1w"
    assert told["setCurrentSegmentID"] == segmentIds(outputs["lesions"])[2]

    reviewed.exit()  # another module is open now
    review, before = Review(outputs["table"]), cell(reviewed, 1, 3)
    whole = exchange.segmentationOnGrid(outputs["lesions"], outputs["dvr"], [told["setCurrentSegmentID"]])
    edited = whole.copy()
    edited[:, :, : int(np.nonzero(whole)[2].min()) + 1] = 0
    view = type("", (), {"dvr": outputs["dvr"], "segmentation": outputs["lesions"]})
    draw(view, 2, edited)
    until(host, lambda: review.outline(1) == EDITED)
    assert states(reviewed) == [UNREVIEWED, UNREVIEWED]
    assert float(cell(reviewed, 1, 3)) < float(before)
    assert cell(reviewed, 1, 1) == "unreviewed (edited)"
    assert "Lesion 2 was edited" in reviewed.ui.editsLabel.text
    reviewed.enter()
    assert cell(reviewed, 1, 1) == "unreviewed (edited)"
    assert "Lesion 2 was edited" in reviewed.ui.editsLabel.text, "whoever comes back can still read it"
    reviewed.exit()
    draw(view, 2, whole)
    reviewed.enter()  # at once, before the pause that measuring waits for
    until(host, lambda: float(cell(reviewed, 1, 3)) == float(before))
    reviewed.exit()
    reviewed.reviewPanel.removeObservers()  # an edit that says nothing, as undoing one may
    draw(view, 2, edited)
    reviewed.enter()
    until(host, lambda: float(cell(reviewed, 1, 3)) < float(before))
    outputs["lesions"].GetSegmentation().RemoveSegment(told["setCurrentSegmentID"])
    until(host, lambda: "was removed" in reviewed.ui.editsLabel.text)
    reviewed.ui.reviewTable.setCurrentCell(1, 0)
    reviewed.ui.editButton.click()  # there is no segment to choose any more


def test_plots_follow_the_review(reviewed: Any) -> None:
    from MyelinSynthLib.display import plots

    outputs = reviewed.logic.chosenRun(None)
    plots.show(outputs)
    nodes = provenance.sameRun(outputs["dvr"])
    assert nodes["histogram_chart"].GetTitle() == "2 lesions"
    click(reviewed, 0)
    press(reviewed, "reviewTable", "R")
    assert nodes["histogram_chart"].GetTitle() == "1 lesion, 1 rejected excluded"
    assert nodes["comparison_table"].GetNumberOfRows() == 1


def test_export_asks_before_it_replaces(host: Host, reviewed: Any, tmp_path: Path) -> None:  # noqa: F811
    ui = reviewed.ui
    assert not ui.exportButton.enabled, "no folder is chosen"
    place = tmp_path / "für P. Lindström"
    place.mkdir()
    host.answers = [str(place)]
    ui.exportFolderButton.click()
    assert ui.exportFolderEdit.text == str(place)
    click(reviewed, 0)
    press(reviewed, "reviewTable", "F")
    ui.exportButton.click()
    assert "MyelinSynth_lesions.csv" in ui.exportLabel.text
    rows = list(csv.DictReader((place / "MyelinSynth_lesions.csv").open(encoding="utf-8")))
    assert [row["state"] for row in rows] == [FLAGGED, UNREVIEWED]
    record = json.loads((place / "MyelinSynth_result" / "provenance.json").read_text(encoding="utf-8"))
    assert record["review"]["states"][FLAGGED] == 1

    press(reviewed, "reviewTable", "A")
    host.answers, host.questions = [False], []
    ui.exportButton.click()
    assert "Replace MyelinSynth_lesions.csv, MyelinSynth_report.html, MyelinSynth_result" in host.questions[0]
    assert "accepted" not in (place / "MyelinSynth_lesions.csv").read_text(encoding="utf-8")
    host.answers = [True]
    ui.exportButton.click()
    assert "accepted" in (place / "MyelinSynth_lesions.csv").read_text(encoding="utf-8")
    assert not [path for path in place.iterdir() if path.name.startswith(".")]

    ui.exportResultBox.setChecked(False)
    ui.exportReportBox.setChecked(False)
    ui.exportTableBox.setChecked(False)
    assert not ui.exportButton.enabled
    ui.exportTableBox.setChecked(True)
    ui.exportFolderEdit.text = str(tmp_path / "not there")
    ui.exportButton.click()
    assert "not there" in host.messages[-1]
    host.messages.clear()


def test_a_review_with_edits_plots_and_layout_is_reopened(
    host: Host,  # noqa: F811
    application: Application,
    reviewed: Any,
    tmp_path: Path,
) -> None:
    views = host.openViews(application)
    click(reviewed, 0)
    press(reviewed, "reviewTable", "F")
    reviewed.ui.plotsButton.click()
    reviewed.ui.lesions3dButton.click()
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert reviewed.ui.reviewTable.rowCount == 0
    assert not reviewed.ui.exportButton.enabled
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    host.process()
    assert states(reviewed) == [FLAGGED, UNREVIEWED]
    assert views.layoutLogic().GetLayoutNode().GetViewArrangement() == layouts.WITH_3D
    until(host, lambda: not reviewed.reviewPanel._timer.active)  # it looks whether a lesion was edited meanwhile
    assert states(reviewed) == [FLAGGED, UNREVIEWED]
    assert reviewed.ui.editsLabel.text == ""
    nodes = reviewed.logic.chosenRun(None)
    assert nodes["comparison_chart"].GetNumberOfPlotSeriesNodes() == 2
    place = tmp_path / "again"
    place.mkdir()
    reviewed.ui.exportFolderEdit.text = str(place)
    reviewed.ui.exportButton.click()
    assert len(list(place.iterdir())) == 3


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed beside slicer-core")
def test_the_sample_patient_reviewed_exported_and_reopened(
    host: Host,  # noqa: F811
    application: Application,
    widget: Any,  # noqa: F811
    tmp_path: Path,
) -> None:
    """With the real child: what `synthesize` measured is what the panel measures, before and after reopening."""
    from MyelinSynthLib.export.files import lesionsCsv
    from MyelinSynthLib.review.edits import measureAgain

    host.openViews(application)
    widget.ui.samplePatientButton.click()
    widget.ui.synthesizeButton.click()
    until(host, lambda: not widget.runPanel.running, 300)
    assert not host.messages, host.messages
    nodes = widget.reviewPanel.nodes
    before = lesionsCsv(Review(nodes["table"]))
    assert not measureAgain(nodes), "nobody edited anything"
    assert lesionsCsv(Review(nodes["table"])) == before
    count = widget.ui.reviewTable.rowCount
    assert count > 10
    widget.ui.reviewTable.setCurrentCell(0, 0)
    for button in ("acceptButton", "flagButton", "rejectButton"):
        getattr(widget.ui, button).click()
    for button in ("sideBySideButton", "lesions3dButton", "plotsButton"):
        getattr(widget.ui, button).click()
    assert "n = " in provenance.sameRun(nodes["dvr"])["comparison_chart"].GetTitle()
    place = tmp_path / "export"
    place.mkdir()
    widget.ui.exportFolderEdit.text = str(place)
    widget.ui.exportButton.click()
    page = (place / "MyelinSynth_report.html").read_text(encoding="utf-8")
    assert page.count("<figure") >= 5, "the figures of the report and two lesions"
    assert page.index("Review of every lesion") < page.index("</main>")
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    host.process()
    assert widget.ui.reviewTable.rowCount == count
    assert widget.ui.reviewBar.value == 3
    until(host, lambda: not widget.reviewPanel._timer.active)
    assert widget.ui.editsLabel.text == "", "nobody edited anything"
    host.answers = [True]
    first = (place / "MyelinSynth_lesions.csv").read_text(encoding="utf-8")
    widget.ui.exportButton.click()
    assert (place / "MyelinSynth_lesions.csv").read_text(encoding="utf-8") == first


def test_the_corner_follows_every_step(host: Host, application: Application, reviewed: Any) -> None:  # noqa: F811
    """Seen in the real application: an old text after the last decision, and none in the views of a new layout."""
    manager, panel = host.openViews(application), reviewed.reviewPanel
    reviewed.enter()
    click(reviewed, 0)
    panel.decide(ACCEPTED)
    panel.decide(FLAGGED)
    view = manager.sliceViewNames()[0]
    assert panel._annotation.text(view).splitlines() == ["Lesion 2: flagged", "Lesion 2 (flagged), DVR 0.95", "2 / 2"]
    reviewed.ui.sideBySideButton.click()
    until(host, lambda: "T1w" in manager.sliceViewNames() and panel._annotation.text("T1w"))
    for name in manager.sliceViewNames():
        assert panel._annotation.text(name).splitlines()[-1] == "2 / 2", name
    panel._did = "Lesion 1: split into " + ", ".join(map(str, range(1, 59)))
    panel._annotate()
    lines = panel._annotation.text(view).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 46, "a view of 300 pixels cuts off what is longer"
    reviewed.exit()
    assert panel._annotation.text(view) == ""
    reviewed.enter()
    assert panel._annotation.text(view).splitlines()[-1] == "2 / 2", "back from the Segment Editor"
    reviewed.showNodes(makeNodes("another"))
    assert panel._annotation.text(view) == "", "of another Result no lesion is chosen yet"
