"""The panel, clicked through in the stand-in host: choose, synthesize, cancel, review, close, reopen."""

from __future__ import annotations

import gc
import os
import sys
import time
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digital_result import LESIONS
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
if os.name == "nt":
    pytest.skip("the stand-in interpreter is a POSIX script", allow_module_level=True)

import slicer
import vtk
from MyelinSynthLib.run import childprocess
from MyelinSynthLib.scene import geometry, provenance
from stand_in_host import Host, readApi
from test_module_childprocess import PATIENCE, gone
from test_module_scene import makePatient
from test_module_synthesis import SLEEPS, WORKS, makeStandIn
from test_slicer_api import API

LIBRARIES = ("MyelinSynthLib", "TrainingCore")


@pytest.fixture
def host(application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """The stand-in application; whatever a slot raised fails the test."""
    folder = tmp_path / "tempörary"
    folder.mkdir()
    started = Host(readApi(API), folder)
    from MyelinSynthLib.run import devices

    monkeypatch.setattr(devices, "QUESTION", 'print(\'{"gpus": ["Stand-in GPU"]}\')')
    yield started
    started.close()
    assert not started.errors, started.errors


@pytest.fixture
def widget(host: Host) -> Iterator[Any]:
    """The module's widget, opened; no PyTorch is needed for that."""
    from MyelinSynth import MyelinSynthWidget

    opened = MyelinSynthWidget()
    opened.setup()
    opened.enter()
    yield opened
    opened.cleanup()


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the next synthesis run other code than TrainingCore."""

    def choose(code: str) -> None:
        monkeypatch.setattr(childprocess, "pythonExecutable", lambda: makeStandIn(tmp_path, code))

    return choose


def until(host: Host, condition: Callable[[], Any], seconds: float = PATIENCE) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it takes too long"
        host.process()
        time.sleep(0.01)


def choosePatient(widget: Any) -> Any:
    patient = makePatient()
    widget.ui.t1wSelector.setCurrentNode(patient.t1w)
    widget.ui.flairSelector.setCurrentNode(patient.flair)
    widget.ui.lesionsSelector.setCurrentNode(patient.lesions)
    return patient


def synthesize(host: Host, widget: Any) -> None:
    widget.ui.synthesizeButton.click()
    until(host, lambda: not widget.runPanel.running)


def test_reloading_reads_the_library_again(host: Host, widget: Any) -> None:
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] in LIBRARIES}
    try:
        widget.onReload()
        assert not [name for name in sys.modules if name.split(".")[0] in LIBRARIES]
    finally:
        sys.modules.update(before)


def test_a_panel_that_could_not_be_built_is_closed_in_silence(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    import MyelinSynth

    monkeypatch.setattr(MyelinSynth, "RunPanel", None)
    broken = MyelinSynth.MyelinSynthWidget()
    with pytest.raises(TypeError):
        broken.setup()
    broken.cleanup()


def sliceView() -> Any:
    node = slicer.vtkMRMLSliceNode()
    node.SetLayoutName("Red")
    slicer.mrmlScene.AddNode(node)
    node.SetOrientation("Axial")
    return node


def test_the_host_answers_to_nothing_that_the_application_does_not_know(host: Host, widget: Any) -> None:
    button = widget.ui.synthesizeButton
    for wrong in (
        lambda: button.setLabel("x"),
        lambda: setattr(button, "label", "x"),
        lambda: button.connect("clicked(int)", print),
        lambda: widget.ui.t1wSelector.nodes,
        lambda: button.text(),
        lambda: setattr(button, "enabled", np.bool_(True)),
        lambda: widget.ui.modelBox.setCurrentIndex(np.int64(0)),
        lambda: widget.ui.modelBox.addItems([Path("model")]),
    ):
        with pytest.raises((AttributeError, TypeError)):
            wrong()


def test_an_empty_panel_says_what_to_choose_and_offers_nothing_else(widget: Any) -> None:
    assert not widget.ui.synthesizeButton.enabled
    assert "T1w" in widget.ui.t1wNote.text
    assert "FLAIR" in widget.ui.flairNote.text
    assert not widget.ui.acceptButton.enabled
    assert widget.ui.reviewLabel.text == "No lesions to review"
    assert "demonstration" in widget.ui.modelBox.currentText
    assert "not for diagnosis" in widget.ui.modelCard.text


def test_choices_are_checked_as_they_are_made(widget: Any) -> None:
    patient = choosePatient(widget)
    assert widget.ui.synthesizeButton.enabled
    assert widget.ui.flairNote.text == ""
    widget.ui.flairSelector.setCurrentNode(patient.t1w)
    assert not widget.ui.synthesizeButton.enabled
    assert "same volume" in widget.ui.flairNote.text
    assert widget.ui.t1wNote.text == "", "said beside the field concerned and nowhere else"


def test_a_transform_has_to_be_chosen_where_one_is_asked_for(widget: Any) -> None:
    choosePatient(widget)
    assert not widget.ui.transformSelector.enabled
    widget.ui.alignmentBox.setCurrentIndex(2)
    assert widget.ui.transformSelector.enabled
    assert not widget.ui.synthesizeButton.enabled
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "rigid")
    widget.ui.transformSelector.setCurrentNode(transform)
    assert widget.ui.synthesizeButton.enabled


def test_volumes_are_chosen_by_their_names(host: Host, application: Application) -> None:
    patient = makePatient()
    from MyelinSynth import MyelinSynthWidget

    widget = MyelinSynthWidget()
    widget.setup()
    assert widget.ui.t1wSelector.currentNode() is patient.t1w
    assert widget.ui.flairSelector.currentNode() is patient.flair
    widget.cleanup()


def test_volumes_that_are_loaded_while_the_panel_is_open_are_chosen_by_their_names(host: Host, widget: Any) -> None:
    assert widget.ui.t1wSelector.currentNode() is None
    patient = makePatient()
    until(host, lambda: widget.ui.t1wSelector.currentNode() is not None)
    assert widget.ui.t1wSelector.currentNode() is patient.t1w
    assert widget.ui.flairSelector.currentNode() is patient.flair
    assert widget.ui.reviewBar.format == "", "there is no lesion, so nothing like 0 / 1"


def test_with_several_studies_nobody_is_chosen_by_chance(host: Host, widget: Any) -> None:
    makePatient()
    makePatient()
    for _turn in range(30):
        host.process()
        time.sleep(0.01)
    assert widget.ui.t1wSelector.currentNode() is None
    assert widget.ui.flairSelector.currentNode() is None


def test_files_dropped_into_the_window_are_chosen(host: Host, widget: Any, tmp_path: Path) -> None:
    """As Slicer's readers do: the node is in the scene before it has its voxels and its final name."""
    from MyelinSynthLib.patient.sampledata import FOLDER

    for key in ("T1w", "FLAIR"):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Volume")
        host.process()
        storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
        storage.SetFileName(str(FOLDER / f"simulated_patient_{key}.nii.gz"))
        assert storage.ReadData(node)
        node.SetName(f"sub-01_{key}")
        node.SetAndObserveStorageNodeID(storage.GetID())
    until(host, lambda: widget.ui.flairSelector.currentNode() is not None)
    assert widget.ui.t1wSelector.currentNode().GetName() == "sub-01_T1w"
    assert widget.ui.synthesizeButton.enabled


def test_a_label_map_is_no_flair_and_the_name_of_a_patient_is_no_contrast(host: Host, application: Application) -> None:
    patient = makePatient()
    patient.t1w.SetName("patient1_T1w")
    patient.flair.SetName("patient1_FLAIR")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "FLAIR lesions")
    hidden = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "T1 of somebody's module")
    hidden.SetHideFromEditors(True)
    from MyelinSynth import MyelinSynthLogic

    logic = MyelinSynthLogic()
    parameterNode = logic.getParameterNode()
    logic.chooseByName(parameterNode)
    assert parameterNode.t1w is patient.t1w
    assert parameterNode.flair is patient.flair


