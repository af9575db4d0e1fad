"""Spread of values with outliers."""

import numpy as np
import pytest

from TrainingCore.imaging.robust import median_and_sd


def test_of_a_normal_distribution_it_is_the_sd_and_outliers_do_not_change_it() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 20_000)
    assert median_and_sd(values) == pytest.approx((3.0, 2.0), abs=0.05)
    values[:400] = 1e6
    assert median_and_sd(values) == pytest.approx((3.0, 2.0), abs=0.15)
    assert median_and_sd(np.array([5.0])) == (5.0, 0.0)
