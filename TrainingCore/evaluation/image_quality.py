"""Image measures of the papers on missing contrasts, defined as in each paper. Arrays in, numbers out.

`translation_quality`: SSIM of brain and lesion (Genc et al. 2022). `enhancement_quality`: L2, tumour L2, PSNR and SSIM
(Bone et al. 2021). A value is None if it is not defined.
"""

from __future__ import annotations

import numpy as np

from .measures import mean_absolute_error, mean_squared_error, peak_signal_to_noise, ssim_map

Measures = dict[str, float | None]
PERCENTILE_RANGE = 2.0  # of images in [-1, 1]
UNIT_RANGE = 1.0  # of images in [0, 1]
IN_PLANE = (0, 1)


def translation_quality(
    truth: np.ndarray,
    image: np.ndarray,
    brain: np.ndarray,
    lesions: np.ndarray,
    data_range: float = PERCENTILE_RANGE,
) -> Measures:
    """Compute SSIM and MAE of brain and lesion of a synthetic image, or of an unchanged input.

    SSIM is computed in axial slices, like the paper's network (ours; the paper does not say).

    `ssim_brain`, `ssim_lesion`: mean of the SSIM map over the mask. `ssim_lesion_masked`: both images are multiplied by
    the lesion mask first and the mean is taken over the brain, where everything outside the lesion agrees exactly: the
    reading of "SSIM values of tumor lesion" that can explain the paper's 0.986 to 0.994 beside 0.78 to 0.89 for the
    brain (ours). Images in [-1, 1] are shifted to [0, 2] for it, so that the mask's zero is the background.

    Args:
        truth: (I, J, K).
        image: (I, J, K) in the same unit, equal to `truth` outside the brain.
        brain: mask.
        lesions: mask.
        data_range: range of the intensities.

    Returns:
        The measures above, mae_brain and mae_lesion; None if not defined.
    """
    result: Measures = {}
    lesions = lesions & brain
    similarity = ssim_map(truth, image, data_range, IN_PLANE)
    for name, mask in (("brain", brain), ("lesion", lesions)):
        result[f"ssim_{name}"] = float(similarity[mask].mean()) if mask.any() else None
        result[f"mae_{name}"] = mean_absolute_error(truth, image, mask)
    floor = float(min(truth.min(), image.min()))
    masked_truth, masked_image = (np.where(lesions, volume - floor, 0.0) for volume in (truth, image))
    masked = ssim_map(masked_truth, masked_image, data_range, IN_PLANE)[brain].mean() if lesions.any() else None
    result["ssim_lesion_masked"] = None if masked is None else float(masked)
    return result


def enhancement_quality(truth: np.ndarray, image: np.ndarray, brain: np.ndarray, tumour: np.ndarray) -> Measures:
    """Compute L2, tumour L2, PSNR (dB) and SSIM of a synthetic contrast-enhanced image.

    `l2`, `psnr` and `ssim` are over all voxels of the volume, background included, as in the paper's training and
    tables (its PSNR fits its L2: -10 log10 of 31.6e-5 is 35.0 dB); `l2_brain`, `psnr_brain` and `ssim_brain` are over
    the brain only and do not depend on the amount of background. `tumour_l2`: over the mask of the enhancing lesion.

    Args:
        truth: (I, J, K) in [0, 1].
        image: (I, J, K) in [0, 1].
        brain: mask; both images are set to 0 outside.
        tumour: mask.

    Returns:
        The measures above; None if not defined.
    """
    truth, image = np.where(brain, truth, 0.0), np.where(brain, image, 0.0)
    similarity = ssim_map(truth, image, UNIT_RANGE)
    result: Measures = {"tumour_l2": mean_squared_error(truth, image, tumour & brain)}
    for suffix, mask in (("", np.ones_like(brain, bool)), ("_brain", brain)):
        result[f"l2{suffix}"] = mean_squared_error(truth, image, mask)
        result[f"psnr{suffix}"] = peak_signal_to_noise(truth, image, mask, UNIT_RANGE)
        result[f"ssim{suffix}"] = float(similarity[mask].mean()) if mask.any() else None
    return result
