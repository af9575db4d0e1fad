"""Air, padding and NaN around a drawn head: what is left must be the head as it was."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.imaging.background import air_at_zero, without_nan
from TrainingCore.imaging.dvr_values import without_wild_voxels
from TrainingCore.imaging.reading import read_named
from TrainingCore.imaging.volumes import write_volume
from TrainingCore.runtime.errors import BadInput

SHAPE = (40, 44, 36)


@pytest.fixture(scope="module")
def brain() -> np.ndarray:
    """An ellipsoid, bool."""
    x, y, z = (np.indices(SHAPE).T - (np.array(SHAPE) - 1) / 2).T
    return (x / 15) ** 2 + (y / 17) ** 2 + (z / 14) ** 2 < 1


@pytest.fixture(scope="module")
def head(brain: np.ndarray) -> np.ndarray:
    """A brain of 300 to 1000 in air of 0 to 20."""
    random = np.random.default_rng(0)
    return np.where(brain, random.uniform(300, 1000, SHAPE), np.abs(random.normal(0, 6, SHAPE))).astype(np.float32)


@pytest.fixture(scope="module")
def stripped(head: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """The brain in an exact 0."""
    return np.where(brain, head, 0).astype(np.float32)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1])


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x - 1024,
        lambda x: x + 500,
        lambda x: (x - x.mean()) / x.std(),
        lambda x: np.clip(2 * x / x.max() - 1, -1, 1),
    ],
    ids=["-1024", "+500", "z-scores of all voxels", "-1 to 1"],
)
@pytest.mark.parametrize("kind", ["head", "stripped"])
def test_air_comes_to_zero(change, kind, brain, request):
    image = request.getfixturevalue(kind)
    changed = change(image).astype(np.float32)
    raised, notes = air_at_zero(changed)
    assert notes
    assert raised.min() == 0
    assert np.median(raised[~brain]) < 0.03 * np.median(raised[brain])
    assert _correlation(raised, image) > 0.9999


def test_z_scores_of_a_head_that_fills_a_face_lie_above_the_air(head, brain):
    neck = brain.copy()
    neck[8:32, 8:36, :10] = True  # the head ends at the lower face
    image = np.where(neck, np.where(brain, head, 400), 0)
    scores = np.where(neck, (image - image[neck].mean()) / image[neck].std(), 0).astype(np.float32)
    raised, notes = air_at_zero(scores)
    assert "z-scores" in notes[0]
    assert np.all(raised[~neck] == 0)
    assert _correlation(raised[brain], image[brain]) > 0.999


def test_z_scores_of_a_brain_lie_above_its_background(stripped, brain):
    scores = np.where(brain, (stripped - stripped[brain].mean()) / stripped[brain].std(), 0).astype(np.float32)
    raised, notes = air_at_zero(scores)
    assert "z-scores" in notes[0]
    assert np.all(raised[~brain] == 0)
    assert np.percentile(raised[brain], 1) > 0
    assert _correlation(raised[brain], stripped[brain]) > 0.999


@pytest.mark.parametrize("value", [-32768, -2000, 32767, 65535])
def test_padding_counts_as_air(value, head):
    x, y, _ = np.indices(SHAPE)
    corner = np.hypot((x - 19.5) / SHAPE[0], (y - 21.5) / SHAPE[1]) > 0.5
    raised, notes = air_at_zero(np.where(corner, value, head).astype(np.float32))
    assert f"padded with {value}" in notes[0]
    assert np.array_equal(raised[~corner], head[~corner])
    assert np.abs(raised[corner]).max() < 20


def test_what_interpolation_leaves_below_zero_stays(head, stripped):
    for image in (head, stripped):
        ringing = image - 8.0 * (image > 0) * (image < 12)
        same, notes = air_at_zero(ringing.astype(np.float32))
        assert notes == ()
        assert np.array_equal(same, ringing.astype(np.float32))


def test_nan_around_the_brain_is_background_and_nan_inside_is_not(stripped, brain):
    around = np.where(brain, stripped, np.nan).astype(np.float32)
    cleaned, outside, inside = without_nan(around.copy())
    assert (outside, inside) == (np.count_nonzero(~brain), 0)
    assert np.array_equal(cleaned, stripped)
    around[20, 22, 18] = np.inf
    assert without_nan(around)[2] == 1


def test_nan_that_cuts_through_the_head_is_not_background(head):
    half, rim = head.copy(), head.copy()
    half[:20] = np.nan
    rim[:2] = np.nan
    assert without_nan(half)[1:] == (0, 20 * 44 * 36)
    assert without_nan(rim)[1:] == (2 * 44 * 36, 0)


def test_wild_voxels_of_a_dvr_leave_every_mean_as_it_was(brain):
    random = np.random.default_rng(1)
    dvr = np.where(brain, random.normal(1.1, 0.1, SHAPE), 0).astype(np.float32)
    wild, places = dvr.copy(), np.argwhere(brain)[random.choice(int(brain.sum()), 60)]
    wild[tuple(places.T)] = random.choice([-4e4, 3e5, 1e9, 12.0], 60)
    cleaned, note = without_wild_voxels(wild, np.full(3, 2.0))
    assert "no DVR can have" in note
    assert abs(cleaned[brain].mean() - dvr[brain].mean()) < 2e-3
    assert np.abs(cleaned - dvr).max() < 0.5
    assert without_wild_voxels(dvr, np.full(3, 2.0))[1] == ""
    activity = 5000 * dvr
    assert without_wild_voxels(activity, np.full(3, 2.0))[1] == ""  # another unit is another matter


@pytest.mark.parametrize("value", [1.0, 1.2, 50000.0])
def test_a_constant_dvr_is_refused(value, brain, tmp_path):
    write_volume(tmp_path / "dvr.nii", np.where(brain, value, 0).astype(np.float32), np.eye(4))
    for name, words in (("dvr", "measured DVR"), ("dvr_clean", "noise-free DVR")):
        with pytest.raises(BadInput, match=rf"The {words} dvr\.nii is .* in the whole brain, so it is no DVR map"):
            read_named(tmp_path / "dvr.nii", name)


def test_a_dvr_of_two_values_is_read(brain, tmp_path):
    dvr = np.where(brain, 1.2, 0).astype(np.float32)
    dvr[16, 16, 16] = 0.9
    write_volume(tmp_path / "dvr.nii", dvr, np.eye(4))
    np.testing.assert_array_equal(read_named(tmp_path / "dvr.nii", "dvr").data, dvr)


def test_a_bright_even_centre_makes_no_padding_of_fluid_and_air(brain):
    image = np.where(brain, 900.0, 0.0) + np.random.default_rng(2).normal(0, 5, SHAPE)
    image[:, :, :6] = 300
    same, notes = air_at_zero(np.abs(image).astype(np.float32))
    assert notes == ()
    assert np.array_equal(same, np.abs(image).astype(np.float32))


def test_a_stripped_brain_whose_edge_rings_below_zero_keeps_its_background() -> None:
    data = np.zeros((40, 40, 40), np.float32)
    data[8:32, 8:32, 8:32] = 800 + 60 * np.random.default_rng(0).standard_normal((24, 24, 24))
    data[8, 8:20, 8] = -51  # as in sub-07 of Lesjak et al. 2018: 0.04 % of the voxels
    same, notes = air_at_zero(data)
    assert notes == ()
    assert np.array_equal(same, data)
