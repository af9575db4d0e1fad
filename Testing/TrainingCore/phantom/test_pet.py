from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.phantom.anatomy import grow_anatomy
from TrainingCore.phantom.diffuse import set_diffuse_damage
from TrainingCore.phantom.lesion_growth import grow_lesions
from TrainingCore.phantom.lesions import no_lesions
from TrainingCore.phantom.pet import (
    GREY_RANGE,
    REFERENCE_FWHM,
    REGION_MM3,
    SCANNERS,
    blur,
    draw_noise,
    scan_dvr,
    spherical_region,
    true_dvr,
)


@pytest.fixture(scope="module")
def anatomy():
    return grow_anatomy(3, "A", 80, 40.0)


@pytest.mark.parametrize("site", ["A", "B"])
@pytest.mark.parametrize("size", [64, 128])
def test_a_106_mm3_region_repeats_as_the_scanner_says_and_within_10_percent(site: str, size: int) -> None:
    voxel, scanner = 192.0 / size, SCANNERS[site]
    region = spherical_region(voxel, REGION_MM3) > 0
    reach = region.shape[0]
    differences = []
    for repeat in range(6):
        pair = [draw_noise(np.random.default_rng(10 * repeat + k), (64, 64, 64), voxel, scanner) for k in (0, 1)]
        for corner in np.ndindex(*(64 // reach,) * 3):
            box = tuple(slice(c * reach, (c + 1) * reach) for c in corner)
            first, second = (1.0 + part[box][region].mean() for part in pair)
            differences.append(abs(first - second) / ((first + second) / 2.0))
    assert np.mean(differences) == pytest.approx(scanner.variability, rel=0.06)
    assert np.mean(differences) < 0.10


def test_region_has_the_volume_asked_for() -> None:
    assert spherical_region(1.5, REGION_MM3).sum() * 1.5**3 == pytest.approx(REGION_MM3, abs=2.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_healthy_white_matter_is_20_to_23_percent_above_grey_after_a_2_5_mm_blur(anatomy, seed: int) -> None:
    dvr = true_dvr(anatomy, no_lesions(anatomy.shape), seed)
    seen = blur(dvr, REFERENCE_FWHM, anatomy.voxel)
    ratio = seen[anatomy.white_matter > 0.5].mean() / seen[anatomy.grey_matter > 0.5].mean()
    assert 1.199 <= ratio <= 1.231
    pure = dvr[anatomy.grey_matter > 0.999]
    assert GREY_RANGE[0] - 0.005 <= pure.mean() <= GREY_RANGE[1] + 0.005


def test_white_matter_of_patients_is_lower_and_falls_towards_the_ventricles(anatomy) -> None:
    damaged = no_lesions(anatomy.shape)
    set_diffuse_damage(damaged, anatomy, 4, dirty=False)
    healthy, patient = (true_dvr(anatomy, state, 4) for state in (no_lesions(anatomy.shape), damaged))
    share = np.ones(anatomy.shape)
    share[anatomy.brain] = patient[anatomy.brain] / healthy[anatomy.brain]
    white = anatomy.white_matter > 0.95
    far = share[white & (anatomy.ventricle_distance > 6.0)]
    near = share[white & (anatomy.ventricle_distance < 2.5)]
    assert 0.949 <= far.mean() <= 1.0
    assert near.mean() < far.mean() - 0.005


def test_fluid_is_low_and_lesions_lie_below_white_matter(anatomy) -> None:
    lesions = grow_lesions(anatomy, 3)
    dvr = true_dvr(anatomy, lesions, 3)
    nawm = (anatomy.white_matter > 0.95) & ~lesions.mask
    assert 0.55 < dvr[anatomy.fluid > 0.99].mean() < 0.75
    assert dvr[lesions.mask].mean() < 0.93 * dvr[nawm].mean()
    assert np.all(dvr[~anatomy.brain] == 0.0)


def test_site_b_is_smoother_than_site_a(anatomy) -> None:
    dvr = true_dvr(anatomy, no_lesions(anatomy.shape), 3)
    rough = {}
    for site in ("A", "B"):
        measured, clean, used = scan_dvr(dvr, anatomy, 3, 1, site)
        rough[site] = (np.abs(np.diff(clean, axis=0)).mean(), (measured - clean)[anatomy.brain].std())
        low, high = SCANNERS[site].fwhm
        assert low <= used["fwhm_mm"] <= high
    assert rough["B"][0] < rough["A"][0]
    assert rough["B"][1] < rough["A"][1]
