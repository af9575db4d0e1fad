from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from TrainingCore.phantom.patient import body, simulate_person_visit
from TrainingCore.phantom.people import draw_person
from TrainingCore.phantom.rater import drawn_mask

SIZE = 64


@pytest.fixture(scope="module")
def pair():
    """The same person of 60 years with and without look-alikes."""
    person = dataclasses.replace(draw_person(12, "A"), age=70)
    return [
        simulate_person_visit(dataclasses.replace(person, lookalikes=look), 1, SIZE, ("t1w", "flair", "dvr"))
        for look in (False, True)
    ]


def test_lookalikes_change_images_but_no_lesion_mask(pair) -> None:
    plain, seen = pair
    both = plain.volumes["brain"] & seen.volumes["brain"]
    assert np.array_equal(plain.volumes["lesions"] & both, seen.volumes["lesions"] & both)
    away = both & ~plain.volumes["lesions"]
    difference = np.abs(seen.volumes["flair"] - plain.volumes["flair"])[away]
    assert (difference > 150.0).mean() > 0.002
    for name, volume in seen.volumes.items():
        assert not volume[~seen.volumes["brain"]].any(), name


def test_random_protocols_have_lookalikes_and_others_on_request() -> None:
    assert draw_person(1, "R").lookalikes
    assert not draw_person(1, "A").lookalikes
    assert draw_person(1, "A", lookalikes=True).lookalikes


def test_a_control_with_lookalikes_has_an_empty_mask() -> None:
    person = draw_person(4, "R", patient=False)
    assert not simulate_person_visit(person, 1, SIZE, ("flair",)).volumes["lesions"].any()


def test_a_rater_draws_lesions_a_little_off_and_the_same_way_twice() -> None:
    anatomy, lesions, _ = body(draw_person(5, "A"), 1, 96)
    drawn = drawn_mask(lesions.mask, anatomy, 5)
    overlap = 2.0 * (drawn & lesions.mask).sum() / (drawn.sum() + lesions.mask.sum())
    assert 0.75 < overlap < 0.99
    assert np.array_equal(drawn, drawn_mask(lesions.mask, anatomy, 5))
