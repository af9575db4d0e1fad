"""Groups, people and voxels as Wei et al. 2018 measure them."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.evaluation.demyelination import (
    agreement_classes,
    control_threshold,
    demyelinated,
    demyelination_measures,
    group_comparison,
    person_regions,
)
from TrainingCore.evaluation.measures import dice
from TrainingCore.reporting.demyelination_figures import (
    agreement_slice,
    demyelination_examples,
    people_figure,
    regions_figure,
    shares_figure,
)
from TrainingCore.reporting.slice_figures import Slices


def cohort(rng: np.random.Generator, people: int = 8, loss: float = 0.3) -> list[dict]:
    """Rows of controls and patients with white matter of DVR 1.2 and lesions lower by `loss`."""
    rows = []
    white = np.zeros((8, 8, 8), bool)
    white[1:7] = True
    lesions = np.zeros_like(white)
    lesions[2:4, 2:5, 2:5] = True
    for number in range(people):
        for group in ("control", "patient"):
            found = lesions if group == "patient" else np.zeros_like(lesions)
            level = 1.2 + rng.normal(0, 0.01)
            dvr = np.where(found, level - loss, level) + rng.normal(0, 0.02, white.shape)
            rows.append(person_regions(dvr, dvr + 0.01, white, found, group, f"{group}{number}"))
    return rows


def test_the_threshold_is_the_mean_of_the_controls_white_matter_minus_deviations_and_weighs_people_alike():
    rng = np.random.default_rng(0)
    maps = [rng.normal(1.2, 0.1, (20, 20, 20)), rng.normal(1.0, 0.2, (20, 20, 20))]
    masks = [np.ones((20, 20, 20), bool), np.zeros((20, 20, 20), bool)]
    masks[1][:5] = True
    assert control_threshold(maps, masks, 1.0) == pytest.approx(1.1 - 0.15, abs=0.01)
    assert control_threshold(maps, masks, 2.0) == pytest.approx(1.1 - 0.30, abs=0.01)
    assert control_threshold([], []) is None


def test_only_lesional_voxels_below_the_threshold_are_demyelinated():
    dvr = np.array([[[0.8, 0.8, 1.1, 1.0]]])
    lesions = np.array([[[True, False, True, True]]])
    assert demyelinated(dvr, lesions, 1.0).tolist() == [[[True, False, False, False]]]


def test_shares_dice_and_classes_of_a_known_case():
    lesions = np.ones((1, 1, 4), bool)
    measured = np.array([[[0.8, 0.8, 1.1, 1.1]]])
    synthetic = np.array([[[0.8, 1.1, 0.8, 1.1]]])
    found = demyelination_measures(measured, synthetic, lesions, 1.0)
    shares = {"measured_percent": 50, "synthetic_percent": 50, "percent_error": 0}
    assert found == shares | {"dice": 0.5, "dice_all": pytest.approx(2 / 3)}
    assert demyelination_measures(measured, measured - 0.2, lesions, 1.0)["percent_error"] == 50
    assert agreement_classes(measured, synthetic, lesions, 1.0).tolist() == [[[2, 3, 4, 1]]]
    assert agreement_classes(measured, synthetic, ~lesions, 1.0).max() == 0


def test_a_synthetic_map_may_have_a_threshold_of_its_own():
    lesions, measured = np.ones((1, 1, 2), bool), np.array([[[0.8, 1.1]]])
    assert demyelination_measures(measured, measured + 0.3, lesions, 1.0)["dice"] == 0
    assert demyelination_measures(measured, measured + 0.3, lesions, 1.0, own=1.3)["dice"] == 1


def test_without_lesions_or_demyelination_nothing_is_made_up():
    dvr, none = np.full((2, 2, 2), 1.2), np.zeros((2, 2, 2), bool)
    assert set(demyelination_measures(dvr, dvr, none, 1.0).values()) == {None}
    assert dice(none, none) is None
    assert demyelination_measures(dvr, dvr, ~none, 1.0)["measured_percent"] == 0


def test_lesions_differ_from_nawm_and_nawm_does_not_from_controls():
    rows = cohort(np.random.default_rng(1))
    for kind in ("measured", "synthetic"):
        found = group_comparison(rows)[kind]
        assert found["wm_control_n"] == found["lesions_n"] == 8
        assert found["wm_patient_mean"] - found["lesions_mean"] == pytest.approx(0.3, abs=0.01)
        assert found["p_lesions_against_nawm"] < 0.01
        assert found["p_nawm_against_control"] > 0.05


def test_no_loss_no_difference_and_two_people_are_too_few():
    found = group_comparison(cohort(np.random.default_rng(2), loss=0.0))["measured"]
    assert found["p_lesions_against_nawm"] > 0.01
    few = group_comparison(cohort(np.random.default_rng(3), people=2))["measured"]
    assert few["p_lesions_against_nawm"] is None
    assert few["p_nawm_against_control"] is None


def test_two_visits_of_a_person_count_as_one():
    rows = cohort(np.random.default_rng(4))
    assert group_comparison(rows + rows)["measured"]["wm_patient_n"] == 8


def test_the_figures_hold_every_person_and_both_kinds_of_map():
    rows = cohort(np.random.default_rng(5), people=4)
    boxes = regions_figure(rows, group_comparison(rows))
    assert "p = " in boxes.axes[0].texts[0].get_text()
    people = people_figure(rows)
    assert len(people.axes[0].get_xticklabels()) == len(rows)
    shares = [
        {"person": "A", "measured_percent": 40.0, "synthetic_percent": 30.0, "dice": 0.7, "dice_all": 0.6},
        {"person": "B", "measured_percent": None, "synthetic_percent": None, "dice": None, "dice_all": None},
    ]
    figure = shares_figure(shares)
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.70"]
    agreement_slice(figure.axes[0], np.random.default_rng(0).random((8, 8)), np.eye(8, dtype=np.uint8))
    assert len(figure.axes[0].images) == 2


@pytest.mark.parametrize(("controls", "rows"), [(True, 3), (False, 2)])
def test_examples_show_mri_measured_every_models_map_and_its_demyelination_where_there_is_a_threshold(controls, rows):
    rng = np.random.default_rng(6)
    images = {name: rng.random((9, 8)) for name in ("mtr", "fa", "dvr", "synthetic")}
    images |= {"agreement": np.eye(9, 8)} if controls else {}
    one = Slices("A, fold 1", ("mtr", "fa"), "dvr", images, np.eye(9, 8, dtype=bool), (4.0, 4.0), 12.0)
    figure = demyelination_examples({"first_model": [one, one], "other": [one, one]})
    titles = [axis.get_title() for axis in figure.axes]
    assert len(figure.axes) == 2 * rows * 3
    assert titles[:3] == ["MTR", "FA", "measured DVR"]
    assert titles.count("first model") == titles.count("other") == 2
    assert sum(axis.get_ylabel() == "demyelinated\nin the lesions" for axis in figure.axes) == 2 * controls
