# ruff: noqa: F811 - fixtures that are imported
"""Volumes as the DICOM module, the Data module and a drop into the window make them: names, studies, transforms."""

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
from MyelinSynthLib.patient.exchange import checkPatient
from MyelinSynthLib.patient.nodes import Patient
from MyelinSynthLib.patient.studies import studyOf, volumeByName
from stand_in_host import Host
from test_module_panel import host, until, widget  # noqa: F401 - fixtures
from test_module_scene import makePatient, through

PATIENT, STUDY = (
    slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelPatient(),
    slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelStudy(),
)
T1_NAMES = ("3: t1_mprage_sag_iso", "201: T1W_3D_TFE", "4: Sag FSPGR BRAVO", "sub-01_ses-1_T1w")
FLAIR_NAMES = ("5: t2_spc_da-fl_sag_p2_iso", "301: 3D FLAIR", "7: t2_tirm_tra_dark-fluid", "patient1_FLAIR")


def load(study: str, names: tuple[str, str], uid: str = "1.2.3") -> Patient:
    """T1w and FLAIR as DICOMScalarVolumePlugin leaves them: series under a study under a patient, by their UIDs."""
    made = makePatient()
    slicer.mrmlScene.RemoveNode(made.lesions)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(slicer.mrmlScene)
    for node, name, number in zip((made.t1w, made.flair), names, ("3", "5")):
        node.SetName(name)
        node.SetAttribute("DICOM.instanceUIDs", f"{uid}.{study}.{number}.1 {uid}.{study}.{number}.2")
        item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
        series = f"{uid}.{study}.{number}"
        hierarchy.SetItemUID(item, slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMUIDName(), series)
        slicer.vtkSlicerSubjectHierarchyModuleLogic.InsertDicomSeriesInHierarchy(
            hierarchy, "hospital 1", f"{uid}.{study}", series
        )
    return made


@pytest.mark.parametrize("names", list(zip(T1_NAMES, FLAIR_NAMES)), ids=["Siemens", "Philips", "GE", "BIDS"])
def test_series_are_chosen_by_what_scanners_call_them(host: Host, widget: Any, names: tuple[str, str]) -> None:
    others = ("1: localizer", "9: ep2d_diff_ADC", "11: t2_tse_tra", "12: pd+t2_tse")
    for name in others:
        made = makePatient()
        made.t1w.SetName(name)
        for node in (made.flair, made.lesions):
            slicer.mrmlScene.RemoveNode(node)
    patient = load("1", names)
    until(host, lambda: widget.ui.flairSelector.currentNode() is not None)
    assert widget.ui.t1wSelector.currentNode() is patient.t1w
    assert widget.ui.flairSelector.currentNode() is patient.flair
    assert widget.ui.synthesizeButton.enabled
    assert widget.ui.flairNote.text == ""


def test_of_several_studies_the_flair_goes_with_the_t1w(host: Host, widget: Any) -> None:
    names = ("3: t1_mprage", "5: FLAIR")
    first, second = load("1", names), load("2", names)
    assert len({studyOf(node) for node in (first.t1w, first.flair, second.t1w, second.flair)}) == 2
    host.process()
    widget.onNamed()
    assert widget.ui.t1wSelector.currentNode() is None, "nobody is chosen by chance"
    widget.ui.t1wSelector.setCurrentNode(second.t1w)
    assert widget.ui.flairSelector.currentNode() is second.flair
    assert widget.ui.flairNote.text == ""
    widget.ui.t1wSelector.setCurrentNode(first.t1w)
    assert widget.ui.flairSelector.currentNode() is first.flair, "the FLAIR of another patient would be a mistake"
    assert widget.ui.flairNote.text == ""
    widget.ui.flairSelector.setCurrentNode(second.flair)
    assert widget.ui.flairSelector.currentNode() is second.flair, "what is chosen after the T1w stays"
    assert "different studies" in widget.ui.flairNote.text
    assert widget.ui.synthesizeButton.enabled, "a warning"


