# ruff: noqa: F811 - fixtures that are imported
"""Several patients in a row: a batch's results opened from a worklist, the review kept in each Result folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from digital_result import LESIONS, MISSED, SHAPE, SPACING, ball, write_result
from slicer_scene import Application, geometry

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

import slicer
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.patient.exchange import writeVolume
from MyelinSynthLib.review.segments import setMask
from MyelinSynthLib.review.table import ACCEPTED, EDITED, FLAGGED, REJECTED
from MyelinSynthLib.review.worklist import readWorklist
from MyelinSynthLib.run.batch import WORKLIST_FILE
from MyelinSynthLib.scene import provenance
from MyelinSynthLib.scene.geometry import ijkToRas
from stand_in_host import Host
from test_module_panel import host, widget  # noqa: F401 - fixtures
from test_module_scene import makePatient


@pytest.fixture
def results(application: Application, tmp_path: Path) -> Path:
    """The results folder of a batch of two patients with two lesions each."""
    folder, listed = tmp_path / "résultats", {}
    for label in ("sub-01", "sub-02"):
        patient, files = makePatient(), {}
        for role in ("t1w", "flair", "lesions"):
            path = tmp_path / f"{label}_{role}.nrrd"
            node = getattr(patient, role)
            writeVolume(node, ijkToRas(node), path, role)
            files[role] = str(path)
        write_result(folder / f"{label}_result", Path(files["t1w"]), Path(files["lesions"]))
        listed[label] = {"files": files, "flair_to_t1": None}
    listed["sub-03"] = {"files": files, "flair_to_t1": None}  # whose synthesis failed
    (folder / WORKLIST_FILE).write_text(json.dumps(listed), encoding="utf-8")
    slicer.mrmlScene.Clear(0)
    return folder


def test_patients_are_reviewed_one_after_the_other_and_kept(host: Host, widget: Any, results: Path) -> None:
    ui, panel = widget.ui, widget.reviewPanel
    host.answers = [str(results)]
    ui.openWorklistButton.click()
    assert not host.messages, host.messages
    assert [ui.worklistBox.itemText(line) for line in range(2)] == ["sub-01 (0 / 2)", "sub-02 (0 / 2)"]
    assert ui.worklistBox.count == 2
    assert ui.worklistLabel.text == "0 of 2 patients reviewed"
    panel.decide(ACCEPTED)
    ui.commentEdit.text = "=odd, isn't it"
    panel.onComment()
    panel.decide(FLAGGED)
    assert ui.worklistBox.currentText == "sub-01 (2 / 2)"
    before = slicer.mrmlScene.GetNumberOfNodes()
    ui.nextPatientButton.click()
    assert ui.worklistBox.currentText == "sub-02 (0 / 2)"
    assert widget._parameterNode.t1w is widget.displayPanel.nodes["dvr"].GetNodeReference("MyelinSynth.T1w")
    assert slicer.mrmlScene.GetNumberOfNodes() <= before + 2, "the first patient has left the scene"
    panel.decide(REJECTED)

    slicer.mrmlScene.Clear(0)
    host.answers = [str(results)]
    ui.openWorklistButton.click()
    assert ui.worklistBox.currentText == "sub-02 (1 / 2)", "the first who is not finished"
    assert panel.review.state(0) == REJECTED
    ui.worklistBox.setCurrentIndex(0)
    assert [panel.review.state(row) for row in (0, 1)] == [ACCEPTED, FLAGGED]
    assert panel.review.comment(1) == "=odd, isn't it"
    assert not host.messages


def test_a_review_that_cannot_be_saved_stays_open(host: Host, widget: Any, results: Path) -> None:
    result, ui, panel = results / "sub-01_result", widget.ui, widget.reviewPanel
    reopen(host, widget, results)
    ui.commentEdit.text = "kept without a decision"
    panel.onComment()
    assert "kept without a decision" in (result / "review.csv").read_text(encoding="utf-8")
    shutil.rmtree(result)
    result.write_text("a file where the folder was")
    panel.decide(ACCEPTED)
    panel.decide(FLAGGED)
    assert len(host.messages) == 1, "once, not at every decision"
    assert "cannot be saved" in host.messages[0]
    assert str(result) in ui.worklistLabel.text
    ui.nextPatientButton.click()
    assert len(host.messages) == 2
    assert ui.worklistBox.currentText.startswith("sub-01")
    assert [panel.review.state(row) for row in (0, 1)] == [ACCEPTED, FLAGGED], "the patient is still open"
    host.messages.clear()
    result.unlink()
    ui.nextPatientButton.click()
    assert not host.messages
    assert ui.worklistBox.currentText.startswith("sub-02")
    ui.worklistBox.setCurrentIndex(0)
    assert [panel.review.state(row) for row in (0, 1)] == [ACCEPTED, FLAGGED], "the whole Result was written again"


def reopen(host: Host, widget: Any, results: Path) -> Any:
    """An empty scene, and the worklist again; returns the review of its first patient."""
    slicer.mrmlScene.Clear(0)
    host.answers = [str(results)]
    widget.ui.openWorklistButton.click()
    assert not host.messages, host.messages
    return widget.reviewPanel


def test_every_edit_of_an_outline_is_kept_the_second_one_too(host: Host, widget: Any, results: Path) -> None:
    result = results / "sub-01_result"
    (result / "viewer.html").write_text("as it was")
    (result / "dicom").mkdir()
    (result / "dicom" / "map.dcm").write_bytes(b"map")
    panel = reopen(host, widget, results)
    for radius in (0.9, 2.5):
        centre, size, _dvr = LESIONS[1]
        mask = ball(geometry("LPS", SPACING, SHAPE), SHAPE, centre, size + radius).transpose(2, 1, 0)
        setMask(panel.nodes["lesions"], 2, mask, panel.nodes["dvr"])
        panel.onEdited()
        assert panel.review.outline(1) == EDITED
    volume = panel.review.number(1, "volume_mm3")
    panel = reopen(host, widget, results)
    assert panel.review.number(1, "volume_mm3") == volume
    panel.onEdited()
    assert panel.review.outline(1) == EDITED
    assert panel.review.number(1, "volume_mm3") == volume, "outline and row belong together"
    assert (result / "before_edit" / "viewer.html").read_text() == "as it was"
    assert (result / "before_edit" / "dicom" / "map.dcm").read_bytes() == b"map"
    assert not (result / "viewer.html").exists(), "it would show the lesions from before the edit"


def test_lesions_that_were_found_added_rejected_and_split_are_kept(
    host: Host, widget: Any, results: Path, tmp_path: Path
) -> None:
    shutil.rmtree(results / "sub-01_result")
    write_result(results / "sub-01_result", tmp_path / "sub-01_t1w.nrrd", None, found=True)
    panel = reopen(host, widget, results)
    assert provenance.hasNetworkLesions(panel.nodes)
    panel.choose(panel.review.rowOf(2))
    panel.decide(REJECTED)
    panel.onClick(list(MISSED[0]))
    assert len(panel.review) == 3, widget.ui.editsLabel.text
    panel.ui.reviewTable._real.clearSelection()
    for lesion in (1, 3):
        panel.ui.reviewTable._real.item(panel._rows.order.index(panel.review.rowOf(lesion)), 0).setSelected(True)
    panel.ui.mergeButton.click()
    panel.ui.splitButton.click()
    panel.decide(FLAGGED)
    rows = {panel.review.lesion(row): panel.review.values(row) for row in range(len(panel.review))}
    assert len(rows) == 3
    panel = reopen(host, widget, results)
    widget.ui.worklistBox.setCurrentIndex(0)
    panel.onEdited()
    again = {panel.review.lesion(row): panel.review.values(row) for row in range(len(panel.review))}
    assert again == rows
    assert widget.ui.resultLabel.text.startswith("Found automatically, to be reviewed: 2 lesions")


def test_a_folder_that_is_none_is_said(host: Host, widget: Any, tmp_path: Path) -> None:
    with pytest.raises(SynthesisError, match="not a results folder"):
        readWorklist(tmp_path)
    host.answers = [str(tmp_path), ""]
    widget.ui.openWorklistButton.click()
    assert WORKLIST_FILE in host.messages.pop()
    widget.ui.openWorklistButton.click()
    assert not widget.ui.nextPatientButton.enabled


def test_a_patient_whose_images_are_gone_is_said_and_leaves_nothing(host: Host, widget: Any, results: Path) -> None:
    for path in results.parent.glob("sub-01_*.nrrd"):
        path.unlink()
    before = slicer.mrmlScene.GetNumberOfNodes()
    host.answers = [str(results)]
    widget.ui.openWorklistButton.click()
    assert "sub-01_t1w" in host.messages.pop()
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    widget.ui.worklistBox.setCurrentIndex(1)
    assert widget.ui.worklistBox.currentText == "sub-02 (0 / 2)"


def test_decisions_are_kept_after_the_next_patient_could_not_be_opened(host: Host, widget: Any, results: Path) -> None:
    host.answers = [str(results)]
    widget.ui.openWorklistButton.click()
    for path in results.parent.glob("sub-02_*.nrrd"):
        path.unlink()
    nodes = slicer.mrmlScene.GetNumberOfNodes()
    widget.ui.nextPatientButton.click()
    assert "sub-02_t1w" in host.messages.pop()
    assert widget.ui.worklistBox.currentText == "sub-01 (0 / 2)"
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    widget.reviewPanel.decide(REJECTED)
    assert "rejected" in (results / "sub-01_result" / "review.csv").read_text(encoding="utf-8")
    assert widget.ui.worklistBox.currentText == "sub-01 (1 / 2)"


def test_what_was_edited_elsewhere_is_all_said_on_return(host: Host, widget: Any, results: Path) -> None:
    panel = reopen(host, widget, results)
    panel.setOpen(False)
    for lesion in (2, 1):
        centre, size, _dvr = LESIONS[lesion - 1]
        mask = ball(geometry("LPS", SPACING, SHAPE), SHAPE, centre, size + 0.9).transpose(2, 1, 0)
        setMask(panel.nodes["lesions"], lesion, mask, panel.nodes["dvr"])
        panel.onEdited()
    panel.setOpen(True)
    panel.onEdited()
    assert all(f"Lesion {lesion} was edited" in widget.ui.editsLabel.text for lesion in (1, 2))


@pytest.mark.parametrize("name", ["review.csv", "lesions.csv"])
def test_a_table_that_is_not_utf8_is_said_when_its_patient_is_opened_and_stops_nobody_else(
    name: str, host: Host, widget: Any, results: Path
) -> None:
    host.answers = [str(results)]
    widget.ui.openWorklistButton.click()
    (results / "sub-02_result" / name).write_bytes("lesion,comment\r\n1,d\xe9j\xe0 vu\r\n".encode("cp1252"))
    widget.reviewPanel.decide(REJECTED)
    assert widget.ui.worklistBox.currentText == "sub-01 (1 / 2)"
    assert widget.ui.worklistBox.itemText(1) == "sub-02 (cannot be read)"
    widget.ui.nextPatientButton.click()
    assert name in host.messages.pop()
    assert not host.messages
    assert widget.ui.worklistBox.currentText == "sub-01 (1 / 2)"
    host.answers = [str(results)]
    widget.ui.openWorklistButton.click()
    assert widget.ui.worklistBox.currentText == "sub-01 (1 / 2)"
    assert "rejected" in (results / "sub-01_result" / "review.csv").read_text(encoding="utf-8")


def test_the_dataset_of_bids_app_is_a_worklist_too(application: Application, tmp_path: Path) -> None:
    results = tmp_path / "derivatives" / "results"
    (results / "sub-01_ses-1").mkdir(parents=True)
    one = {"files": {"t1w": "t1w.nii.gz"}, "flair_to_t1": None}
    listed = {label: one | {"result": label} for label in ("sub-01_ses-1", "sub-02_ses-1")}  # the second one failed
    (results / WORKLIST_FILE).write_text(json.dumps(listed), encoding="utf-8")
    for folder in (results.parent, results):
        [entry] = readWorklist(folder)
        assert entry.result == results / "sub-01_ses-1"
