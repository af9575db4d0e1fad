"""Map and lesions as DICOM: equal numbers, one place, one patient, said to be synthetic."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("highdicom")

import pydicom
from dicom_files import PATIENT, T1W, write_series
from dicom_results import OBLIQUE, PROVENANCE, ROWS, STUDY_TAGS, read_back, series, to_ras, turned

from TrainingCore.imaging.volumes import Volume, resample
from TrainingCore.reporting.dicom.belonging import world_of_reference
from TrainingCore.reporting.dicom.export import MAP, REPORT, SEGMENTATION, write_dicom
from TrainingCore.reporting.dicom.reference import read_reference
from TrainingCore.runtime.errors import BadInput


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
        write_dicom(tmp_path / name, reference, dvr, arrays["labels"], ROWS, PROVENANCE)
    for name in (MAP, SEGMENTATION):
        first, second, other = (tmp_path / run / name for run in ("first", "second", "other"))
        assert first.read_bytes() == second.read_bytes()
        uids = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in (first, other)]
        assert uids[0] != uids[1]


def test_a_cropped_and_turned_grid_keeps_its_numbers_and_its_place(tmp_path, arrays):
    reference = read_reference(series(tmp_path / "t1w", arrays))
    crop, low = (slice(4, 57), slice(2, 66), slice(1, 50)), [4, 2, 1, 1]
    matrix = turned(OBLIQUE)[:, [2, 0, 1, 3]]  # axes in another order, the second one backwards
    matrix[:3, 3] = (turned(OBLIQUE) @ [56, *low[1:]])[:3]
    matrix[:3, 1] *= -1
    dvr = np.transpose(arrays["dvr"][crop], (2, 0, 1))[:, ::-1]
    write_dicom(tmp_path / "dicom", reference, Volume(dvr, matrix), None, [], PROVENANCE)
    image = read_back(tmp_path / "dicom" / MAP)
    assert image.data.shape == (53, 64, 49)
    there = resample(image, arrays["dvr"].shape, turned(OBLIQUE), interpolation="nearest")
    assert np.array_equal(there[crop], arrays["dvr"][crop])
    frames = pydicom.dcmread(tmp_path / "dicom" / MAP).PerFrameFunctionalGroupsSequence
    assert all("DerivationImageSequence" in frame for frame in frames)


def test_a_finer_grid_of_its_own_is_not_resampled(tmp_path, arrays):
    reference = read_reference(series(tmp_path / "t1w", arrays))
    fine = turned(OBLIQUE) @ np.diag([0.5, 0.5, 0.4, 1])
    dvr = np.random.default_rng(1).random((20, 24, 30), np.float32)
    write_dicom(tmp_path / "dicom", reference, Volume(dvr, fine), None, [], PROVENANCE)
    image = read_back(tmp_path / "dicom" / MAP)
    assert np.allclose(np.sort(image.spacing), [1.2, 1.5, 1.5])
    assert np.array_equal(resample(image, dvr.shape, fine, interpolation="nearest"), dvr)


def test_one_lesion_alone_has_its_segment_and_its_numbers(tmp_path, arrays):
    reference = read_reference(series(tmp_path / "t1w", arrays))
    dvr, labels = Volume(arrays["dvr"], turned(OBLIQUE)), np.where(arrays["labels"] == 3, 3, 0)
    write_dicom(tmp_path / "dicom", reference, dvr, labels, ROWS, PROVENANCE)
    (segment,) = pydicom.dcmread(tmp_path / "dicom" / SEGMENTATION).SegmentSequence
    assert segment.SegmentLabel == "Lesion 3"
    report = str(pydicom.dcmread(tmp_path / "dicom" / REPORT))
    assert report.count("Tracking Unique Identifier") == 1
    assert segment.TrackingUID in report


@pytest.mark.parametrize(("review", "kind"), [({}, "AUTOMATIC"), ({"review": {"states": {}}}, "SEMIAUTOMATIC")])
def test_found_lesions_name_the_network_that_found_them(tmp_path, arrays, review, kind):
    about = {"name": "finder", "weights_sha256": "cd" * 32}
    found = PROVENANCE | {"lesion_source": "found", "inputs": {"lesions_found_by": about}} | review
    reference = read_reference(series(tmp_path / "t1w", arrays, "enhanced"))
    dvr = Volume(arrays["dvr"], turned(OBLIQUE))
    write_dicom(tmp_path / "dicom", reference, dvr, arrays["labels"], ROWS, found)
    segment = pydicom.dcmread(tmp_path / "dicom" / SEGMENTATION).SegmentSequence[0]
    assert segment.SegmentAlgorithmType == kind
    identification = segment.SegmentationAlgorithmIdentificationSequence[0]
    assert identification.AlgorithmName == "MyelinSynth, model finder"
    assert identification.AlgorithmVersion.endswith("cdcdcdcdcdcdcdcd")


def tracking(folder):
    """Tracking UIDs of the segments, by label."""
    data = pydicom.dcmread(folder / SEGMENTATION)
    return {one.SegmentLabel: one.TrackingUID for one in data.SegmentSequence}


def test_a_lesion_keeps_its_tracking_uid_whatever_the_model_and_over_visits(tmp_path, arrays):
    reference = read_reference(series(tmp_path / "t1w", arrays, "enhanced"))
    other = PROVENANCE | {"model": PROVENANCE["model"] | {"weights_sha256": "ef" * 32}}
    dvr, place = arrays["dvr"], turned(OBLIQUE)
    for name, values, about, earlier in (
        ("first", dvr, PROVENANCE, {}),
        ("other model", dvr + np.float32(0.1), other, {}),
        ("later visit", dvr, PROVENANCE, {3: "2.25.99"}),
    ):
        write_dicom(tmp_path / name, reference, Volume(values, place), arrays["labels"], ROWS, about, earlier)
    assert tracking(tmp_path / "first") == tracking(tmp_path / "other model")
    assert tracking(tmp_path / "later visit") == tracking(tmp_path / "first") | {"Lesion 3": "2.25.99"}
    uids = [pydicom.dcmread(tmp_path / name / MAP).SOPInstanceUID for name in ("first", "other model", "later visit")]
    assert len(set(uids)) == 3


def test_another_identity_or_source_of_lesions_gives_other_objects(tmp_path, arrays):
    dvr, uids = Volume(arrays["dvr"], turned(OBLIQUE)), set()
    folder = series(tmp_path / "t1w", arrays, "enhanced")
    for number, (name, source) in enumerate((("A^B", "given"), ("A^C", "given"), ("A^B", "found"))):
        reference = read_reference(folder)
        reference.first.PatientName = name
        about = PROVENANCE | {"lesion_source": source}
        write_dicom(tmp_path / str(number), reference, dvr, arrays["labels"], ROWS, about)
        uids.add(pydicom.dcmread(tmp_path / str(number) / SEGMENTATION).SOPInstanceUID)
    assert len(uids) == 3


def test_a_lesion_without_a_row_is_refused(tmp_path, arrays):
    reference = read_reference(series(tmp_path / "t1w", arrays))
    with pytest.raises(BadInput, match="holds lesions that"):
        write_dicom(
            tmp_path / "dicom", reference, Volume(arrays["dvr"], turned(OBLIQUE)), arrays["labels"], [], PROVENANCE
        )


def test_what_an_anonymiser_removed_is_filled_in(tmp_path, arrays):
    gone = dict.fromkeys(("PatientName", "PatientBirthDate", "FrameOfReferenceUID", "StudyDate", "PatientSex"))
    folder = series(tmp_path / "t1w", arrays, **gone | {"PatientID": None})
    reference = read_reference(folder)
    written = write_dicom(tmp_path / "dicom", reference, Volume(arrays["dvr"], turned(OBLIQUE)), None, [], PROVENANCE)
    assert any("no frame of reference" in note for note in written.notes)
    data = pydicom.dcmread(tmp_path / "dicom" / MAP)
    assert data.PatientID == ""
    assert data.FrameOfReferenceUID.startswith("2.25.")


@pytest.mark.parametrize(
    ("tag", "value", "sentence"),
    [
        ("SOPInstanceUID", lambda k: "1.2.3", "the same UID for several slices"),
        ("SeriesInstanceUID", lambda k: f"1.2.{k}", "52 series UIDs"),
        ("StudyInstanceUID", lambda k: None, "no UID of its study"),
    ],
)
def test_a_series_that_nothing_can_refer_to_is_refused(tmp_path, arrays, tag, value, sentence):
    def change(k, data):
        if value(k) is None:
            delattr(data, tag)
        else:
            setattr(data, tag, value(k))

    write_series(tmp_path, Volume(arrays["t1w"], turned(OBLIQUE)), T1W, each=change)
    with pytest.raises(BadInput, match=sentence):
        read_reference(tmp_path)


def test_values_that_break_the_rules_do_not_stop_the_export(tmp_path, arrays):
    odd = {
        "PatientBirthDate": "1970.01",
        "PatientSex": "female",
        "StudyTime": "noon",
        "SpecificCharacterSet": "ISO_IR 6",
    }
    with pydicom.config.disable_value_validation():
        folder = series(tmp_path / "t1w", arrays, **odd)
    reference = read_reference(folder)
    write_dicom(tmp_path / "dicom", reference, Volume(arrays["dvr"], turned(OBLIQUE)), None, [], PROVENANCE)
    data = pydicom.dcmread(tmp_path / "dicom" / MAP)
    assert [data.PatientBirthDate, data.PatientSex, data.StudyTime] == ["", "", ""]


def test_names_with_letters_beyond_ascii_survive(tmp_path, arrays):
    for number, (kept, name) in enumerate(
        {"ISO_IR 100": "M\u00fcller^J\u00f6rg", "ISO_IR 192": "\u5c71\u7530^\u592a\u90ce"}.items()
    ):
        reference = read_reference(series(tmp_path / str(number), arrays, SpecificCharacterSet=kept, PatientName=name))
        folder = tmp_path / f"dicom{number}"
        write_dicom(folder, reference, Volume(arrays["dvr"], turned(OBLIQUE)), arrays["labels"], ROWS, PROVENANCE)
        for path in folder.glob("*.dcm"):
            assert str(pydicom.dcmread(path).PatientName) == name


def test_a_folder_that_cannot_be_written_is_refused_and_left_alone(tmp_path, arrays):
    reference = read_reference(series(tmp_path / "t1w", arrays))
    (tmp_path / "dicom").mkdir()
    (tmp_path / "dicom/README.txt").write_text("mine")
    with pytest.raises(BadInput, match="holds other files"):
        write_dicom(tmp_path / "dicom", reference, Volume(arrays["dvr"], turned(OBLIQUE)), None, [], PROVENANCE)
    assert [path.name for path in (tmp_path / "dicom").iterdir()] == ["README.txt"]


@pytest.mark.parametrize(
    ("likeness", "change"),
    [
        ("same", lambda image: image),
        ("same", lambda image: image * np.exp(np.linspace(-0.7, 0.7, image.shape[0]))[:, None, None]),
        ("same", lambda image: np.where(image > 300, image, 0)),
        ("other", lambda image: image[:, ::-1]),
        ("other", lambda image: np.random.default_rng(0).permutation(image)),
    ],
    ids=["itself", "bias field", "without CSF", "turned", "shuffled"],
)
def test_a_t1w_is_known_by_its_voxels(tmp_path, arrays, likeness, change):
    reference = read_reference(series(tmp_path / "t1w", arrays))
    image = Volume(change(arrays["t1w"]).astype(np.float32), turned(OBLIQUE))
    if likeness == "same":
        assert np.array_equal(world_of_reference(image, reference), np.eye(4))
    else:
        with pytest.raises(BadInput, match="does not show the same image"):
            world_of_reference(image, reference)


def test_the_second_place_in_a_nifti_header_counts(tmp_path, arrays):
    reference = read_reference(series(tmp_path / "t1w", arrays))
    template = np.diag([2.0, 2, 2, 1])
    image = Volume(arrays["t1w"], template, other=turned(OBLIQUE))
    world = world_of_reference(image, reference)
    assert np.allclose(world @ template, turned(OBLIQUE))
