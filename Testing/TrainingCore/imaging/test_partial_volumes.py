"""Lesions go through any grid and back with their volumes and centres."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from TrainingCore.imaging.grid import Grid, brain_grid
from TrainingCore.imaging.labelling import label_lesions
from TrainingCore.imaging.partial_volumes import PartialVolumes, lesion_mask_on_grid, partial_volumes_of_labels
from TrainingCore.imaging.volumes import Volume, read_volume

CENTRE_MM, VOLUME_SHARE = 0.05, 0.01  # what must be kept


def turned(degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    about_z = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    about_x = about_z[np.ix_([2, 0, 1], [2, 0, 1])]
    return about_z @ about_x


ORIENTATIONS = {
    "RAS": np.diag([1.0, 1, 1]),
    "LAS": np.diag([-1.0, 1, 1]),
    "LPS": np.diag([-1.0, -1, 1]),
    "axes exchanged": np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]]),
    "oblique": turned(17),
    "anisotropic": np.diag([0.7, 0.7, 3.0]),
    "oblique, anisotropic, left-handed": turned(-23) @ np.diag([-0.9, 0.9, 3.3]),
}
SHAPES = {"128^3": ((128, 128, 128), 1.5), "160x192x160": ((160, 192, 160), 1.0)}


def random_lesions(own: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbered ellipsoids of one voxel to 6 ml, a box of a brain around them, and the affine."""
    spacing = np.linalg.norm(own, axis=0)
    shape = tuple(np.ceil(150 / spacing).astype(int))
    affine = np.eye(4)
    affine[:3, :3] = own
    affine[:3, 3] = [3.3, -7.1, 12.7] - own @ ((np.array(shape) - 1) / 2)
    brain = np.zeros(shape, bool)
    brain[tuple(slice(round(0.06 * n), round(0.94 * n)) for n in shape)] = True
    mask = np.zeros(shape, bool)
    rng = np.random.default_rng(seed)
    middle = (np.array(shape) - 1) / 2
    for radius in [*rng.uniform(0.5, 4, 25), *rng.uniform(4, 11, 2)]:
        centre, stretch = middle + rng.uniform(-35, 35, 3) / spacing, rng.uniform(0.6, 1.6, 3)
        low = np.floor(centre - 1.6 * radius / spacing).astype(int)
        size = np.ceil(3.2 * radius / spacing).astype(int) + 2
        place = (np.indices(size).reshape(3, -1).T + low - centre) * spacing / stretch
        mask[tuple(slice(start, start + n) for start, n in zip(low, size))] |= (
            (place**2).sum(axis=1) < radius**2
        ).reshape(size)
        mask[tuple(np.rint(centre).astype(int))] = True
    return label_lesions(mask, float(spacing.prod()))[0], brain, affine


def misses(lesions: PartialVolumes, truth: PartialVolumes) -> tuple[float, float]:
    """Largest shift of a centre in mm, and largest relative change of a volume."""
    shift = np.linalg.norm(lesions.centres() - truth.centres(), axis=1)
    return float(shift.max()), float(np.abs(lesions.volumes() / truth.volumes() - 1).max())


def there_and_back(labels: np.ndarray, affine: np.ndarray, grid: Grid) -> tuple[tuple[float, float], ...]:
    """What is missed on the grid, back as shares, and back in whole voxels."""
    truth = partial_volumes_of_labels(labels, affine, labels.shape, affine)
    on_grid = partial_volumes_of_labels(labels, affine, grid.shape, grid.affine)
    back = on_grid.to(labels.shape, affine)
    whole = partial_volumes_of_labels(back.labels(), affine, labels.shape, affine)
    assert len(whole.volumes()) == len(truth.volumes())
    return misses(on_grid, truth), misses(back, truth), misses(whole, truth)


@pytest.mark.parametrize("size", SHAPES)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_lesion_keeps_its_centre_and_volume_there_and_back(orientation: str, size: str) -> None:
    labels, brain, affine = random_lesions(ORIENTATIONS[orientation])
    grid = brain_grid(brain, affine, *SHAPES[size])
    for shift, change in there_and_back(labels, affine, grid):
        assert shift < CENTRE_MM
        assert change < VOLUME_SHARE


@pytest.mark.parametrize("size", SHAPES)
def test_real_lesions_keep_their_centres_and_volumes(real_data: Path, size: str) -> None:
    masks = sorted((real_data / "ms_lesion_masks_mni").rglob("*.nii.gz"))
    shape, spacing = SHAPES[size]
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = np.array([0.37, -18.21, 8.93]) - spacing * (np.array(shape) - 1) / 2
    for path in (masks[0], masks[1], masks[-1]):
        mask = read_volume(path, mask=True)
        labels, _ = label_lesions(mask.data > 0.5, mask.voxel_volume)
        for shift, change in there_and_back(labels, mask.affine, Grid(shape, affine)):
            assert shift < CENTRE_MM, path.name
            assert change < VOLUME_SHARE, path.name


def test_no_lesion_vanishes_from_a_coarse_mask_and_the_load_stays() -> None:
    labels, brain, affine = random_lesions(ORIENTATIONS["LAS"])
    grid = brain_grid(brain, affine, (64, 64, 64), 3.0)
    on_grid = partial_volumes_of_labels(labels, affine, grid.shape, grid.affine)
    whole = on_grid.labels()
    counts = np.bincount(whole.ravel(), minlength=labels.max() + 1)[1:]
    assert (counts >= 1).all()
    room = np.abs(counts * 27.0 - on_grid.volumes())
    assert (room[on_grid.volumes() >= 27] <= 13.5 + 1e-6).all()  # half a voxel


def test_shares_sum_to_the_volume_and_stay_between_nothing_and_all() -> None:
    labels, brain, affine = random_lesions(ORIENTATIONS["anisotropic"])
    grid = brain_grid(brain, affine, (128, 128, 128), 1.5)
    shares = partial_volumes_of_labels(labels, affine, grid.shape, grid.affine).fractions()
    volume = np.count_nonzero(labels) * 0.7 * 0.7 * 3.0
    assert shares.sum(dtype=float) * 1.5**3 == pytest.approx(volume, rel=1e-5)
    assert shares.min() >= 0
    assert shares.max() < 1.1


def test_an_empty_mask_stays_empty() -> None:
    empty = Volume(np.zeros((10, 10, 10), np.float32), np.eye(4))
    assert not lesion_mask_on_grid(empty, (8, 8, 8), np.diag([2.0, 2, 2, 1])).any()


def test_what_lies_beyond_the_grid_is_lost_and_its_centre_unknown() -> None:
    labels = np.zeros((40, 8, 8), np.int32)
    labels[2:5, 4, 4], labels[35:37, 4, 4] = 1, 2
    found = partial_volumes_of_labels(labels, np.eye(4), (16, 8, 8), np.eye(4))
    np.testing.assert_allclose(found.volumes(), [3.0])
    np.testing.assert_allclose(found.centres(), [[3.0, 4.0, 4.0]])
