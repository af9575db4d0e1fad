from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from itk_images import from_sitk

from TrainingCore.imaging.volumes import (
    Volume,
    matrix_of_sitk,
    read_volume,
    resample,
    same_grid,
    sitk_transform,
    to_sitk,
    write_volume,
)
from TrainingCore.runtime.errors import BadInput


def _oblique(orientation: str, angle: float = 0.3) -> np.ndarray:
    """Affine of an oblique grid of 1 x 1.5 x 2 mm whose axes run roughly as `orientation` says."""
    turn = nib.orientations.axcodes2ornt(orientation)
    affine = np.zeros((4, 4))
    for axis, (world, sign) in enumerate(turn):
        affine[int(world), axis] = sign * (1.0, 1.5, 2.0)[axis]
    affine[:3, 3], affine[3, 3] = (12.0, -34.0, 56.0), 1.0
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ affine


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 900, (9, 10, 11)).astype(np.float32)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".NII.GZ"])
@pytest.mark.parametrize("orientation", ["RAS", "LAS", "LPS", "PSR", "SAL"])
def test_every_format_puts_every_voxel_at_the_same_place_in_the_world(ending, orientation, values, tmp_path):
    affine, path = _oblique(orientation), tmp_path / f"image{ending}"
    if ending.lower().startswith(".nii"):
        write_volume(tmp_path / f"image{ending.lower()}", values, affine)
        (tmp_path / f"image{ending.lower()}").rename(path)
    else:
        sitk.WriteImage(to_sitk(Volume(values, affine)), str(path))
    read = read_volume(path)
    assert np.allclose(read.affine, affine, atol=1e-4)
    assert np.array_equal(read.data, values)
    assert read.data.dtype == np.float32


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "PSR"])
def test_itk_and_nibabel_agree_about_the_files_we_write(orientation, values, tmp_path):
    affine = _oblique(orientation)
    write_volume(tmp_path / "image.nii.gz", values, affine)
    by_itk = from_sitk(sitk.ReadImage(str(tmp_path / "image.nii.gz"), sitk.sitkFloat32))
    assert np.allclose(by_itk.affine, affine, atol=1e-3)
    assert np.array_equal(by_itk.data, values)


def test_the_same_volume_is_written_with_the_same_bytes(values, tmp_path):
    for name in ("one.nii.gz", "other.nii.gz"):
        write_volume(tmp_path / name, values, np.eye(4), "synthetic DVR")
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "other.nii.gz").read_bytes()


def test_masks_are_written_as_bytes_and_read_as_zeros_and_ones(tmp_path):
    mask = np.random.default_rng(0).random((6, 7, 8)) > 0.5
    write_volume(tmp_path / "mask.nii.gz", mask, np.eye(4))
    assert nib.load(tmp_path / "mask.nii.gz").get_data_dtype() == np.uint8
    assert np.array_equal(read_volume(tmp_path / "mask.nii.gz", mask=True).data, mask.astype(np.float32))


@pytest.mark.parametrize(("value", "expected"), [(3, 1), (255, 1), (0.6, 1), (1, 1)])
def test_labels_count_as_mask_and_probabilities_from_one_half(value, expected, tmp_path):
    data = np.zeros((6, 7, 8), np.float32)
    data[2, 3, 4] = value
    nib.save(nib.Nifti1Image(data, np.eye(4)), tmp_path / "mask.nii")
    assert read_volume(tmp_path / "mask.nii", mask=True).data[2, 3, 4] == expected


def test_the_slope_of_integer_files_is_applied(tmp_path):
    image = nib.Nifti1Image(np.arange(512, dtype=np.int16).reshape(8, 8, 8), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    content = bytearray(image.to_bytes())
    content[112:120] = np.array([0.5, 10], "<f4").tobytes()
    (tmp_path / "image.nii").write_bytes(bytes(content))
    assert read_volume(tmp_path / "image.nii").data[7, 7, 7] == pytest.approx(511 * 0.5 + 10)


def test_files_in_metres_come_out_in_millimetres(values, tmp_path):
    affine = np.diag([0.001, 0.001, 0.001, 1])
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "image.nii")
    assert np.allclose(read_volume(tmp_path / "image.nii").spacing, 1, atol=1e-5)


def test_a_sheared_sform_is_kept_and_noted(values, tmp_path):
    affine = np.eye(4)
    affine[0, 2] = 0.2
    image = nib.Nifti1Image(values, affine)
    image.set_qform(None)
    nib.save(image, tmp_path / "image.nii")
    read = read_volume(tmp_path / "image.nii")
    assert np.allclose(read.affine, affine, atol=1e-5)
    assert "not perpendicular" in read.notes[0]
    assert np.allclose(resample(read, values.shape, affine), values, atol=0.1)


