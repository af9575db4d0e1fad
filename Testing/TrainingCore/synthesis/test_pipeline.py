"""One prepared patient serves any number of models, and has one source of its lesion mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_head import AFFINE

from TrainingCore.data.bundle import Bundle
from TrainingCore.imaging.aligned import AlignedPatient
from TrainingCore.imaging.volumes import Volume, write_volume
from TrainingCore.patient.clock import Clock
from TrainingCore.patient.inputs import read_patient
from TrainingCore.patient.outputs import write_result
from TrainingCore.patient.pipeline import FoundLesions, PreparedPatient, prepare_patient
from TrainingCore.patient.synthesis import synthesize_prepared
from TrainingCore.prediction.model import TrainedModel
from TrainingCore.runtime.cli import Progress

ABOUT = {"name": "finder", "weights_sha256": "0" * 64, "simulated_training_data": True, "performance": {}}


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock(Progress("none", "test"))


@pytest.fixture(scope="module")
def prepared(patient: dict[str, Path], bundle: Path, head: dict[str, np.ndarray], clock: Clock) -> PreparedPatient:
    """The small head without a lesion mask; a finder marks its lesions with a probability of 0.8."""

    def find(aligned: AlignedPatient) -> FoundLesions:
        mask = Volume(head["lesions"].astype(np.float32), AFFINE, "found")
        return FoundLesions(mask, np.where(head["lesions"], 0.8, 0.1), ABOUT)

    files = {name: patient[name] for name in ("t1w", "flair", "brain")}
    read = read_patient(files, Bundle.open(bundle), {"flair": "identity"})
    return prepare_patient(read, clock, find_lesions=find)


def test_found_lesions_are_marked_as_found_with_their_confidence(
    prepared: PreparedPatient, bundle: Path, clock: Clock, tmp_path: Path
) -> None:
    assert prepared.lesion_source == "found"
    assert any("segmented automatically" in sentence for sentence in prepared.patient.warnings)
    findings = synthesize_prepared(prepared, TrainedModel.load(Bundle.open(bundle), "cpu"), clock)
    assert [row["confidence"] for row in findings.rows] == pytest.approx([0.8] * 3)
    write_result(tmp_path, findings)
    table = (tmp_path / "lesions.csv").read_text(encoding="utf-8")
    assert "confidence" in table.splitlines()[0]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Found automatically" in page
    assert "80%" in page


def test_a_prepared_patient_serves_several_models(prepared: PreparedPatient, bundle: Path, clock: Clock) -> None:
    model = TrainedModel.load(Bundle.open(bundle), "cpu")
    first, second = (synthesize_prepared(prepared, model, clock, flips=flips) for flips in (False, True))
    again = synthesize_prepared(prepared, model, clock)
    assert np.array_equal(first.dvr, again.dvr)
    assert first.rows == again.rows
    assert not np.array_equal(first.dvr, second.dvr)


def test_without_a_mask_and_a_finder_there_are_no_lesions(patient: dict[str, Path], bundle: Path, clock: Clock) -> None:
    files = {name: patient[name] for name in ("t1w", "flair", "brain")}
    read = read_patient(files, Bundle.open(bundle), {"flair": "identity"})
    prepared = prepare_patient(read, clock)
    assert (prepared.lesion_source, prepared.lesions) == ("none", None)


def test_a_mask_whose_voxels_were_reversed_on_its_own_grid_is_warned_of(
    patient: dict[str, Path], bundle: Path, head: dict[str, np.ndarray], clock: Clock, tmp_path: Path
) -> None:
    wider = AFFINE.copy()
    wider[0, 3] += 12  # four more voxels on the right
    padded = np.pad(head["lesions"], ((4, 0), (0, 0), (0, 0))).astype(np.uint8)
    for data, expected in ((padded, False), (padded[::-1], True)):
        write_volume(tmp_path / "les.nii.gz", data, wider)
        files = {name: patient[name] for name in ("t1w", "flair", "brain")} | {"lesions": tmp_path / "les.nii.gz"}
        read = read_patient(files, Bundle.open(bundle), {"flair": "identity"})
        warnings = prepare_patient(read, clock).patient.warnings
        assert any("left and right exchanged" in sentence for sentence in warnings) == expected
