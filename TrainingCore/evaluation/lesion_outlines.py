"""From the probability of a lesion at every voxel to lesions with outlines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..imaging.distances import depth_inside, distance_to
from ..imaging.labelling import label_lesions
from ..imaging.robust import median_and_sd
from .lesion_detection import without_small

# A lesion counts as hyperintense if its brightest fifth in FLAIR is this many robust SD of the brain above the median
# of the brain (ours, chosen on simulated people; a limit of 2 discarded most small lesions, see docs/lesion_finder.md).
HYPERINTENSE_SD = 0.5
# A lesion extends into neighbouring voxels that are more likely lesional than not. The threshold of the model, which
# decides whether there is a lesion, is so high that it outlines half of its volume (ours, docs/lesion_finder.md).
EXTENT_PROBABILITY, EXTENT_MM = 0.5, 1.0
# A lesion reaches at least this deep below the surface of the brain. In raw scans, veins, nerves and tissue at the base
# of the skull are bright in FLAIR, within the mask's uncertain lower edge. Of 2,376 lesions in 29 real masks none, of
# 135 in two patients one is shallower (ours, docs/lesion_finder.md).
DEEPEST_MM = 5.0
BRIGHTEST = 0.8  # quantile where the brightest fifth of a lesion begins


def lesion_outlines(
    probability: np.ndarray,
    brain: np.ndarray,
    flair: np.ndarray | None,
    spacing: Sequence[float],
    threshold: float,
    smallest_mm3: float,
) -> np.ndarray:
    """Outline the lesions of one person.

    Args:
        probability: of a lesion at each voxel, (I, J, K), 0 to 1.
        brain: brain mask, bool (I, J, K).
        flair: FLAIR, (I, J, K), arbitrary units; None if there is none.
        spacing: size of a voxel along each axis, mm.
        threshold: probability above which there is a lesion.
        smallest_mm3: volume below which a lesion is left out.

    Returns:
        bool (I, J, K): voxels above the threshold, without lesions that are too small or not hyperintense in FLAIR
        (`hyperintense_part`), extended to their borders (`extended`), without those at the surface (`inner_part`).
    """
    lesions = without_small(probability > threshold, float(np.prod(spacing)), smallest_mm3)
    if flair is not None:
        lesions = hyperintense_part(lesions, flair, brain)
    return inner_part(extended(lesions, probability > EXTENT_PROBABILITY, spacing), brain, spacing)


def inner_part(lesions: np.ndarray, brain: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Keep only lesions that reach `DEEPEST_MM` below the surface of the brain.

    The edge of the image is not a surface: a brain that is cut off there keeps its lesions.

    Args:
        lesions: lesion mask, bool (I, J, K).
        brain: brain mask, bool (I, J, K).
        spacing: size of a voxel along each axis, mm.

    Returns:
        The mask without lesions whose deepest voxel is closer than that to a voxel outside the brain.
    """
    labels, volumes = label_lesions(lesions, 1.0)
    margins = [int(np.ceil(DEEPEST_MM / edge)) + 1 for edge in spacing]
    kept = np.zeros(len(volumes) + 1, bool)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        around = tuple(slice(max(0, side.start - margin), side.stop + margin) for side, margin in zip(box, margins))
        depth = depth_inside(brain[around], spacing)
        kept[number] = depth[labels[around] == number].max() >= DEEPEST_MM
    return kept[labels]


def extended(lesions: np.ndarray, probable: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Extend lesions to their borders.

    Args:
        lesions: lesion mask, bool (I, J, K).
        probable: voxels that may be added, bool (I, J, K).
        spacing: size of a voxel along each axis, mm.

    Returns:
        The mask with the probable voxels within `EXTENT_MM` of a lesion (one voxel, if all its edges are longer).
    """
    reach = max(EXTENT_MM, min(spacing)) + 1e-3  # spacings such as 1.0000001 mm are as good as 1 mm
    return lesions | (probable & np.isfinite(distance_to(lesions, reach, spacing)))


def hyperintense_part(lesions: np.ndarray, flair: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Keep only lesions that are hyperintense in FLAIR.

    Args:
        lesions: lesion mask, bool (I, J, K).
        flair: FLAIR, (I, J, K), arbitrary units.
        brain: brain mask, bool (I, J, K).

    Returns:
        The mask without lesions whose `BRIGHTEST` quantile of FLAIR is below the median of the brain plus
        `HYPERINTENSE_SD` robust SD (see `robust.median_and_sd`).
    """
    labels, volumes = label_lesions(lesions, 1.0)
    median, sd = median_and_sd(flair[brain])
    limit = median + HYPERINTENSE_SD * sd
    kept = np.zeros(len(volumes) + 1, bool)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        kept[number] = np.quantile(flair[box][labels[box] == number], BRIGHTEST) >= limit
    return kept[labels]
