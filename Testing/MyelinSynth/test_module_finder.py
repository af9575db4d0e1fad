# ruff: noqa: F811 - fixtures that are imported
"""With the models of the extension: from no lesion mask to a review that is exported and opened again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
pytest.importorskip("torch", reason="PyTorch is not installed")

import slicer
from MyelinSynthLib.display.views import COLOURS_OF_STATE
from MyelinSynthLib.patient import sampledata
from MyelinSynthLib.review.edits import NOT_AGAIN
from MyelinSynthLib.review.segments import labelsOnGrid, segmentsByLesion
from MyelinSynthLib.review.table import ACCEPTED, ADDED, FLAGGED, MERGED, REJECTED, SPLIT, UNREVIEWED
from MyelinSynthLib.scene import provenance
from MyelinSynthLib.scene.geometry import addVolume, ijkToRas
from stand_in_host import Host
from test_module_found import clickInView
from test_module_panel import host, synthesize, until, widget  # noqa: F401 - fixtures
from test_module_reviewpanel import cell, press, titles

PATIENCE_SECONDS = 300.0
COARSER = 2  # voxels of the sample patient that are averaged along each axis: a third of the time
NOT_ESTIMATED = {"uncertainty", "dvr_low", "dvr_high"}
ALIGNED = 1  # the second choice of the box: the simulated images lie on each other


def loadPatient(application: Application) -> Any:
    """T1w and FLAIR of the sample patient, with larger voxels; the lesions are somewhere in them."""
    patient = sampledata.loadSamplePatient()
    pair = []
    for name, given in (("T1w", patient.t1w), ("FLAIR", patient.flair)):
        array, matrix = slicer.util.arrayFromVolume(given), ijkToRas(given)
        trimmed = array[tuple(slice(0, size // COARSER * COARSER) for size in array.shape)].astype(np.float32)
        blocks = trimmed.reshape([part for size in trimmed.shape for part in (size // COARSER, COARSER)])
        coarse = matrix @ np.diag([COARSER] * 3 + [1.0])
        coarse[:3, 3] = (matrix @ [*[(COARSER - 1) / 2] * 3, 1.0])[:3]
        pair.append(addVolume("vtkMRMLScalarVolumeNode", name, blocks.mean(axis=(1, 3, 5)), coarse))
    for node in (patient.t1w, patient.flair, patient.lesions, patient.dvr):
        slicer.mrmlScene.RemoveNode(node)
    return pair


def choose(widget: Any, pair: Any) -> None:
    for selector, node in zip(("t1wSelector", "flairSelector"), pair):
        getattr(widget.ui, selector).setCurrentNode(node)
    for selector in ("lesionsSelector", "dvrSelector", "brainSelector"):
        getattr(widget.ui, selector).setCurrentNode(None)
    widget.ui.alignmentBox.setCurrentIndex(ALIGNED)


def state(widget: Any) -> dict[int, dict[str, Any]]:
    """Everything of the review by lesion: the cells, the colour of the segment and its voxels."""
    nodes, review = widget.reviewPanel.nodes, widget.reviewPanel.review
    segments, layers = segmentsByLesion(nodes["lesions"]), labelsOnGrid(nodes["lesions"], nodes["dvr"])
    rows = {review.lesion(row): review.values(row) for row in range(len(review))}
    for lesion, values in rows.items():
        values["colour"] = tuple(round(part, 3) for part in segments[lesion].GetColor())
        values["voxels"] = sum(int((layer == lesion).sum()) for layer in layers)
    return rows


def assertSame(before: dict[int, dict[str, Any]], after: dict[int, dict[str, Any]]) -> None:
    assert sorted(before) == sorted(after)
    for lesion, values in before.items():
        for name, value in values.items():
            wanted = pytest.approx(value, rel=1e-4) if isinstance(value, float) else value
            assert after[lesion][name] == wanted, (lesion, name)


def rowsOf(widget: Any, *states: str) -> list[int]:
    review = widget.reviewPanel.review
    return [review.lesion(row) for row in range(len(review)) if review.state(row) in states]


def counted(widget: Any) -> int:
    """How many lesions the sentence under the synthesis counts."""
    words = widget.ui.resultLabel.text.removeprefix("Found automatically, to be reviewed: ")
    return int(words.split(" ")[0])


def missed(nodes: dict[str, Any]) -> tuple[float, ...]:
    """World position of the voxel outside every lesion that the network is surest about."""
    probability = slicer.util.arrayFromVolume(nodes["probability"]).copy()
    for layer in labelsOnGrid(nodes["lesions"], nodes["dvr"]):
        probability[layer > 0] = 0
    index = np.unravel_index(int(probability.argmax()), probability.shape)
    return tuple((ijkToRas(nodes["dvr"]) @ [*map(float, index[::-1]), 1.0])[:3])


def sortBy(widget: Any, title: str) -> list[str]:
    column = next(index for index, one in enumerate(titles(widget)) if one.startswith(title))
    widget.ui.reviewTable.horizontalHeader()._real.sectionClicked.emit(column)
    return [cell(widget, line, column) for line in range(widget.ui.reviewTable.rowCount)]


def synthesizeWithoutMask(host: Host, application: Application, widget: Any) -> dict[int, dict[str, Any]]:
    """Click Synthesize for the sample patient without its lesion mask; returns the lesions of the network."""
    choose(widget, loadPatient(application))
    widget.ui.synthesizeButton.click()
    until(host, lambda: not widget.runPanel.running, PATIENCE_SECONDS)
    assert not host.messages, host.messages
    assert "MyelinSynth lesion finder" in widget.ui.warningLabel.text
    lesions = state(widget)
    assert len(lesions) >= 4
    assert counted(widget) == len(lesions) == widget.ui.reviewTable.rowCount
    for lesion, values in lesions.items():
        assert values["region"], lesion
        assert {name for name, value in values.items() if value is None} <= NOT_ESTIMATED
        assert values["voxels"]
    return lesions


def rejectTheDoubtful(widget: Any) -> int:
    """Sort by size and by confidence, and reject the lesion of the lowest confidence; returns its number."""
    volumes = [float(text) for text in sortBy(widget, "Volume")]
    assert volumes == sorted(volumes)
    shares = [float(text.rstrip("%")) for text in sortBy(widget, "Confidence")]
    assert shares == sorted(shares)
    panel, before = widget.reviewPanel, counted(widget)
    panel.begin()
    doubtful = panel.review.lesion(panel.currentRow())
    press(widget, "reviewTable", "R")
    assert rowsOf(widget, REJECTED) == [doubtful]
    assert counted(widget) == before - 1
    return doubtful


def addMissed(host: Host, widget: Any, number: int) -> None:
    """Add a lesion where the network hesitated, and accept it."""
    panel, before = widget.reviewPanel, counted(widget)
    press(widget, "reviewTable", "N")
    clickInView(host, missed(panel.nodes))
    assert panel.review.lesion(panel.currentRow()) == number
    assert counted(widget) == before + 1
    rows = state(widget)
    assert rows[number]["outline"] == ADDED
    assert rows[number]["region"]
    blank = {name for name, value in rows[number].items() if value is None}
    assert blank <= {*NOT_ESTIMATED, *NOT_AGAIN, *(name for name in rows[1] if rows[1][name] is None)}
    press(widget, "reviewTable", "A")


def mergeAndSplit(widget: Any, first: int, second: int) -> None:
    """Merge two lesions, split them again, and flag the first with a comment."""
    panel, ui, lesions, before = widget.reviewPanel, widget.ui, state(widget), counted(widget)
    ui.reviewTable._real.clearSelection()
    for lesion in (first, second):
        ui.reviewTable._real.item(panel._rows.order.index(panel.review.rowOf(lesion)), 0).setSelected(True)
    press(widget, "reviewTable", "M")
    assert counted(widget) == before - 1
    merged = state(widget)[first]
    assert merged["outline"] == MERGED
    assert merged["voxels"] == lesions[first]["voxels"] + lesions[second]["voxels"]
    press(widget, "reviewTable", "S")
    assert counted(widget) >= before
    assert state(widget)[first]["outline"] == SPLIT
    press(widget, "reviewTable", "F")
    ui.commentEdit.text = "=two, or one?"
    panel.onComment()


def exportAndReopen(host: Host, application: Application, widget: Any, folder: Path) -> Path:
    """Export, save the scene, and open the export in an empty scene; returns the saved scene."""
    ui = widget.ui
    ui.exportFolderEdit.text, ui.exportNameEdit.text = str(folder), "reviewed"
    ui.exportButton.click()
    assert not host.messages, host.messages
    scene = folder / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(scene))
    slicer.mrmlScene.Clear(0)
    choose(widget, loadPatient(application))
    host.answers = [str(folder / "reviewed_result")]
    ui.openResultButton.click()
    assert not host.messages, host.messages
    until(host, lambda: not widget.reviewPanel._timer.active)
    return scene


def test_no_mask_to_a_reviewed_export_with_the_models_of_the_extension(
    host: Host, application: Application, widget: Any, tmp_path: Path
) -> None:
    host.openViews(application)
    panel, ui = widget.reviewPanel, widget.ui
    lesions = synthesizeWithoutMask(host, application, widget)
    doubtful, added = rejectTheDoubtful(widget), max(lesions) + 1
    addMissed(host, widget, added)
    first, second = sorted(set(lesions) - {doubtful})[:2]
    mergeAndSplit(widget, first, second)
    until(host, lambda: not panel._timer.active)
    before, sentence = state(widget), ui.resultLabel.text
    assert rowsOf(widget, FLAGGED) == [first]
    assert rowsOf(widget, ACCEPTED) == [added]

    scene = exportAndReopen(host, application, widget, tmp_path)
    assertSame(before, state(widget))
    assert ui.resultLabel.text == sentence
    assert state(widget)[doubtful]["colour"] == tuple(round(part, 3) for part in COLOURS_OF_STATE[REJECTED])
    assert provenance.hasNetworkLesions(panel.nodes)

    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(scene))
    until(host, lambda: panel.review is not None and not panel._timer.active)
    assertSame(before, state(widget))
    assert ui.resultLabel.text == sentence
    assert len(rowsOf(widget, UNREVIEWED)) == len(before) - 3
