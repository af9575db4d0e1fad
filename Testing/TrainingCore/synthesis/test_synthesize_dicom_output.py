"""`synthesize --dicom`: from a patient's series to DICOM derived from it, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("highdicom")

import pydicom
from dicom_files import FLAIR, PATIENT, T1W, write_series
from small_head import AFFINE, make_head

from TrainingCore.data.result import Result
from TrainingCore.imaging.volumes import Volume, read_volume

FRAME = {"FrameOfReferenceUID": "1.2.3", "StudyDate": "20240101", "StudyTime": "101010"}


@pytest.fixture(scope="module")
def disc(tmp_path_factory, head):
    """A folder with the T1w as DICOM."""
    folder = tmp_path_factory.mktemp("disc")
    write_series(folder, Volume(np.clip(head["t1w"], 0, None), AFFINE), T1W | FRAME)
    return folder


def nifti(patient, bundle, *more):
    """Arguments for the NIfTI files of the small head."""
    return ("--t1", patient["t1w"], "--flair", patient["flair"], "--flair-to-t1", "identity", "--brain-mask",
            patient["brain"], "--model", bundle, "--progress", "none", *more)  # fmt: skip


def test_dicom_of_a_nifti_t1w_is_derived_from_the_series_it_came_from(
    patient, bundle, disc, command, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "result"
    given = nifti(patient, bundle, "--lesions", patient["lesions"], "--dicom-reference", disc, "--out", out)
    assert command(*given) == 0
    assert "carry the identity of the patient" in capsys.readouterr().err
    data = pydicom.dcmread(out / "dicom/dvr_map.dcm")
    assert data.PatientID == PATIENT["PatientID"]
    written = np.frombuffer(data.FloatPixelData, "<f4")
    assert np.array_equal(np.sort(written), np.sort(read_volume(out / "dvr.nii.gz").data.ravel()))
    rows = Result.open(out).lesions()
    report = pydicom.dcmread(out / "dicom/lesion_report.dcm")
    means = [value for name, kind, value in numbers(report) if (name, kind) == ("DVR", "Mean")]
    assert np.allclose(means, [row["mean_dvr"] for row in rows])
    for path in out.rglob("*"):
        if path.is_file() and path.parent.name != "dicom":
            assert PATIENT["PatientName"].encode() not in path.read_bytes(), path


def numbers(report):
    """(code of the name, meaning of the derivation, value) of every number in a report."""
    found, waiting = [], list(report.ContentSequence)
    while waiting:
        item = waiting.pop(0)
        inner = list(item.get("ContentSequence") or [])
        waiting = inner + waiting
        if item.ValueType == "NUM":
            kinds = [one.ConceptCodeSequence[0].CodeMeaning for one in inner
                     if one.ConceptNameCodeSequence[0].CodeMeaning == "Derivation"]  # fmt: skip
            value = float(item.MeasuredValueSequence[0].NumericValue)
            found.append((item.ConceptNameCodeSequence[0].CodeValue, kinds[0] if kinds else "", value))
    return found


def test_without_lesions_there_is_the_map_alone(head, bundle, disc, command, tmp_path, capsys):
    write_series(tmp_path / "flair", Volume(np.clip(head["flair"], 0, None), AFFINE), FLAIR | FRAME)
    given = ("--t1", disc, "--flair", tmp_path / "flair", "--model", bundle, "--progress", "none")
    assert command(*given, "--lesions", "none", "--dicom", "--out", tmp_path / "result") == 0
    assert "There are no lesions" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "result/dicom").iterdir()) == ["README.txt", "dvr_map.dcm"]


def refused(command, capsys, out, *arguments) -> str:
    """The one sentence of a run that ends with 2 and leaves nothing."""
    assert command(*arguments, "--out", out) == 2
    assert not out.exists()
    return capsys.readouterr().err.strip().splitlines()[-1]


def test_dicom_without_a_series_is_refused(patient, bundle, command, tmp_path, capsys):
    sentence = refused(command, capsys, tmp_path / "out", *nifti(patient, bundle, "--dicom"))
    assert sentence == "error: --dicom needs the DICOM series of the T1w. Give its folder with --dicom-reference."


def test_another_patients_series_is_refused(patient, bundle, command, tmp_path, capsys):
    other = make_head(seed=9)["t1w"][:, ::-1, :]  # the same head looking backwards is somebody else
    write_series(tmp_path / "other", Volume(np.clip(other, 0, None), AFFINE), T1W | FRAME)
    given = nifti(patient, bundle, "--dicom-reference", tmp_path / "other")
    assert "does not show the same image as the T1w" in refused(command, capsys, tmp_path / "out", *given)


def test_a_series_under_another_name_is_refused(head, patient, bundle, disc, command, tmp_path, capsys):
    t1w = Volume(np.clip(head["t1w"], 0, None), AFFINE)
    write_series(tmp_path / "other", t1w, T1W | FRAME | {"PatientID": "OTHER-1", "PatientName": "Other^One"})
    given = ("--t1", disc, "--flair", patient["flair"], "--model", bundle, "--progress", "none")
    sentence = refused(command, capsys, tmp_path / "out", *given, "--dicom-reference", tmp_path / "other")
    assert "another patient's" in sentence
    assert "Other" not in sentence


def test_a_folder_without_dicom_is_refused(patient, bundle, command, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    sentence = refused(
        command, capsys, tmp_path / "out", *nifti(patient, bundle, "--dicom-reference", tmp_path / "empty")
    )
    assert "no DICOM" in sentence
    sentence = refused(
        command, capsys, tmp_path / "out", *nifti(patient, bundle, "--dicom-reference", tmp_path / "missing")
    )
    assert "missing" in sentence


def test_a_missing_package_is_named_with_what_to_install(patient, bundle, disc, command, tmp_path, capsys, monkeypatch):
    from TrainingCore.reporting.dicom import needs

    monkeypatch.setattr(needs, "find_spec", lambda name: None)
    sentence = refused(command, capsys, tmp_path / "out", *nifti(patient, bundle, "--dicom-reference", disc))
    assert "pip install highdicom" in sentence