def test_a_label_volume_and_a_segmentation_can_be_chosen_as_lesions(widget: Any) -> None:
    patient = choosePatient(widget)
    assert widget.logic.getParameterNode().lesions is patient.lesions
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    widget.ui.lesionsSelector.setCurrentNode(segmentation)
    assert widget.logic.getParameterNode().lesions is segmentation


def test_the_way_from_images_to_a_finished_review(host: Host, widget: Any, child: Callable[[str], None]) -> None:
    view = sliceView()
    choosePatient(widget)
    child(WORKS)
    synthesize(host, widget)
    assert not host.messages
    assert widget.ui.stepLabel.text == "Done"
    assert widget.ui.synthesizeButton.text == "&Synthesize myelin map"
    assert "Registering" in widget.ui.log.plainText
    assert "be careful" in widget.ui.log.plainText
    assert widget.ui.reviewTable.rowCount == 2
    assert widget.ui.reviewLabel.text == "0 of 2 lesions reviewed"

    widget.ui.reviewTable.setCurrentCell(1, 0)
    assert geometry.toArray(view.GetSliceToRAS())[2, 3] == pytest.approx(LESIONS[1][0][2], abs=0.8)
    widget.ui.reviewTable.setCurrentCell(0, 0)
    widget.ui.acceptButton.click()
    assert widget.reviewPanel.currentRow() == 1, "the review moves on"
    assert geometry.toArray(view.GetSliceToRAS())[2, 3] == pytest.approx(LESIONS[1][0][2], abs=0.8)
    widget.ui.commentEdit.text = "perhaps CSF"
    widget.reviewPanel.onComment()
    widget.ui.flagButton.click()
    assert widget.ui.reviewLabel.text == "2 of 2 lesions reviewed"
    review = widget.reviewPanel.review
    assert [review.state(row) for row in range(2)] == ["accepted", "flagged"]
    assert review.comment(1) == "perhaps CSF"
    assert not list(Path(slicer.app.temporaryPath).iterdir())


