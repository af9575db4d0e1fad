"""Lesions grown from a click and divided at their waists."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.imaging.lesion_editing import LOWERED, LOWEST, REACH_MM, grow_lesion, split_lesion

SHAPE, SPACING = (30, 34, 24), (1.0, 1.0, 1.5)
EVERYWHERE = np.ones(SHAPE, bool)


def bump(centre: tuple[int, int, int], peak: float, width_mm: float = 3.0) -> np.ndarray:
    """A probability that falls off around a voxel."""
    squared = sum(((axis - c) * s) ** 2 for axis, c, s in zip(np.ogrid[:30, :34, :24], centre, SPACING))
    return peak * np.exp(-squared / (2 * width_mm**2))


def ball(centre: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    squared = sum(((axis - c) * s) ** 2 for axis, c, s in zip(np.ogrid[:30, :34, :24], centre, SPACING))
    return squared <= radius_mm**2


def test_a_click_takes_the_region_above_the_threshold_that_it_lies_in() -> None:
    probability = np.maximum(bump((10, 10, 8), 0.9), bump((22, 24, 16), 0.9))
    grown = grow_lesion(probability, (11, 10, 8), SPACING, EVERYWHERE)
    assert grown is not None
    assert grown.threshold == 0.5
    wanted = (probability >= 0.5) & (np.arange(30)[:, None, None] < 16)
    np.testing.assert_array_equal(grown.mask, wanted)


def test_a_region_that_hangs_together_by_a_corner_is_one_lesion() -> None:
    probability = np.zeros(SHAPE)
    probability[10, 10, 10] = probability[11, 11, 11] = 0.8
    grown = grow_lesion(probability, (10, 10, 10), SPACING, EVERYWHERE)
    assert grown is not None
    assert grown.mask.sum() == 2


def test_a_click_on_a_faint_lesion_lowers_the_threshold_to_half_of_its_peak() -> None:
    probability = bump((10, 10, 8), 0.2)
    grown = grow_lesion(probability, (11, 10, 8), SPACING, EVERYWHERE)
    assert grown is not None
    assert grown.threshold == pytest.approx(LOWERED * 0.2)
    np.testing.assert_array_equal(grown.mask, probability >= LOWERED * 0.2)


def test_a_click_just_beside_a_lesion_finds_it() -> None:
    probability = ball((10, 10, 8), 2.5) * 0.9
    assert probability[13, 10, 8] == 0
    grown = grow_lesion(probability, (13, 10, 8), SPACING, EVERYWHERE)
    assert grown is not None
    np.testing.assert_array_equal(grown.mask, ball((10, 10, 8), 2.5))
    assert grow_lesion(probability, (18, 10, 8), SPACING, EVERYWHERE) is None, "too far away"


def test_nothing_grows_where_the_network_sees_nothing_or_outside_the_grid() -> None:
    probability = bump((10, 10, 8), 0.9 * LOWEST)
    assert grow_lesion(probability, (10, 10, 8), SPACING, EVERYWHERE) is None
    for click in ((-1, 10, 8), (10, 34, 8)):
        assert grow_lesion(np.ones(SHAPE), click, SPACING, EVERYWHERE) is None


def test_a_lesion_grows_neither_into_others_nor_through_the_whole_brain() -> None:
    allowed = EVERYWHERE.copy()
    allowed[:, 12:] = False
    grown = grow_lesion(np.full(SHAPE, 0.9), (15, 8, 12), SPACING, allowed)
    assert grown is not None
    np.testing.assert_array_equal(grown.mask, allowed)
    wide = grow_lesion(np.full((100, 9, 9), 0.9), (50, 4, 4), (1, 1, 1), np.ones((100, 9, 9), bool))
    assert wide is not None
    assert np.flatnonzero(wide.mask.any(axis=(1, 2))).tolist() == list(range(50 - int(REACH_MM), 51 + int(REACH_MM)))


def test_pieces_that_do_not_touch_are_parts_by_falling_volume() -> None:
    small, large = ball((6, 8, 8), 2.0), ball((20, 20, 12), 4.0)
    labels = split_lesion(small | large, SPACING)
    np.testing.assert_array_equal(labels, np.where(large, 1, np.where(small, 2, 0)))


@pytest.mark.parametrize("apart", [7, 8])
def test_two_balls_that_flow_together_are_divided_at_their_waist(apart: int) -> None:
    first, second = ball((9, 12, 10), 4.5), ball((9 + apart, 12, 10), 4.0)
    labels = split_lesion(first | second, SPACING)
    assert labels.max() == 2
    np.testing.assert_array_equal(labels > 0, first | second)
    where = np.argwhere(labels == 2)[:, 0]
    assert where.min() > 9 + 4.5 / 2
    assert (labels[first & ~second] == 1).mean() > 0.95
    assert (labels[second & ~first] == 2).mean() > 0.9


def test_a_ball_has_no_waist() -> None:
    np.testing.assert_array_equal(split_lesion(ball((12, 14, 11), 5.0), SPACING), ball((12, 14, 11), 5.0).astype(int))
    assert split_lesion(np.zeros(SHAPE, bool), SPACING).max() == 0


def test_a_crumb_stays_with_the_lesion_it_lies_beside() -> None:
    mask = ball((9, 12, 10), 4.5) | ball((21, 12, 10), 3.5)
    mask[15, 12, 10] = True  # 1.5 mm3, near both and touching none
    labels = split_lesion(mask, SPACING)
    assert labels.max() == 2
    assert labels[15, 12, 10] in (1, 2)
