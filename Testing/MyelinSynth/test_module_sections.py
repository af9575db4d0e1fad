# ruff: noqa: F811 - fixtures that are imported
"""Patient, Model and Myelin map, clicked through in the stand-in host: what is seen while choosing and waiting."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
if os.name == "nt":
    pytest.skip("the stand-in interpreter is a POSIX script", allow_module_level=True)

import slicer
import vtk
from MyelinSynthLib.model.bundles import userModelFolder
from MyelinSynthLib.patient import sampledata
from MyelinSynthLib.run import devices
from MyelinSynthLib.scene import provenance
from PySide6 import QtGui
from stand_in_host import Host
from test_module_models import writeBundle, zipped
from test_module_panel import child, choosePatient, host, synthesize, until, widget  # noqa: F401 - fixtures
from test_module_synthesis import SLEEPS, WORKS

TELLS = """import json, pathlib, sys
pathlib.Path(__file__).with_name("arguments.json").write_text(json.dumps(sys.argv))
sys.exit("error: Stopped for the test.")
"""
PIP_THEN_WORKS = f"""import sys, time
if sys.argv[2] in ("pip", "light_the_torch"):
    print("Downloading", sys.argv[4], flush=True)
    time.sleep(0.3)
    sys.exit(0)
{WORKS}"""
PIP_SLEEPS = """import sys, time
if sys.argv[2] == "pip":
    print("Downloading", flush=True)
    time.sleep(SECONDS)
    sys.exit(0)
"""


def temporaryFiles() -> list[Path]:
    return list(Path(slicer.app.temporaryPath).iterdir())


def processesOfSession(leader: int) -> list[int]:
    """Every living process of the session that a child leads: the whole tree, whoever its parent is."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, _group, session = entry.read_text().rsplit(")", 1)[1].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(session) == leader and state != "Z":
            found.append(int(entry.parent.name))
    return found


def test_the_sample_patient_is_one_click_away(host: Host, widget: Any) -> None:
    widget.ui.samplePatientButton.click()
    assert widget.ui.synthesizeButton.enabled
    chosen = [widget.ui.t1wSelector, widget.ui.flairSelector, widget.ui.lesionsSelector, widget.ui.dvrSelector]
    assert all("Simulated" in selector.currentNode().GetName() for selector in chosen)
    assert len({selector.currentNode().GetID() for selector in chosen}) == 4
    widget.ui.samplePatientButton.click()
    assert widget.ui.synthesizeButton.enabled, "a second time is another patient of the same kind"
    until(host, lambda: not widget.patientPanel._timer.active)
    assert widget.ui.flairNote.text == ""


def test_the_panel_fits_beside_the_views(host: Host, widget: Any) -> None:
    """400 pixels with a font in which this sentence takes 301: wider, and rows hide behind a scroll bar."""
    sentence = "Synthesize a myelin map from T1w and FLAIR MRI"
    font = QtGui.QFontMetrics(host.window.font()).horizontalAdvance(sentence) / 301
    for name in ("resultLabel", "changeLabel"):  # the summary of a comparison made the real panel 627 pixels wide
        getattr(widget.ui, name).text = 12 * "Demyelination index (lesional voxels that became demyelinated). "
    assert host.window.minimumSizeHint().width() <= 400 * max(font, 1.0)


def test_transforms_of_the_general_class_can_be_chosen(host: Host, widget: Any) -> None:
    """As registration modules make them, and files give them; one that is not linear is told at once."""
    widget.ui.samplePatientButton.click()
    linear, warped = (slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", name) for name in ("rigid", "warp"))
    inside = vtk.vtkTransform()
    inside.Translate(3, 0, 0)
    linear.SetAndObserveTransformToParent(inside)
    warped.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    widget.ui.alignmentBox.setCurrentIndex(2)
    assert not widget.ui.synthesizeButton.enabled
    widget.ui.transformSelector.setCurrentNode(linear)
    assert widget._parameterNode.transform is linear
    assert widget.ui.synthesizeButton.enabled
    widget.ui.transformSelector.setCurrentNode(warped)
    assert not widget.ui.synthesizeButton.enabled
    assert "not linear" in widget.ui.transformNote.text


def test_swapped_contrasts_are_noticed_a_moment_later(host: Host, widget: Any) -> None:
    patient = sampledata.loadSamplePatient()
    before = time.process_time()
    widget.ui.t1wSelector.setCurrentNode(patient.flair)
    widget.ui.flairSelector.setCurrentNode(patient.t1w)
    assert time.process_time() - before < 0.5, "choosing stays instant"
    assert widget.ui.flairNote.text == ""
    until(host, lambda: widget.ui.flairNote.text)
    assert "swapped" in widget.ui.flairNote.text
    assert widget.ui.flairNote.text.startswith("Warning")
    assert not widget.ui.flairNote.isHidden()
    assert widget.ui.synthesizeButton.enabled, "a warning is no refusal"
    widget.ui.flairSelector.setCurrentNode(patient.flair)
    widget.ui.t1wSelector.setCurrentNode(patient.t1w)
    until(host, lambda: not widget.patientPanel._timer.active)
    assert widget.ui.flairNote.text == ""


def test_the_scene_may_close_before_the_look_at_the_voxels(host: Host, widget: Any) -> None:
    widget.ui.samplePatientButton.click()
    slicer.mrmlScene.Clear(0)
    for _turn in range(50):
        host.process()
        time.sleep(0.01)
    assert not widget.patientPanel._timer.active


def test_the_sample_patient_is_offered_in_sample_data(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    from MyelinSynth import MyelinSynth

    given: list[dict[str, Any]] = []
    logic = types.SimpleNamespace(registerCustomSampleDataSource=lambda **options: given.append(options))
    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=logic))
    MyelinSynth(types.SimpleNamespace())
    assert not given
    slicer.app.startupCompleted()
    assert given[0]["sampleName"] == sampledata.NAME


