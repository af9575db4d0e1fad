from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from TrainingCore.imaging.label_maps import read_label_map, tissues_from_label_map
from TrainingCore.imaging.volumes import Volume
from TrainingCore.runtime.errors import BadInput

SHAPE, AFFINE = (40, 44, 36), np.diag([-1.0, 1.0, 1.0, 1.0])


@pytest.fixture
def aseg() -> np.ndarray:
    """Cortex around white matter with a ventricle, a hypointensity, deep grey; cerebellum and brain stem below."""
    labels = np.zeros(SHAPE, np.int32)
    labels[2:38, 2:42, 10:34] = 3
    labels[5:35, 5:39, 13:31] = 2
    labels[20:35, 5:39, 13:31] = 41
    labels[18:22, 18:26, 18:24] = 4
    labels[8:12, 8:12, 18:22] = 77
    labels[24:30, 24:30, 18:24] = 49
    labels[10:30, 6:20, 2:10] = 8
    labels[13:27, 9:17, 4:10] = 7
    labels[18:22, 22:28, 0:10] = 16
    return labels


@pytest.fixture
def t1w() -> Volume:
    return Volume(np.ones(SHAPE, np.float32), AFFINE, "t1w.nii")


def found(aseg: np.ndarray, t1w: Volume, **more) -> dict[str, np.ndarray]:
    return tissues_from_label_map(Volume(aseg.astype(np.float32), AFFINE, "aseg.nii"), t1w, **more)


def test_each_label_belongs_to_its_tissue(aseg, t1w):
    masks = found(aseg, t1w)
    assert np.array_equal(masks["white_matter"], np.isin(aseg, [2, 41, 7, 77]))
    assert np.array_equal(masks["grey_matter"], np.isin(aseg, [3, 8, 49]))
    assert np.array_equal(masks["csf"], aseg == 4)
    assert np.array_equal(masks["infratentorial"], np.isin(aseg, [7, 8, 16]))
    assert np.array_equal(masks["brain"], aseg > 0)


def test_normal_appearing_white_matter_is_without_hypointensities_and_lesions_and_away_from_grey(aseg, t1w):
    lesions = np.zeros(SHAPE, bool)
    lesions[12:15, 30:34, 18:22] = True
    masks = found(aseg, t1w, lesions=lesions)
    assert masks["nawm"].any()
    assert not (masks["nawm"] & (lesions | (aseg == 77))).any()
    assert not (masks["white_matter"] & lesions).any()
    assert masks["nawm"][15, 31, 20]  # beside a lesion
    assert masks["nawm"][12, 10, 20]  # beside a hypointensity
    assert not masks["nawm"][5, 20, 20]  # beside cortex


def test_parcels_of_the_cortex_and_of_white_matter_count(aseg, t1w):
    parcels = np.where(aseg == 3, 1024, np.where(aseg == 41, 4030, aseg))
    assert np.array_equal(found(parcels, t1w)["grey_matter"], found(aseg, t1w)["grey_matter"])
    assert np.array_equal(found(parcels, t1w)["white_matter"], found(aseg, t1w)["white_matter"])


def test_labels_of_another_grid_are_found_in_the_world(aseg, t1w):
    order = np.ascontiguousarray(aseg.transpose(2, 0, 1)[:, ::-1])
    affine = AFFINE @ np.array([[0, -1, 0, SHAPE[0] - 1], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    masks = tissues_from_label_map(Volume(order.astype(np.float32), affine), t1w)
    for name, mask in found(aseg, t1w).items():
        assert np.array_equal(masks[name], mask), name


def test_other_numberings_other_places_and_images_are_refused(aseg, t1w, tmp_path):
    with pytest.raises(BadInput, match="FreeSurfer's numbers"):
        found((aseg > 0) + 5 * (aseg == 2), t1w)
    elsewhere = AFFINE.copy()
    elsewhere[2, 3] = 200
    with pytest.raises(BadInput, match="does not match the position"):
        tissues_from_label_map(Volume(aseg.astype(np.float32), elsewhere, "aseg.nii"), t1w)
    nib.save(nib.Nifti1Image((aseg + 0.5).astype(np.float32), AFFINE), tmp_path / "image.nii")
    with pytest.raises(BadInput, match="not integers"):
        read_label_map(tmp_path / "image.nii")
    with pytest.raises(BadInput, match="does not exist"):
        read_label_map(tmp_path / "aseg.mgz")
    (tmp_path / "aseg.mgz").write_bytes(b"nothing of the kind")
    with pytest.raises(BadInput, match="damaged"):
        read_label_map(tmp_path / "aseg.mgz")


@pytest.mark.parametrize(("name", "kind"), [("aseg.nii.gz", nib.Nifti1Image), ("aseg.mgz", nib.MGHImage)])
def test_label_maps_are_read_from_nifti_and_from_freesurfers_own_format(name, kind, aseg, tmp_path):
    nib.save(kind(aseg.astype(np.int16 if "nii" in name else np.int32), AFFINE), tmp_path / name)
    read = read_label_map(tmp_path / name)
    assert np.array_equal(read.data, aseg)
    assert np.allclose(read.affine, AFFINE)


def test_skull_scalp_and_lesions_of_samseg_are_known():
    labels = np.zeros((40, 40, 40), np.float32)
    labels[2:38, 2:38, 2:38] = 258
    labels[5:35, 5:35, 5:35] = 165
    labels[8:32, 8:32, 8:32] = 3
    labels[8:32, 8:32, 20:32] = 42
    labels[11:29, 11:29, 11:20] = 2
    labels[11:29, 11:29, 20:29] = 41
    labels[15:18, 15:18, 14:17] = 99
    labels[20:24, 20:24, 18:20] = 4
    t1w = Volume(labels, np.diag([2.0, 2, 2, 1]))
    tissues = tissues_from_label_map(Volume(labels, t1w.affine, "seg.mgz"), t1w)
    assert np.array_equal(tissues["brain"], (labels > 0) & (labels != 258) & (labels != 165))
    assert not tissues["nawm"][labels == 99].any()
    assert tissues["white_matter"][labels == 99].all()
