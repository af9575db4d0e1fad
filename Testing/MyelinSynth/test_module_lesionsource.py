# ruff: noqa: F811 - fixtures that are imported
"""Where the lesions of a synthesis come from: a given mask, the network, or nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

import slicer
from MyelinSynthLib.run.synthesis import Synthesis
from MyelinSynthLib.scene import provenance
from slicer_scene import Application
from stand_in_host import Host
from test_module_panel import child, choosePatient, host, synthesize, widget  # noqa: F401 - fixtures
from test_module_scene import makePatient
from test_module_synthesis import FINDS, makeStandIn


def test_lesions_are_looked_for_unless_switched_off(host: Host, widget: Any, child: Callable[[str], None]) -> None:
    ui = widget.ui
    choosePatient(widget)
    ui.lesionsSelector.setCurrentNode(None)
    child(FINDS)
    assert (ui.findLesionsBox.checked, ui.findLesionsBox.enabled) == (True, True)
    assert ui.findLesionsBox.text == "Find lesions automatically"
    synthesize(host, widget)
    assert provenance.hasNetworkLesions(widget.reviewPanel.nodes)
    ui.findLesionsBox.click()
    assert ui.findLesionsBox.text.endswith("(off: no table)")
    synthesize(host, widget)
    assert not host.messages, host.messages
    assert "lesions" not in widget.reviewPanel.nodes
    outlines = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert [one.GetDisplayNode().GetVisibility() for one in outlines] == [0], "those of the map before are not shown"
    assert ui.reviewLabel.text == "No lesions to review"
    assert ui.resultLabel.text.startswith("No lesion mask was given and lesions were not segmented.")
    assert not ui.addButton.enabled


def test_a_given_mask_wins_whatever_the_switch_says(host: Host, widget: Any, child: Callable[[str], None]) -> None:
    ui = widget.ui
    patient = choosePatient(widget)
    child(FINDS)
    assert not ui.findLesionsBox.enabled, "it has no effect"
    for find in (True, False):
        widget._parameterNode.findLesions = find
        synthesize(host, widget)
        assert not provenance.hasNetworkLesions(widget.reviewPanel.nodes)
        assert len(widget.reviewPanel.review) == 2
        outlines = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        shown = [one for one in outlines if one.GetDisplayNode().GetVisibility()]
        assert shown == [widget.reviewPanel.nodes["lesions"]]
    ui.lesionsSelector.setCurrentNode(None)
    assert ui.findLesionsBox.enabled
    ui.lesionsSelector.setCurrentNode(patient.lesions)
    assert not ui.findLesionsBox.enabled


def test_a_script_can_switch_it_off(application: Application, tmp_path: Path) -> None:
    patient = makePatient()
    patient.lesions = None
    outputs = Synthesis(patient, findLesions=False, folder=tmp_path, python=makeStandIn(tmp_path, FINDS)).run()
    assert outputs.segmentation is None
    assert provenance.get(outputs.dvr, "LesionSource") == provenance.NONE
