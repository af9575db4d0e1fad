"""Map and lesions as DICOM: equal numbers, one place, one patient, said to be synthetic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("highdicom")

import pydicom
from dicom_files import PATIENT, T1W, write_enhanced, write_series
from scipy import ndimage
from small_head import make_head

from TrainingCore.imaging.volumes import Volume, resample
from TrainingCore.reporting.dicom.export import MAP, SEGMENTATION, write_dicom
from TrainingCore.reporting.dicom.reference import Reference, read_reference

STUDY_TAGS = {"FrameOfReferenceUID": "1.2.3.4", "StudyDate": "20240101", "StudyTime": "101010", "PatientSex": "F"}
PROVENANCE = {
    "model": {"name": "demo", "weights_sha256": "ab" * 32, "simulated_training_data": True},
    "simulated_patient": False,
    "lesion_source": "given",
}
OBLIQUE = np.array([[-2.9, 0.5, 0.3, 80], [0.4, 2.9, -0.6, -90], [-0.4, 0.6, 2.9, -80], [0, 0, 0, 1.0]])


def turned(angle_affine: np.ndarray) -> np.ndarray:
    """The nearest affine with perpendicular axes of 3 mm."""
    left, _, right = np.linalg.svd(angle_affine[:3, :3])
    affine = angle_affine.copy()
    affine[:3, :3] = 3 * left @ right
    return affine


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """A small head with a map and lesion labels; lesion 2 was deleted in review."""
    head = make_head()
    labels, _ = ndimage.label(head["lesions"])
    labels[labels == 2] = 0
    noise = 0.1 * np.random.default_rng(0).standard_normal(labels.shape)
    dvr = np.where(head["brain"], 1 + noise, 0).astype(np.float32)
    return {"t1w": np.clip(head["t1w"], 0, None), "dvr": dvr, "labels": labels, "brain": head["brain"]}


def series(folder: Path, arrays: dict[str, np.ndarray], kind: str = "single", **tags: Any) -> Path:
    """The T1w as oblique DICOM; tags: of the series, None to leave one out."""
    volume = Volume(arrays["t1w"], turned(OBLIQUE))

    def change(data: Any) -> None:
        for name, value in (STUDY_TAGS | tags).items():
            if value is None:
                data.pop(name, None)
            else:
                setattr(data, name, value)

    if kind == "enhanced":
        write_enhanced(folder / "multi.dcm", volume, T1W, each=change)
    else:
        write_series(folder, volume, T1W, each=lambda _k, data: change(data))
    return folder


@pytest.fixture(scope="module", params=["single", "enhanced"])
def written(request, tmp_path_factory, arrays) -> tuple[Path, Reference]:
    """The folder of DICOM of a series with one file for each slice, and of a multi-frame one."""
    folder = tmp_path_factory.mktemp(request.param)
    reference = read_reference(series(folder / "t1w", arrays, request.param))
    dvr = Volume(arrays["dvr"], turned(OBLIQUE))
    write_dicom(folder / "dicom", reference, dvr, arrays["labels"], [{"id": 1.0}, {"id": 3.0}], PROVENANCE)
    return folder / "dicom", reference


def test_the_map_holds_the_same_numbers_at_the_same_place(written, arrays):
    folder, reference = written
    image = read_back(folder / MAP)
    assert np.allclose(image.affine, reference.volume.affine, atol=1e-4)
    there = resample(image, arrays["dvr"].shape, turned(OBLIQUE), interpolation="nearest")
    assert np.array_equal(there, arrays["dvr"])
    data = pydicom.dcmread(folder / MAP)
    assert data.FrameOfReferenceUID == STUDY_TAGS["FrameOfReferenceUID"]
    assert [str(data.PatientName), data.PatientID] == [PATIENT["PatientName"], PATIENT["PatientID"]]
    assert data.StudyInstanceUID == reference.first.StudyInstanceUID


def test_every_frame_refers_to_its_own_slice(written):
    folder, reference = written
    for frame in pydicom.dcmread(folder / MAP).PerFrameFunctionalGroupsSequence:
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        place = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        if len(reference.headers) > 1:
            header = reference.headers[reference.uids.index(source.ReferencedSOPInstanceUID)]
            there = header.ImagePositionPatient
        else:
            group = reference.first.PerFrameFunctionalGroupsSequence[source.ReferencedFrameNumber - 1]
            there = group.PlanePositionSequence[0].ImagePositionPatient
        assert np.allclose(place, np.array(there, float), atol=1e-3)


def test_lesions_are_segments_with_the_numbers_of_the_table(written, arrays):
    folder, _ = written
    import highdicom

    segments = highdicom.seg.segread(folder / SEGMENTATION)
    assert [one.SegmentLabel for one in segments.SegmentSequence] == ["Lesion 1", "Lesion 3"]
    assert len({one.TrackingUID for one in segments.SegmentSequence}) == 2
    for number, segment in ((1, 1), (3, 2)):
        volume = segments.get_volume(segment_numbers=[segment], combine_segments=True)
        lesion = Volume((arrays["labels"] == number).astype(np.float32), turned(OBLIQUE))
        own = Volume(volume.array.T.astype(np.float32), to_ras(volume.affine))
        there = resample(own, lesion.data.shape, lesion.affine, interpolation="nearest")
        assert np.array_equal(there > 0, lesion.data > 0)


def test_it_is_said_to_be_synthetic_and_for_research(written):
    folder, _ = written
    data = pydicom.dcmread(folder / MAP)
    assert data.ImageType[0] == "DERIVED"
    assert data.ContentQualification == "RESEARCH"
    assert "SYNTHETIC" in data.SeriesDescription
    assert "RESEARCH USE ONLY" in data.SeriesDescription
    assert "simulated training data" in data.ContentDescription
    item = data.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0]
    assert "not measured by PET" in item.DerivationDescription
    assert any("demo" in one.ManufacturerModelName for one in data.ContributingEquipmentSequence)


def test_the_same_run_gives_the_same_bytes_and_another_map_other_identifiers(tmp_path, arrays):
    reference = read_reference(series(tmp_path / "t1w", arrays))
    for name, change in (("first", 0.0), ("second", 0.0), ("other", 0.01)):
        dvr = Volume(arrays["dvr"] + np.float32(change), turned(OBLIQUE))
        write_dicom(tmp_path / name, reference, dvr, arrays["labels"], [], PROVENANCE)
    for name in (MAP, SEGMENTATION):
        first, second, other = (tmp_path / run / name for run in ("first", "second", "other"))
        assert first.read_bytes() == second.read_bytes()
        uids = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in (first, other)]
        assert uids[0] != uids[1]


def read_back(path: Path) -> Volume:
    """A parametric map as a volume in RAS, by pydicom alone, its slices in the order of the T1w's last axis."""
    data = pydicom.dcmread(path)
    shared = data.SharedFunctionalGroupsSequence[0]
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    turn = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float).reshape(2, 3)
    places = np.array(
        [frame.PlanePositionSequence[0].ImagePositionPatient for frame in data.PerFrameFunctionalGroupsSequence], float
    )
    values = np.frombuffer(data.FloatPixelData, "<f4").reshape(data.NumberOfFrames, data.Rows, data.Columns)
    order = np.argsort(places @ np.cross(*turn))
    lps = np.eye(4)
    lps[:3, :2] = (turn * spacing[::-1, None]).T
    lps[:3, 2] = (places[order[-1]] - places[order[0]]) / (len(order) - 1)
    lps[:3, 3] = places[order[0]]
    return Volume(values[order].T, np.diag([-1.0, -1, 1, 1]) @ lps)


def to_ras(affine: np.ndarray) -> np.ndarray:
    """highdicom's affine, (slice, row, column) -> LPS, as (column, row, slice) -> RAS."""
    return np.diag([-1.0, -1, 1, 1]) @ affine @ np.eye(4)[:, [2, 1, 0, 3]]