def test_a_header_sheared_beyond_reason_is_refused(values, tmp_path):
    affine = np.eye(4)
    affine[0, 2] = 1.0
    image = nib.Nifti1Image(values, affine)
    image.set_qform(None)
    nib.save(image, tmp_path / "image.nii")
    with pytest.raises(BadInput, match="over 30 degrees from perpendicular"):
        read_volume(tmp_path / "image.nii")


def test_a_left_right_flip_between_the_two_forms_is_noted(values, tmp_path):
    image = nib.Nifti1Image(values, np.diag([1.0, 1.0, 1.0, 1.0]))
    image.set_qform(np.diag([-1.0, 1.0, 1.0, 1.0]), code=1)
    nib.save(image, tmp_path / "image.nii")
    assert "disagree about left and right" in read_volume(tmp_path / "image.nii").notes[0]


def test_a_file_without_orientation_is_noted(values, tmp_path):
    image = nib.Nifti1Image(values, np.eye(4))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nib.save(image, tmp_path / "image.nii")
    assert "orientation" in read_volume(tmp_path / "image.nii").notes[0]


def test_forms_that_contradict_each_other_are_noted_and_the_sform_wins(values, tmp_path):
    image = nib.Nifti1Image(values, np.eye(4))
    moved = np.eye(4)
    moved[0, 3] = 15
    image.set_qform(moved, 1)
    nib.save(image, tmp_path / "image.nii")
    read = read_volume(tmp_path / "image.nii")
    assert np.allclose(read.affine, np.eye(4))
    assert "15 mm" in read.notes[0]


@pytest.mark.parametrize("ending", [".nii", ".nrrd", ".mha"])
def test_a_truncated_file_is_refused(ending, values, tmp_path):
    path = tmp_path / f"image{ending}"
    if ending == ".nii":
        write_volume(path, values, np.eye(4))
    else:
        sitk.WriteImage(to_sitk(Volume(values, np.eye(4))), str(path))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(BadInput, match=r"incomplete|truncated"):
        read_volume(path)


@pytest.mark.parametrize("compress", [False, True])
def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(compress, values, tmp_path):
    content = bytearray(nib.Nifti1Image(values, np.eye(4)).to_bytes())
    content[42:48] = np.array([20000, 20000, 20000], "<i2").tobytes()
    path = tmp_path / ("image.nii.gz" if compress else "image.nii")
    path.write_bytes(gzip.compress(bytes(content)) if compress else bytes(content))
    with pytest.raises(BadInput, match="declares 20000 x 20000 x 20000"):
        read_volume(path)


def test_a_metaimage_that_promises_too_much_is_refused(values, tmp_path):
    path = tmp_path / "image.mha"
    sitk.WriteImage(to_sitk(Volume(values, np.eye(4))), str(path))
    path.write_bytes(path.read_bytes().replace(b"DimSize = 9 10 11", b"DimSize = 9000 9000 9000"))
    with pytest.raises(BadInput, match="declares"):
        read_volume(path)


def test_a_header_without_its_voxels_is_refused(values, tmp_path):
    sitk.WriteImage(to_sitk(Volume(values, np.eye(4))), str(tmp_path / "image.mhd"))
    (tmp_path / "image.raw").unlink()
    with pytest.raises(BadInput, match=r"image\.raw"):
        read_volume(tmp_path / "image.mhd")


def test_series_and_colours_are_refused_in_itk_formats_too(values, tmp_path):
    image = sitk.GetImageFromArray(np.stack([values] * 3, -1), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "colour.nrrd"))
    with pytest.raises(BadInput, match="every voxel has 3 values"):
        read_volume(tmp_path / "colour.nrrd")


def test_overlapping_segments_are_named_as_such(tmp_path):
    layers = sitk.GetImageFromArray(np.zeros((6, 7, 8, 2), np.uint8), isVector=True)
    layers.SetMetaData("Segment0_Name", "lesions")
    layers.SetMetaData("Segment1_Name", "black holes")
    sitk.WriteImage(layers, str(tmp_path / "les.seg.nrrd"))
    with pytest.raises(BadInput, match=r"2 layers of overlapping segments \(lesions, black holes\)"):
        read_volume(tmp_path / "les.seg.nrrd", "lesion mask", mask=True)


def test_infinite_voxels_are_refused_with_their_share(values, tmp_path):
    values[4, 4, 4] = np.inf
    write_volume(tmp_path / "image.nii", values, np.eye(4))
    with pytest.raises(BadInput, match=r"1 voxels \(0\.1 %\)"):
        read_volume(tmp_path / "image.nii")


