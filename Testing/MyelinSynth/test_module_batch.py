"""Without a GUI: many patients from a folder or a table, one failing; and a synthesis that nobody waits for."""

# ruff: noqa: F811 - fixtures that are imported
from __future__ import annotations

import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
pytest.importorskip("nibabel", reason="nibabel is not installed")

import nibabel
import slicer
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.patient.nodes import Patient
from MyelinSynthLib.run.batch import STATUS_FILE, runBatch
from slicer_scene import ROOT, geometry
from stand_in_host import Host
from test_module_childprocess import gone
from test_module_panel import child, host, until  # noqa: F401 - fixtures
from test_module_scene import makePatient
from test_module_synthesis import SLEEPS, WORKS

SCRIPT = ROOT / "MyelinSynth" / "Resources" / "Scripts" / "batch_synthesize.py"
SHAPE = (28, 32, 20)


def writeDataset(folder: Path, people: int = 3) -> Path:
    """A BIDS dataset; the T1w of the second person is no image."""
    from digital_result import lesion_mask

    (folder / "derivatives" / "manual").mkdir(parents=True)
    matrix = geometry("LPS", (1.5, 1.5, 2.0), SHAPE)
    for number in range(1, people + 1):
        anat = folder / f"sub-{number:02d}" / "anat"
        anat.mkdir(parents=True)
        for kind in ("T1w", "FLAIR"):
            data = np.random.default_rng(number).uniform(1, 100, SHAPE).astype(np.float32)
            nibabel.save(nibabel.Nifti1Image(data, matrix), anat / f"sub-{number:02d}_{kind}.nii.gz")
        masks = folder / "derivatives" / "manual" / f"sub-{number:02d}" / "anat"
        masks.mkdir(parents=True)
        mask = lesion_mask(matrix, SHAPE).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(mask, matrix), masks / f"sub-{number:02d}_label-lesion_mask.nii.gz")
    (folder / "sub-02" / "anat" / "sub-02_T1w.nii.gz").write_bytes(b"no image")
    (folder / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    return folder


@pytest.fixture
def logic(host: Host) -> Any:
    from MyelinSynth import MyelinSynthLogic

    return MyelinSynthLogic()


def test_one_failing_patient_does_not_stop_the_others(logic: Any, child: Callable[[str], None], tmp_path: Path) -> None:
    child(WORKS)
    data, out, said = writeDataset(tmp_path / "data"), tmp_path / "öut put", []
    outcomes = runBatch(data, out, logic.synthesize, scenes=True, say=said.append)
    assert [(one.label, one.done) for one in outcomes] == [("sub-01", True), ("sub-02", False), ("sub-03", True)]
    assert "sub-02_T1w" in outcomes[1].message
    names = {path.name for path in out.iterdir()}
    assert {"sub-01_result", "sub-01_lesions.csv", "sub-01_report.html", "sub-01.mrb", STATUS_FILE} <= names
    assert not any(name.startswith("sub-02") for name in names)
    assert len((out / "sub-03_lesions.csv").read_text().splitlines()) == 3
    table = [line.split("\t") for line in (out / STATUS_FILE).read_text().splitlines()]
    assert [row[1] for row in table] == ["status", "done", "failed", "done"]
    assert any("2 of 3" in line for line in said)
    assert any("be careful" in line for line in said), "warnings are seen"
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0
    assert not list(Path(slicer.app.temporaryPath).iterdir())


def test_a_second_run_does_only_what_is_missing(logic: Any, child: Callable[[str], None], tmp_path: Path) -> None:
    child(WORKS)
    data, out = writeDataset(tmp_path / "data"), tmp_path / "out"
    runBatch(data, out, logic.synthesize, say=lambda line: None)
    shutil.copy(data / "sub-01" / "anat" / "sub-01_T1w.nii.gz", data / "sub-02" / "anat" / "sub-02_T1w.nii.gz")
    before = (out / "sub-01_result" / "provenance.json").stat().st_mtime_ns
    outcomes = runBatch(data, out, logic.synthesize, say=lambda line: None)
    assert all(one.done for one in outcomes)
    assert "already" in outcomes[0].message
    assert outcomes[1].message == ""
    assert (out / "sub-01_result" / "provenance.json").stat().st_mtime_ns == before


def test_an_incomplete_visit_is_named_in_the_status(logic: Any, child: Callable[[str], None], tmp_path: Path) -> None:
    child(WORKS)
    data, out = writeDataset(tmp_path / "data"), tmp_path / "out"
    (data / "sub-02" / "anat" / "sub-02_FLAIR.nii.gz").unlink()
    outcomes = {one.label: one for one in runBatch(data, out, logic.synthesize, say=lambda line: None)}
    assert [outcomes[f"sub-0{number}"].done for number in (1, 2, 3)] == [True, False, True]
    assert "flair" in outcomes["sub-02"].message


def test_a_dataset_that_is_none_is_said(logic: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(SynthesisError, match=path.name):
            runBatch(path, tmp_path / "out", logic.synthesize)


def test_the_script_ends_the_application_with_what_came_of_it(
    host: Host, child: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    child(WORKS)
    codes: list[int] = []
    monkeypatch.setattr(slicer.util, "exit", codes.append)
    data = writeDataset(tmp_path / "data")
    for arguments in ([data, tmp_path / "out"], [tmp_path / "nowhere", tmp_path / "out"], ["--wrong"], ["--help"]):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert codes == [1, 2, 2, 0]
    printed = capsys.readouterr()
    assert "2 of 3 patients have a result" in printed.out
    assert "nowhere does not exist" in printed.err


def test_a_synthesis_in_the_background_tells_when_it_is_done(
    host: Host, logic: Any, child: Callable[[str], None]
) -> None:
    patient: Patient = makePatient()
    outputs: list[Any] = []
    failures: list[SynthesisError] = []
    child(WORKS)
    begun = logic.synthesizeInBackground(patient, outputs.append, failures.append)
    assert begun.running
    assert not outputs
    until(host, lambda: not begun.running)
    assert not failures
    assert outputs[0].dvr is not None
    child("import sys; sys.exit('error: No.')")
    begun = logic.synthesizeInBackground(patient, outputs.append, failures.append)
    until(host, lambda: not begun.running)
    child(SLEEPS)
    begun = logic.synthesizeInBackground(patient, outputs.append, failures.append)
    begun.cancel()
    until(host, lambda: not begun.running)
    assert [str(error) for error in failures] == ["No.", "The synthesis was cancelled."]
    assert len(outputs) == 1
    assert not list(Path(slicer.app.temporaryPath).iterdir())


def test_closing_the_application_ends_what_runs_in_the_background(
    host: Host, logic: Any, child: Callable[[str], None]
) -> None:
    child(SLEEPS)
    begun = logic.synthesizeInBackground(makePatient(), print, print)
    leader = begun.synthesis._child.pid
    slicer.app.aboutToQuit()
    assert not begun.running
    assert gone(leader)
    assert not list(Path(slicer.app.temporaryPath).iterdir())
