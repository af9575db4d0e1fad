from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from TrainingCore.evaluation.lesion_summary import mean_sd
from TrainingCore.evaluation.lesions import lesion_table
from TrainingCore.imaging.brain_mask import Brain, find_brain, mask_on_grid, stripped_support
from TrainingCore.imaging.checks import (
    check_contrasts,
    check_different_images,
    dvr_on_grid,
    lesions_on_grid,
    refuse_misplaced_lesions,
    white_to_grey,
)
from TrainingCore.imaging.labelling import label_lesions
from TrainingCore.imaging.tissues import segment_tissues
from TrainingCore.imaging.volumes import Volume, read_volume, resample
from TrainingCore.runtime.errors import BadInput

AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])


@pytest.fixture(scope="module")
def head() -> dict[str, np.ndarray]:
    """Truth and images of an egg-shaped brain: brain, white, grey, csf, lesions, t1w, flair (skull-stripped)."""
    i, j, k = np.meshgrid(*(np.arange(n) * 3.0 for n in (56, 64, 52)), indexing="ij")
    x, y, z = i - 83, j - 95, k - 77
    radius = np.sqrt((x / 62) ** 2 + (y / 76) ** 2 + (z / 60) ** 2)
    brain, deep = radius < 1, radius < 0.75
    csf = (np.abs(np.abs(x) - 12) < 7) & (np.abs(y) < 30) & (np.abs(z) < 15)
    csf |= brain & (radius > 0.93)
    lesions = ((x - 28) ** 2 + (y + 20) ** 2 + (z - 20) ** 2 < 81) & deep & ~csf
    white, grey = deep & ~csf & ~lesions, brain & ~deep & ~csf
    rng = np.random.default_rng(2)
    images = {}
    for name, levels in (("t1w", (200, 700, 520, 480)), ("flair", (100, 480, 560, 950))):
        clean = np.select([csf & brain, white, grey, lesions], levels, 0.0)
        image = ndimage.gaussian_filter(clean, 0.4) + 15 * rng.standard_normal(clean.shape)
        images[name] = np.where(brain, image, 0).astype(np.float32)
    return images | {"brain": brain, "white": white, "grey": grey, "csf": csf & brain, "lesions": lesions}


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))


def test_a_skull_stripped_image_is_its_own_brain_mask(head):
    found = find_brain(Volume(head["t1w"], AFFINE))
    assert found.how == "skull-stripped input"
    assert _dice(found.mask.data > 0, head["brain"]) > 0.99


def test_a_background_that_dips_below_zero_is_still_a_background(head):
    rng = np.random.default_rng(0)
    nearly = head["t1w"] + np.where(head["brain"], 0, -0.3 * rng.random(head["t1w"].shape)).astype(np.float32)
    support = stripped_support(Volume(nearly, AFFINE))
    assert support is not None
    assert _dice(support, head["brain"]) > 0.99


def test_a_head_with_skin_is_not_taken_for_a_stripped_brain(head):
    skull = ndimage.binary_dilation(head["brain"], iterations=2)
    skin = ndimage.binary_dilation(skull) & ~skull
    image = np.select([head["brain"], skull, skin], [head["t1w"], 20.0, 900.0], 0.0)
    assert stripped_support(Volume(image.astype(np.float32), AFFINE)) is None


