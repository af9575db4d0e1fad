"""The grid a network sees, and the intensity rule."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from TrainingCore.imaging.grid import Grid, brain_grid, world_bounds
from TrainingCore.imaging.intensities import (
    apply_rule,
    background_of,
    gaussian_normalise,
    percentile_rescale,
    unit_rescale,
)
from TrainingCore.imaging.preparation import on_grid, prepare_case, resample_antialiased
from TrainingCore.imaging.volumes import Volume

RULE = {"rule": "percentile", "low": 2.5, "high": 97.5, "clip": True}


def ball(shape: tuple[int, int, int], radius: float) -> np.ndarray:
    place = np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2
    return (place**2).sum(axis=0) < radius**2


def oblique(degrees: float, spacing: tuple[float, float, float], flip: bool = False) -> np.ndarray:
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag(np.array(spacing) * ([-1, 1, 1] if flip else [1, 1, 1]))
    affine[:3, 3] = [5, -60, -40]
    return affine


@pytest.mark.parametrize(
    "affine", [oblique(0, (1, 1, 1)), oblique(0, (1, 1, 3), flip=True), oblique(20, (0.9, 0.9, 2))]
)
def test_the_brain_lies_in_the_middle_of_an_isotropic_cube(affine: np.ndarray) -> None:
    mask = ball((90, 90, 40), 18)
    grid = brain_grid(mask, affine, (64, 64, 64), 3.0)
    low, high = world_bounds(mask, affine)
    centre = grid.affine @ [31.5, 31.5, 31.5, 1]
    np.testing.assert_allclose(centre[:3], (low + high) / 2)
    np.testing.assert_allclose(grid.spacing, 3.0)


def test_a_brain_that_does_not_fit_gets_larger_voxels() -> None:
    grid = brain_grid(ball((100, 100, 100), 45), np.diag([2.0, 2, 2, 1]), (64, 64, 64), 2.0)
    assert grid.spacing[0] == pytest.approx((178 + 6) / 64, rel=0.02)


def test_a_prepared_grid_is_kept_even_where_the_brain_needed_larger_voxels() -> None:
    mask, affine = ball((100, 100, 100), 45), np.diag([2.0, 2, 2, 1])
    first = brain_grid(mask, affine, (64, 64, 64), 2.0)
    stored = on_grid(Volume(mask.astype(np.float32), affine), first, mask=True)
    again = brain_grid(stored, first.affine, (64, 64, 64), 2.0)
    np.testing.assert_array_equal(again.affine, first.affine)


def test_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        brain_grid(np.zeros((8, 8, 8), bool), np.eye(4))


def test_same_grid_is_recognised_by_its_corners() -> None:
    grid = Grid((10, 10, 10), np.eye(4))
    moved = np.eye(4)
    moved[0, 3] = 0.01
    assert grid.same_as((10, 10, 10), np.eye(4))
    assert not grid.same_as((10, 10, 10), moved)
    assert not grid.same_as((10, 10, 9), np.eye(4))


def test_percentiles_of_the_brain_become_minus_one_and_one() -> None:
    rng = np.random.default_rng(0)
    image, brain = rng.normal(500, 100, (40, 40, 40)), ball((40, 40, 40), 15)
    scaled = percentile_rescale(image, brain)
    low, high = np.percentile(image[brain], [2.5, 97.5])
    inside = (image > low) & (image < high) & brain
    np.testing.assert_allclose(scaled[inside], 2 * (image[inside] - low) / (high - low) - 1, atol=1e-5)
    assert (scaled[brain].min(), scaled[brain].max()) == (-1, 1)
    assert np.mean(np.abs(scaled[brain]) == 1) == pytest.approx(0.05, abs=0.002)
    assert np.all(scaled[~brain] == -1)


def test_without_clipping_bright_lesions_stay_apart() -> None:
    image, brain = np.linspace(0, 1, 64**3).reshape(64, 64, 64), np.ones((64, 64, 64), bool)
    image[0, 0, :2] = [1.5, 2.0]
    scaled = percentile_rescale(image, brain, clip=False)
    assert 1 < scaled[0, 0, 0] < scaled[0, 0, 1] <= 3


def test_gaussian_rule_gives_mean_zero_and_deviation_one_in_the_brain() -> None:
    rng = np.random.default_rng(0)
    image, brain = rng.normal(500, 100, (30, 30, 30)), ball((30, 30, 30), 12)
    scaled = gaussian_normalise(image, brain)
    assert scaled[brain].mean() == pytest.approx(0, abs=1e-3)
    assert scaled[brain].std() == pytest.approx(1, abs=1e-3)
    assert np.all(scaled[~brain] == -4)
    np.testing.assert_array_equal(apply_rule(image, brain, {"rule": "gaussian"}), scaled)


def test_unit_rule_gives_zero_to_one_with_clipped_ends() -> None:
    rng = np.random.default_rng(0)
    image, brain = rng.normal(500, 100, (30, 30, 30)), ball((30, 30, 30), 12)
    scaled = unit_rescale(image, brain, 2, 2)
    assert (scaled[brain].min(), scaled[brain].max()) == (0, 1)
    assert np.mean(scaled[brain] == 1) == pytest.approx(0.023, abs=0.005)
    assert np.all(scaled[~brain] == 0)
    mean, sd = image[brain].mean(), image[brain].std()
    middle = brain & (np.abs(image - mean) < 2 * sd)
    np.testing.assert_allclose(scaled[middle], (0.5 + (image - mean) / (4 * sd))[middle], atol=1e-5)


def test_a_tumours_uptake_hardly_changes_how_healthy_tissue_looks_by_the_unit_rule() -> None:
    image, brain = np.random.default_rng(0).normal(800, 200, (30, 30, 30)), ball((30, 30, 30), 12)
    tumour = ball((30, 30, 30), 3)  # more of the brain than 99.5 % leave out
    assert tumour.sum() > 0.01 * brain.sum()
    before, after = (unit_rescale(np.where(tumour, signal, image), brain) for signal in (800, 2000))
    healthy = brain & ~tumour
    assert np.median(after[healthy]) == pytest.approx(np.median(before[healthy]), abs=0.03)
    assert np.median(after[tumour]) > 0.9


def test_the_symmetric_rule_is_the_unit_rule_from_minus_one_to_one() -> None:
    image, brain = np.random.default_rng(0).normal(800, 200, (30, 30, 30)), ball((30, 30, 30), 12)
    rule = {"rule": "symmetric", "below": 2.0, "above": 4.0}
    found = apply_rule(image, brain, rule)
    np.testing.assert_allclose(found, 2 * unit_rescale(image, brain, 2, 4) - 1)
    assert found.min() == -1
    assert (found[~brain] == background_of(rule)).all()


def test_a_bundle_of_the_older_unit_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="older version"):
        apply_rule(np.ones((2, 2, 2)), np.ones((2, 2, 2), bool), {"rule": "unit", "low": 0.5, "high": 99.5})


@pytest.mark.parametrize(
    "rule", [{"rule": "percentile", "low": 2.5, "high": 97.5, "clip": True}, {"rule": "gaussian"}, {"rule": "unit"}]
)
def test_every_rule_says_its_background(rule: dict) -> None:
    image, brain = np.random.default_rng(0).normal(500, 100, (20, 20, 20)), ball((20, 20, 20), 8)
    assert np.all(apply_rule(image, brain, rule)[~brain] == background_of(rule))


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="histogram"):
        apply_rule(np.ones((2, 2, 2)), np.ones((2, 2, 2), bool), {"rule": "histogram"})


def test_a_thick_sliced_grid_blurs_only_across_its_slices() -> None:
    image = np.zeros((60, 60, 60), np.float32)
    image[30, 30, 30] = 1
    thick = Grid((60, 60, 20), np.diag([1.0, 1, 3, 1]))
    found = resample_antialiased(Volume(image, np.eye(4)), thick, np.eye(4))
    assert found[30, 30].max() > 0
    assert found[29, 30].max() < 1e-3 * found[30, 30].max()


@pytest.mark.parametrize(
    ("image", "brain", "sentence"),
    [
        (np.ones((4, 4, 4)), np.ones((4, 4, 4), bool), "no contrast"),
        (np.ones((4, 4, 4)), np.zeros((4, 4, 4), bool), "empty"),
    ],
)
def test_images_without_contrast_or_brain_are_refused(image: np.ndarray, brain: np.ndarray, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        percentile_rescale(image, brain)


@pytest.mark.parametrize("affine", [oblique(0, (1, 1, 1), flip=True), oblique(25, (0.8, 0.8, 2.5))])
def test_a_lesion_keeps_its_place_in_the_world(affine: np.ndarray) -> None:
    shape = (160, 160, 64)
    centre = np.array([90.0, 70.0, 36.0, 1.0])
    place = np.indices(shape) - centre[:3, None, None, None]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    lesion = ((place * spacing[:, None, None, None]) ** 2).sum(axis=0) < 10**2
    middle = (np.array(shape)[:, None, None, None] - 1) / 2
    brain = (((np.indices(shape) - middle) * spacing[:, None, None, None]) ** 2).sum(axis=0) < 55**2
    t1w = np.random.default_rng(0).normal(500, 50, shape) * brain
    volume = Volume(t1w.astype(np.float32), affine)
    grid = brain_grid(brain, affine, (96, 96, 96), 1.5)
    masks = {name: Volume(mask.astype(np.float32), affine) for name, mask in (("brain", brain), ("lesions", lesion))}
    case = prepare_case({"t1w": volume, **masks}, grid, RULE)
    found = case.affine @ [*np.argwhere(case.volumes["lesions"]).mean(axis=0), 1]
    np.testing.assert_allclose(found, affine @ centre, atol=0.3)  # a mask's end slices fall between the grid's
    assert case.volumes["lesions"].sum() * case.voxel_volume == pytest.approx(lesion.sum() * spacing.prod(), rel=0.03)


def test_flair_is_taken_from_where_its_transform_says() -> None:
    brain = ball((64, 64, 64), 25).astype(np.float32)
    flair = np.random.default_rng(1).normal(300, 30, brain.shape).astype(np.float32)
    shift = np.eye(4)
    shift[0, 3] = 4.0  # the point x of T1w space is shown at x + 4 mm of the FLAIR
    grid = Grid((64, 64, 64), np.eye(4))
    found = apply_rule(on_grid(Volume(flair, np.eye(4)), grid, shift), brain > 0.5, RULE)
    inside = ball((64, 64, 64), 20)
    np.testing.assert_allclose(
        found[20:40, 32, 32],
        percentile_rescale(np.roll(flair, -4, 0), brain > 0.5)[20:40, 32, 32],
        atol=1e-4,
    )
    assert np.abs(found - percentile_rescale(flair, brain > 0.5))[inside].max() > 0.5


@pytest.mark.parametrize("turn", [(-1, 1, 1), (-1, -1, 1), (1, 1, -1)])
def test_the_order_of_the_voxels_changes_no_value_on_the_grid(turn):
    image = np.random.default_rng(0).random((30, 34, 28)).astype(np.float32)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-29.5, -33, -27)
    brain = np.zeros(image.shape, bool)
    brain[5:24, 6:29, 4:23] = True
    turned = nib.Nifti1Image(image, affine).as_reoriented([[axis, sign] for axis, sign in enumerate(turn)])
    flipped = np.flip(brain, [axis for axis, sign in enumerate(turn) if sign < 0])
    grids = [brain_grid(brain, affine, (32, 32, 32), 2.0), brain_grid(flipped, turned.affine, (32, 32, 32), 2.0)]
    assert np.array_equal(grids[0].affine, grids[1].affine)
    seen = [on_grid(Volume(image, affine), grids[0]), on_grid(Volume(turned.get_fdata(), turned.affine), grids[1])]
    assert np.allclose(seen[0], seen[1], atol=1e-6)


@pytest.mark.parametrize("spacing", [2.0, 2.05, 3.3, 5.0])
def test_the_true_myelin_loss_of_a_small_lesion_is_the_same_on_every_grid(spacing: float) -> None:
    """It is 0 outside the lesions; smoothed like an image, 104 mm3 would keep half of it at 3.3 mm."""
    from TrainingCore.imaging.labelling import label_lesions, mean_by_label

    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    place = np.stack(np.meshgrid(*[np.arange(48) * 2.0] * 3, indexing="ij"))
    brain = ((place - 47.0) ** 2).sum(axis=0) < 44.0**2
    loss = np.zeros(brain.shape, np.float32)
    known = ((104, 0.5, (30, 40, 50)), (400, 0.25, (62, 47, 40)), (200, 0.9, (45, 70, 46)))  # mm3, loss, centre
    for volume, value, centre in known:
        distance = ((place - np.reshape(centre, (3, 1, 1, 1)).astype(float)) ** 2).sum(axis=0)
        loss[np.unravel_index(np.argsort(distance, axis=None)[: volume // 8], loss.shape)] = value
    arrays = {"brain": brain, "t1w": brain * place[0], "lesions": loss > 0, "myelin_loss": loss}
    read = {name: Volume(np.asarray(array, np.float32), affine, name) for name, array in arrays.items()}
    count = int(np.ceil(96 / spacing))
    target = np.diag([spacing, spacing, spacing, 1.0])
    target[:3, 3] = spacing / 2 - 1.0
    case = prepare_case(read, Grid((count, count, count), target), RULE)
    labels, volumes = label_lesions(case.volumes["lesions"], case.voxel_volume)
    assert volumes == pytest.approx([400, 200, 104], abs=0.5 * spacing**3 + 5)
    assert mean_by_label(labels, case.volumes["myelin_loss"])[1:] == pytest.approx([0.25, 0.9, 0.5], abs=0.005)
