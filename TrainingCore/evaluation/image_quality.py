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
    """SSIM and MAE of brain and lesion of a synthetic image, or of what it was made from taken for it.

    SSIM looks at axial slices, as the paper's network does (ours; the paper does not say).

    `ssim_brain`, `ssim_lesion`: mean of the SSIM map over the mask. `ssim_lesion_masked`: both images multiplied by the
    lesion mask first and the mean taken over the brain, where all that is not lesion agrees exactly: the reading of
    "SSIM values of tumor lesion" under which the paper's 0.986 to 0.994 beside 0.78 to 0.89 for the brain can come
    about (ours). Images in [-1, 1] are lifted to [0, 2] for it, so that the mask's zero is the background.

    Args:
        truth: (I, J, K) in one unit, alike outside the brain.
        image: (I, J, K) in one unit, alike outside the brain.
        brain: mask.
        lesions: mask.
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
    """L2, tumour L2, PSNR (dB) and SSIM of a synthetic contrast-enhanced image.

    `l2`, `psnr` and `ssim` are over all voxels of the volume, background included, as the paper trains and prints them
    (its PSNR fits its L2: -10 log10 of 31.6e-5 is 35.0 dB); `l2_brain`, `psnr_brain` and `ssim_brain` are over the
    brain alone and do not depend on how much background there is. `tumour_l2`: over the mask of the enhancing lesion.

    Args:
        truth: (I, J, K) in [0, 1].
        image: (I, J, K) in [0, 1].
        brain: mask; what lies outside the brain is set to 0 in both.
        tumour: mask; what lies outside the brain is set to 0 in both.
    """
    truth, image = np.where(brain, truth, 0.0), np.where(brain, image, 0.0)
    similarity = ssim_map(truth, image, UNIT_RANGE)
    result: Measures = {"tumour_l2": mean_squared_error(truth, image, tumour & brain)}
    for suffix, mask in (("", np.ones_like(brain, bool)), ("_brain", brain)):
        result[f"l2{suffix}"] = mean_squared_error(truth, image, mask)
        result[f"psnr{suffix}"] = peak_signal_to_noise(truth, image, mask, UNIT_RANGE)
        result[f"ssim{suffix}"] = float(similarity[mask].mean()) if mask.any() else None
    return result
