from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("pydicom")

from dicom_files import FLAIR, T1W, write_enhanced, write_series
from pydicom.uid import generate_uid

from TrainingCore import list_dicom
from TrainingCore.imaging.dicom import split_choice
from TrainingCore.imaging.dicom_choice import contrast_of
from TrainingCore.imaging.dicom_headers import Stack
from TrainingCore.imaging.volumes import Volume, read_volume
from TrainingCore.runtime.errors import BadInput

PATIENT_WORDS = ("Secret", "Person", "4711", "1970")


def oblique(orientation: str = "LPS") -> np.ndarray:
    turn = nib.orientations.axcodes2ornt(orientation)
    affine = np.zeros((4, 4))
    for axis, (world, sign) in enumerate(turn):
        affine[int(world), axis] = sign * (0.9, 0.8, 3.0)[axis]
    affine[:3, 3], affine[3, 3] = (12.0, -34.0, 56.0), 1.0
    c, s = np.cos(0.3), np.sin(0.3)
    return np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]]) @ affine


@pytest.fixture
def volume() -> Volume:
    return Volume(np.random.default_rng(0).integers(0, 900, (9, 10, 7)).astype(np.float32), oblique())


def assert_same_place(read: Volume, truth: Volume, scale: float = 1.0) -> None:
    """Every voxel of `truth` has its value in `read` at the same place in the world, whatever the axes' order."""
    steps = np.linalg.inv(read.affine) @ truth.affine
    assert np.allclose(steps, np.round(steps), atol=1e-3)
    indices = np.round(np.argwhere(np.ones(truth.data.shape)) @ steps[:3, :3].T + steps[:3, 3]).astype(int)
    assert indices.min() == 0
    assert np.allclose(read.data[tuple(indices.T)], scale * truth.data.ravel())


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PSR", "SAL", "ARS"])
@pytest.mark.parametrize("enhanced", [False, True])
def test_every_voxel_lies_where_dicom_says(orientation, enhanced, volume, tmp_path):
    truth = Volume(volume.data, oblique(orientation))
    if enhanced:
        write_enhanced(tmp_path / "a/IM1", truth, T1W, slope=0.5)
    else:
        write_series(tmp_path / "a", truth, T1W)
    assert_same_place(read_volume(tmp_path / "a"), truth, 0.5 if enhanced else 1.0)


@pytest.mark.parametrize("enhanced", [False, True])
def test_dcm2niix_agrees_about_place_and_values(enhanced, volume, tmp_path):
    converter = shutil.which("dcm2niix") or shutil.which("dcm2niix", path=str(Path(nib.__file__).parents[4] / "bin"))
    if converter is None:
        pytest.skip("dcm2niix is not installed (pip install dcm2niix)")
    (tmp_path / "out").mkdir()
    if enhanced:
        write_enhanced(tmp_path / "in/IM1", volume, T1W)
    else:
        write_series(tmp_path / "in", volume, T1W)
    subprocess.run([converter, "-z", "n", "-f", "one", "-o", tmp_path / "out", tmp_path / "in"], check=True)
    assert_same_place(read_volume(tmp_path / "out/one.nii"), read_volume(tmp_path / "in"))


def test_one_folder_serves_as_t1w_and_as_flair(volume, tmp_path):
    other = volume.with_data(volume.data[::-1] + 1)
    write_series(tmp_path / "disc/a", volume, T1W)
    write_series(tmp_path / "disc/b/c", other, FLAIR)
    write_series(tmp_path / "disc/loc", volume, FLAIR | {"SeriesNumber": 1, "SeriesDescription": "localizer"})
    (tmp_path / "disc/readme.txt").write_text("not an image")
    assert_same_place(read_volume(tmp_path / "disc", "T1w"), volume)
    found = read_volume(tmp_path / "disc", "FLAIR")
    assert_same_place(found, other)
    assert found.name == 'series 5 "FLAIR tra"'
    assert found.notes == ()


