"""Where the discriminator looks."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.systems.schedules import choose_centres, random_share

LESIONS = np.array([[10.0, 10.0, 10.0], [20.2, 20.6, 20.0]])
WHITE = np.array([[5, 5, 5], [6, 6, 6], [7, 7, 7]])


def test_curricular_starts_with_lesions_alone_and_ends_with_random_patches_alone() -> None:
    shares = [random_share("curricular", epoch, 150) for epoch in range(150)]
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert np.allclose(np.diff(shares), 1 / 149)


def test_anticurricular_is_the_exact_opposite() -> None:
    for epoch in range(150):
        assert random_share("curricular", epoch, 150) + random_share("anticurricular", epoch, 150) == pytest.approx(1)


def test_fixed_keeps_its_share_and_uniform_is_random_alone() -> None:
    assert {random_share("fixed", epoch, 10, 0.3) for epoch in range(10)} == {0.3}
    assert {random_share("uniform", epoch, 10) for epoch in range(10)} == {1.0}


def test_unknown_schedule_and_impossible_share_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown schedule"):
        random_share("spiral", 0, 10)
    with pytest.raises(ValueError, match="between 0 and 1"):
        random_share("fixed", 0, 10, 1.5)


def test_lesion_patches_sit_on_centres_of_gravity_and_random_ones_in_white_matter() -> None:
    rng = np.random.default_rng(0)
    lesion_only = choose_centres(rng, 100, 0.0, LESIONS, WHITE)
    assert {tuple(c) for c in lesion_only} == {(10, 10, 10), (20, 21, 20)}
    white_only = choose_centres(rng, 100, 1.0, LESIONS, WHITE)
    assert {tuple(c) for c in white_only} == {tuple(w) for w in WHITE}


def test_share_of_random_patches_is_what_was_asked_for() -> None:
    centres = choose_centres(np.random.default_rng(1), 20_000, 0.25, LESIONS, WHITE)
    assert np.mean(centres[:, 0] < 8) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_visit_without_lesions_or_white_matter_still_gets_its_patches(share: float) -> None:
    rng, nothing = np.random.default_rng(2), np.zeros((0, 3))
    assert choose_centres(rng, 7, share, nothing, WHITE).shape == (7, 3)
    assert choose_centres(rng, 7, share, LESIONS, nothing).shape == (7, 3)
    assert choose_centres(rng, 7, share, nothing, nothing).shape == (7, 3)
