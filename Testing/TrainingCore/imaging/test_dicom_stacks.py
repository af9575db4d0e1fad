"""Slices are gathered to volumes in spite of what scanners and anonymisers do to their tags."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from dicom_files import FLAIR, T1W, write_series
from pydicom.uid import generate_uid

from TrainingCore import list_dicom
from TrainingCore.imaging.volumes import Volume, read_volume
from TrainingCore.runtime.errors import BadInput


@pytest.fixture
def volume() -> Volume:
    return Volume(np.random.default_rng(0).integers(1, 900, (8, 9, 10)).astype(np.float32), np.diag([-1.0, -1, 3, 1]))


def tag(name, value):
    return lambda k, data: setattr(data, name, value(k))


def tilt(k, data):
    data.ImageOrientationPatient = ["1", "0", "0", "0", "0.999987", f"{-0.005 - (4e-6 if k % 2 else -4e-6):.6f}"]


def no_identity(k, data):
    data.SeriesInstanceUID, data.StudyInstanceUID = generate_uid(), generate_uid()
    data.StudyDate = "20200101"


def no_number(k, data):
    data.SeriesInstanceUID, data.SeriesNumber = generate_uid(), 100 + k


ODD = {
    "a series number each": no_number,
    "echo": tag("EchoTime", lambda k: 2.9 + 1e-6 * (k % 2)),
    "echo, more": tag("EchoTime", lambda k: 2.9 + 0.01 * (k % 3)),
    "orientation": tilt,
    "spacing": tag("PixelSpacing", lambda k: [f"{1 + 1e-5 * (k % 2):.6f}", "1"]),
    "one SOP UID": tag("SOPInstanceUID", lambda k: "1.2.3"),
    "a series UID each": tag("SeriesInstanceUID", lambda k: generate_uid()),
    "a study UID each": no_identity,
    "image type": tag("ImageType", lambda k: ["ORIGINAL", "PRIMARY", "M", "ND", *(["NORM"] if k % 2 else [])]),
    "acquisition number": tag("AcquisitionNumber", lambda k: k),
}


@pytest.mark.parametrize("name", ODD)
def test_tags_that_differ_a_little_split_nothing(name, volume, tmp_path):
    write_series(tmp_path, volume, T1W, each=ODD[name])
    found = read_volume(tmp_path, "T1w")
    assert sorted(found.data.ravel()) == sorted(volume.data.ravel())
    assert np.prod(found.spacing) == pytest.approx(3.0, abs=0.03)
    assert not any("slices" in note for note in found.notes)


def test_slices_sent_twice_count_once_and_repetitions_can_be_chosen(volume, tmp_path):
    series = generate_uid()
    for part, data in (("a", volume.data), ("b", volume.data)):
        write_series(tmp_path / "twice" / part, volume.with_data(data), T1W, series=series)
    assert np.array_equal(np.sort(read_volume(tmp_path / "twice").data, None), np.sort(volume.data, None))
    for number, data in ((1, volume.data), (2, volume.data + 5)):
        each = tag("AcquisitionNumber", lambda k, number=number: number)
        write_series(tmp_path / f"again/{number}", volume.with_data(data), T1W, series=series, each=each)
    with pytest.raises(BadInput, match=r"2 series that could be the T1w: 3\.1 .* 3\.2"):
        read_volume(tmp_path / "again", "T1w")
    assert read_volume(tmp_path / "again#3.2", "T1w").data.max() == volume.data.max() + 5


def test_every_second_slice_missing_is_said(volume, tmp_path):
    for path in write_series(tmp_path, volume, T1W)[1::2]:
        path.unlink()
    assert "6 mm apart, 3 mm by its tags" in read_volume(tmp_path).notes[0]


def test_the_first_slices_missing_are_said(volume, tmp_path):
    for path in write_series(tmp_path, volume, T1W)[-2:]:  # numbered from the last place on
        path.unlink()
    assert "numbered from 3: 2 may be missing" in read_volume(tmp_path).notes[0]


@pytest.mark.parametrize("name", ["Secret^Person^^^", "SECRET^PERSON", "Secret, Person", "Secret^Person^Middle"])
def test_one_person_is_written_in_several_ways(name, volume, tmp_path):
    write_series(tmp_path, volume, T1W)
    write_series(tmp_path, volume, FLAIR | {"PatientName": name, "PatientID": "ID-4711 "})
    assert read_volume(tmp_path, "FLAIR").name.startswith("series 5")
    write_series(tmp_path / "other", volume, FLAIR | {"SeriesNumber": 6, "PatientName": "Secret^Other"})
    with pytest.raises(BadInput, match="more than one person"):
        read_volume(tmp_path, "T1w")


def test_linked_folders_and_files_without_preamble_are_read(volume, tmp_path):
    paths = write_series(tmp_path / "store", volume, T1W)
    (tmp_path / "disc").mkdir()
    (tmp_path / "disc/series").symlink_to(tmp_path / "store", target_is_directory=True)
    (tmp_path / "disc/loop").symlink_to(tmp_path / "disc", target_is_directory=True)
    assert read_volume(tmp_path / "disc").data.shape == volume.data.shape
    (tmp_path / "bare").mkdir()
    for path in paths:
        data = pydicom.dcmread(path)
        del data.file_meta
        pydicom.dcmwrite(tmp_path / "bare" / path.name, data, implicit_vr=True, little_endian=True)
    assert np.array_equal(read_volume(tmp_path / "bare").data, read_volume(tmp_path / "disc").data)


def test_the_list_is_certain_only_of_what_can_be_read(volume, tmp_path, capsys):
    write_series(tmp_path, volume, T1W)[4].unlink()
    assert list_dicom.main([str(tmp_path)]) == 0
    assert "T1w: not certain. The T1w series 3" in capsys.readouterr().out
