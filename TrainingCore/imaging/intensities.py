"""Intensity rules: how raw MRI becomes what a network was trained on."""

from __future__ import annotations

import numpy as np

BACKGROUND = -1.0
EXTREME = 3.0


def percentile_rescale(
    image: np.ndarray, brain: np.ndarray, low: float = 2.5, high: float = 97.5, clip: bool = True
) -> np.ndarray:
    """Rescale MRI so that the brain's `low` and `high` percentiles become -1 and 1 (Soulier et al. 2024).

    The paper leaves out 5 % of extreme values of the native histogram: 2.5 % at each end, over the brain's voxels, so
    that skull and background do not count (ours).

    image: (I, J, K), any unit; brain: (I, J, K) mask; clip: keep values within [-1, 1] (the paper), else within
    [-3, 3], which keeps the hyperintense lesions apart from each other. Outside the brain the result is -1.
    Raises ValueError where the brain is empty or has one single value.
    """
    inside = image[brain]
    if inside.size == 0:
        raise ValueError("the brain mask is empty")
    bottom, top = np.percentile(inside, [low, high])
    if not top > bottom:
        raise ValueError("the image has no contrast inside the brain mask")
    limit = 1.0 if clip else EXTREME
    scaled = np.clip((image.astype(np.float32) - bottom) * (2.0 / (top - bottom)) - 1.0, -limit, limit)
    return np.where(brain, scaled, BACKGROUND).astype(np.float32)


def apply_rule(image: np.ndarray, brain: np.ndarray, rule: dict) -> np.ndarray:
    """Apply the intensity rule of a recipe or bundle: `{rule: percentile, low: 2.5, high: 97.5, clip: true}`."""
    if rule.get("rule") != "percentile":
        raise ValueError(f"unknown intensity rule {rule.get('rule')!r}")
    return percentile_rescale(image, brain, rule["low"], rule["high"], rule["clip"])
