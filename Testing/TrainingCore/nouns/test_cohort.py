"""Cohorts are read from BIDS and split by person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from TrainingCore.cohort import Cohort
from TrainingCore.errors import BadInput

RULE = {"rule": "percentile", "low": 2.5, "high": 97.5, "clip": True}


def test_every_visit_and_volume_is_found(ball_cohort: Path) -> None:
    cohort = Cohort.read(ball_cohort)
    assert len(cohort) == 6
    assert cohort.people == ["P0", "P1", "P2"]
    assert cohort.simulated
    assert {"t1w", "flair", "dvr", "brain", "lesions", "white_matter", "grey_matter"} <= set(cohort.visits[0].files)


def test_split_never_separates_the_visits_of_a_person(ball_cohort: Path) -> None:
    cohort = Cohort.read(ball_cohort)
    for seed in range(5):
        training, validation = cohort.split(1, seed)
        assert not set(training.people) & set(validation.people)
        assert len(training) == 4
        assert len(validation) == 2


def test_a_loaded_case_is_what_a_network_expects(ball_cohort: Path) -> None:
    case = Cohort.read(ball_cohort).visits[0].load((32, 32, 32), 6.0, RULE)
    brain = case.volumes["brain"]
    for name in ("t1w", "flair"):
        inside = case.volumes[name][brain]
        assert (inside.min(), inside.max()) == (-1, 1)
        assert np.all(case.volumes[name][~brain] == -1)
    assert 0.9 < case.volumes["dvr"][brain].mean() < 1.3


def test_a_cropped_grid_cuts_without_blurring(ball_cohort: Path) -> None:
    visit = Cohort.read(ball_cohort).visits[0]
    whole, cropped = visit.load((32, 32, 32), 6.0, RULE), visit.load((28, 32, 28), 6.0, RULE)
    offset = np.rint((cropped.affine[:3, 3] - whole.affine[:3, 3]) / 6).astype(int)
    i, j, k = offset
    np.testing.assert_array_equal(cropped.volumes["dvr"], whole.volumes["dvr"][i : i + 28, j : j + 32, k : k + 28])


def test_missing_and_empty_datasets_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        Cohort.read(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="no visit"):
        Cohort.read(tmp_path)


def test_too_few_people_to_validate_is_bad_input(ball_cohort: Path) -> None:
    with pytest.raises(BadInput, match="validation_people"):
        Cohort.read(ball_cohort).split(3, 0)
