"""Section Patient without a GUI: what is said of bad choices, swapped contrasts, and the sample patient."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slicer_scene import Application, geometry

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")

import slicer
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.patient import checks, contrast, sampledata
from MyelinSynthLib.patient.checks import findProblems
from MyelinSynthLib.patient.exchange import ALIGNED
from MyelinSynthLib.patient.nodes import Patient
from MyelinSynthLib.scene.geometry import addVolume, toVtk
from test_module_scene import makePatient

from TrainingCore.phantom.edition import phantom_edition

SHAPE = (20, 22, 24)


def volume(name: str, shift: float = 0.0, values: Any = None) -> Any:
    matrix = geometry("RAS", (2.0, 2.0, 2.0), SHAPE)
    matrix[0, 3] += shift
    array = np.random.default_rng(0).uniform(0, 2, SHAPE[::-1]) if values is None else values
    return addVolume("vtkMRMLScalarVolumeNode", name, np.asarray(array, np.float32), matrix)


def load(path: Path) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", path.name)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetSingleFile(1)
    assert storage.ReadData(node)
    return node


def said(patient: Patient) -> dict[str, list[tuple[str, bool]]]:
    """Sentences by field, and whether each blocks."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for problem in findProblems(patient):
        found.setdefault(problem.field, []).append((problem.text, problem.blocking))
    return found


def test_a_sound_patient_has_no_problems(application: Application) -> None:
    assert findProblems(makePatient()) == []


def test_what_is_missing_is_said_at_its_field(application: Application) -> None:
    assert set(said(Patient(None, None))) == {"t1w", "flair"}
    assert set(said(Patient(volume("T1w"), None))) == {"flair"}


def test_one_volume_in_two_fields_is_said_at_the_second(application: Application) -> None:
    t1w, flair = volume("T1w"), volume("FLAIR")
    assert set(said(Patient(t1w, t1w))) == {"flair"}
    found = said(Patient(t1w, flair, dvr=flair))
    assert set(found) == {"dvr"}
    assert "same volume" in found["dvr"][0][0]


def test_every_kind_of_unusable_volume_is_refused_with_a_sentence(application: Application) -> None:
    t1w = volume("T1w")
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hollow")
    flat = volume("flat", values=np.zeros(SHAPE[::-1]))
    colour = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colour")
    slicer.util.updateVolumeFromArray(colour, np.zeros((*SHAPE[::-1], 3), np.uint8))
    sheared = volume("sheared")
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[0, 1] = 1.0
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "shear")
    transform.SetMatrixTransformToParent(toVtk(matrix))
    sheared.SetAndObserveTransformNodeID(transform.GetID())
    words = {empty: "no 3D image", flat: "same value", colour: "colour", sheared: "sheared"}
    for node, word in words.items():
        found = said(Patient(t1w, node))
        assert set(found) == {"flair"}, node.GetName()
        assert word in found["flair"][0][0]
        assert found["flair"][0][1]


def test_no_overlap_is_said_of_every_image_and_mask(application: Application) -> None:
    t1w, flair = volume("T1w"), volume("FLAIR")
    mask = addVolume("vtkMRMLLabelMapVolumeNode", "far", np.ones(SHAPE[::-1], np.uint8), np.diag([2.0, 2, 2, 1]))
    mask.SetOrigin(900, 0, 0)
    found = said(Patient(t1w, volume("far", 500.0), mask, volume("far dvr", -500.0), None))
    assert set(found) == {"flair", "lesions", "dvr"}
    assert all("do not overlap" in sentences[0][0] for sentences in found.values())
    assert said(Patient(t1w, flair, mask, brain=mask))["brain"], "one mask for two purposes is said, too"


def test_a_nonlinear_transform_is_said_at_the_field_under_it(application: Application) -> None:
    patient = makePatient()
    grid = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "bent")
    patient.flair.SetAndObserveTransformNodeID(grid.GetID())
    found = said(patient)
    assert set(found) == {"flair"}
    assert "bent" in found["flair"][0][0]
    patient.flair.SetAndObserveTransformNodeID(None)
    linear = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "straight")
    patient.flairToT1 = linear
    assert said(patient) == {}
    linear.SetAndObserveTransformNodeID(grid.GetID())
    assert set(said(patient)) == {"transform"}
    patient.flairToT1 = ALIGNED
    assert said(patient) == {}


