"""Image measures agree with scikit-image, and count only what the mask holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from TrainingCore.evaluation.measures import image_measures, mean_absolute_error, peak_signal_to_noise, ssim_map


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    truth = 1 + 2 * gaussian_filter(generator.standard_normal((30, 34, 28)), 2)
    return truth, truth + 0.1 * generator.standard_normal(truth.shape)


@pytest.mark.parametrize("data_range", [1.5, 2.0])
def test_ssim_is_that_of_scikit_image(pair, data_range):
    _, reference = structural_similarity(
        *pair, data_range=data_range, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    np.testing.assert_allclose(ssim_map(*pair, data_range), reference, atol=1e-10)


def test_psnr_is_that_of_scikit_image(pair):
    whole = np.ones(pair[0].shape, bool)
    assert peak_signal_to_noise(*pair, whole, 1.5) == pytest.approx(peak_signal_noise_ratio(*pair, data_range=1.5))


def test_only_the_mask_counts(pair):
    truth, image = pair
    mask = np.zeros(truth.shape, bool)
    mask[8:20, 10:22, 9:18] = True
    spoilt = np.where(mask, image, 99.0)
    assert mean_absolute_error(truth, spoilt, mask) == pytest.approx(np.abs(image - truth)[mask].mean())
    assert peak_signal_to_noise(truth, spoilt, mask) == peak_signal_to_noise(truth, image, mask)


def test_the_box_around_the_regions_changes_nothing(pair):
    truth, image = (values.copy() for values in pair)
    brain = np.zeros(truth.shape, bool)
    brain[9:20, 10:22, 9:18] = True
    truth[~brain] = image[~brain] = 0
    lesions = np.zeros_like(brain)
    lesions[12:14, 12:14, 12:14] = True
    found = image_measures(truth, image, {"brain": brain, "lesions": lesions}, 1.5)
    whole = ssim_map(truth, image, 1.5)
    assert found["ssim_brain"] == pytest.approx(whole[brain].mean(), abs=1e-12)
    assert found["ssim_lesions"] == pytest.approx(whole[lesions].mean(), abs=1e-12)
    assert found["mae_lesions"] == pytest.approx(np.abs(truth - image)[lesions].mean())


def test_equal_images_are_perfect_and_empty_regions_are_not_estimable(pair):
    truth = pair[0]
    whole, nothing = np.ones(truth.shape, bool), np.zeros(truth.shape, bool)
    found = image_measures(truth, truth, {"brain": whole, "lesions": nothing})
    assert found["mae_brain"] == 0
    assert found["ssim_brain"] == pytest.approx(1)
    assert found["psnr_brain"] is None
    assert [found[f"{kind}_lesions"] for kind in ("mae", "psnr", "ssim")] == [None] * 3
    assert set(image_measures(truth, truth, {"brain": nothing}).values()) == {None}


def test_a_worse_image_measures_worse(pair):
    truth, image = pair
    regions = {"brain": np.ones(truth.shape, bool)}
    good, bad = (image_measures(truth, truth + k * (image - truth), regions) for k in (1, 3))
    assert bad["mae_brain"] > good["mae_brain"]
    assert bad["psnr_brain"] < good["psnr_brain"]
    assert bad["ssim_brain"] < good["ssim_brain"]