def test_an_image_of_nothing_but_nan_is_refused_with_100_percent(values, tmp_path):
    write_volume(tmp_path / "image.nii", np.full_like(values, np.nan), np.eye(4))
    with pytest.raises(BadInput, match=rf"{values.size} voxels \(100 %\) that are NaN"):
        read_volume(tmp_path / "image.nii")


def test_an_empty_mask_is_read_because_a_patient_may_have_no_lesion(tmp_path):
    write_volume(tmp_path / "mask.nii", np.zeros((6, 6, 6), bool), np.eye(4))
    assert not read_volume(tmp_path / "mask.nii", mask=True).data.any()


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "SAL"])
def test_resampling_follows_world_coordinates(orientation):
    source = np.diag([2.0, 2.0, 2.0, 1.0])
    source[:3, 3] = [-30, -34, 20]
    i, _, k = np.meshgrid(*(np.arange(n) for n in (50, 50, 50)), indexing="ij")
    ramp = Volume((source[0, 3] + 2.0 * i + 0.5 * (source[2, 3] + 2.0 * k)).astype(np.float32), source)
    affine = _oblique(orientation)
    moved = np.eye(4)
    moved[:3, 3] = [3.0, 0.0, 0.0]
    for matrix, shift in ((None, 0.0), (moved, 3.0)):
        got = resample(ramp, (9, 10, 11), affine, matrix, outside=np.nan)
        world = np.moveaxis(np.indices(got.shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
        inside = np.isfinite(got)
        assert inside.mean() > 0.5
        assert got[inside] == pytest.approx((world[..., 0] + shift + 0.5 * world[..., 2])[inside], abs=1e-3)


def test_nearest_neighbour_keeps_labels():
    labels = Volume(np.random.default_rng(0).integers(0, 5, (12, 12, 12)).astype(np.float32), np.eye(4))
    affine = np.diag([0.7, 0.7, 0.7, 1])
    assert set(np.unique(resample(labels, (16, 16, 16), affine, interpolation="nearest"))) <= {0, 1, 2, 3, 4}


def test_an_unknown_interpolation_is_an_error():
    with pytest.raises(ValueError, match="interpolation"):
        resample(Volume(np.zeros((4, 4, 4), np.float32), np.eye(4)), (4, 4, 4), np.eye(4), interpolation="magic")


def test_a_transform_survives_the_way_to_itk_and_back():
    matrix = _oblique("RAS")
    assert np.allclose(matrix_of_sitk(sitk_transform(matrix)), matrix, atol=1e-12)
    rigid = sitk.Euler3DTransform((5.0, 6.0, 7.0), 0.1, 0.2, 0.3, (1.0, 2.0, 3.0))
    point = np.array([10.0, -20.0, 30.0])
    by_itk = np.array(rigid.TransformPoint((point * [-1, -1, 1]).tolist())) * [-1, -1, 1]
    assert np.allclose((matrix_of_sitk(rigid) @ [*point, 1])[:3], by_itk)


def test_grids_are_compared_in_the_world(values):
    one = Volume(values, np.eye(4))
    assert same_grid(one, Volume(values, np.eye(4) + 1e-6))
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = values.shape[0] - 1
    assert not same_grid(one, Volume(values[:, :-1], np.eye(4)))
    shifted = np.eye(4)
    shifted[0, 3] = 0.5
    assert not same_grid(one, Volume(values, shifted))


def test_real_left_handed_volumes_keep_their_places(real_data):
    path = real_data / "ms_mni/sub-19/anat/sub-19_space-MNI152_desc-brain_T1w.nii.gz"
    read = read_volume(path)
    assert np.linalg.det(read.affine[:3, :3]) < 0
    by_itk = from_sitk(sitk.ReadImage(str(path), sitk.sitkFloat32))
    assert np.allclose(read.affine, by_itk.affine, atol=1e-4)
    assert np.array_equal(read.data, by_itk.data)


def test_a_surface_file_that_calls_itself_nifti_is_refused(tmp_path):
    axes = (
        nib.cifti2.ScalarAxis(["thickness"]),
        nib.cifti2.BrainModelAxis.from_mask(np.ones((3, 3, 3)), "thalamus_left"),
    )
    nib.Cifti2Image(np.zeros((1, 27), np.float32), axes).to_filename(tmp_path / "map.dscalar.nii")
    with pytest.raises(BadInput, match=r"map\.dscalar\.nii is a CIFTI surface file, not a NIfTI volume"):
        read_volume(tmp_path / "map.dscalar.nii", "T1w")
