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


def test_no_mask_to_a_reviewed_export_with_the_models_of_the_extension(
    host: Host, application: Application, widget: Any, tmp_path: Path
) -> None:
    host.openViews(application)
    pair, ui, panel = loadPatient(application), widget.ui, widget.reviewPanel
    choose(widget, pair)
    ui.synthesizeButton.click()
    until(host, lambda: not widget.runPanel.running, PATIENCE_SECONDS)
    assert not host.messages, host.messages
    assert "MyelinSynth lesion finder" in ui.warningLabel.text
    found = state(widget)
    assert len(found) >= 4
    assert counted(widget) == len(found) == ui.reviewTable.rowCount
    for lesion, values in found.items():
        assert values["region"], lesion
        assert {name for name, value in values.items() if value is None} <= {"uncertainty", "dvr_low", "dvr_high"}
        assert values["voxels"]

    # Sorted by size and by confidence
    volumes = [float(text) for text in sortBy(widget, "Volume")]
    assert volumes == sorted(volumes)
    shares = [float(text.rstrip("%")) for text in sortBy(widget, "Confidence")]
    assert shares == sorted(shares)

    # The doubtful one is rejected
    panel.begin()
    doubtful = panel.review.lesion(panel.currentRow())
    press(widget, "reviewTable", "R")
    assert rowsOf(widget, REJECTED) == [doubtful]
    assert counted(widget) == len(found) - 1

    # One is added where the network hesitated
    press(widget, "reviewTable", "N")
    clickInView(host, missed(panel.nodes))
    added = max(found) + 1
    assert panel.review.lesion(panel.currentRow()) == added
    assert counted(widget) == len(found)
    now = state(widget)
    assert now[added]["outline"] == ADDED
    assert now[added]["region"]
    blank = {name for name, value in now[added].items() if value is None}
    assert blank <= {"uncertainty", "dvr_low", "dvr_high"} | {name for name in now[1] if now[1][name] is None}
    press(widget, "reviewTable", "A")

    # Two become one, which is divided again
    first, second = sorted(set(found) - {doubtful})[:2]
    ui.reviewTable._real.clearSelection()
    for lesion in (first, second):
        ui.reviewTable._real.item(panel._rows.order.index(panel.review.rowOf(lesion)), 0).setSelected(True)
    press(widget, "reviewTable", "M")
    assert counted(widget) == len(found) - 1
    assert state(widget)[first]["outline"] == MERGED
    assert state(widget)[first]["voxels"] == found[first]["voxels"] + found[second]["voxels"]
    press(widget, "reviewTable", "S")
    after = state(widget)
    assert counted(widget) >= len(found)
    assert after[first]["outline"] == SPLIT
    press(widget, "reviewTable", "F")
    ui.commentEdit.text = "=two, or one?"
    panel.onComment()
    until(host, lambda: not panel._timer.active)
    before = state(widget)
    assert rowsOf(widget, FLAGGED) == [first]
    assert rowsOf(widget, ACCEPTED) == [added]
    sentence = ui.resultLabel.text

    # Exported, and opened again in an empty scene
    ui.exportFolderEdit.text, ui.exportNameEdit.text = str(tmp_path), "reviewed"
    ui.exportButton.click()
    assert not host.messages, host.messages
    bundle = tmp_path / "scene.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(bundle))
    slicer.mrmlScene.Clear(0)
    choose(widget, loadPatient(application))
    host.answers = [str(tmp_path / "reviewed_result")]
    ui.openResultButton.click()
    assert not host.messages, host.messages
    until(host, lambda: not panel._timer.active)
    assertSame(before, state(widget))
    assert ui.resultLabel.text == sentence
    assert state(widget)[doubtful]["colour"] == tuple(round(part, 3) for part in COLOURS_OF_STATE[REJECTED])
    assert provenance.hasNetworkLesions(panel.nodes)

    # The saved scene, too
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(bundle))
    until(host, lambda: panel.review is not None and not panel._timer.active)
    assertSame(before, state(widget))
    assert ui.resultLabel.text == sentence
    assert len(rowsOf(widget, UNREVIEWED)) == len(before) - 3