def test_one_file_stands_for_its_series(volume, tmp_path):
    paths = write_series(tmp_path, volume, T1W)
    write_series(tmp_path, volume.with_data(volume.data + 7), FLAIR)
    assert_same_place(read_volume(paths[2]), volume)


def test_nothing_names_the_patient(volume, tmp_path, capsys):
    write_series(tmp_path / "x", volume, T1W)
    write_series(tmp_path / "x/again", volume, T1W | {"SeriesNumber": 4})
    with pytest.raises(BadInput) as caught:
        read_volume(tmp_path / "x")
    found = read_volume(tmp_path / "x#4")
    assert list_dicom.main([str(tmp_path / "x")]) == 0
    said = str(caught.value) + found.name + "".join(found.notes) + "".join(capsys.readouterr())
    assert not any(word in said for word in PATIENT_WORDS), said


def test_two_alike_are_listed_and_can_be_chosen_by_number(volume, tmp_path):
    write_series(tmp_path / "x", volume, T1W)
    write_series(tmp_path / "x", volume.with_data(volume.data * 2), T1W | {"SeriesNumber": 9})
    with pytest.raises(BadInput, match=r'2 series that could be the T1w: 3 "t1_mprage_sag" .* 9 .*FOLDER#3'):
        read_volume(tmp_path / "x", "T1w")
    assert_same_place(read_volume(tmp_path / "x#9", "T1w"), volume, 2)
    with pytest.raises(BadInput, match="no series 8"):
        read_volume(tmp_path / "x#8", "T1w")


def test_three_dimensions_go_before_thick_slices_and_native_before_agent(volume, tmp_path):
    thick = {"SeriesDescription": "T1 tra", "MRAcquisitionType": "2D", "InversionTime": None, "EchoTime": 9.0}
    write_series(tmp_path / "x", volume, T1W)
    write_series(tmp_path / "x", volume, T1W | thick | {"SeriesNumber": 8})
    write_series(tmp_path / "x", volume, T1W | {"SeriesNumber": 11, "SeriesDescription": "t1_mprage_sag +C"})
    found = read_volume(tmp_path / "x")
    assert found.name.startswith("series 3")
    assert "was chosen among" in found.notes[0]
    assert "FOLDER#" in found.notes[0]


def test_only_a_t1w_after_agent_is_taken_with_a_warning_and_a_flair_never_as_t1w(volume, tmp_path):
    write_series(tmp_path / "ce", volume, T1W | {"ContrastBolusAgent": "Gadovist"})
    assert "after contrast agent" in read_volume(tmp_path / "ce").notes[0]
    write_series(tmp_path / "flair", volume, FLAIR)
    with pytest.raises(BadInput, match="no series whose tags say T1w"):
        read_volume(tmp_path / "flair", "T1w")
    assert "tags that it is a FLAIR" in read_volume(tmp_path / "flair#5", "T1w").notes[0]


