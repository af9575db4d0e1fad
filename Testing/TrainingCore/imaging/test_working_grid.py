"""Finer images are worked on at about 1 mm, and what they show keeps its place and size."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.imaging.volumes import Volume, corners
from TrainingCore.imaging.working_grid import grid_only, is_fine, mask_on_own_grid, working_copy
from TrainingCore.patient.own_grid import OwnGrid

AFFINE = np.array([[-0.5, 0, 0, 17], [0, 0.5, 0, -20], [0, 0, 0.5, -15], [0, 0, 0, 1]])
SHAPE = (65, 80, 60)


def _ball(centre: tuple[float, ...], radius: float) -> np.ndarray:
    """Voxels within `radius` mm of a point in world mm, bool."""
    world = np.moveaxis(np.indices(SHAPE), 0, -1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    return np.linalg.norm(world - centre, axis=-1) < radius


def _centre(volume: Volume) -> np.ndarray:
    return np.argwhere(volume.data > 0).mean(axis=0) @ volume.affine[:3, :3].T + volume.affine[:3, 3]


@pytest.mark.parametrize("background", [0, -3])
def test_a_stripped_brain_keeps_its_place_its_size_and_its_brightness(background):
    brain = _ball((2, -1, 0), 11)
    image = Volume(np.where(brain, 700, background).astype(np.float32), AFFINE)
    coarse = working_copy(image)
    assert np.allclose(coarse.spacing, 1)
    inside = coarse.with_data((coarse.data != background).astype(np.float32))
    assert inside.data.sum() * coarse.voxel_volume == pytest.approx(brain.sum() / 8, rel=0.02)
    assert np.allclose(_centre(inside), (2, -1, 0), atol=0.1)
    assert np.allclose(coarse.data[inside.data > 0], 700)
    assert mask_on_own_grid(inside.data > 0, coarse.affine, image).data.sum() == pytest.approx(brain.sum(), rel=0.02)


def test_images_of_1_mm_stay_as_they_are_and_grids_take_no_memory():
    image = Volume(np.ones((20, 20, 20), np.float32), np.diag([0.9, 0.9, 0.9, 1.0]))
    assert working_copy(image) is image
    thin = Volume(image.data, np.diag([0.4, 0.4, 3.0, 1.0]))
    assert not is_fine(thin)
    empty = grid_only(image)
    assert (empty.data.shape, empty.data.strides) == (image.data.shape, (0, 0, 0))
    assert np.array_equal(corners(empty.data.shape, empty.affine), corners(image.data.shape, image.affine))


def test_lesions_are_measured_on_the_own_grid_and_none_vanishes():
    brain, lesions = _ball((0, 0, 0), 13), _ball((5, 0, 0), 3)
    lesions[30, 30, 30] = True  # one voxel of 0.125 mm3
    image = Volume(np.where(brain, 700, 0).astype(np.float32), AFFINE)
    coarse = working_copy(image)
    mask = coarse.with_data((coarse.data > 0).astype(np.float32))
    own = OwnGrid(mask_on_own_grid(mask.data > 0, mask.affine, image), image.with_data(lesions.astype(np.float32)))
    seen, _ = own.on_working_grid(mask)
    dvr = np.where(mask.data > 0, 1.2, 0).astype(np.float32)
    rows, labels, _ = own.finish(mask, dvr, None, (mask.data > 0) & (seen.data == 0))
    assert [row["volume_mm3"] for row in rows] == pytest.approx([(lesions.sum() - 1) / 8, 0.125])
    assert np.allclose([rows[0][f"{axis}_mm"] for axis in "xyz"], (5, 0, 0), atol=0.1)
    assert sorted(np.unique(labels)) == [0, 1, 2]
    assert np.allclose(own.dvr[own.brain.data > 0], 1.2)
    assert not own.dvr[own.brain.data == 0].any()
