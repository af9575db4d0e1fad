from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from itk_images import from_sitk
from scipy import ndimage

from TrainingCore.imaging.bias import box_around, correct_bias, log_bias_field
from TrainingCore.imaging.volumes import Volume, to_sitk

SHAPE = (40, 48, 36)


@pytest.fixture(scope="module")
def shaded() -> dict[str, np.ndarray]:
    """A brain-like ball of three tissues under a smooth field, 4 mm voxels: image, field and mask."""
    rng = np.random.default_rng(4)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    folds = 0.1 * np.sin(9 * x) * np.sin(8 * y + 1) * np.cos(7 * z)
    tissue = np.select([radius < 0.2, radius + folds < 0.6, radius < 0.85], [150.0, 700.0, 500.0], 5.0)
    field = np.exp(0.3 * y - 0.2 * x * z + 0.15 * z**2)
    image = ndimage.gaussian_filter(tissue, 0.6) * field + 10 * rng.standard_normal(SHAPE)
    return {"image": np.clip(image, 1, None).astype(np.float32), "field": field, "inside": radius < 0.85}


def test_the_field_is_the_one_that_itk_finds(shaded):
    inside = shaded["inside"]
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([20, 20, 20])
    grid = to_sitk(Volume(shaded["image"], np.eye(4)))
    n4.Execute(grid, sitk.Cast(to_sitk(Volume(inside.astype(np.float32), np.eye(4))), sitk.sitkUInt8))
    reference = from_sitk(n4.GetLogBiasFieldAsImage(grid)).data[inside]
    found = log_bias_field(np.log(shaded["image"]), inside)[inside]
    assert reference.std() > 0.05
    difference = (found - found.mean()) - (reference - reference.mean())
    assert np.abs(difference).max() < 0.005  # both stop at a change of 0.001


def test_a_known_field_is_divided_out(shaded):
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    image, mask = Volume(shaded["image"], affine), Volume(shaded["inside"].astype(np.float32), affine)
    left = np.log(correct_bias(image, mask).data / shaded["image"] * shaded["field"])[shaded["inside"]]
    before = np.log(shaded["field"])[shaded["inside"]]
    assert left.std() < 0.4 * before.std()
    assert abs(np.mean(np.log(correct_bias(image, mask).data / shaded["image"])[shaded["inside"]])) < 0.01


def test_an_image_hardly_covered_by_the_mask_stays_as_it_is(shaded):
    image = Volume(shaded["image"], np.eye(4))
    mask = np.zeros(SHAPE, np.float32)
    mask[:5, :5, :5] = 1
    assert correct_bias(image, Volume(mask, np.eye(4))) is image


def test_the_box_holds_an_oblique_mask_and_its_margin():
    mask = np.zeros((20, 24, 18), np.float32)
    mask[4:15, 6:20, 3:12] = 1
    mask[9, 2, 7] = 1
    turn = from_rotation(0.4)
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-1.0, 1.0, 2.5])
    affine[:3, 3] = [30, -20, 5]
    world = np.argwhere(mask > 0) @ affine[:3, :3].T + affine[:3, 3]
    shape, grid = box_around(Volume(mask, affine), 2.0, 6.0)
    np.testing.assert_allclose(grid[:3, 3], world.min(axis=0) - 6)
    last = grid[:3, 3] + 2.0 * (np.array(shape) - 1)
    assert np.all(last >= world.max(axis=0) + 6 - 1e-9)
    assert np.all(last < world.max(axis=0) + 6 + 2)


def from_rotation(angle: float) -> np.ndarray:
    """A turn about two axes, 3x3."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
