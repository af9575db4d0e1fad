"""Export > DICOM: from the nodes of a scene to objects that are derived from the T1w's series."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from slicer_scene import Application

pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")
pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("highdicom", reason="highdicom is not installed (pip install highdicom)")
pytest.importorskip("nibabel", reason="nibabel is not installed")

import pydicom
import slicer
from dicom_files import PATIENT, T1W, write_series
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.export import dicom
from MyelinSynthLib.review.table import REJECTED, Review
from MyelinSynthLib.scene.geometry import ijkToRas
from stand_in_host import Host
from test_module_panel import child, host, widget  # noqa: F401 - fixtures
from test_module_reviewpanel import reviewed  # noqa: F401 - fixture
from test_module_scene import makePatient, through

from TrainingCore.imaging.volumes import Volume


def writeSeriesOf(t1w: Any, folder: Path) -> Path:
    """A T1w node as a DICOM series."""
    values = slicer.util.arrayFromVolume(t1w).transpose(2, 1, 0).astype(np.float32)
    scaled = 1000 * (values - values.min()) / np.ptp(values)
    tags = T1W | {"FrameOfReferenceUID": "1.2.3", "StudyDate": "20240101"}
    write_series(folder, Volume(scaled, ijkToRas(t1w)), tags)
    return folder


@pytest.fixture
def synthesis(application: Application, tmp_path: Path) -> tuple[Any, Path]:
    """A synthesis in the scene, and the folder of the DICOM series that its T1w came from."""
    patient = makePatient()
    return through(patient, tmp_path), writeSeriesOf(patient.t1w, tmp_path / "series")


def test_nodes_become_dicom_without_what_was_rejected(synthesis: tuple[Any, Path], tmp_path: Path) -> None:
    outputs, series = synthesis
    Review(outputs.table).setState(0, REJECTED)
    notes = dicom.writeDicom(outputs.nodes(), [series], tmp_path / "mine_dicom")
    assert any("identity" in note for note in notes)
    assert "1 rejected lesion is left out." in notes
    data = pydicom.dcmread(tmp_path / "mine_dicom/dvr_map.dcm")
    assert data.PatientID == PATIENT["PatientID"]
    own = slicer.util.arrayFromVolume(outputs.dvr)
    assert np.array_equal(np.sort(np.frombuffer(data.FloatPixelData, "<f4")), np.sort(own.ravel()))
    segments = pydicom.dcmread(tmp_path / "mine_dicom/lesions.dcm").SegmentSequence
    assert [one.SegmentLabel for one in segments] == ["Lesion 2"]


def test_another_series_is_refused(synthesis: tuple[Any, Path], tmp_path: Path) -> None:
    outputs, _series = synthesis
    noise = np.random.default_rng(0).integers(0, 900, (28, 32, 20)).astype(np.float32)
    write_series(tmp_path / "other", Volume(noise, ijkToRas(outputs.dvr)), T1W)
    with pytest.raises(SynthesisError, match="does not show the same image"):
        dicom.writeDicom(outputs.nodes(), [tmp_path / "other"], tmp_path / "mine_dicom")
    assert not (tmp_path / "mine_dicom").exists()


def test_the_files_that_slicer_loaded_the_t1w_from_are_found(
    synthesis: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs, series = synthesis
    t1w = dicom.t1wOf(outputs.nodes())
    assert dicom.seriesFiles(t1w) == []
    files = {pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID: path for path in series.iterdir()}
    database = SimpleNamespace(fileForInstance=lambda uid: str(files.get(uid, "")))
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    t1w.SetAttribute("DICOM.instanceUIDs", " ".join(files))
    found = dicom.seriesFiles(t1w)
    assert sorted(found) == sorted(files.values())
    dicom.writeDicom(outputs.nodes(), found, tmp_path / "mine_dicom")
    assert (tmp_path / "mine_dicom/lesion_report.dcm").is_file()
    t1w.SetAttribute("DICOM.instanceUIDs", " ".join([*files, "1.2.3.4.5"]))
    assert dicom.seriesFiles(t1w) == [], "half a series is none"


def test_highdicom_is_installed_after_asking_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []
    answers = [False, True]
    monkeypatch.setattr(dicom, "find_spec", lambda name: None)
    monkeypatch.setattr(slicer, "app", SimpleNamespace(testingEnabled=lambda: False), raising=False)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_, **__: answers.pop(0), raising=False)
    monkeypatch.setattr(slicer.util, "pip_install", installed.append, raising=False)
    with pytest.raises(SynthesisError, match="was not installed"):
        dicom.ensureHighdicom()
    assert installed == []
    dicom.ensureHighdicom()
    assert installed == [dicom.PACKAGE]


def test_the_button_asks_for_the_series_and_says_whom_it_names(host: Host, reviewed: Any, tmp_path: Path) -> None:  # noqa: F811
    ui = reviewed.ui
    assert not ui.exportDicomButton.enabled, "no folder is chosen"
    ui.exportFolderEdit.text = str(tmp_path)
    series = writeSeriesOf(dicom.t1wOf(reviewed.logic.chosenRun(None)), tmp_path / "series")
    host.answers = [""]
    ui.exportDicomButton.click()
    assert not (tmp_path / "MyelinSynth_dicom").exists(), "no series was chosen"
    host.answers = [str(series)]
    ui.exportDicomButton.click()
    assert "Written: MyelinSynth_dicom" in ui.exportLabel.text
    assert "identity of the patient" in ui.exportLabel.text
    before = (tmp_path / "MyelinSynth_dicom/lesions.dcm").read_bytes()
    host.answers, host.questions = [str(series), False], []
    ui.exportDicomButton.click()
    assert "Replace MyelinSynth_dicom" in host.questions[-1]
    (tmp_path / "MyelinSynth_dicom").rename(tmp_path / "aside")
    (tmp_path / "series").rename(tmp_path / "elsewhere")
    host.answers = [str(tmp_path / "series")]
    ui.exportDicomButton.click()
    assert "There is no DICOM in series" in host.messages[-1]
    host.messages.clear()
    host.answers = [str(tmp_path / "elsewhere")]
    ui.exportDicomButton.click()
    assert (tmp_path / "MyelinSynth_dicom/lesions.dcm").read_bytes() == before