def test_of_several_files_dropped_at_once_the_flair_goes_with_the_t1w(host: Host, widget: Any) -> None:
    """Files belong to no study; BIDS names tell their visits."""
    visits = [makePatient() for _visit in range(3)]
    for patient, visit in zip(visits, ("sub-12_ses-1", "sub-12_ses-2", "sub-20_ses-2")):
        for node, name in ((patient.t1w, "T1w"), (patient.flair, "FLAIR"), (patient.lesions, "label-lesion_mask")):
            node.SetName(f"{visit}_{name}")
    widget.onNamed()
    ui = widget.ui
    assert ui.t1wSelector.currentNode() is None, "nobody is chosen by chance"
    ui.t1wSelector.setCurrentNode(visits[0].t1w)
    ui.lesionsSelector.setCurrentNode(visits[0].lesions)
    assert ui.flairSelector.currentNode() is visits[0].flair
    for other in visits[1:]:
        ui.t1wSelector.setCurrentNode(other.t1w)
        assert ui.flairSelector.currentNode() is other.flair
        assert ui.lesionsSelector.currentNode() is None, "a lesion mask of another visit"
    ui.lesionsSelector.setCurrentNode(visits[0].lesions)
    assert "different studies" in ui.lesionsNote.text
    assert ui.synthesizeButton.enabled, "a warning"


def test_choices_that_are_made_together_stay(host: Host, widget: Any) -> None:
    """A row of a table of files may combine visits on purpose; the worklist opens it."""
    first, second = makePatient(), makePatient()
    for patient, visit in ((first, "sub-12_ses-1"), (second, "sub-12_ses-2")):
        patient.t1w.SetName(f"{visit}_T1w")
        patient.flair.SetName(f"{visit}_FLAIR")
    widget.choosePatient(second)
    widget.choosePatient(Patient(first.t1w, second.flair))
    assert widget.ui.flairSelector.currentNode() is second.flair
    assert "different studies" in widget.ui.flairNote.text


def test_a_flair_of_another_study_alone_is_not_taken(application: Application) -> None:
    first, second = load("1", ("3: t1_mprage", "5: FLAIR")), load("2", ("3: t1_mprage", "5: FLAIR"))
    slicer.mrmlScene.RemoveNode(first.flair)
    assert volumeByName("flair", first.t1w) is None
    assert volumeByName("flair", second.t1w) is second.flair
    dropped = makePatient()
    dropped.flair.SetName("sub-01_FLAIR")
    assert volumeByName("flair", first.t1w) is dropped.flair, "a file belongs to no study"


def test_the_map_lies_under_the_study_of_its_t1w(application: Application, tmp_path: Path) -> None:
    patient = load("1", ("3: t1_mprage", "5: FLAIR"))
    load("2", ("3: t1_mprage", "5: FLAIR"))
    outputs = through(patient, tmp_path, found=True)
    assert {studyOf(node) for node in outputs.nodes().values()} == {studyOf(patient.t1w)}
    assert outputs.dvr.GetName() == "3: t1_mprage myelin map"
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "study.mrb"))
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "study.mrb"))
    reopened = slicer.util.getNode("3: t1_mprage myelin map")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(slicer.mrmlScene)
    assert hierarchy.GetItemLevel(studyOf(reopened)) == STUDY
    assert hierarchy.GetItemLevel(hierarchy.GetItemParent(studyOf(reopened))) == PATIENT


def test_slices_that_are_not_evenly_spaced_come_under_a_grid_transform_and_are_said(application: Application) -> None:
    """The DICOM module regularizes such a series by an acquisition transform, which is not linear."""
    patient = load("1", ("3: t1_mprage", "5: FLAIR"))
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", "3: t1_mprage acquisition transform")
    displacement = slicer.vtkOrientedGridTransform()
    grid = slicer.vtkMRMLVectorVolumeNode()
    slicer.util.updateVolumeFromArray(grid, np.ones((2, 2, 2, 3)))
    displacement.SetDisplacementGridData(grid.GetImageData())
    transform.SetAndObserveTransformFromParent(displacement)
    patient.t1w.SetAndObserveTransformNodeID(transform.GetID())
    problems = checkPatient(patient)
    assert len(problems) == 1
    assert "non-linear transform 3: t1_mprage acquisition transform" in problems[0]
    assert "Harden the transform" in problems[0]