def test_empty_lesions_are_a_warning_and_an_empty_brain_mask_is_refused(application: Application) -> None:
    patient = makePatient()
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "nothing")
    patient.lesions = empty
    assert [blocking for _text, blocking in said(patient)["lesions"]] == [False]
    empty.GetSegmentation().AddEmptySegment("one")
    assert [blocking for _text, blocking in said(patient)["lesions"]] == [False]
    patient.lesions, patient.brain = None, volume("zeros", values=np.zeros(SHAPE[::-1]))
    assert [blocking for _text, blocking in said(patient)["brain"]] == [True]


def test_a_map_in_other_units_is_questioned(application: Application) -> None:
    patient = makePatient()
    patient.dvr = volume("counts", values=np.random.default_rng(1).uniform(0, 9000, SHAPE[::-1]))
    text, blocking = said(patient)["dvr"][0]
    assert "DVR" in text
    assert not blocking


def test_every_problem_belongs_to_a_field() -> None:
    assert set(checks.fieldTitles()) == {*checks.VOLUMES, *checks.MASKS, "transform"}
    assert checks.titleOf("t2w") == "T2w"


def pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Every T1w (before and after contrast agent) and FLAIR of one visit, raw and skull-stripped."""
    found = []
    for t1w in sorted(folder.glob("**/anat/*_T1w.nii.gz")):
        flair = t1w.with_name(t1w.name.replace("_ce-gadolinium", "").replace("_T1w", "_FLAIR"))
        if flair.is_file():
            found.append((t1w, flair))
    return found


def test_real_pairs_are_accepted_and_swapped_ones_are_noticed(application: Application, real_data: Path) -> None:
    noticed, total = [], 0
    for t1w, flair in pairs(real_data):
        first, second = load(t1w), load(flair)
        assert contrast.swappedWarning(first, second) == "", t1w.name
        total += 1
        if contrast.swappedWarning(second, first):
            noticed.append(t1w.name)
        slicer.mrmlScene.Clear(0)
    assert total >= 10
    assert len(noticed) >= total - 2, "the raw 5.5 mm FLAIR may stay unjudged"


def test_volumes_that_are_no_heads_are_not_judged(application: Application) -> None:
    assert contrast.swappedWarning(volume("noise"), volume("more noise")) == ""


def test_the_sample_patient_is_loaded_whole_and_called_simulated(application: Application) -> None:
    patient = sampledata.loadSamplePatient()
    assert findProblems(patient) == []
    assert contrast.swappedWarning(patient.t1w, patient.flair) == ""
    assert contrast.swappedWarning(patient.flair, patient.t1w) != ""
    for node in (patient.t1w, patient.flair, patient.lesions, patient.dvr):
        assert "simulated" in node.GetName().lower()
        assert node.GetAttribute(sampledata.SIMULATED_ATTRIBUTE) == "yes"
    assert patient.t1w.GetSpacing() == pytest.approx((1, 1, 1))
    assert patient.flair.GetSpacing() == pytest.approx((1.5, 1.5, 1.5))
    lesions = slicer.util.arrayFromVolume(patient.lesions) > 0
    dvr = slicer.util.arrayFromVolume(patient.dvr)
    assert 5_000 < lesions.sum() < 30_000
    assert 0.6 < dvr[lesions].mean() < 1.1 < np.percentile(dvr, 99) < 1.6


def test_the_sample_patient_is_small_and_says_what_it_is() -> None:
    files = list(sampledata.FOLDER.iterdir())
    assert sum(path.stat().st_size for path in files) < 8 << 20
    description = json.loads((sampledata.FOLDER / "sample_patient.json").read_text())
    assert description["Simulated"] is True
    assert description["Phantom"] == phantom_edition()
    assert "not for diagnosis" in description["Note"]


def test_a_damaged_sample_patient_is_refused_and_leaves_nothing(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in sampledata.FOLDER.glob("*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / "simulated_patient_lesions.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-9] + b"012345678")
    monkeypatch.setattr(sampledata, "FOLDER", tmp_path)
    before = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(SynthesisError, match="damaged"):
        sampledata.loadSamplePatient()
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_sample_data_gets_files_that_exist_with_their_hash() -> None:
    given: dict[str, Any] = {}

    class Logic:
        @staticmethod
        def registerCustomSampleDataSource(**options: Any) -> None:
            given.update(options)

    sampledata.registerSampleData(Logic)
    from hashlib import sha256
    from urllib.parse import urlparse
    from urllib.request import url2pathname

    assert len({len(given[key]) for key in ("uris", "fileNames", "nodeNames", "checksums", "loadFileTypes")}) == 1
    for uri, checksum in zip(given["uris"], given["checksums"]):
        data = Path(url2pathname(urlparse(uri).path)).read_bytes()
        assert checksum == f"SHA256:{sha256(data).hexdigest()}"