def test_models_are_added_chosen_kept_and_removed(host: Host, widget: Any, tmp_path: Path) -> None:
    before = widget.ui.modelBox.count
    assert not widget.ui.removeModelButton.enabled
    host.answers = [str(zipped(writeBundle(tmp_path / "given"), tmp_path / "model.zip", "x/"))]
    widget.ui.addModelButton.click()
    assert widget.ui.modelBox.count == before + 1
    assert "Site X" in widget.ui.modelBox.currentText
    assert "Site X" in widget.ui.modelCard.text
    parameters = widget.logic.getParameterNode()
    assert Path(parameters.model).parent == userModelFolder()
    widget.exit()
    widget.ui.modelBox.setCurrentIndex(0)
    widget.enter()
    assert "Site X" in widget.ui.modelBox.currentText, "the scene knows its model"
    host.answers = [False]
    widget.ui.removeModelButton.click()
    assert widget.ui.modelBox.count == before + 1, "no means no"
    host.answers = [True]
    widget.ui.removeModelButton.click()
    assert widget.ui.modelBox.count == before
    assert not list(userModelFolder().iterdir())
    assert widget.logic.getParameterNode().model == str(widget.modelPanel.model.path)
    assert not host.messages


def test_the_card_is_short_until_the_whole_one_is_asked_for(host: Host, widget: Any) -> None:
    short = widget.ui.modelCard.text
    assert "not for diagnosis" in short
    assert "lesion level Pearson r" in short
    assert "repeatability" not in short
    widget.ui.wholeCardButton.click()
    whole = widget.ui.modelCard.text
    assert "repeatability" in whole
    assert len(whole) > 3 * len(short)
    widget.ui.wholeCardButton.click()
    assert widget.ui.modelCard.text == short


def test_a_card_that_cannot_be_shown_whole_says_why(host: Host, widget: Any, tmp_path: Path) -> None:
    half = writeBundle(tmp_path / "half", name="half")
    described = json.loads((half / "bundle.json").read_text())
    described["intervals"] = {"level": 0.95, "half_width": [0.1]}  # without its classes of volume
    userModelFolder().mkdir(parents=True, exist_ok=True)
    shutil.copytree(half, userModelFolder() / "half")
    (userModelFolder() / "half" / "bundle.json").write_text(json.dumps(described))
    widget.ui.refreshModelsButton.click()
    widget.ui.modelBox.setCurrentIndex(widget.ui.modelBox.count - 1)
    assert "0.10" in widget.ui.modelCard.text, widget.ui.modelNote.text
    widget.ui.wholeCardButton.click()
    assert widget.ui.modelCard.text == ""
    assert "half cannot be read" in widget.ui.modelNote.text
    widget.ui.wholeCardButton.click()
    assert "0.10" in widget.ui.modelCard.text
    assert widget.ui.modelNote.text == ""


