"""Augmentation varies the MRI and never the truth."""

from __future__ import annotations

import numpy as np
import pytest
from ball_cohort import ball_volumes

from TrainingCore.data.case import Case
from TrainingCore.imaging.intensities import percentile_rescale
from TrainingCore.training.augmentation import augment
from TrainingCore.training.smooth_fields import smooth_field

RULE = {"rule": "percentile", "low": 2.5, "high": 97.5, "clip": True}
OFF = dict.fromkeys(
    ("flip", "rotation", "scale", "bias", "gamma", "contrast", "noise", "blur", "slices", "lesion_t1"), 0.0
)


@pytest.fixture
def case() -> Case:
    volumes = ball_volumes(np.random.default_rng(0), 48)
    for name in ("t1w", "flair"):
        volumes[name] = percentile_rescale(volumes[name], volumes["brain"])
    return Case("P", "1", volumes, np.eye(4))


def test_off_means_the_very_same_case(case: Case) -> None:
    assert augment(case, OFF, RULE, np.random.default_rng(0)) is case


def test_the_same_draw_gives_the_same_patient_and_another_draw_another(case: Case) -> None:
    settings = {**OFF, "rotation": 10.0, "bias": 0.2, "noise": 0.1}
    first, again, other = (augment(case, settings, RULE, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.volumes["t1w"], again.volumes["t1w"])
    assert np.abs(first.volumes["t1w"] - other.volumes["t1w"]).max() > 0.1


def test_intensity_changes_leave_dvr_and_masks_alone(case: Case) -> None:
    settings = {**OFF, "bias": 0.3, "gamma": 0.3, "contrast": 0.3, "noise": 0.1, "blur": 1.0, "slices": 1.0}
    varied = augment(case, settings, RULE, np.random.default_rng(3))
    for name in ("dvr", "lesions", "white_matter", "brain"):
        np.testing.assert_array_equal(varied.volumes[name], case.volumes[name])
    assert np.abs(varied.volumes["flair"] - case.volumes["flair"]).max() > 0.1
    assert np.all(varied.volumes["t1w"][~case.volumes["brain"]] == -1)


def test_a_flip_mirrors_everything_left_to_right(case: Case) -> None:
    flipped = augment(case, {**OFF, "flip": 1.0}, RULE, np.random.default_rng(0))
    np.testing.assert_array_equal(flipped.volumes["dvr"], np.flip(case.volumes["dvr"], 0))
    np.testing.assert_array_equal(flipped.volumes["lesions"], np.flip(case.volumes["lesions"], 0))
    for name in ("t1w", "flair"):
        np.testing.assert_array_equal(flipped.volumes[name], np.flip(case.volumes[name], 0))


def test_voxels_darker_than_the_background_keep_their_value(case: Case) -> None:
    rule = {**RULE, "clip": False}
    dark = tuple(np.argwhere(case.volumes["brain"])[100])
    case.volumes["t1w"][dark] = -2.5  # the background is -1
    varied = augment(case, {**OFF, "noise": 1e-6}, rule, np.random.default_rng(0))
    assert varied.volumes["t1w"][dark] == pytest.approx(-2.5, abs=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_rotation_moves_all_volumes_together_and_keeps_the_brain(case: Case, seed: int) -> None:
    moved = augment(case, {**OFF, "rotation": 20.0}, RULE, np.random.default_rng(seed))
    assert moved.volumes["brain"].sum() == pytest.approx(case.volumes["brain"].sum(), rel=0.02)
    lesions = moved.volumes["lesions"]
    assert moved.volumes["dvr"][lesions].mean() < moved.volumes["dvr"][moved.volumes["white_matter"]].mean() - 0.1
    assert np.abs(moved.volumes["lesions"].astype(int) - case.volumes["lesions"]).sum() > 0


def test_the_bias_field_is_smooth_and_of_unit_size() -> None:
    field = np.stack([smooth_field((48, 48, 48), np.random.default_rng(seed)) for seed in range(8)])
    assert field.std() == pytest.approx(1, abs=0.35)
    assert np.abs(np.diff(field, axis=1)).max() < 0.5


def test_lesions_fade_in_t1w_alone_and_nothing_else_changes(case: Case) -> None:
    faded = augment(case, {**OFF, "lesion_t1": 1.0}, RULE, np.random.default_rng(0)).volumes
    lesions, far = case.volumes["lesions"], case.volumes["white_matter"]
    before = case.volumes["t1w"][far].mean() - case.volumes["t1w"][lesions].mean()
    assert 0 <= faded["t1w"][far].mean() - faded["t1w"][lesions].mean() < 0.8 * before
    np.testing.assert_allclose(faded["flair"], case.volumes["flair"], atol=1e-3)
    np.testing.assert_array_equal(faded["dvr"], case.volumes["dvr"])


def test_without_a_bias_field_everything_else_is_drawn_as_with_one(case: Case) -> None:
    settings = {**OFF, "flip": 0.5, "noise": 0.1, "blur": 1.0}
    without, hardly = (augment(case, {**settings, "bias": sd}, RULE, np.random.default_rng(5)) for sd in (0.0, 1e-9))
    np.testing.assert_allclose(without.volumes["t1w"], hardly.volumes["t1w"], atol=1e-5)


def test_what_is_drawn_into_an_image_is_not_drawn_into_the_target(case: Case) -> None:
    settings = {**OFF, "lesion_t1": 0.8, "lesion_contrast": 2.0}
    for target in ("t1w", "flair"):
        changed = augment(case, settings, RULE, np.random.default_rng(0), target=target).volumes
        np.testing.assert_array_equal(changed[target], case.volumes[target])
