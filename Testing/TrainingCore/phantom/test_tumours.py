from __future__ import annotations

import numpy as np
import pytest
from deformations import jacobian
from scipy import ndimage

from TrainingCore.phantom.anatomy import COARSE, FIELD_OF_VIEW_MM, Mass, coarse_displacement, grow_anatomy, pushed_aside
from TrainingCore.phantom.gadolinium import DOSES
from TrainingCore.phantom.patient import body, simulate_person_visit
from TrainingCore.phantom.people import GLIOMAS, Person, draw_person
from TrainingCore.phantom.randomness import stream
from TrainingCore.phantom.template import load_template
from TrainingCore.phantom.tumours import place_mass

SIZE = 64
CONTRASTS = ("t1w", "flair", "t2w", "adc", "t1ce_low", "t1ce")


def person(subtype: str, grade: int, enhancement: str, seed: int = 2) -> Person:
    return Person(seed, "A", 55, "F", True, "glioma", subtype, grade, enhancement)


@pytest.fixture(scope="module")
def glioblastoma():
    return simulate_person_visit(person("glioblastoma", 4, "yes"), 1, SIZE, CONTRASTS)


@pytest.fixture(scope="module")
def without_enhancement():
    return simulate_person_visit(person("oligodendroglioma", 2, "no"), 1, SIZE, CONTRASTS)


def white(case) -> np.ndarray:
    far = ~ndimage.binary_dilation(case.volumes["lesions"], iterations=3)
    return ndimage.binary_erosion(case.volumes["white_matter"]) & far


def level(case, contrast: str, where: np.ndarray) -> float:
    """Median in a region as a share of the median of white matter far away."""
    return float(np.median(case.volumes[contrast][where]) / np.median(case.volumes[contrast][white(case)]))


def test_the_mask_is_the_whole_tumour_and_the_labels_are_its_parts(glioblastoma) -> None:
    labels, mask = glioblastoma.volumes["tumour"], glioblastoma.volumes["lesions"]
    assert np.array_equal(labels > 0, mask)
    assert np.array_equal(labels == 4, glioblastoma.volumes["enhancing"])
    assert set(np.unique(labels)) == {0, 1, 2, 4}
    assert not mask[~glioblastoma.volumes["brain"]].any()
    assert not (mask & glioblastoma.volumes["white_matter"] & (labels != 2)).any()


def test_necrosis_lies_within_the_rim_and_the_rim_within_oedema(glioblastoma) -> None:
    labels = glioblastoma.volumes["tumour"]
    around_necrosis = ndimage.binary_dilation(labels == 1) & (labels != 1)
    assert np.mean(labels[around_necrosis] == 4) > 0.8
    around_core = ndimage.binary_dilation(labels != 0, iterations=1) & (labels == 0)
    assert np.mean(ndimage.binary_dilation(labels == 2)[around_core]) > 0.6


def test_only_the_rim_takes_up_agent_and_a_quarter_dose_lies_between(glioblastoma) -> None:
    volumes = glioblastoma.volumes
    rim = volumes["tumour"] == 4
    before, low, full = (float(np.median(volumes[name][rim])) for name in ("t1w", "t1ce_low", "t1ce"))
    assert before * 1.05 < low < full
    assert full > 1.25 * before
    assert low < before + 0.75 * (full - before)
    for label, most in ((1, 1.15), (2, 1.12)):
        where = volumes["tumour"] == label
        where &= ndimage.distance_transform_edt(~rim) > 2.0
        assert where.sum() > 20
        assert np.median(volumes["t1ce"][where]) < most * np.median(volumes["t1w"][where])


def test_the_rim_is_brighter_than_anything_normal_after_the_full_dose(glioblastoma) -> None:
    assert level(glioblastoma, "t1ce", glioblastoma.volumes["tumour"] == 4) > 1.05
    assert level(glioblastoma, "t1w", glioblastoma.volumes["tumour"] == 4) < 0.9


def test_a_tumour_without_enhancement_stays_dark(without_enhancement) -> None:
    volumes = without_enhancement.volumes
    assert set(np.unique(volumes["tumour"])) <= {0, 1, 2}
    core = volumes["tumour"] == 1
    assert np.median(volumes["t1ce"][core]) < 1.1 * np.median(volumes["t1w"][core])
    assert level(without_enhancement, "t1ce", core) < 1.0