def test_the_list_of_gpus_outlives_the_scene(host: Host, widget: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    late = 'import time; time.sleep(0.5); print(\'{"gpus": ["Late GPU"]}\')'
    until(host, lambda: not widget.runPanel._query.running)
    monkeypatch.setattr(devices, "QUESTION", late)
    widget.runPanel._askAgain()
    slicer.mrmlScene.Clear(0)
    until(host, lambda: any("Late GPU" in widget.ui.deviceBox.itemText(i) for i in range(widget.ui.deviceBox.count)))


def test_a_refused_model_is_said_and_a_closed_dialog_does_nothing(host: Host, widget: Any, tmp_path: Path) -> None:
    bundle = writeBundle(tmp_path / "given")
    (bundle / "weights.safetensors").write_bytes(b"changed")
    host.answers = [str(bundle), ""]
    widget.ui.addModelFolderButton.click()
    assert len(host.messages) == 1
    assert "SHA-256" in host.messages[0]
    widget.ui.addModelButton.click()
    assert len(host.messages) == 1


def test_a_model_that_is_not_here_or_broken_is_said(host: Host, widget: Any, tmp_path: Path) -> None:
    widget.logic.getParameterNode().model = str(tmp_path / "gone")
    widget.enter()
    assert "gone" in widget.ui.modelNote.text
    assert "instead" in widget.ui.modelNote.text
    assert widget.modelPanel.model is not None
    other = tmp_path / "other models"
    writeBundle(other / "half", format=99)
    widget.ui.modelFolderButton.directory = str(other)
    assert "format 99" in widget.ui.modelNote.text
    assert userModelFolder() == other
    writeBundle(other / "sound")
    widget.ui.refreshModelsButton.click()
    assert "Site X" in widget.ui.modelBox.itemText(widget.ui.modelBox.count - 1)


def test_a_model_for_other_images_is_not_begun_with(host: Host, widget: Any, tmp_path: Path) -> None:
    choosePatient(widget)
    for name, changes, word in (
        ("a", {"inputs": ["t1w", "susceptibility"]}, "susceptibility"),
        ("b", {"output": "flair"}, "not a myelin"),
    ):
        host.answers = [str(writeBundle(tmp_path / name, name=name, raw=name.encode(), **changes))]
        widget.ui.addModelFolderButton.click()
        assert word in widget.ui.modelNote.text
        widget.ui.synthesizeButton.click()
        assert word in host.messages.pop()
        assert not widget.runPanel.running


def test_the_chosen_model_and_device_reach_the_command(
    host: Host, widget: Any, child: Callable[[str], None], tmp_path: Path
) -> None:
    import json

    until(host, lambda: widget.ui.deviceBox.count == 3)
    assert widget.ui.deviceBox.itemText(1) == "Stand-in GPU (GPU 0)"
    widget.ui.deviceBox.setCurrentIndex(1)
    assert widget.logic.getParameterNode().device == "cuda:0"
    choosePatient(widget)
    child(TELLS)
    synthesize(host, widget)
    arguments = json.loads((tmp_path / "arguments.json").read_text())
    assert arguments[arguments.index("--device") + 1] == "cuda:0"
    assert arguments[arguments.index("--model") + 1] == str(widget.modelPanel.model.path)
    assert host.messages == ["Stopped for the test."]


def test_a_device_that_this_computer_does_not_have_becomes_automatic(host: Host, widget: Any) -> None:
    until(host, lambda: widget.ui.deviceBox.count == 3)
    widget.logic.getParameterNode().device = "cuda:7"
    widget.enter()
    assert widget.ui.deviceBox.currentIndex == 0


def test_warnings_stay_readable_in_the_panel(host: Host, widget: Any, child: Callable[[str], None]) -> None:
    choosePatient(widget)
    assert widget.ui.warningLabel.text == ""
    child(WORKS)
    synthesize(host, widget)
    assert widget.ui.warningLabel.text == "Warning: be careful"
    child(SLEEPS)
    widget.ui.synthesizeButton.click()
    assert widget.ui.warningLabel.text == "", "they belong to one run"
    widget.runPanel.stop()


def test_what_is_missing_is_installed_first_in_the_same_click(
    host: Host, widget: Any, child: Callable[[str], None]
) -> None:
    choosePatient(widget)
    host.missing.append("deepbet>=1.0.2")
    host.answers = [True]
    child(PIP_THEN_WORKS)
    widget.ui.synthesizeButton.click()
    assert "deepbet" in host.questions[0]
    assert "Installing" in widget.ui.stepLabel.text
    assert widget.ui.synthesizeButton.text == "Cancel"
    host.missing.clear()
    until(host, lambda: not widget.runPanel.running)
    assert not host.messages
    assert widget.ui.stepLabel.text == "Done"
    assert "Downloading" in widget.ui.log.plainText
    assert len(provenance.runs(slicer.mrmlScene)) == 1
    assert not temporaryFiles()


def test_declined_packages_are_not_asked_for_by_other_means(host: Host, widget: Any) -> None:
    choosePatient(widget)
    host.missing.append("deepbet>=1.0.2")
    host.answers = [False]
    widget.ui.synthesizeButton.click()
    assert len(host.messages) == 1
    assert "Without these packages" in host.messages[0]
    assert not widget.runPanel.running


def test_an_installation_can_be_cancelled(host: Host, widget: Any, child: Callable[[str], None]) -> None:
    choosePatient(widget)
    host.missing.append("deepbet>=1.0.2")
    host.answers = [True]
    child(PIP_SLEEPS.replace("SECONDS", "600"))
    widget.ui.synthesizeButton.click()
    until(host, lambda: "Downloading" in widget.ui.log.plainText)
    widget.ui.synthesizeButton.click()
    until(host, lambda: not widget.runPanel.running)
    assert widget.ui.stepLabel.text == "Cancelled"
    assert not provenance.runs(slicer.mrmlScene)
    assert not temporaryFiles()


def test_an_installation_outlives_the_scene_but_the_synthesis_does_not(
    host: Host, widget: Any, child: Callable[[str], None]
) -> None:
    choosePatient(widget)
    host.missing.append("deepbet>=1.0.2")
    host.answers = [True]
    child(PIP_SLEEPS.replace("SECONDS", "0.5"))
    widget.ui.synthesizeButton.click()
    slicer.mrmlScene.Clear(0)
    assert widget.runPanel.running
    until(host, lambda: not widget.runPanel.running)
    assert not host.messages
    assert not provenance.runs(slicer.mrmlScene)


def test_a_patient_who_is_removed_during_an_installation_is_noticed(
    host: Host, widget: Any, child: Callable[[str], None]
) -> None:
    patient = choosePatient(widget)
    host.missing.append("deepbet>=1.0.2")
    host.answers = [True]
    child(PIP_THEN_WORKS)
    widget.ui.synthesizeButton.click()
    slicer.mrmlScene.RemoveNode(patient.flair)
    until(host, lambda: not widget.runPanel.running)
    assert "FLAIR was removed" in host.messages[0]
    assert not temporaryFiles()


def test_a_synthesis_goes_on_while_another_module_is_open(
    host: Host, widget: Any, child: Callable[[str], None]
) -> None:
    choosePatient(widget)
    child(WORKS)
    widget.ui.synthesizeButton.click()
    widget.exit()
    until(host, lambda: not widget.runPanel.running)
    assert len(provenance.runs(slicer.mrmlScene)) == 1
    widget.enter()
    assert widget.ui.reviewTable.rowCount == 2


def test_closing_the_application_ends_the_whole_tree(host: Host, widget: Any, child: Callable[[str], None]) -> None:
    choosePatient(widget)
    child(SLEEPS)
    widget.ui.synthesizeButton.click()
    until(host, lambda: widget.ui.log.plainText.strip())
    leader = widget.runPanel.job._child.pid
    assert len(processesOfSession(leader)) == 2
    slicer.app.aboutToQuit()
    until(host, lambda: not processesOfSession(leader))  # they have let go of their pipes, and are gone a moment later
    assert not temporaryFiles()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed beside slicer-core")
def test_the_sample_patient_through_the_real_command(host: Host, widget: Any) -> None:
    """Choose, synthesize, cancel half-way, synthesize again, close the scene, begin anew: with the real child."""
    widget.ui.samplePatientButton.click()
    given = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")
    widget.ui.synthesizeButton.click()
    until(host, lambda: "Registering" in widget.ui.stepLabel.text, 240)
    leader = widget.runPanel.job._child.pid
    assert processesOfSession(leader)
    assert temporaryFiles()
    widget.ui.synthesizeButton.click()
    until(host, lambda: not widget.runPanel.running)
    assert widget.ui.stepLabel.text == "Cancelled"
    until(host, lambda: not processesOfSession(leader))  # they have let go of their pipes, and are gone a moment later
    assert not temporaryFiles()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVolumeNode") == given

    widget.ui.synthesizeButton.click()
    until(host, lambda: widget.ui.progressBar.value >= 50, 240)
    assert "left" in widget.ui.stepLabel.text
    process = widget.runPanel.job._child._process
    until(host, lambda: process.poll() is not None, 240)
    ended, computed = time.monotonic(), time.process_time()
    until(host, lambda: not widget.runPanel.running, 60)
    seconds, computed = time.monotonic() - ended, time.process_time() - computed
    assert not host.messages
    assert widget.ui.stepLabel.text == "Done"
    assert widget.ui.reviewTable.rowCount > 10
    print(f"\nfrom the child's end to the map in the scene: {seconds:.2f} s, {computed:.2f} s of computing")
    assert computed < 5, "half a second on a machine that is not busy"
    assert not temporaryFiles()

    slicer.mrmlScene.Clear(0)
    host.process()
    assert not widget.ui.synthesizeButton.enabled
    widget.ui.samplePatientButton.click()
    assert widget.ui.synthesizeButton.enabled