@pytest.mark.parametrize(
    ("names", "echo", "inversion", "sequence", "expected"),
    [
        ("t1_mprage_sag_p2_iso", 3, 900, "GR IR", "T1w"),
        ("AX T1 FLAIR", 22, 860, "SE IR", "T1w"),
        ("Ax T2 FLAIR", 120, 2250, "SE IR", "FLAIR"),
        ("t2_space_dark-fluid_sag", 390, 1800, "SE IR", "FLAIR"),
        ("t2_tirm_tra_dark-fluid", 110, 2500, "SE IR", "FLAIR"),
        ("t2_tirm_cor STIR", 60, 160, "SE IR", "other"),
        ("sT1W_3D_TFE", 3.5, None, "GR", "T1w"),
        ("3D FSPGR BRAVO +C", 3, 450, "GR", "T1w after contrast agent"),
        ("T1 SE post Gd", 10, None, "SE", "T1w after contrast agent"),
        ("T1 SE pre contrast", 10, None, "SE", "T1w"),
        ("t2_tse_tra", 100, None, "SE", "T2w"),
        ("T2* GRE", 20, None, "GR", "other"),
        ("pd+t2_tse", 12, None, "SE", "other"),
        ("ep2d_diff_3scan_trace", 90, None, "EP", "other"),
        ("t1 mprage", 90, None, "SE", "other"),
        ("DIR cube", 90, 2500, "SE IR", "other"),
        ("", 3, 900, "GR IR", "T1w"),
        ("", 120, 2500, "SE IR", "FLAIR"),
        ("", 100, None, "SE", "T2w"),
        ("mp2rage INV2", 3, 2700, "GR IR", "other"),
        ("3-plane loc", 2, None, "GR", "other"),
    ],
)
def test_contrast_by_names_and_times(names, echo, inversion, sequence, expected):
    stack = Stack(
        "", "", "", 1, "", names, "MR", ("ORIGINAL", "PRIMARY", "M"), frozenset(sequence.split()), False, False, 5000.0,
        echo, inversion, (1, 0, 0, 0, 1, 0), (1, 1), 1.0, 9, 9,
    )  # fmt: skip
    assert contrast_of(stack) == expected


def test_missing_uneven_and_doubled_slices_are_named(volume, tmp_path):
    def refusal(name: str) -> str:
        with pytest.raises(BadInput) as caught:
            read_volume(tmp_path / name)
        return str(caught.value)

    write_series(tmp_path / "missing", volume, T1W)[3].unlink()
    assert "lacks 1 of 7 slices" in refusal("missing")
    uneven = volume.affine @ np.array([0, 0, 0.4, 0])

    def push(k, data):
        if k == 3:
            lps = np.array(data.ImagePositionPatient, float) + [-uneven[0], -uneven[1], uneven[2]]
            data.ImagePositionPatient = [f"{x:.5f}" for x in lps]

    write_series(tmp_path / "uneven", volume, T1W, each=push)
    assert "unevenly spaced slices" in refusal("uneven")
    series, other = generate_uid(), volume.with_data(volume.data + 1)
    write_series(tmp_path / "twice/1", volume, T1W, series=series)
    write_series(tmp_path / "twice/2", other, T1W, series=series)
    assert "4D: it holds 2 volumes of 7 slices" in refusal("twice")
    write_series(tmp_path / "mixed/1", volume, T1W, series=series)
    for path in write_series(tmp_path / "mixed/2", other, T1W, series=series)[2:]:
        path.unlink()
    assert "two acquisitions are mixed" in refusal("mixed")


def test_a_copied_file_counts_once_and_damaged_ones_are_counted(volume, tmp_path):
    paths = write_series(tmp_path / "x", volume, T1W)
    shutil.copy(paths[0], tmp_path / "x/copy of 1")
    assert_same_place(read_volume(tmp_path / "x"), volume)
    paths[4].write_bytes(paths[4].read_bytes()[:300])
    with pytest.raises(BadInput, match=r"lacks 1 of 7 slices \(1 DICOM files could not be read\)"):
        read_volume(tmp_path / "x")


def test_truncated_pixels_are_said_to_be_truncated(volume, tmp_path):
    path = write_enhanced(tmp_path / "x/IM1", volume, T1W)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"truncated or damaged|incomplete"):
        read_volume(tmp_path / "x")


