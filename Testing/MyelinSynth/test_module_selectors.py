# ruff: noqa: F811 - fixtures that are imported
"""Images that only some models need: a selector for each input of the model's card, and nothing else to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

import slicer
from MyelinSynthLib.export.files import Export, writeExport
from MyelinSynthLib.scene.geometry import addVolume, ijkToRas
from stand_in_host import Host
from test_module_finder import ALIGNED, PATIENCE_SECONDS, loadPatient
from test_module_models import writeBundle
from test_module_panel import choosePatient, host, until, widget  # noqa: F401 - fixtures

from Testing.untrained import untrained_bundle


def addModel(widget: Any, host: Host, bundle: Path) -> None:
    """By the button of the panel; the model is chosen then."""
    host.answers = [str(bundle)]
    widget.ui.addModelFolderButton.click()
    assert not host.messages, host.messages


def row(widget: Any, name: str) -> Any:
    return widget.patientPanel.selectors._rows[name]


def offered(widget: Any) -> list[str]:
    """Inputs whose selector can be seen once the panel is shown."""
    rows = widget.patientPanel.selectors._rows
    return [name for name in rows if not rows[name].selector._real.isHidden()]


def test_selectors_come_and_go_with_the_model(host: Host, widget: Any, tmp_path: Path) -> None:
    choosePatient(widget)
    assert offered(widget) == []
    addModel(widget, host, writeBundle(tmp_path / "three", name="three", inputs=["t1w", "flair", "t2w"]))
    assert offered(widget) == ["t2w"]
    assert row(widget, "t2w").label.text == "T2w:"
    assert not widget.ui.synthesizeButton.enabled
    assert row(widget, "t2w").note.text == "Choose the T2w."
    widget.ui.modelBox.setCurrentIndex(0)
    assert offered(widget) == []
    assert widget.ui.synthesizeButton.enabled


def test_the_rows_lie_below_the_flair_and_a_choice_is_checked(host: Host, widget: Any, tmp_path: Path) -> None:
    patient = choosePatient(widget)
    addModel(widget, host, writeBundle(tmp_path / "two", name="two more", inputs=["t1w", "flair", "t2w", "mtr"]))
    host.window.resize(420, 1600)
    host.window.show()
    host.process()
    titles = ["flairSelectorLabel", "T2w:", "MTR:", "lesionsSelectorLabel"]
    labels = [getattr(widget.ui, title)._real if hasattr(widget.ui, title) else None for title in titles]
    labels[1:3] = [row(widget, name).label._real for name in ("t2w", "mtr")]
    heights = [label.mapTo(host.window, label.rect().topLeft()).y() for label in labels]
    assert heights == sorted(set(heights))
    row(widget, "t2w").selector.setCurrentNode(patient.t1w)
    assert "same volume" in row(widget, "t2w").note.text
    assert not row(widget, "t2w").note._real.isHidden()


def test_a_model_with_an_input_outside_the_table_is_refused_with_a_sentence(
    host: Host, widget: Any, tmp_path: Path
) -> None:
    addModel(widget, host, writeBundle(tmp_path / "odd", inputs=["t1w", "flair", "susceptibility"]))
    assert "needs susceptibility, which Slicer has no selector for" in widget.ui.modelNote.text
    assert offered(widget) == []


def test_choices_are_made_by_name_and_kept_in_the_saved_scene(
    host: Host, application: Application, widget: Any, tmp_path: Path
) -> None:
    choosePatient(widget)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "sub-01_T2w")
    addModel(widget, host, writeBundle(tmp_path / "three", inputs=["t1w", "flair", "t2w"]))
    assert row(widget, "t2w").selector.currentNode().GetName() == "sub-01_T2w"
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"))
    widget.ui.modelBox.setCurrentIndex(0)
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    widget.initializeParameterNode()
    assert offered(widget) == ["t2w"]
    assert row(widget, "t2w").selector.currentNode().GetName() == "sub-01_T2w"


def test_a_map_is_made_of_three_images_and_the_result_keeps_their_transforms(
    host: Host, application: Application, widget: Any, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    t1w, flair = loadPatient(application)
    t2w = addVolume("vtkMRMLScalarVolumeNode", "T2w", 900 - slicer.util.arrayFromVolume(t1w), ijkToRas(t1w))
    widget.ui.t1wSelector.setCurrentNode(t1w)
    widget.ui.flairSelector.setCurrentNode(flair)
    widget.ui.alignmentBox.setCurrentIndex(ALIGNED)
    widget.ui.findLesionsBox.checked = False
    addModel(widget, host, untrained_bundle(tmp_path / "bundle", ("t1w", "flair", "t2w")))
    assert row(widget, "t2w").selector.currentNode() is t2w
    widget.ui.synthesizeButton.click()
    until(host, lambda: not widget.runPanel.running, PATIENCE_SECONDS)
    assert not host.messages, host.messages
    nodes = widget.displayPanel.nodes
    assert np.isfinite(slicer.util.arrayFromVolume(nodes["dvr"])).all()
    writeExport(nodes, Export(tmp_path, "three"))
    exported = tmp_path / "three_result"
    assert {path.name for path in exported.glob("*.tfm")} == {"flair_to_t1.tfm", "t2w_to_t1.tfm"}
