from __future__ import annotations

import numpy as np
import pytest
from deformations import jacobian

from TrainingCore.phantom.anatomy import COARSE, FIELD_OF_VIEW_MM, coarse_displacement, displacement_of, grow_anatomy
from TrainingCore.phantom.randomness import stream
from TrainingCore.phantom.template import load_template

SIZE = 64


@pytest.fixture(scope="module")
def anatomy():
    return grow_anatomy(11, "A", SIZE, 40.0)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("widening", [-0.8, 5.0])
def test_deformation_never_folds_even_at_the_ends_of_its_range(seed: int, widening: float) -> None:
    scale = np.full(3, 0.9)
    displacement = coarse_displacement(stream(seed, "test"), load_template(), scale, widening)
    determinants = jacobian(displacement, FIELD_OF_VIEW_MM / COARSE)
    assert determinants.min() > 0.0


def test_jacobian_of_a_stretch_is_its_volume_factor() -> None:
    line = np.arange(8.0) * 3.0
    position = np.stack(np.meshgrid(line, line, line, indexing="ij"))
    assert jacobian(0.1 * position, 3.0) == pytest.approx(1.1**3)


def test_exponential_follows_a_rotation() -> None:
    size, angle = 33, 0.3
    position = np.stack(np.meshgrid(*(np.arange(size) - 16.0,) * 3, indexing="ij"))
    velocity = angle * np.stack([-position[1], position[0], np.zeros_like(position[0])])
    flow = displacement_of(velocity, steps=8)
    expected = (
        np.stack(
            [
                np.cos(angle) * position[0] - np.sin(angle) * position[1],
                np.sin(angle) * position[0] + np.cos(angle) * position[1],
            ]
        )
        - position[:2]
    )
    inside = np.abs(position[:2]).max(axis=0) < 8
    assert np.abs(flow[:2] - expected)[:, inside].max() < 0.02


def test_fractions_fill_the_brain_and_nothing_else(anatomy) -> None:
    total = anatomy.white_matter + anatomy.grey_matter + anatomy.fluid
    assert total[anatomy.brain] == pytest.approx(1.0, abs=1e-5)
    assert np.all(total[~anatomy.brain] == 0.0)
    assert 1.1e6 < anatomy.brain.sum() * anatomy.voxel**3 < 2.0e6


def test_brain_stays_inside_the_field_of_view(anatomy) -> None:
    shell = np.ones(anatomy.shape, bool)
    shell[1:-1, 1:-1, 1:-1] = False
    assert not (anatomy.brain & shell).any()


def test_two_people_differ_and_nobody_is_symmetric(anatomy) -> None:
    other = grow_anatomy(12, "A", SIZE, 40.0)
    assert (anatomy.brain ^ other.brain).sum() > 0.02 * anatomy.brain.sum()
    mirrored = anatomy.white_matter[::-1]
    assert np.corrcoef(anatomy.white_matter.ravel(), mirrored.ravel())[0, 1] < 0.95


def test_the_same_seed_is_the_same_person(anatomy) -> None:
    again = grow_anatomy(11, "A", SIZE, 40.0)
    assert np.array_equal(anatomy.white_matter, again.white_matter)


def test_widening_enlarges_the_ventricles() -> None:
    from TrainingCore.phantom.anatomy import _sample, grid_affine

    template = load_template()
    volumes = []
    for widening in (0.0, 4.0):
        displacement = coarse_displacement(stream(5, "same"), template, np.ones(3), widening)
        sampled = _sample(template, displacement, grid_affine(SIZE, template.centre), SIZE, 1.0)
        volumes.append(sampled.ventricles.sum())
    assert volumes[1] > 1.4 * volumes[0]


def test_ventricle_wall_has_no_grey_rim() -> None:
    template = load_template()
    from scipy import ndimage

    rim = ndimage.binary_dilation(template.ventricles > 0.5, iterations=2) & (template.ventricles < 0.5)
    grey = template.grey_matter > 0.5
    nuclei = ndimage.binary_dilation(ndimage.binary_opening(grey, iterations=2), iterations=2)
    assert (grey & rim & ~nuclei).sum() < 0.03 * rim.sum()
