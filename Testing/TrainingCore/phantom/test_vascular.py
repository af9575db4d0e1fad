from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.phantom.patient import body, simulate_person_visit
from TrainingCore.phantom.people import Person, draw_person
from TrainingCore.phantom.protocols import visit_protocol
from TrainingCore.phantom.vascular import draw_load, grow_hyperintensities

SIZE = 64


@pytest.fixture(scope="module")
def someone():
    person = Person(6, "B", 78, "F", True, "wmh")
    return *body(person, 1, SIZE)[:2], simulate_person_visit(person, 1, SIZE, ("t1w", "flair", "t2w"))


def test_load_doubles_in_about_ten_years() -> None:
    loads = {age: np.median([draw_load(seed, age) for seed in range(300)]) for age in (60, 70, 80)}
    assert loads[70] / loads[60] == pytest.approx(2.0, rel=0.15)
    assert loads[80] / loads[70] == pytest.approx(2.0, rel=0.2)


def test_hyperintensities_have_the_load_drawn_for_them(someone) -> None:
    anatomy, lesions, _ = someone
    assert lesions.mask.sum() * anatomy.voxel**3 / 1000.0 == pytest.approx(draw_load(6, 78), rel=0.25)


def test_most_lie_along_the_ventricles_and_some_deep(someone) -> None:
    anatomy, lesions, _ = someone
    distance = anatomy.ventricle_distance[lesions.mask]
    assert 0.4 < (distance < 8.0).mean() < 0.97
    deep = [number for number in range(1, lesions.owner.max() + 1) if _nearest(anatomy, lesions, number) > 8.0]
    assert len(deep) >= 2
    assert (anatomy.white_matter[lesions.mask] > 0.5).mean() > 0.85


def _nearest(anatomy, lesions, number: int) -> float:
    where = lesions.owner == number
    return float(anatomy.ventricle_distance[where].min()) if where.any() else 0.0


def test_caps_are_thicker_than_bands() -> None:
    """At the horns a lesion reaches further from the ventricle than along its body."""
    reach: dict[str, list[float]] = {"horn": [], "body": []}
    for seed in range(4):
        anatomy, lesions, _ = body(Person(seed, "A", 80, "F", True, "wmh"), 1, SIZE)
        rows = np.flatnonzero(anatomy.ventricles.any(axis=(0, 2)))
        along = np.zeros(anatomy.shape, bool)
        third = (rows.max() - rows.min()) // 4
        along[:, rows.min() + third : rows.max() - third] = True
        near = (anatomy.ventricle_distance < 7.0) & (anatomy.white_matter > 0.6)
        reach["body"].append(lesions.mask[near & along].mean())
        reach["horn"].append(lesions.mask[near & ~along].mean())
    assert np.mean(reach["horn"]) > 1.2 * np.mean(reach["body"])


def test_both_sides_are_more_alike_than_two_people() -> None:
    maps = []
    for seed in range(4):
        anatomy, lesions, _ = body(Person(seed, "A", 80, "F", True, "wmh"), 1, SIZE)
        near = (anatomy.ventricle_distance > 0.0) & (anatomy.ventricle_distance < 12.0)
        rows = np.argwhere(near & lesions.mask)
        maps.append(
            [np.histogram(rows[side, 1], 12, (0, SIZE))[0] for side in (rows[:, 0] < SIZE / 2, rows[:, 0] >= SIZE / 2)]
        )
    within = np.mean([np.corrcoef(*sides)[0, 1] for sides in maps])
    assert within > 0.3


def test_they_are_bright_in_flair_and_t2w_and_a_little_dark_in_t1w(someone) -> None:
    anatomy, lesions, case = someone
    white = (anatomy.white_matter > 0.95) & (lesions.water < 0.02)
    where = lesions.mask & (anatomy.white_matter > 0.8)
    contrasts = ("t1w", "flair", "t2w")
    ratio = {name: np.median(case.volumes[name][where]) / np.median(case.volumes[name][white]) for name in contrasts}
    assert ratio["flair"] > 1.2
    assert ratio["t2w"] > 1.15
    assert 0.6 < ratio["t1w"] < 0.97


def test_a_paler_rim_surrounds_them(someone) -> None:
    _, lesions, _ = someone
    outside = ~lesions.mask & (lesions.water > 0.02)
    assert outside.any()
    assert lesions.water[outside].max() < 0.6 * lesions.water[lesions.mask].mean()


def test_a_later_visit_has_more() -> None:
    anatomy, lesions, _ = body(Person(6, "B", 78, "F", True, "wmh"), 1, SIZE)
    later = grow_hyperintensities(anatomy, 6, 78, 3)
    assert later.mask.sum() > 1.1 * lesions.mask.sum()


def test_people_are_older_than_those_with_ms_and_as_many_men() -> None:
    people = [draw_person(seed, "A", True, "wmh") for seed in range(300)]
    assert 64 < np.mean([one.age for one in people]) < 74
    assert 0.4 < np.mean([one.sex == "F" for one in people]) < 0.6


def test_three_sites_scan_differently() -> None:
    flairs = {(p.repetition, p.echo, p.inversion, p.thickness) for p in (visit_protocol(1, 1, s).flair for s in "ABC")}
    assert len(flairs) == 3
