"""Lesions and their look-alikes in augmented training images."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.training.lesion_appearance import add_look_alikes, strengthen_lesions

SHAPE = (40, 40, 40)


@pytest.fixture
def volumes() -> dict[str, np.ndarray]:
    """A grey block of brain with a small lesion and a large one."""
    lesions = np.zeros(SHAPE, bool)
    lesions[8:10, 8:10, 8:10] = lesions[20:30, 20:30, 20:30] = True
    brain = np.zeros(SHAPE, bool)
    brain[2:-2, 2:-2, 2:-2] = True
    return {
        "flair": np.zeros(SHAPE, np.float32),
        "t1w": np.zeros(SHAPE, np.float32),
        "lesions": lesions,
        "brain": brain,
    }


def test_small_lesions_become_as_bright_as_large_ones(volumes):
    ratios = []
    for seed in range(20):
        own = dict(volumes)
        strengthen_lesions(own, 2.0, np.random.default_rng(seed))
        ratios.append(own["flair"][8:10, 8:10, 8:10].max() / own["flair"][22:28, 22:28, 22:28].mean())
        assert own["flair"][25, 25, 25] > 0 > own["t1w"][25, 25, 25]
    assert 0.75 < np.median(ratios) < 1.4


def test_a_visit_without_lesions_stays_as_it_is(volumes):
    volumes["lesions"] = np.zeros(SHAPE, bool)
    strengthen_lesions(volumes, 2.0, np.random.default_rng(0))
    assert not volumes["flair"].any()


def test_look_alikes_are_faint_spots_outside_lesions_that_t1w_does_not_show(volumes):
    add_look_alikes(volumes, 1.0, np.random.default_rng(3))
    flair = volumes["flair"]
    assert 0.1 < flair.max() <= 1.0
    assert flair.min() >= 0
    assert not flair[volumes["lesions"] | ~volumes["brain"]].any()
    assert not volumes["t1w"].any()
    assert 0.01 < (flair > 0.05 * flair.max()).mean() < 0.5  # spots, not a haze
