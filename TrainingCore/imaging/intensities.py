"""Intensity rules: rescale raw MRI to the values that a network was trained on.

A recipe names its rule: `{rule: percentile, low: 2.5, high: 97.5, clip: true}` to [-1, 1] (Soulier et al. 2024),
`{rule: gaussian}` to mean 0 and SD 1 over the brain (Li et al. 2018, Orbes-Arteaga et al. 2018), `{rule: unit, below:
3.0, above: 5.0}` to [0, 1] by the brain's mean and SD, extremes clipped (Bone et al. 2021), or `{rule: symmetric,
below: 3.0, above: 5.0}`, the same to [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

BACKGROUND = -1.0
EXTREME = 3.0
SPANS = {
    "percentile": 2.0,
    "gaussian": 8.0,
    "unit": 1.0,
    "symmetric": 2.0,
}  # background to about the brightest brain (ours)
GAUSSIAN_BACKGROUND = -4.0  # darker than any tissue; about where air would come to lie (ours)
UNIT_BELOW, UNIT_ABOVE = 3.0, 5.0  # SDs; the paper clips extremes and does not say which (ours)


def percentile_rescale(
    image: np.ndarray, brain: np.ndarray, low: float = 2.5, high: float = 97.5, clip: bool = True
) -> np.ndarray:
    """Rescale MRI so that the brain's `low` and `high` percentiles become -1 and 1 (Soulier et al. 2024).

    The paper excludes 5 % of extreme values of the native histogram: 2.5 % at each end, over the brain's voxels, so
    that skull and background do not count (ours).

    Args:
        image: (I, J, K), any unit.
        brain: (I, J, K) mask.
        low: lower percentile.
        high: upper percentile.
        clip: limit values to [-1, 1] (the paper), else to [-3, 3], which keeps differences between hyperintense
            lesions.

    Returns:
        float32 (I, J, K), -1 outside the brain.

    Raises:
        ValueError: the brain is empty or has a single value.
    """
    bottom, top = _range(image, brain, low, high)
    limit = 1.0 if clip else EXTREME
    scaled = np.clip((image.astype(np.float32) - bottom) * (2.0 / (top - bottom)) - 1.0, -limit, limit)
    return np.where(brain, scaled, BACKGROUND).astype(np.float32)


def gaussian_normalise(image: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Rescale MRI to mean 0 and standard deviation 1 over the brain (Li et al. 2018).

    Args:
        image: (I, J, K), any unit.
        brain: (I, J, K) mask.

    Returns:
        float32 (I, J, K), at least -4, and -4 outside the brain.

    Raises:
        ValueError: the brain is empty or has a single value.
    """
    mean, sd = _mean_sd(image, brain)
    scaled = (image.astype(np.float32) - mean) / sd
    return np.where(brain, np.maximum(scaled, GAUSSIAN_BACKGROUND), GAUSSIAN_BACKGROUND).astype(np.float32)


def unit_rescale(
    image: np.ndarray, brain: np.ndarray, below: float = UNIT_BELOW, above: float = UNIT_ABOVE
) -> np.ndarray:
    """Rescale MRI to [0, 1] by the brain's mean and SD, with clipping.

    Bone et al. 2021 normalise "using the signal statistics of their respective brain content", clip extremes and map to
    [0, 1]; mean and SD are our reading. Percentiles would scale an enhanced image by the tumour: if it fills more of
    the brain than they exclude, its uptake determines the brightness of all healthy tissue.

    Args:
        image: (I, J, K), any unit.
        brain: (I, J, K) mask.
        below: SDs below the mean that become 0.
        above: SDs above the mean that become 1.

    Returns:
        float32 (I, J, K), 0 outside the brain.

    Raises:
        ValueError: the brain is empty or has a single value.
    """
    mean, sd = _mean_sd(image, brain)
    scaled = np.clip(((image.astype(np.float32) - mean) / sd + below) / (below + above), 0.0, 1.0)
    return np.where(brain, scaled, 0.0).astype(np.float32)


def _mean_sd(image: np.ndarray, brain: np.ndarray) -> tuple[float, float]:
    inside = image[brain]
    if inside.size == 0:
        raise ValueError("the brain mask is empty")
    mean, sd = float(inside.mean(dtype=float)), float(inside.std(dtype=float))
    if not sd > 1e-12 * max(abs(mean), 1e-12):
        raise ValueError("the image has no contrast inside the brain mask")
    return mean, sd


def _range(image: np.ndarray, brain: np.ndarray, low: float, high: float) -> tuple[float, float]:
    inside = image[brain]
    if inside.size == 0:
        raise ValueError("the brain mask is empty")
    bottom, top = np.percentile(inside, [low, high])
    if not top > bottom:
        raise ValueError("the image has no contrast inside the brain mask")
    return bottom, top


def apply_rule(image: np.ndarray, brain: np.ndarray, rule: Mapping[str, Any]) -> np.ndarray:
    """Apply the intensity rule of a recipe or bundle.

    Args:
        image: (I, J, K), any unit.
        brain: (I, J, K) mask.
        rule: name under `rule`, and the rule's own numbers.

    Returns:
        float32 (I, J, K).

    Raises:
        ValueError: unknown rule, or the brain is empty or has a single value.
    """
    name = rule.get("rule")
    if name == "percentile":
        return percentile_rescale(image, brain, rule["low"], rule["high"], rule["clip"])
    if name == "gaussian":
        return gaussian_normalise(image, brain)
    if name == "unit":
        if "low" in rule:
            raise ValueError("the unit rule is by mean and SD (below, above); percentiles were an older version's")
        return unit_rescale(image, brain, rule.get("below", UNIT_BELOW), rule.get("above", UNIT_ABOVE))
    if name == "symmetric":
        return 2 * unit_rescale(image, brain, rule["below"], rule["above"]) - 1
    raise ValueError(f"unknown intensity rule {name!r}")


def can_be_applied(rule: Mapping[str, Any]) -> bool:
    """Check an intensity rule from an untrusted file by applying it to a test image.

    Args:
        rule: name and numbers.

    Returns:
        True if the result is finite and not constant.
    """
    image = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    try:
        with np.errstate(all="ignore"):
            rescaled = apply_rule(image, np.ones(image.shape, bool), rule)
    except (ValueError, TypeError, KeyError):
        return False
    return bool(np.isfinite(rescaled).all() and rescaled.max() > rescaled.min())


def background_of(rule: Mapping[str, Any]) -> float:
    """Return the value outside the brain after a rule was applied.

    Args:
        rule: name and numbers.

    Raises:
        ValueError: unknown rule.
    """
    values = {"percentile": BACKGROUND, "gaussian": GAUSSIAN_BACKGROUND, "unit": 0.0, "symmetric": BACKGROUND}
    if rule.get("rule") not in values:
        raise ValueError(f"unknown intensity rule {rule.get('rule')!r}")
    return values[rule["rule"]]
