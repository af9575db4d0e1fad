"""A lesion on the left must not be looked for on the right."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.imaging.sides import check_side
from TrainingCore.imaging.volumes import Volume

SHAPE = (40, 44, 36)
AFFINE = np.array([[-2.0, 0, 0, 41], [0, 2, 0, -40], [0, 0, 2, -30], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def patient() -> tuple[Volume, Volume, Volume]:
    """FLAIR with a bright lesion on the left and one in the middle, the lesion mask, the brain."""
    x, y, z = (np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2).T
    brain = (x / 15) ** 2 + (y / 17) ** 2 + (z / 14) ** 2 < 1
    lesions = ((x - 7) ** 2 + y**2 + z**2 < 12) | (x**2 + (y - 8) ** 2 + z**2 < 12)
    flair = brain * (500 + 50 * np.random.default_rng(0).standard_normal(SHAPE) + 150 * lesions)
    return tuple(Volume(data.astype(np.float32), AFFINE, "les.nii") for data in (flair, lesions, brain))


def test_the_right_side_passes_and_the_wrong_one_is_named(patient):
    flair, lesions, brain = patient
    assert check_side(lesions, flair, brain, np.eye(4)) == ""
    mirrored = lesions.with_data(lesions.data[::-1])
    assert "left and right exchanged" in check_side(mirrored, flair, brain, np.eye(4))


def test_a_flair_without_visible_lesions_says_nothing(patient):
    _, lesions, brain = patient
    noise = brain.with_data((brain.data * (500 + 50 * np.random.default_rng(1).standard_normal(SHAPE))).astype("f4"))
    for mask in (lesions, lesions.with_data(lesions.data[::-1]), lesions.with_data(np.zeros(SHAPE, np.float32))):
        assert check_side(mask, noise, brain, np.eye(4)) == ""