def test_choosing_another_patient_goes_on_with_their_review(
    host: Host, application: Application, widget: Any, child: Callable[[str], None]
) -> None:
    host.openViews(application)
    child(WORKS)
    patients, reviews = [], []
    for _patient in range(2):
        patients.append(choosePatient(widget))
        synthesize(host, widget)
        reviews.append(widget.reviewPanel.review.tableNode)
    assert reviews[0] is not reviews[1]
    composite = next(
        one for one in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode") if one.GetLayoutName() == "Red"
    )
    for number in (0, 1):
        widget.ui.t1wSelector.setCurrentNode(patients[number].t1w)
        assert widget.reviewPanel.review.tableNode is reviews[number]
        assert composite.GetBackgroundVolumeID() == patients[number].t1w.GetID()
        assert composite.GetForegroundVolumeID() == widget.displayPanel.nodes["dvr"].GetID()
        widget.exit()
        widget.enter()
        assert widget.reviewPanel.review.tableNode is reviews[number]
    fresh = makePatient()
    widget.ui.t1wSelector.setCurrentNode(fresh.t1w)
    assert widget.reviewPanel.review.tableNode is reviews[1], "a patient without a map changes nothing"
    slicer.mrmlScene.RemoveNode(patients[1].t1w)
    assert not host.messages


def test_the_filter_hides_what_was_decided(host: Host, widget: Any, child: Callable[[str], None]) -> None:
    view = sliceView()
    choosePatient(widget)
    child(WORKS)
    synthesize(host, widget)
    widget.ui.unreviewedBox.setChecked(True)
    widget.ui.reviewTable.setCurrentCell(0, 0)
    widget.ui.rejectButton.click()
    assert widget.ui.reviewTable.rowCount == 1
    assert widget.reviewPanel.currentRow() == 1
    assert geometry.toArray(view.GetSliceToRAS())[2, 3] == pytest.approx(LESIONS[1][0][2], abs=0.8)
    widget.ui.acceptButton.click()
    assert widget.ui.reviewTable.rowCount == 0
    assert not widget.ui.acceptButton.enabled


def test_cancel_half_way_then_synthesize_again(host: Host, widget: Any, child: Callable[[str], None]) -> None:
    choosePatient(widget)
    child(SLEEPS)
    widget.ui.synthesizeButton.click()
    assert widget.ui.synthesizeButton.text == "Cancel"
    until(host, lambda: widget.ui.log.plainText.strip())
    grandchild = int(widget.ui.log.plainText.split()[0])
    widget.ui.synthesizeButton.click()
    until(host, lambda: not widget.runPanel.running)
    assert widget.ui.stepLabel.text == "Cancelled"
    assert gone(grandchild)
    assert not list(Path(slicer.app.temporaryPath).iterdir())
    assert not provenance.runs(slicer.mrmlScene)
    child(WORKS)
    synthesize(host, widget)
    assert len(provenance.runs(slicer.mrmlScene)) == 1


