from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from TrainingCore.phantom.anatomy import grow_anatomy
from TrainingCore.phantom.lesion_classes import ACUTE
from TrainingCore.phantom.lesion_growth import (
    CHANGE_RANGE,
    LOAD_QUANTILES_ML,
    draw_volumes,
    grow_lesions,
    next_visit,
)
from TrainingCore.phantom.people import COUNT_FACTOR, LOAD_FACTOR
from TrainingCore.phantom.randomness import stream


@pytest.fixture(scope="module")
def anatomy():
    return grow_anatomy(3, "A", 80, 40.0)


@pytest.fixture(scope="module")
def patients(anatomy):
    return [grow_lesions(anatomy, seed) for seed in range(12)]


def test_loads_follow_the_quantiles_of_the_real_masks() -> None:
    loads = []
    for seed in range(600):
        ordinary, confluent = draw_volumes(stream(seed, "loads"))
        loads.append((ordinary.sum() + confluent.sum()) / 1000.0)
    middle = np.quantile(loads, [0.25, 0.5, 0.75])
    assert middle == pytest.approx(np.interp([2.5, 5.0, 7.5], range(11), LOAD_QUANTILES_ML), rel=0.35)
    assert max(loads) < 1.1 * LOAD_QUANTILES_ML[-1]


def test_lesions_lie_in_tissue_and_mostly_in_white_matter(anatomy, patients) -> None:
    for lesions in patients:
        assert lesions.mask.any()
        assert not (lesions.mask & ~anatomy.brain).any()
        assert (anatomy.white_matter[lesions.mask] > 0.5).mean() > 0.7
        assert anatomy.fluid[lesions.mask].mean() < 0.15


def test_every_lesion_is_one_piece(patients) -> None:
    owner = patients[0].owner
    assert owner.max() > 5
    for number in range(1, owner.max() + 1):
        _, count = ndimage.label(owner == number, np.ones((3, 3, 3)))
        assert count <= 1


def test_myelin_loss_is_deepest_at_the_centre(patients) -> None:
    ratios = []
    for lesions in patients:
        depth = ndimage.distance_transform_edt(lesions.mask)
        rim, core = lesions.mask & (depth <= 1.0), depth > 2.2
        if core.sum() > 20:
            ratios.append(lesions.deficit[core].mean() / lesions.deficit[rim].mean())
    assert np.median(ratios) > 1.1


def test_mri_visible_damage_follows_myelin_only_partly(patients) -> None:
    rows = []
    for lesions in patients:
        numbers = np.arange(1, lesions.owner.max() + 1)
        parts = (lesions.deficit, lesions.axonal_loss, lesions.water)
        rows.append([ndimage.mean(part, lesions.owner, numbers) for part in parts])
    deficit, axons, water = (np.concatenate(parts) for parts in zip(*rows))
    known = np.isfinite(deficit)
    assert 0.5 < np.corrcoef(deficit[known], axons[known])[0, 1] < 0.97
    assert 0.05 < np.corrcoef(deficit[known], water[known])[0, 1] < 0.8


def test_a_later_visit_changes_8_to_22_percent_of_the_lesional_volume(anatomy, patients) -> None:
    for seed, lesions in enumerate(patients[:4]):
        later = next_visit(lesions, anatomy, seed, 2)
        changed = np.abs(later.deficit - lesions.deficit)[lesions.mask] > 1e-6
        assert CHANGE_RANGE[0] - 0.01 <= changed.mean() <= CHANGE_RANGE[1] + 0.01
        moved = (later.deficit - lesions.deficit)[lesions.mask]
        assert (moved > 0).any()
        assert (moved < 0).any()
        assert later.owner[lesions.mask] == pytest.approx(lesions.owner[lesions.mask])


def test_a_later_visit_leaves_the_first_as_it_was(anatomy, patients) -> None:
    before = patients[0].deficit.copy()
    next_visit(patients[0], anatomy, 0, 2)
    assert np.array_equal(before, patients[0].deficit)


def test_some_people_get_new_lesions(anatomy, patients) -> None:
    new = [
        next_visit(lesions, anatomy, seed, 2).owner.max() - lesions.owner.max()
        for seed, lesions in enumerate(patients[:6])
    ]
    assert max(new) > 0


def test_site_b_has_about_12_lesions_of_50_mm3_or_more(anatomy) -> None:
    """Soulier et al. 2024: 528 in 44 people."""
    counts = []
    for seed in range(14):
        lesions = grow_lesions(anatomy, 100 + seed, LOAD_FACTOR["B"], COUNT_FACTOR["B"])
        labels, count = ndimage.label(lesions.mask, np.ones((3, 3, 3)))
        volumes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * anatomy.voxel**3
        counts.append(int((volumes >= 50.0).sum()))
    assert np.mean(counts) == pytest.approx(12.0, abs=3.5)


def test_oedema_of_acute_lesions_is_gone_at_the_next_visit(anatomy, patients) -> None:
    for seed, lesions in enumerate(patients):
        acute = lesions.kinds == ACUTE
        if acute.any():
            later = next_visit(lesions, anatomy, seed, 2)
            where = acute[lesions.owner]
            assert not (later.kinds[: len(acute)] == ACUTE).any()
            assert later.water[where].mean() < 0.85 * lesions.water[where].mean()
            return
    pytest.fail("no patient has an acute lesion")
