"""The papers' image measures agree with scikit-image and with each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from TrainingCore.evaluation.image_quality import enhancement_quality, translation_quality


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    shape = (30, 34, 12)
    brain = np.zeros(shape, bool)
    brain[4:26, 5:29, 1:11] = True
    lesions = np.zeros(shape, bool)
    lesions[10:16, 12:18, 4:8] = True
    truth = np.clip(0.5 + gaussian_filter(random.standard_normal(shape), 2), 0, 1)
    image = np.clip(truth + 0.1 * random.standard_normal(shape), 0, 1)
    return {"truth": truth * brain, "image": image * brain, "brain": brain, "lesions": lesions}


def test_translation_looks_at_every_axial_slice_as_scikit_image_does(images) -> None:
    truth, image = (2 * images[name] - 1 for name in ("truth", "image"))
    found = translation_quality(truth, image, images["brain"], images["lesions"])
    options = {"data_range": 2.0, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    reference = np.stack([structural_similarity(truth[..., k], image[..., k], **options)[1] for k in range(12)], -1)
    assert found["ssim_brain"] == pytest.approx(reference[images["brain"]].mean())
    assert found["ssim_lesion"] == pytest.approx(reference[images["lesions"]].mean())
    assert found["mae_brain"] == pytest.approx(np.abs(truth - image)[images["brain"]].mean())


def test_a_lesion_cut_out_of_its_image_is_nearly_perfect_whatever_is_in_it(images) -> None:
    truth = 2 * images["truth"] - 1
    found = translation_quality(truth, -truth, images["brain"], images["lesions"])
    assert found["ssim_lesion"] < 0.3
    assert found["ssim_lesion_masked"] > 0.85
    perfect = translation_quality(truth, truth, images["brain"], images["lesions"])
    assert perfect["ssim_lesion_masked"] == pytest.approx(1)


def test_enhancement_is_measured_over_the_volume_the_brain_and_the_tumour(images) -> None:
    found = enhancement_quality(*(images[name] for name in ("truth", "image", "brain", "lesions")))
    squares = (images["truth"] - images["image"]) ** 2
    assert found["l2"] == pytest.approx(squares.mean())
    assert found["tumour_l2"] == pytest.approx(squares[images["lesions"]].mean())
    assert found["l2_brain"] * images["brain"].mean() == pytest.approx(found["l2"])
    assert found["psnr"] == pytest.approx(-10 * np.log10(found["l2"]))
    reference = structural_similarity(
        images["truth"], images["image"], data_range=1, gaussian_weights=True, use_sample_covariance=False, full=True
    )[1]
    assert found["ssim"] == pytest.approx(reference.mean())
    assert found["ssim_brain"] == pytest.approx(reference[images["brain"]].mean())


def test_what_a_prediction_says_outside_the_brain_is_not_counted(images) -> None:
    truth, image, brain, lesions = (images[name] for name in ("truth", "image", "brain", "lesions"))
    assert enhancement_quality(truth, np.where(brain, image, 0.8), brain, lesions) == enhancement_quality(
        truth, image, brain, lesions
    )


def test_where_there_is_no_lesion_there_is_no_number(images) -> None:
    truth, image, brain = images["truth"], images["image"], images["brain"]
    nothing = np.zeros_like(brain)
    assert enhancement_quality(truth, image, brain, nothing)["tumour_l2"] is None
    found = translation_quality(truth, image, brain, nothing)
    assert found["ssim_lesion"] is None
    assert found["ssim_lesion_masked"] is None
