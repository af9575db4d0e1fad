"""A lesion on the left must not be looked for on the right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from TrainingCore.imaging.sides import check_side
from TrainingCore.imaging.volumes import Volume, read_volume

SHAPE = (40, 44, 36)
AFFINE = np.array([[-2.0, 0, 0, 41], [0, 2, 0, -40], [0, 0, 2, -30], [0, 0, 0, 1]])


def _patient(affine: np.ndarray = AFFINE, off_centre: float = 0) -> tuple[Volume, Volume, Volume]:
    """FLAIR with a bright lesion on the left and one in the middle, the lesion mask, the brain; lengths in voxels."""
    x, y, z = (np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2 - [off_centre, 0, 0]).T
    brain = (x / 15) ** 2 + (y / 17) ** 2 + (z / 14) ** 2 < 1
    lesions = ((x - 7) ** 2 + y**2 + z**2 < 12) | (x**2 + (y - 8) ** 2 + z**2 < 12)
    flair = brain * (500 + 50 * np.random.default_rng(0).standard_normal(SHAPE) + 150 * lesions)
    return tuple(Volume(data.astype(np.float32), affine, "les.nii") for data in (flair, lesions, brain))


@pytest.fixture(scope="module")
def patient() -> tuple[Volume, Volume, Volume]:
    return _patient()


def test_the_right_side_passes_and_the_wrong_one_is_named(patient):
    flair, lesions, brain = patient
    assert check_side(lesions, flair, brain, np.eye(4)) == ""
    mirrored = lesions.with_data(lesions.data[::-1])
    assert "left and right exchanged" in check_side(mirrored, flair, brain, np.eye(4))


def test_dark_lesions_are_not_looked_for_on_the_other_side(patient):
    flair, lesions, brain = patient
    dark = flair.with_data(np.where(lesions.data > 0, 250, flair.data).astype(np.float32))
    assert check_side(lesions, dark, brain, np.eye(4)) == ""


@pytest.mark.parametrize("degrees", [0, 20])
@pytest.mark.parametrize("off_centre", [-4.0, 3.5])
def test_a_mask_with_reversed_voxels_is_noticed_where_the_head_lies_off_the_middle_of_the_grid(off_centre, degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ AFFINE
    flair, lesions, brain = _patient(turned, off_centre)
    assert check_side(lesions, flair, brain, np.eye(4)) == ""
    mirrored = lesions.with_data(lesions.data[::-1])
    assert "left and right exchanged" in check_side(mirrored, flair, brain, np.eye(4))


def test_a_mask_is_mirrored_about_the_grid_of_its_own_file():
    flair, lesions, brain = _patient(off_centre=2.0)
    wider = AFFINE.copy()
    wider[0, 3] += 12  # six more voxels on the right
    drawn = Volume(np.pad(lesions.data, ((6, 0), (0, 0), (0, 0)))[::-1], wider, "les.nii")
    resampled = lesions.with_data(drawn.data[6:])
    assert check_side(resampled, flair, brain, np.eye(4)) == ""
    assert "left and right exchanged" in check_side(resampled, flair, brain, np.eye(4), drawn)
    assert "left and right exchanged" in check_side(drawn, flair, brain, np.eye(4))


def test_a_small_box_around_a_dim_lesion_is_not_mirrored_in_itself(patient):
    flair, _, brain = patient
    box = (slice(24, 32), slice(18, 26), slice(14, 22))  # around the bright lesion on the left
    beside = np.zeros((8, 8, 8), np.float32)
    beside[:3] = 1  # its dim rim was marked
    affine = AFFINE.copy()
    affine[:3, 3] = (AFFINE @ [24, 18, 14, 1])[:3]
    bright = flair.data.copy()
    bright[box][5:] = 1000
    cropped = Volume(beside, affine, "les.seg.nrrd")
    assert check_side(cropped, flair.with_data(bright), brain, np.eye(4)) == ""


@pytest.mark.parametrize("person", ["07", "19"])
@pytest.mark.parametrize("padding", [0, 12])
def test_real_lesions_pass_and_are_noticed_with_reversed_voxels(person, padding, real_data):
    name = real_data / "ms_mni" / f"sub-{person}" / "anat" / f"sub-{person}_space-MNI152_"
    flair, lesions = (
        read_volume(f"{name}{kind}.nii.gz", mask="mask" in kind) for kind in ("desc-brain_FLAIR", "label-lesion_mask")
    )
    brain = flair.with_data((np.abs(flair.data) > 1e-3).astype(np.float32))
    affine = lesions.affine.copy()
    affine[:3, 3] -= padding * affine[:3, 0]
    padded = replace(lesions, data=np.pad(lesions.data, ((padding, 0), (0, 0), (0, 0))), affine=affine)
    assert check_side(padded, flair, brain, np.eye(4)) == ""
    mirrored = padded.with_data(padded.data[::-1])
    assert "left and right exchanged" in check_side(mirrored, flair, brain, np.eye(4))


def test_a_flair_without_visible_lesions_says_nothing(patient):
    _, lesions, brain = patient
    noise = brain.with_data((brain.data * (500 + 50 * np.random.default_rng(1).standard_normal(SHAPE))).astype("f4"))
    for mask in (lesions, lesions.with_data(lesions.data[::-1]), lesions.with_data(np.zeros(SHAPE, np.float32))):
        assert check_side(mask, noise, brain, np.eye(4)) == ""