def test_a_failure_is_shown_in_words_and_recovered_from(host: Host, widget: Any, child: Callable[[str], None]) -> None:
    choosePatient(widget)
    child("import sys; print('error: The T1w is empty. Give another.', file=sys.stderr); sys.exit(2)")
    synthesize(host, widget)
    assert host.messages == ["The T1w is empty. Give another."]
    assert widget.ui.stepLabel.text == "Failed"
    assert widget.ui.synthesizeButton.enabled
    child(WORKS)
    synthesize(host, widget)
    assert widget.ui.stepLabel.text == "Done"


def test_the_log_names_no_folder_that_is_gone_in_a_moment(
    host: Host, widget: Any, child: Callable[[str], None]
) -> None:
    choosePatient(widget)
    child(WORKS + 'print(\'{"step": "done", "fraction": 1.0, "message": "Done: /scratch/result"}\')\n')
    synthesize(host, widget)
    assert "Registering" in widget.ui.log.plainText
    assert "/scratch" not in widget.ui.log.plainText


def test_missing_pytorch_is_said_with_the_remedy(host: Host, widget: Any) -> None:
    choosePatient(widget)
    host.missing.append("torch>=2.4")
    widget.ui.synthesizeButton.click()
    assert len(host.messages) == 1
    assert "PyTorch extension" in host.messages[0]
    assert not widget.runPanel.running
    assert widget.ui.synthesizeButton.enabled


def test_closing_the_scene_while_it_runs_is_safe(host: Host, widget: Any, child: Callable[[str], None]) -> None:
    choosePatient(widget)
    child(SLEEPS)
    widget.ui.synthesizeButton.click()
    until(host, lambda: widget.ui.log.plainText.strip())
    slicer.mrmlScene.Clear(0)
    host.process()
    assert not widget.runPanel.running
    assert not list(Path(slicer.app.temporaryPath).iterdir())
    assert widget.ui.reviewTable.rowCount == 0
    assert not widget.ui.synthesizeButton.enabled


def test_closing_the_scene_gives_the_memory_of_its_images_back(
    host: Host, application: Application, widget: Any, child: Callable[[str], None]
) -> None:
    host.openViews(application)
    patient = choosePatient(widget)
    child(WORKS)
    synthesize(host, widget)
    widget.ui.reviewTable.setCurrentCell(0, 0)
    widget.ui.acceptButton.click()
    widget.ui.sideBySideButton.click()
    widget.ui.underBox.setCurrentIndex(1)
    widget.ui.wipeBox.setChecked(True)
    for _turn in range(3):
        host.process()
    nodes = {}
    for name, node in (*widget.reviewPanel.nodes.items(), ("t1w", patient.t1w)):
        nodes[name] = vtk.vtkWeakReference()  # an observer of the deletion may go with Python's own object
        nodes[name].Set(node)
    del node, patient
    slicer.mrmlScene.Clear(0)
    host.process()
    gc.collect()
    assert len(nodes) > 8
    assert [name for name, node in nodes.items() if node.Get() is not None] == [], "kept"


