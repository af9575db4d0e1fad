"""Questions to ask of a patient's volumes before anybody believes a map made from them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..errors import BadInput
from .bias import box_around
from .volumes import Volume, resample, same_grid

CONTRAST_SPACING_MM = 2.0
SURFACE_MM, DEEP_MM = 6.0, 12.0
SWAP_MARGIN = 0.05


def check_different_images(t1w: Volume, flair: Volume) -> str:
    """A warning where T1w and FLAIR hold the same values, whatever their files are called, else an empty string."""
    same = t1w.data.shape == flair.data.shape and np.array_equal(t1w.data, flair.data)
    return (
        "T1w and FLAIR are the same file or copies of it: the map means nothing. Give two different images."
        if same
        else ""
    )


def check_contrasts(t1w: Volume, flair: Volume, brain: Volume, matrix: np.ndarray) -> str:
    """A warning where T1w and FLAIR look swapped, else an empty string.

    White matter, deep in the brain, is brighter than the cortex in T1w, by 11-24 % in seven real pairs; in their FLAIR
    it differed by -7 to +6 %, and always by at least 11 points less than in the T1w of the same person. t1w, flair:
    bias-corrected; brain: mask on the T1w's grid; matrix: T1w world -> FLAIR world.
    """
    given, other = white_to_grey(t1w, brain, np.eye(4)), white_to_grey(flair, brain, matrix)
    if given + SWAP_MARGIN < other:
        return (
            "T1w and FLAIR look swapped: white matter stands out brighter in the image given as FLAIR than in the one "
            "given as T1w. Check --t1 and --flair; this map is not to be trusted."
        )
    return ""


def white_to_grey(image: Volume, brain: Volume, matrix: np.ndarray) -> float:
    """Relative contrast between deep and superficial brain tissue: above 0 where white matter is brighter."""
    shape, affine = box_around(brain, CONTRAST_SPACING_MM, 4.0)
    inside = resample(brain, shape, affine) > 0.5
    values = resample(image, shape, affine, matrix)
    depth = ndimage.distance_transform_edt(inside, sampling=CONTRAST_SPACING_MM)
    tissue = inside & (values > 0.5 * np.median(values[inside]))
    shallow, deep = tissue & (depth < SURFACE_MM), tissue & (depth > DEEP_MM)
    if not shallow.any() or not deep.any():
        return 0.0
    middle = float(np.median(values[deep]))
    return (middle - float(np.median(values[shallow]))) / middle


def lesions_on_grid(mask: Volume, t1w: Volume, brain: Volume) -> tuple[Volume, list[str]]:
    """The lesion mask on the T1w's grid, and what to warn of: empty, resampled, partly outside the brain.

    Raises BadInput where lesions are marked but none of them lies in the brain.
    """
    if not mask.data.any():
        return t1w.with_data(np.zeros(t1w.data.shape, np.float32)), [
            f"The lesion mask {mask.name} is empty: the lesion table has no rows."
        ]
    warnings = []
    data = mask.data
    if not same_grid(mask, t1w):
        data = resample(mask, t1w.data.shape, t1w.affine, interpolation="nearest")
        warnings.append(
            f"The lesion mask {mask.name} lies on another grid than the T1w; it was resampled in world coordinates "
            "(nearest neighbour)."
        )
    data = (data > 0.5).astype(np.float32)
    kept = data * (brain.data > 0.5)
    if not kept.any():
        raise BadInput(
            f"The lesion mask {mask.name} does not overlap with the brain in {t1w.name} (world coordinates). Give the "
            "mask that was drawn on this patient's images."
        )
    lost = 1 - float(kept.sum() / data.sum())
    if lost > 0.01:
        warnings.append(
            f"{100 * lost:.0f} % of the lesion mask {mask.name} lie outside the brain mask and were left out."
        )
    return t1w.with_data(kept), warnings


def dvr_on_grid(dvr: Volume, t1w: Volume, brain: Volume) -> tuple[Volume, list[str]]:
    """A measured DVR map on the T1w's grid (linear), and warnings. Raises BadInput where it misses the brain."""
    warnings = []
    data = dvr.data
    if not same_grid(dvr, t1w):
        data = resample(dvr, t1w.data.shape, t1w.affine)
        warnings.append(f"The measured DVR {dvr.name} lies on another grid; it was resampled in world coordinates.")
    inside = brain.data > 0.5
    if not np.any(data[inside]):
        raise BadInput(
            f"The measured DVR {dvr.name} does not overlap with the brain in {t1w.name} (world coordinates). Register "
            "it to the T1w first."
        )
    typical = float(np.median(data[inside]))
    if not 0.2 < typical < 3.0:
        warnings.append(
            f"The measured DVR {dvr.name} has a median of {typical:.3g} in the brain, not about 1: is it a DVR map?"
        )
    return t1w.with_data(np.where(inside, data, 0).astype(np.float32)), warnings
