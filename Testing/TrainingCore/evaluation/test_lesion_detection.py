"""Lesions found, missed and invented."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.evaluation.lesion_detection import (
    detection_measures,
    f1_by_smallest,
    lesion_counts,
    rates,
    without_small,
)


@pytest.fixture
def masks() -> tuple[np.ndarray, np.ndarray]:
    """Three true lesions (27, 8, 27 voxels), two of them marked in part, and a marked one of 8 that is none."""
    truth, marked = np.zeros((30, 30, 30), bool), np.zeros((30, 30, 30), bool)
    truth[2:5, 2:5, 2:5] = truth[10:12, 10:12, 10:12] = truth[20:23, 20:23, 20:23] = True
    marked[2:5, 2:5, 2:4] = marked[22:25, 20:23, 20:23] = marked[2:4, 20:22, 2:4] = True
    return truth, marked


def test_counts_and_rates_by_hand(masks: tuple[np.ndarray, np.ndarray]) -> None:
    counts = lesion_counts(*masks, voxel_volume=1.0)
    assert counts == {"true": 3, "found": 2, "marked": 3, "false": 1}
    assert rates(counts) == {"sensitivity": pytest.approx(2 / 3), "precision": pytest.approx(2 / 3),
                             "f1": pytest.approx(2 / 3)}  # fmt: skip
    assert lesion_counts(*masks, voxel_volume=1.0, least_mm3=10.0) == {"true": 2, "found": 2, "marked": 2, "false": 0}


def test_measures_by_volume(masks: tuple[np.ndarray, np.ndarray]) -> None:
    measures = detection_measures(*masks, voxel_volume=1.0)
    assert measures["sensitivity_3_to_10"] == 0.0
    assert measures["sensitivity_10_to_50"] == 1.0
    assert measures["sensitivity_over_500"] is None
    assert measures["volume"] == pytest.approx(0.062)
    assert measures["volume_error"] == pytest.approx((18 + 27 + 8 - 62) / 1000)
    assert measures["f1_10"] == 1.0


def test_the_rounding_of_a_voxel_volume_changes_no_count() -> None:
    """An oblique grid of 1 mm has voxels of 0.99999992 mm3 in single precision."""
    truth = np.zeros((40, 12, 12), bool)
    for start in (2, 8, 14, 20):
        truth[start : start + 3, 2, 2] = True  # 3 mm3 each, missed
    truth[28:38, 5, 5] = True  # 10 mm3, found
    exact, rounded = (
        detection_measures(truth, truth & (np.arange(40) > 25)[:, None, None], v) for v in (1.0, 0.99999992)
    )
    assert exact["true"] == 5
    assert exact["f1"] == pytest.approx(1 / 3)
    for name, value in exact.items():
        assert rounded[name] == (None if value is None else pytest.approx(value)), name
    assert f1_by_smallest(truth, truth, 0.99999992) == f1_by_smallest(truth, truth, 1.0)


def test_leaving_out_small_ones_drops_the_false_one(masks: tuple[np.ndarray, np.ndarray]) -> None:
    truth, marked = masks
    assert f1_by_smallest(truth, marked, 1.0)[0.0] == pytest.approx(2 / 3)
    assert f1_by_smallest(truth, marked, 1.0)[10.0] == pytest.approx(0.8)  # 2 of 3 found, none false
    assert without_small(marked, 1.0, 10.0).sum() == 18 + 27


def test_nothing_to_find() -> None:
    empty, marked = np.zeros((8, 8, 8), bool), np.zeros((8, 8, 8), bool)
    marked[:3, :3, :3] = True
    assert rates(lesion_counts(empty, marked, 1.0)) == {"sensitivity": None, "precision": 0.0, "f1": None}
    assert rates(lesion_counts(marked, empty, 1.0))["f1"] == 0.0