def test_a_review_goes_on_after_saving_and_reopening(
    host: Host, widget: Any, child: Callable[[str], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    choosePatient(widget)
    child(WORKS)
    synthesize(host, widget)
    widget.ui.reviewTable.setCurrentCell(0, 0)
    widget.ui.acceptButton.click()
    bundle = str(tmp_path / "review.mrb")
    assert slicer.mrmlScene.WriteToMRB(bundle)
    slicer.mrmlScene.Clear(0)
    assert widget.ui.reviewTable.rowCount == 0

    def hide(_scene: Any, _event: str) -> None:
        """As each slice controller of Slicer 5.13 does where another scene was closed before."""
        (segmentation,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        segmentation.GetDisplayNode().SetSegmentVisibility(segmentation.GetSegmentation().GetNthSegmentID(0), False)

    observer = slicer.mrmlScene.AddObserver(slicer.mrmlScene.EndImportEvent, hide, -1.0)
    assert slicer.mrmlScene.ReadFromMRB(bundle)
    slicer.mrmlScene.RemoveObserver(observer)
    display = widget.displayPanel.nodes["lesions"].GetDisplayNode()
    identifiers = list(widget.displayPanel.nodes["lesions"].GetSegmentation().GetSegmentIDs())
    assert not display.GetSegmentVisibility(identifiers[0])
    until(host, lambda: all(map(display.GetSegmentVisibility, identifiers)))
    assert widget.ui.reviewLabel.text == "1 of 2 lesions reviewed"
    assert widget.ui.t1wSelector.currentNode().GetName() == "T1w"
    capfd.readouterr()
    assert slicer.mrmlScene.ReadFromMRB(bundle), "added to the open scene, as when it is dropped on the window"
    host.process()
    assert "Traceback" not in capfd.readouterr().err
    assert widget.ui.reviewLabel.text == "1 of 2 lesions reviewed"
    both = provenance.runs(slicer.mrmlScene)
    assert len(set(both)) == 2, "nothing of the copy is mixed with what was open"
    copies = [provenance.nodesOfRun(slicer.mrmlScene, run) for run in both]
    assert copies[0].keys() == copies[1].keys()
    shown = [one["lesions"].GetDisplayNode().GetVisibility() for one in copies]
    assert sorted(map(bool, shown)) == [False, True]


def test_opacity_moves_with_the_slider(host: Host, widget: Any, child: Callable[[str], None]) -> None:
    composite = slicer.vtkMRMLSliceCompositeNode()
    composite.SetLayoutName("Red")
    slicer.mrmlScene.AddNode(composite)
    choosePatient(widget)
    child(WORKS)
    synthesize(host, widget)
    widget.ui.opacitySlider.setValue(0.35)
    assert composite.GetForegroundOpacity() == pytest.approx(0.35)


def test_the_logic_needs_no_gui(host: Host, application: Application, child: Callable[[str], None]) -> None:
    from MyelinSynth import MyelinSynthLogic

    patient = makePatient()
    child(WORKS)
    outputs = MyelinSynthLogic().synthesize(patient.t1w, patient.flair, patient.lesions)
    assert np.isfinite(slicer.util.arrayFromVolume(outputs.dvr)).all()


@pytest.mark.parametrize("window", [False, True], ids=["no main window", "main window"])
def test_the_modules_own_self_test_passes(host: Host, application: Application, window: bool) -> None:
    from MyelinSynth import MyelinSynthTest

    if window:
        host.openViews(application)
    shown: list[str] = []
    test = MyelinSynthTest("runTest")
    test.delayDisplay = shown.append
    test.debug()
    assert len(shown) == 13


def test_the_applications_test_runner_finds_every_self_test(host: Host, application: Application) -> None:
    """`slicer.testing.runUnitTest`, which `slicer_add_python_unittest` calls: tests by their names, else `runTest`."""
    from MyelinSynthLib.selftest import compare as selftestcompare
    from MyelinSynthLib.selftest import inputs as selftestinputs
    from MyelinSynthLib.selftest import review as selftest

    import MyelinSynth

    found = unittest.TestLoader().loadTestsFromName("MyelinSynth")
    names = {test.id().rsplit(".", 1)[1] for suite in found for test in suite}
    assert all(name.startswith("test_") for name in names), "and not the base class, which has none"
    used = {name for one in names for name in getattr(MyelinSynth.MyelinSynthTest, one).__code__.co_names}
    checks = {check.__name__ for check in (*selftest.CHECKS, *selftestinputs.CHECKS, *selftestcompare.CHECKS)}
    assert len(checks) == 10
    assert checks <= used
    result = unittest.TestResult()
    found.run(result)
    assert not result.errors + result.failures, result.errors + result.failures
    assert result.testsRun == len(checks) + 3


def test_opening_the_module_is_quick(host: Host, application: Application) -> None:
    before = time.process_time()
    from MyelinSynth import MyelinSynthWidget

    widget = MyelinSynthWidget()
    widget.setup()
    widget.enter()
    spent = time.process_time() - before
    widget.cleanup()
    assert spent < 0.4, f"{spent:.2f} s of computing; 0.1 s on a machine that is not busy"
