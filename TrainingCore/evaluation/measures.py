"""Similarity of a synthetic image and the measured one: MAE, PSNR and SSIM over any mask.

The background is not counted: over the exact zeros of a skull-stripped volume every method is perfect.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter

DVR_RANGE = 1.5  # DVR from background (0) to the brightest white matter, for PSNR and SSIM (ours); fixed, so that
# figures of different patients and scanners stay comparable
SSIM_SIGMA = 1.5  # voxels; with 3.5 SD on each side the 11-voxel window of Wang et al. 2004
SSIM_RADIUS = 5
K1, K2 = 0.01, 0.03  # stabilising constants of Wang et al. 2004


def dice(first: np.ndarray, second: np.ndarray) -> float | None:
    """Compute the Dice index of two masks.

    Args:
        first: bool array.
        second: bool array of the same shape.

    Returns:
        0 to 1; None if both are empty.
    """
    both = int(first.sum()) + int(second.sum())
    return float(2 * (first & second).sum() / both) if both else None


def mean_absolute_error(truth: np.ndarray, image: np.ndarray, mask: np.ndarray) -> float | None:
    """Compute the mean of |image - truth| over a mask.

    Args:
        truth: (I, J, K).
        image: (I, J, K) in the same unit.
        mask: bool (I, J, K).

    Returns:
        Error in the images' unit; None if the mask is empty.
    """
    difference = image[mask].astype(float) - truth[mask]
    return float(np.abs(difference).mean()) if difference.size else None


def mean_squared_error(truth: np.ndarray, image: np.ndarray, mask: np.ndarray) -> float | None:
    """Compute the mean of (image - truth)^2 over a mask.

    Args:
        truth: (I, J, K).
        image: (I, J, K) in the same unit.
        mask: bool (I, J, K).

    Returns:
        Error in the images' unit squared; None if the mask is empty.
    """
    difference = image[mask].astype(float) - truth[mask]
    return float((difference**2).mean()) if difference.size else None


def peak_signal_to_noise(
    truth: np.ndarray, image: np.ndarray, mask: np.ndarray, data_range: float = DVR_RANGE
) -> float | None:
    """Compute PSNR over a mask: 10 log10(data_range^2 / mean squared error).

    Args:
        truth: (I, J, K).
        image: (I, J, K) in the same unit.
        mask: bool (I, J, K).
        data_range: peak, in the images' unit.

    Returns:
        dB; None if the mask is empty or the images are equal, for which it has no finite value.
    """
    error = mean_squared_error(truth, image, mask)
    return float(10 * np.log10(data_range**2 / error)) if error else None


def ssim_map(
    truth: np.ndarray, image: np.ndarray, data_range: float = DVR_RANGE, axes: Sequence[int] = (0, 1, 2)
) -> np.ndarray:
    """Compute structural similarity at every voxel (Wang et al. 2004) in a Gaussian window of SD 1.5 voxels.

    Population covariances, mirrored edges.

    Args:
        truth: (I, J, K).
        image: (I, J, K) in the same unit.
        data_range: nominal range of the intensities.
        axes: axes of the window; (0, 1) treats every axial slice separately.

    Returns:
        float64 (I, J, K), within [-1, 1].
    """
    x, y = truth.astype(float), image.astype(float)
    mean_x, mean_y = _window(x, axes), _window(y, axes)
    variance_x = _window(x * x, axes) - mean_x**2
    variance_y = _window(y * y, axes) - mean_y**2
    covariance = _window(x * y, axes) - mean_x * mean_y
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return above / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))


def _window(image: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    sigma = [SSIM_SIGMA if axis in axes else 0.0 for axis in range(image.ndim)]
    return gaussian_filter(image, sigma, mode="reflect", radius=SSIM_RADIUS)


def image_measures(
    truth: np.ndarray, image: np.ndarray, regions: dict[str, np.ndarray], data_range: float = DVR_RANGE
) -> dict[str, float | None]:
    """Compute MAE, PSNR (dB) and mean SSIM over each region.

    Args:
        truth: (I, J, K).
        image: (I, J, K) in the same unit, equal to `truth` outside the brain.
        regions: name -> (I, J, K) mask.
        data_range: range of the intensities, for PSNR and SSIM.

    Returns:
        `{mae_<name>, psnr_<name>, ssim_<name>}`, None if a region is empty.
    """
    everything = np.logical_or.reduce(list(regions.values()))
    if not everything.any():
        return {f"{kind}_{name}": None for kind in ("mae", "psnr", "ssim") for name in regions}
    box = _box(everything)
    similarity = np.ones(truth.shape)
    similarity[box] = ssim_map(truth[box], image[box], data_range)
    result: dict[str, float | None] = {}
    for name, mask in regions.items():
        result[f"mae_{name}"] = mean_absolute_error(truth, image, mask)
        result[f"psnr_{name}"] = peak_signal_to_noise(truth, image, mask, data_range)
        result[f"ssim_{name}"] = float(similarity[mask].mean()) if mask.any() else None
    return result


def _box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the box around a mask, enlarged by an SSIM window so that the box's edge does not affect the mask."""
    sides = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        occupied = np.flatnonzero(mask.any(axis=others))
        sides.append(slice(max(int(occupied[0]) - SSIM_RADIUS, 0), int(occupied[-1]) + SSIM_RADIUS + 1))
    return tuple(sides)