def test_a_given_mask_is_used_in_world_coordinates(head):
    flipped = AFFINE @ np.array([[-1, 0, 0, 55], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    given = Volume(head["brain"][::-1].astype(np.float32), flipped)
    found = find_brain(Volume(head["t1w"], AFFINE), given)
    assert found.how == "given"
    assert np.array_equal(found.mask.data > 0, head["brain"])


def test_a_mask_from_elsewhere_and_an_empty_one_are_refused(head):
    t1w = Volume(head["t1w"], AFFINE, "t1w.nii")
    elsewhere = AFFINE.copy()
    elsewhere[0, 3] = 300
    with pytest.raises(BadInput, match="its header was lost"):
        mask_on_grid(Volume(head["brain"].astype(np.float32), elsewhere, "m.nii"), t1w)
    with pytest.raises(BadInput, match="empty"):
        mask_on_grid(Volume(np.zeros((9, 9, 9), np.float32), AFFINE, "m.nii"), t1w)


def test_a_brain_of_impossible_size_is_warned_of(head):
    small = Brain(Volume(head["lesions"].astype(np.float32), AFFINE), "given")
    assert "ml" in small.warning
    assert Brain(Volume(head["brain"].astype(np.float32), AFFINE), "given").warning == ""


def test_tissues_are_found_and_lesions_belong_to_none(head):
    found = segment_tissues(head["t1w"], head["flair"], head["brain"], head["lesions"], (3.0, 3.0, 3.0))
    for name, truth in (("white_matter", "white"), ("grey_matter", "grey"), ("csf", "csf")):
        assert _dice(found[name], head[truth]) > 0.85, name
        assert not (found[name] & head["lesions"]).any()
        assert not (found[name] & ~head["brain"]).any()
    assert sum(mask.astype(int) for mask in found.values()).max() == 1


def test_lesions_are_filled_so_that_white_matter_beside_them_stays_white(head):
    noise = 60 * np.random.default_rng(0).standard_normal(head["t1w"].shape) * head["brain"]
    dark = np.where(head["lesions"], 150, head["t1w"] + noise).astype(np.float32)  # black holes, as dark as fluid
    rim = ndimage.binary_dilation(head["lesions"]) & head["white"]
    found = segment_tissues(dark, head["flair"], head["brain"], head["lesions"], (0.7, 0.7, 0.7))
    assert (found["white_matter"] & rim).sum() > 0.895 * rim.sum()  # not filled: 0.88; filled: 0.91


def test_lesions_that_nobody_marked_are_kept_out_by_flair(head):
    found = segment_tissues(head["t1w"], head["flair"], head["brain"], None, (3.0, 3.0, 3.0))
    assert (found["white_matter"] & head["lesions"]).sum() < 0.02 * head["lesions"].sum()


def test_too_little_brain_is_an_error(head):
    with pytest.raises(ValueError, match="1000 voxels"):
        segment_tissues(head["t1w"], head["flair"], head["lesions"] & False)


def test_swapped_contrasts_are_noticed_and_right_ones_are_not(head):
    t1w, flair = Volume(head["t1w"], AFFINE), Volume(head["flair"], AFFINE)
    brain = Volume(head["brain"].astype(np.float32), AFFINE)
    assert check_contrasts(t1w, flair, brain, np.eye(4)) == ""
    assert "swapped" in check_contrasts(flair, t1w, brain, np.eye(4))


def test_real_contrasts_are_told_apart(real_data):
    for person in ("sub-07", "sub-19"):
        stem = f"ms_mni/{person}/anat/{person}_space-MNI152_desc-brain"
        t1w, flair = (read_volume(real_data / f"{stem}_{kind}.nii.gz") for kind in ("T1w", "FLAIR"))
        brain = find_brain(t1w).mask
        assert white_to_grey(t1w, brain, np.eye(4)) > white_to_grey(flair, brain, np.eye(4)) + 0.08
        assert check_contrasts(t1w, flair, brain, np.eye(4)) == ""
        assert "swapped" in check_contrasts(flair, t1w, brain, np.eye(4))


def test_real_white_matter_has_a_plausible_volume_beside_many_lesions(real_data):
    stem = real_data / "ms_mni/sub-19/anat/sub-19_space-MNI152"
    t1w, flair = (read_volume(f"{stem}_desc-brain_{kind}.nii.gz") for kind in ("T1w", "FLAIR"))
    lesions = read_volume(f"{stem}_label-lesion_mask.nii.gz", mask=True).data > 0
    found = segment_tissues(t1w.data, flair.data, find_brain(t1w).mask.data > 0, lesions)
    assert 380 < found["white_matter"].sum() / 1000 < 560
    assert 300 < found["grey_matter"].sum() / 1000 < 560
    assert not (found["white_matter"] & lesions).any()


def test_lesions_outside_the_brain_are_left_out_and_counted(head):
    t1w, brain = Volume(head["t1w"], AFFINE), Volume(head["brain"].astype(np.float32), AFFINE)
    marked = head["lesions"].copy()
    marked[:2, :2, :2] = True
    kept, warnings = lesions_on_grid(Volume(marked.astype(np.float32), AFFINE, "l.nii"), t1w, brain)
    assert np.array_equal(kept.data > 0, head["lesions"])
    assert "outside the brain" in warnings[0]


@pytest.mark.parametrize("outside", [0, 1, 4, 5, 7, 10])
def test_a_lesion_mask_that_lies_mostly_outside_the_brain_is_refused(outside):
    brain = Volume(np.zeros((20, 20, 20), np.float32), np.eye(4))
    brain.data[:, :, :10] = 1
    marks = np.zeros_like(brain.data)
    marks[5:15, 5, 5] = 1
    marks[5 : 5 + outside, 5, 5], marks[5 : 5 + outside, 5, 15] = 0, 1
    lesions = Volume(marks, np.eye(4), "les.nii")
    if outside <= 5:
        refuse_misplaced_lesions(lesions, brain, "T1w t1.nii")
        return
    words = {7: r"70 % of the lesion mask les\.nii lie outside", 10: r"mask les\.nii does not overlap with"}[outside]
    with pytest.raises(BadInput, match=rf"{words} the brain in the T1w t1\.nii .* Give the mask"):
        refuse_misplaced_lesions(lesions, brain, "T1w t1.nii")


def test_an_empty_lesion_mask_lies_nowhere_wrong(head):
    brain = Volume(head["brain"].astype(np.float32), AFFINE)
    refuse_misplaced_lesions(brain.with_data(np.zeros_like(brain.data)), brain, "T1w t1.nii")


def test_lesions_on_a_finer_grid_keep_their_volume(head):
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = -0.75
    coarse = Volume(head["lesions"].astype(np.float32), AFFINE)
    fine = resample(coarse, (112, 128, 104), affine, interpolation="nearest")
    t1w, brain = Volume(head["t1w"], AFFINE), Volume(head["brain"].astype(np.float32), AFFINE)
    kept, warnings = lesions_on_grid(Volume(fine, affine, "l.nii"), t1w, brain)
    assert np.array_equal(kept.data > 0, head["lesions"])
    assert warnings == []


def test_a_copy_under_another_name_is_the_same_image(head):
    t1w, flair = (Volume(head[name], AFFINE, name) for name in ("t1w", "flair"))
    assert "same file" in check_different_images(t1w, Volume(head["t1w"].copy(), AFFINE, "other"))
    assert check_different_images(t1w, flair) == ""


def test_normal_appearing_white_matter_keeps_away_from_grey_matter_but_not_from_lesions():
    from TrainingCore.imaging.tissues import normal_appearing_white_matter

    white = np.zeros((30, 30, 30), bool)
    white[5:25, 5:25, 5:25] = True
    lesions = np.zeros_like(white)
    lesions[12:16, 12:16, 12:16] = True
    nawm = normal_appearing_white_matter(white & ~lesions, lesions, (1.0, 1.0, 1.0))
    assert not nawm[6, 15, 15]
    assert nawm[7, 15, 15]
    assert nawm[11, 13, 13]
    assert not (nawm & lesions).any()
    thin = np.zeros_like(white)
    thin[:, :, 3] = True
    assert normal_appearing_white_matter(thin, None, (1.0, 1.0, 1.0)).sum() == thin.sum()


def test_small_lesions_of_a_finer_mask_do_not_vanish(head):
    """T1w slices of 5 mm, a mask of 1 mm with lesions of 48 mm3 in every second slice position."""
    t1w = Volume(np.zeros((60, 60, 12), np.float32), np.diag([1.0, 1.0, 5.0, 1.0]))
    brain = t1w.with_data(np.ones(t1w.data.shape, np.float32))
    fine = np.zeros((60, 60, 60), np.float32)
    for number in range(49):
        i, j, k = 2 + 8 * (number % 7), 2 + 8 * (number // 7), 3 + number
        fine[i : i + 4, j : j + 4, k : k + 3] = 1
    affine = np.eye(4)
    affine[2, 3] = -2
    kept, _ = lesions_on_grid(Volume(fine, affine, "l.nii"), t1w, brain)
    labels, volumes = label_lesions(kept.data > 0, 5.0)
    assert labels.max() == 49
    assert volumes.sum() == pytest.approx(49 * 48, rel=0.15)


@pytest.mark.parametrize("finer", [False, True])
def test_a_measured_dvr_that_is_constant_in_the_brain_is_refused(head, finer):
    t1w, brain = Volume(head["t1w"], AFFINE), Volume(head["brain"].astype(np.float32), AFFINE)
    beyond = np.where(head["brain"], 1.0, 0.3).astype(np.float32)  # other values outside do not matter
    flat = Volume(beyond, AFFINE, "flat.nii")
    if finer:
        affine = np.diag([1.5, 1.5, 1.5, 1.0])
        affine[:3, 3] = -0.75
        flat = Volume(resample(flat, (112, 128, 104), affine, interpolation="nearest"), affine, "flat.nii")
    with pytest.raises(BadInput, match=r"The measured DVR flat\.nii is 1 in the whole brain, so it is no DVR map"):
        dvr_on_grid(flat, t1w, brain)


def test_what_the_pet_does_not_cover_is_not_measured(head):
    """Both maps alike: the ratio of the covered lesion is 0.75, and the other lesion has no measured DVR."""
    shape = (30, 30, 50)
    t1w = Volume(np.ones(shape, np.float32), np.eye(4), "t1w")
    truth = np.full(shape, 1.2, np.float32)
    labels = np.zeros(shape, np.int32)
    for number, k in ((1, 30), (2, 3)):
        labels[10:14, 10:14, k : k + 4] = number
    truth[labels > 0] = 0.9
    shifted = np.eye(4)
    shifted[2, 3] = 9
    for pet in (Volume(truth[:, :, 9:], shifted, "pet"), t1w.with_data(np.where(np.arange(50) < 9, 0, truth))):
        measured, warnings = dvr_on_grid(pet, t1w, t1w)
        assert "covers 82 % of the brain" in " ".join(warnings)
        rows = lesion_table(labels, truth, labels == 0, np.eye(4), measured.data)
        assert rows[0]["measured_mean_dvr"] == pytest.approx(0.9)
        assert rows[0]["measured_ratio_to_nawm"] == pytest.approx(0.75, abs=1e-4)
        assert rows[1]["measured_mean_dvr"] is None
    assert mean_sd(measured.data, labels == 0) == {"mean": 1.2, "sd": 0.0}