def test_echoes_and_phase_images_of_one_series_are_told_apart(volume, tmp_path):
    series = generate_uid()
    write_series(tmp_path / "x/1", volume, T1W, series=series)
    write_series(tmp_path / "x/2", volume, T1W | {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, series=series)
    assert_same_place(read_volume(tmp_path / "x"), volume)
    with pytest.raises(BadInput, match=r"holds several volumes: 3\.1"):
        read_volume(tmp_path / "x#3")


def test_people_and_visits_are_not_mixed(volume, tmp_path):
    write_series(tmp_path / "x/1", volume, T1W)
    write_series(tmp_path / "x/2", volume, T1W, study=generate_uid())
    with pytest.raises(BadInput, match="more than one study"):
        read_volume(tmp_path / "x")
    write_series(tmp_path / "x/3", volume, FLAIR | {"PatientID": "8"})
    with pytest.raises(BadInput, match="more than one person"):
        read_volume(tmp_path / "x")


def test_a_tilted_stack_keeps_its_true_geometry_and_says_so(volume, tmp_path):
    tilted = volume.affine.copy()
    tilted[:3, 2] += 0.5 * tilted[:3, 1] / np.linalg.norm(tilted[:3, 1])
    truth = Volume(volume.data, tilted)
    write_series(tmp_path / "x", truth, T1W)
    found = read_volume(tmp_path / "x")
    assert_same_place(found, truth)
    assert "not perpendicular, by 9.5 degrees" in found.notes[0]


@pytest.mark.parametrize("name", ["RLE", "jp2klossless", "jpeg_ls_lossless", "bigendian", "implicit", "padded"])
def test_every_transfer_syntax_gives_the_same_values(name):
    from pydicom.data import get_testdata_file

    from TrainingCore.imaging.dicom import scan
    from TrainingCore.imaging.dicom_headers import quiet_pydicom
    from TrainingCore.imaging.dicom_pixels import stored_values

    plain, other = (Path(get_testdata_file(f"MR_small{end}.dcm")) for end in ("", f"_{name}"))
    stack = next(stack for stack in scan(plain).stacks if (stack.rows, stack.columns) == (64, 64))
    with quiet_pydicom():
        assert np.array_equal(stored_values(plain, stack), stored_values(other, stack))


def test_signed_values_slopes_and_unused_bits(volume, tmp_path):
    def change(k, data):
        stored = volume.data[:, :, k].T.astype(np.int16) - 400
        data.PixelRepresentation, data.BitsStored, data.HighBit = 1, 12, 11
        data.PixelData = (stored & 0x0FFF | 0x3000).astype("<u2").tobytes()  # an overlay above bit 12
        data.RescaleSlope, data.RescaleIntercept = 2.5, 10

    write_series(tmp_path / "x", volume, T1W, each=change)
    found = read_volume(tmp_path / "x")
    assert_same_place(found, Volume((volume.data - 400) * 2.5 + 10, volume.affine))


def test_a_hash_in_a_folder_name_is_no_choice(tmp_path):
    (tmp_path / "case#3").mkdir()
    assert split_choice(tmp_path / "case#3") == (tmp_path / "case#3", None)
    assert split_choice(tmp_path / "case#3#12") == (tmp_path / "case#3", "12")


def test_an_empty_folder_and_colours_are_refused(volume, tmp_path):
    with pytest.raises(BadInput, match="no DICOM series"):
        read_volume(tmp_path)
    write_series(tmp_path, volume, T1W, each=lambda k, data: setattr(data, "SamplesPerPixel", 3))
    with pytest.raises(BadInput, match="7 DICOM files there hold no readable image"):
        read_volume(tmp_path)


def test_the_command_lists_series_and_the_choice(volume, tmp_path, capsys):
    write_series(tmp_path, volume, T1W)
    write_enhanced(tmp_path / "enhanced", volume, FLAIR)
    assert list_dicom.main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert 'T1w: series 3 "t1_mprage_sag"' in said
    assert 'FLAIR: series 5 "FLAIR tra"' in said


def test_a_million_frames_promised_by_a_small_file_cost_nothing(volume, tmp_path):
    write_enhanced(tmp_path / "x", volume, T1W, each=lambda data: setattr(data, "Rows", 65535))
    with pytest.raises(BadInput, match=r"damaged|incomplete|too large"):
        read_volume(tmp_path)
