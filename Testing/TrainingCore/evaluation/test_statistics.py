"""Correlations agree with SciPy, intervals are by patient, and what cannot be said is not said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from TrainingCore.evaluation.statistics import (
    ClusterBootstrap,
    bland_altman,
    correlation_difference,
    correlation_with_interval,
    pearson,
    weighted_mean,
)


def cohort(patients: int = 20, lesions: int = 12, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measured, synthetic and patient of lesions whose patients differ more than their lesions do."""
    generator = np.random.default_rng(seed)
    people = np.repeat(np.arange(patients), lesions)
    truth = 1 + 0.08 * generator.standard_normal(patients)[people] + 0.04 * generator.standard_normal(people.size)
    return truth, truth + 0.08 * generator.standard_normal(people.size), people


@pytest.mark.parametrize(("n", "strength"), [(3, 1.0), (12, 0.2), (400, 0.7), (50, -0.5)])
def test_pearson_and_its_p_are_those_of_scipy(n, strength):
    generator = np.random.default_rng(n)
    x = generator.standard_normal(n)
    y = strength * x + generator.standard_normal(n)
    found, expected = pearson(x, y), stats.pearsonr(x, y)
    assert found["r"] == pytest.approx(expected.statistic, abs=1e-12)
    assert found["p"] == pytest.approx(expected.pvalue, rel=1e-9)
    assert found["n"] == n


def test_pairs_without_a_value_are_left_out():
    x, y = np.array([1, 2, np.nan, 4, 5.0]), np.array([1, 3, 3, np.inf, 4.0])
    assert pearson(x, y) == pearson(x[[0, 1, 4]], y[[0, 1, 4]])


@pytest.mark.parametrize("x", [[], [1.0], [1.0, 2.0], [1.1, 1.1, 1.1, 1.1], [np.nan, np.nan, np.nan, 2.0]])
def test_a_correlation_that_cannot_be_estimated_is_none(x):
    y = np.arange(len(x), dtype=float)
    found = correlation_with_interval(x, y, ["A"] * len(x), ceiling=x)
    assert {found[name] for name in ("r", "p", "r_low", "r_high", "share_of_ceiling")} == {None}
    difference = correlation_difference(x, y, y, ["A"] * len(x))
    assert difference["difference"] is None


def test_a_perfect_line_has_r_one_and_p_zero():
    assert pearson([1, 2, 3, 4], [2, 4, 6, 8]) == {"r": 1.0, "p": 0.0, "n": 4}


def test_bootstrap_replicates_are_correlations_of_resampled_patients():
    x, y, people = cohort(patients=6, lesions=4)
    draws = ClusterBootstrap(people, replicates=20, seed=4)
    for weights, found in zip(draws.weights, draws.correlations(x, y), strict=True):
        rows = np.concatenate(
            [np.flatnonzero(people == person) for person, w in enumerate(weights) for _ in range(int(w))]
        )
        assert found == pytest.approx(np.corrcoef(x[rows], y[rows])[0, 1], abs=1e-9)
    for weights, found in zip(draws.weights, draws.means(y), strict=True):
        assert found == pytest.approx(np.average(y, weights=weights[people]))


def test_the_interval_is_seeded_and_holds_the_estimate():
    found = [correlation_with_interval(*cohort(), seed=seed) for seed in (0, 0, 1)]
    assert found[0] == found[1]
    assert found[0]["r_low"] != found[2]["r_low"]
    assert found[0]["r_low"] < found[0]["r"] < found[0]["r_high"]


def test_the_interval_by_patient_covers_the_truth_where_lesions_alike_would_not():
    """The mean of patients that differ by SD 1: an interval over lesions as if independent is far too narrow."""
    generator = np.random.default_rng(11)
    people = np.repeat(np.arange(25), 20)
    covered = naive = 0
    for seed in range(100):
        values = generator.standard_normal(25)[people] + 0.2 * generator.standard_normal(people.size)
        draws = ClusterBootstrap(people, replicates=400, seed=seed)
        low, high = draws.interval(draws.means(values))
        half = 1.96 * values.std() / np.sqrt(values.size)
        covered += low < 0 < high
        naive += abs(values.mean()) < half
    assert covered >= 85
    assert naive <= 60


@pytest.mark.parametrize("patients", [1, 2, 4])
def test_a_handful_of_patients_gives_a_correlation_but_no_interval(patients):
    x, y, people = cohort(patients=patients, lesions=5)
    found = correlation_with_interval(x, y, people, ceiling=x)
    assert found["r"] is not None
    assert found["patients"] == patients
    assert (found["r_low"], found["r_high"], found["share_low"]) == (None, None, None)


def test_the_share_of_the_ceiling_is_one_for_the_noise_free_truth():
    clean, measured, people = cohort()
    found = correlation_with_interval(measured, clean, people, ceiling=clean)
    assert found["r_ceiling"] == pytest.approx(np.corrcoef(clean, measured)[0, 1])
    assert found["share_of_ceiling"] == pytest.approx(1)
    assert found["share_low"] == pytest.approx(1)
    assert found["share_high"] == pytest.approx(1)


def test_the_paired_difference_sees_what_two_intervals_hide():
    truth, first, people = cohort()
    second = 0.5 * (first + truth)
    found = correlation_difference(truth, first, second, people)
    one, other = (correlation_with_interval(truth, values, people) for values in (first, second))
    assert found["difference"] == pytest.approx(other["r"] - one["r"])
    assert found["low"] > 0
    assert found["p"] < 0.01
    assert one["r_high"] - one["r_low"] > found["high"] - found["low"]


def test_a_model_does_not_differ_from_itself():
    truth, first, people = cohort()
    found = correlation_difference(truth, first, first, people)
    assert (found["difference"], found["low"], found["high"], found["p"]) == (0, 0, 0, 1)


def test_bland_altman_gives_bias_limits_and_line():
    measured = np.array([0.8, 0.9, 1.0, 1.1, 1.2, 1.3])
    synthetic = 0.5 * measured + 0.55 + np.array([0.01, -0.01, 0.01, -0.01, 0.01, -0.01])
    found = bland_altman(measured, synthetic, list("ABCDEE"))
    difference = synthetic - measured
    line = stats.linregress(measured, synthetic)
    assert found["bias"] == pytest.approx(difference.mean())
    assert found["upper_limit"] - found["bias"] == pytest.approx(1.96 * difference.std(ddof=1))
    assert found["lower_limit"] + found["upper_limit"] == pytest.approx(2 * difference.mean())
    assert found["slope"] == pytest.approx(line.slope)
    assert found["intercept"] == pytest.approx(line.intercept)
    assert found["bias_low"] <= found["bias"] <= found["bias_high"]
    assert bland_altman([1.0], [1.1])["sd"] is None
    assert bland_altman([], [])["n"] == 0


def test_weighted_means_leave_out_what_is_not_there():
    assert weighted_mean([1.0, None, 3.0], [1, 5, 3]) == pytest.approx(2.5)
    assert weighted_mean([None], [2]) is None
    assert weighted_mean([], []) is None