@pytest.mark.parametrize("fixture", ["glioblastoma", "without_enhancement"])
def test_the_whole_tumour_is_bright_in_t2w_and_diffuses_freely(fixture: str, request) -> None:
    case = request.getfixturevalue(fixture)
    mask = case.volumes["lesions"]
    assert level(case, "t2w", mask) > 1.25
    assert level(case, "adc", mask) > 1.2
    assert level(case, "t1w", mask) < 0.95


def test_oedema_is_bright_in_flair_and_necrosis_has_the_highest_diffusivity(glioblastoma) -> None:
    labels = glioblastoma.volumes["tumour"]
    assert level(glioblastoma, "flair", labels == 2) > 1.25
    adc = {label: level(glioblastoma, "adc", labels == label) for label in (1, 2, 4)}
    assert adc[1] > adc[2] > 1.1
    assert adc[1] > adc[4]


def test_a_mass_shifts_the_midline_and_never_folds() -> None:
    template = load_template()
    before = coarse_displacement(stream(5, "same"), template, np.ones(3), 0.0)
    mass = Mass((35.0, 10.0, 15.0), 24.0, 9.0)
    after = pushed_aside(before, template, mass)
    assert jacobian(after, FIELD_OF_VIEW_MM / COARSE).min() > 0.0
    step = FIELD_OF_VIEW_MM / COARSE
    at = tuple(round(x / step + (COARSE - 1) / 2.0) for x in (2.0, 10.0, 15.0))
    assert (after - before)[0][at] > 1.5  # at the midline one sees what lay nearer to the mass
    corner = (after - before)[:, :3, :3, :3]
    assert np.abs(corner).max() < 0.05


def test_the_mass_pushes_the_ventricles_away() -> None:
    moved = []
    for seed in (2, 3, 4):
        someone = person("glioblastoma", 4, "yes", seed)
        healthy = body(Person(seed, "A", 55, "F", False, "glioma"), 1, SIZE)[0]
        ill = body(someone, 1, SIZE)[0]
        centre = np.array(place_mass(grow_anatomy(seed, "A", 48, 55), someone, 1).centre)
        before, after = (one.positions()[:, one.ventricles].mean(axis=1) for one in (healthy, ill))
        away = (before - centre) / np.linalg.norm(before - centre)
        moved.append(float((after - before) @ away))
    assert min(moved) > 0.2
    assert np.mean(moved) > 0.35  # mm, over the whole of the ventricles


def test_a_tumour_grows_between_visits() -> None:
    someone = person("glioblastoma", 4, "yes")
    cores = [np.isin(body(someone, visit, SIZE)[2].labels, (1, 4)).sum() for visit in (1, 3)]
    assert cores[1] > 1.2 * cores[0]


def test_a_cohort_has_every_stratum_with_its_ages() -> None:
    people = [draw_person(seed, "A", True, "glioma") for seed in range(400)]
    found = {(one.subtype, one.grade) for one in people}
    assert found == {(one.subtype, one.grade) for one in GLIOMAS}
    assert {one.enhancement for one in people} == {"yes", "no"}
    ages = {subtype: np.mean([one.age for one in people if one.subtype == subtype]) for subtype, _ in found}
    assert ages["glioblastoma"] > ages["astrocytoma"] + 12.0
    high = [one.enhancement == "yes" for one in people if one.grade == 4]
    low = [one.enhancement == "yes" for one in people if one.grade == 2]
    assert np.mean(high) > 0.85
    assert np.mean(low) < 0.35


def test_controls_have_no_tumour() -> None:
    control = simulate_person_visit(draw_person(3, "A", False, "glioma"), 1, 32, ("t1w",))
    assert "tumour" not in control.volumes
    assert not control.volumes["lesions"].any()
    assert "grade" not in control.info


def test_the_low_dose_is_a_quarter() -> None:
    assert DOSES["t1ce_low"] == pytest.approx(0.025 / 0.100)  # Bone et al. 2021, mmol/kg
