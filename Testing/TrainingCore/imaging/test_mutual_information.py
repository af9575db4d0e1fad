from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from TrainingCore.imaging.mutual_information import (
    BINS,
    PADDING,
    MutualInformation,
    histogram_by_counting,
    histogram_by_product,
    to_bins,
)

AFFINE = np.array([[-1.5, 0.1, 0, 30], [0.1, 1.4, 0.2, -28], [0, -0.2, 2.0, -20], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """A smooth random image between 0 and 1, (40, 38, 24)."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((40, 38, 24)), 3)
    return ((noise - noise.min()) / (noise.max() - noise.min())).astype(np.float32)


def _samples(image: np.ndarray, count: int, margin: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    voxels = np.random.default_rng(seed).uniform(margin, np.array(image.shape) - 1 - margin, (count, 3))
    values = ndimage.map_coordinates(image, voxels.T, order=1)
    return voxels @ AFFINE[:3, :3].T + AFFINE[:3, 3], values


@pytest.mark.parametrize("margin", [6.0, -1.0], ids=["inside", "partly outside"])
def test_the_gradient_is_that_of_the_information(image, margin):
    points, _ = _samples(image, 20000, margin)
    fixed = np.sin(points[:, 0] / 9) * np.cos(points[:, 1] / 8)
    metric = MutualInformation(points, to_bins(fixed, -1, 1), to_bins(image, 0.1, 0.9), AFFINE)
    matrix = np.eye(4)
    matrix[:3, :] += 0.01 * np.random.default_rng(2).standard_normal((3, 4))
    found = metric(matrix)
    assert (found.covered < 0.999) == (margin < 0)
    for i, j in [(0, 3), (1, 3), (2, 3), (0, 0), (1, 2), (2, 1)]:
        step = np.zeros((4, 4))
        step[i, j] = 0.02 if j == 3 else 5e-4
        rise = metric(matrix + step).information - metric(matrix - step).information
        scale = np.abs(found.gradient[:, 3]).max() * (1 if j == 3 else 20)
        assert rise / (2 * step[i, j]) == pytest.approx(found.gradient[i, j], rel=0.05, abs=0.03 * scale)


def test_information_of_unrelated_images_is_near_zero_and_of_an_image_about_itself_its_entropy(image):
    points, values = _samples(image, 50000, 1.0)
    itself = MutualInformation(points, to_bins(values, 0, 1), to_bins(image, 0, 1), AFFINE)(np.eye(4)).information
    shares = np.bincount(np.round(to_bins(values, 0, 1)).astype(int), minlength=BINS) / len(values)
    entropy = -float(np.sum(shares[shares > 0] * np.log(shares[shares > 0])))
    assert 0.6 * entropy < itself < entropy  # the Parzen window takes its part
    shuffled = np.random.default_rng(3).permutation(values)
    assert (
        MutualInformation(points, to_bins(shuffled, 0, 1), to_bins(image, 0, 1), AFFINE)(np.eye(4)).information < 0.02
    )


def test_information_does_not_care_about_inverted_contrast(image):
    points, values = _samples(image, 20000, 1.0)
    fixed = to_bins(values, 0, 1)
    one, other = (
        MutualInformation(points, fixed, to_bins(data, 0, 1), AFFINE)(np.eye(4)) for data in (image, 1 - image)
    )
    assert one.information == pytest.approx(other.information, rel=0.01)


def test_an_image_that_no_sample_meets_holds_no_information(image):
    points, values = _samples(image, 1000, 1.0)
    away = np.eye(4)
    away[0, 3] = 1000
    found = MutualInformation(points, to_bins(values, 0, 1), to_bins(image, 0, 1), AFFINE)(away)
    assert (found.information, found.covered) == (0.0, 0.0)
    assert not found.gradient.any()


def test_counting_and_product_give_the_same_histogram():
    """The product is what a GPU does; its sums come in another order."""
    random = torch.Generator().manual_seed(0)
    rows = torch.randint(PADDING, BINS - PADDING, (5000,), generator=random)
    column = torch.randint(0, BINS - 4, (5000,), generator=random)
    shares = list(torch.rand(4, 5000, generator=random))
    counted, product = histogram_by_counting(rows, column, shares), histogram_by_product(rows, column, shares)
    assert counted.shape == (BINS, BINS)
    torch.testing.assert_close(counted, product, rtol=1e-12, atol=1e-9)
    assert float(counted[rows[0]].sum()) == pytest.approx(float(sum(share[rows == rows[0]].sum() for share in shares)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_finds_the_same_information(image):
    points, values = _samples(image, 20000, 1.0)
    found = [
        MutualInformation(points, to_bins(values, 0, 1), to_bins(image, 0, 1), AFFINE, device)(np.eye(4))
        for device in ("cpu", "cuda")
    ]
    assert found[0].information == pytest.approx(found[1].information, rel=1e-5)
    np.testing.assert_allclose(found[0].gradient, found[1].gradient, rtol=1e-3, atol=1e-6)
