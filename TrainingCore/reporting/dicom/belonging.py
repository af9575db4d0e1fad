"""Whether a series is the one that a T1w came from: a NIfTI file names nobody, so its voxels have to tell.

The series is sampled at the T1w's voxels; the same image in the same world correlates with itself, whatever was done to
its grid, its bias field or its skull. Another person, or another visit of the same person, does not.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...imaging.volumes import Volume, resample
from ...runtime.errors import BadInput
from .reference import Reference

SAMPLES = 96  # an axis with twice as many voxels is sampled: plenty for a correlation (ours)
BIAS_MM = 12.0  # sigma of the mean around a voxel: bias fields vary more slowly, tissues faster (ours)
# Ours, from nine real T1w: copies without skull, resampled, with noise of 10 % or a bias field of a factor of four
# reach 0.95 to 1.00; other people stay below 0.30, other visits below 0.12, the scan after contrast agent below 0.75.
MIN_CORRELATION = 0.85
MIN_COVERED = 0.5  # share of the T1w's foreground that the series must show (ours)


def world_of_reference(t1w: Volume, reference: Reference, grid: Volume | None = None) -> np.ndarray:
    """How the world of a T1w lies in that of a series: the same, unless its header has a second place for it.

    Args:
        t1w: as read or worked on.
        reference: the series that it should have come from.
        grid: with the T1w's own header, where `t1w` is a working copy of it.

    Returns:
        4x4, world of the T1w -> world of the series, RAS mm.

    Raises:
        BadInput: the series shows another image.
    """
    own = grid or t1w
    worlds = [np.eye(4)]
    if own.other is not None:
        worlds.append(np.asarray(own.other, float) @ np.linalg.inv(own.affine))
    likeness = [correlation_with(reference.volume, t1w.data, world @ t1w.affine) for world in worlds]
    best = int(np.argmax(likeness))
    if likeness[best] < MIN_CORRELATION:
        raise BadInput(
            f"The DICOM {reference.volume.name} does not show the same image as the T1w in the same place (correlation "
            f"{max(likeness[best], 0):.2f}): it may be another patient's or another visit's. Give the series that the "
            "T1w was converted from."
        )
    return worlds[best]


def correlation_with(series: Volume, data: np.ndarray, affine: np.ndarray) -> float:
    """Pearson correlation of an image with a series over the image's foreground.

    The better of two: of the values, and of the values divided by the mean around them, which holds the bias field.

    Args:
        series: voxels of the DICOM series.
        data: image, (I, J, K).
        affine: 4x4, voxel of the image -> world of the series in mm.

    Returns:
        -1 to 1; 0 if the two hardly overlap.
    """
    steps = [max(size // SAMPLES, 1) for size in data.shape]
    some = data[:: steps[0], :: steps[1], :: steps[2]]
    grid = np.asarray(affine, float) @ np.diag([*steps, 1.0])
    there = resample(series, some.shape, grid, outside=np.nan)
    foreground = some > np.median(some[some > some.min()]) if (some > some.min()).any() else np.zeros(some.shape, bool)
    both = foreground & np.isfinite(there)
    if both.sum() < max(MIN_COVERED * foreground.sum(), 10):
        return 0.0
    sigma = BIAS_MM / np.linalg.norm(grid[:3, :3], axis=0)
    pairs = [(some[both], there[both]), tuple(_without_bias(image, both, sigma) for image in (some, there))]
    return max(_pearson(first, second) for first, second in pairs)


def _pearson(first: np.ndarray, second: np.ndarray) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(np.corrcoef(first.astype(float), second.astype(float))[0, 1])


def _without_bias(image: np.ndarray, mask: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """The values in a mask divided by the mean around them, which holds the bias field."""
    weight = np.maximum(ndimage.gaussian_filter(mask.astype(float), sigma, truncate=2.0), 1e-6)
    around = ndimage.gaussian_filter(np.where(mask, image, 0).astype(float), sigma, truncate=2.0) / weight
    values = image[mask] / np.where(np.abs(around[mask]) > 0, around[mask], 1)
    return np.clip(values, *np.percentile(values, [0.5, 99.5]))
