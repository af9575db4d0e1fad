"""Hyperintensities found and missed, and the FLAIR made on the way."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.evaluation.segmentation import HYPERINTENSE, positives, segmentation_measures, synthesis_measures
from TrainingCore.reporting.segmentation_figures import SliceOfMethods, coloured, positives_figure

TRUTH = np.array([[[1, 1, 1, 1, 0, 0, 0, 0, 0, 0]]], bool)
FOUND = np.array([[[1, 1, 1, 0, 1, 1, 0, 0, 0, 0]]], bool)
BRAIN = np.ones_like(TRUTH)


def test_rates_of_a_known_case_by_every_definition():
    found = segmentation_measures(TRUTH, FOUND, BRAIN)
    assert found["dsc"] == pytest.approx(100 * 6 / 9)
    assert found["fpr"] == pytest.approx(50)
    assert found["fnr"] == pytest.approx(25)
    assert found["false_discovery"] == pytest.approx(40)
    assert found["fall_out"] == pytest.approx(100 / 3)


def test_the_false_positive_rate_may_exceed_100_percent_of_a_small_load():
    assert segmentation_measures(TRUTH, BRAIN, BRAIN)["fpr"] == pytest.approx(150)


def test_what_lies_outside_the_brain_does_not_count():
    brain = BRAIN.copy()
    brain[..., 3:6] = False
    assert segmentation_measures(TRUTH, FOUND, brain)["dsc"] == 100


def test_without_any_hyperintensity_rates_are_not_defined():
    none = np.zeros_like(TRUTH)
    found = segmentation_measures(none, none, BRAIN)
    assert (found["dsc"], found["fpr"], found["fnr"], found["fall_out"]) == (None, None, None, 0)


def test_probabilities_that_mean_what_they_say_reach_a_higher_dsc_at_the_threshold_than_at_a_half():
    rng = np.random.default_rng(0)
    probability = rng.beta(0.3, 6.0, (40, 40, 40))  # rare and uncertain, as hyperintensities in T1w alone
    truth, brain = rng.random(probability.shape) < probability, np.ones(probability.shape, bool)
    at = {limit: segmentation_measures(truth, probability > limit, brain)["dsc"] for limit in (HYPERINTENSE, 0.5)}
    assert at[HYPERINTENSE] > at[0.5] + 5


def test_errors_of_the_flair_with_both_peaks():
    truth = np.array([[[0.0, 4.0, 9.0]]])
    brain = np.array([[[True, True, False]]])
    found = synthesis_measures(truth, truth + np.array([[[0.5, -0.5, 99.0]]]), brain)
    assert found["mae"] == 0.5
    assert found["psnr_unit_peak"] == pytest.approx(10 * np.log10(1 / 0.25))
    assert found["psnr"] == pytest.approx(10 * np.log10(16 / 0.25))
    assert synthesis_measures(truth, truth, np.zeros_like(brain))["mae"] is None


def test_found_is_blue_false_green_and_missed_yellow():
    classes = positives(TRUTH, FOUND)
    assert classes.tolist() == [[[1, 1, 1, 3, 2, 2, 0, 0, 0, 0]]]
    picture = coloured(classes[0])
    blue, yellow, green, clear = (picture[0, place] for place in (0, 3, 4, 9))
    assert blue[2] > blue[1]
    assert green[1] > max(green[0], green[2])
    assert min(yellow[:2]) > yellow[2]
    assert clear[3] == 0
    assert positives(TRUTH, FOUND, np.zeros_like(BRAIN)).max() == 0


def test_the_figure_has_an_axis_for_every_image_and_method_and_shows_synthetic_flair_in_the_window_of_the_true_one():
    rng = np.random.default_rng(0)
    flair = rng.random((12, 10))
    images = {"T1w": rng.random((12, 10)), "FLAIR": flair, "FLAIR, joint": 5 * flair}
    mask = flair > 0.8
    one = SliceOfMethods("sub-1", images, mask, {"joint": mask, "unimodal": ~mask})
    figure = positives_figure([one, one], under="FLAIR")
    assert len(figure.axes) == 2 * 5
    windows = [axis.images[0].get_clim() for axis in figure.axes[:5]]
    assert windows[1] == windows[2] == windows[3]
    assert windows[0] != windows[1]


def test_a_visit_is_measured_at_the_models_own_threshold_and_at_a_half():
    from TrainingCore.data.case import Case
    from TrainingCore.evaluation.task import ModelImages
    from TrainingCore.evaluation.tasks import WMH

    probability = np.linspace(0, 1, 1000, dtype=np.float32).reshape(10, 10, 10)
    volumes = {"brain": np.ones((10, 10, 10), bool), "lesions": probability > 0.2}
    case = Case("01", "1", volumes, np.eye(4))
    row, _ = WMH.measure(
        case, ModelImages({"hyperintensities": probability}, lesion_threshold=0.2), {"target": "flair"}
    )
    assert row["dsc"] == 100
    assert row["dsc_half"] == pytest.approx(200 * 500 / 1300, rel=1e-3)
    assert row["lesion_threshold"] == 0.2
