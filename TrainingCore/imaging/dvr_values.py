"""Plausibility of the values of a DVR map: single voxels, from fits that did not converge, and the whole map."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..runtime.errors import BadInput
from ..runtime.numerals import format_percent

PLAUSIBLE = (-1.0, 10.0)  # [11C]PiB DVR lies between about 0.5 and 3; noise of single voxels goes beyond (ours)
PLAUSIBLE_MEDIAN = (0.2, 3.0)  # over the brain (ours)
CONSTANT = 1e-4  # relative range of values that count as one (ours)
MAX_SHARE = 0.2  # of the filled voxels: more means another unit, which other checks name (ours)
FILL_MM = 4.0  # SD of the Gaussian that fills them from their neighbours (ours)


def refuse_constant(values: np.ndarray, label: str) -> None:
    """Check that a DVR map is not one value in the whole brain, such as a mask.

    Args:
        values: (n,) DVR in the brain, finite; may be empty.
        label: the map in the message, e.g. `The measured DVR dvr.nii`.

    Raises:
        BadInput: all values are one.
    """
    if values.size and float(np.ptp(values)) <= CONSTANT * float(np.abs(values).max()):
        raise BadInput(f"{label} is {values.flat[0]:g} in the whole brain, so it is no DVR map. Give a measured one.")


def without_wild_voxels(data: np.ndarray, spacing: np.ndarray) -> tuple[np.ndarray, str]:
    """Replace implausible voxels of a DVR map by the mean of their plausible neighbours.

    Args:
        data: (I, J, K) DVR, unitless, finite; 0 outside the brain.
        spacing: voxel edges in mm.

    Returns:
        The map, and a note (a sentence without its subject; empty if nothing was left out).
    """
    wild = (data < PLAUSIBLE[0]) | (data > PLAUSIBLE[1])
    count, filled = int(np.count_nonzero(wild)), int(np.count_nonzero(data))
    if count == 0 or count > MAX_SHARE * filled:
        return data, ""
    kept = (~wild & (data != 0)).astype(np.float32)
    sigma = FILL_MM / np.asarray(spacing, float)
    weight = ndimage.gaussian_filter(kept, sigma, truncate=3.0)
    mean = ndimage.gaussian_filter(np.where(kept > 0, data, 0).astype(np.float32), sigma, truncate=3.0)
    estimate = np.divide(mean, weight, out=np.zeros_like(mean), where=weight > 1e-6)
    worst = float(data.flat[np.abs(np.where(wild, data, 0)).argmax()])
    note = (
        f"holds {count} voxel{'s' if count > 1 else ''} ({format_percent(count / filled)}) that no DVR can have (up to "
        f"{worst:.3g}; plausible: {PLAUSIBLE[0]:g} to {PLAUSIBLE[1]:g}); left out, and filled from their neighbours"
    )
    return np.where(wild, estimate, data).astype(np.float32), note
