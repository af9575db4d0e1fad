"""Whether a series is the one that a T1w came from: a NIfTI file names nobody, so its voxels have to tell.

The series is sampled at the T1w's voxels; the same image in the same world correlates with itself, whatever was done to
its grid, its bias field or its skull. Another person, or another visit of the same person, does not.
"""

from __future__ import annotations

import numpy as np

from ...imaging.volumes import Volume, resample
from ...runtime.errors import BadInput
from .reference import Reference

SAMPLES = 96  # voxels along each axis at most: plenty for a correlation (ours)
LEAST_CORRELATION = 0.9  # see docs/benchmarks (ours)
LEAST_COVERED = 0.5  # share of the T1w's foreground that the series must show (ours)


def place_on_reference(t1w: Volume, reference: Reference) -> np.ndarray:
    """The affine by which a T1w lies on a series: its own, or the other one of its header.

    Args:
        t1w: as read or worked on.
        reference: the series that it should have come from.

    Returns:
        4x4, voxel -> world of the series, RAS mm.

    Raises:
        BadInput: the series shows another image.
    """
    candidates = [np.asarray(t1w.affine, float)]
    if t1w.other is not None:
        candidates.append(np.asarray(t1w.other, float))
    likeness = [correlation_with(reference.volume, t1w.data, affine) for affine in candidates]
    best = int(np.argmax(likeness))
    if likeness[best] < LEAST_CORRELATION:
        raise BadInput(
            f"The DICOM {reference.volume.name} does not show the same image as the T1w {t1w.name} in the same place "
            f"(correlation {max(likeness[best], 0):.2f}): it may be another patient's or another visit's. Give the "
            "series that the T1w was converted from with --dicom-reference."
        )
    return candidates[best]


def correlation_with(series: Volume, data: np.ndarray, affine: np.ndarray) -> float:
    """Pearson correlation of an image with a series over the image's foreground; 0 where they hardly overlap.

    data: (I, J, K); affine: 4x4, voxel -> world mm.
    """
    steps = [max(size // SAMPLES, 1) for size in data.shape]
    some = data[:: steps[0], :: steps[1], :: steps[2]]
    grid = np.asarray(affine, float) @ np.diag([*steps, 1.0])
    there = resample(series, some.shape, grid, outside=np.nan)
    foreground = some > np.median(some[some > some.min()]) if (some > some.min()).any() else np.zeros(some.shape, bool)
    both = foreground & np.isfinite(there)
    if both.sum() < max(LEAST_COVERED * foreground.sum(), 10):
        return 0.0
    first, second = some[both].astype(float), there[both].astype(float)
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
