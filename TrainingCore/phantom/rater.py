"""Lesion masks as drawn by a rater: inaccurate borders, partly included halos, missed specks."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy
from .randomness import random_field, stream

JITTER_MM, JITTER_SMOOTHNESS_MM = 0.55, 5.0  # (ours) SD of the border, and correlation length of the error along it
HABIT_MM = (
    0.1,
    0.3,
)  # (ours) mean and SD between people of the distance at which the border is drawn outside the lesion, because of halos


def drawn_mask(lesions: np.ndarray, anatomy: Anatomy, person_seed: int) -> np.ndarray:
    """Draw the mask of a rater; the errors are the same at every visit, as if all visits were read together.

    Args:
        lesions: true lesions, bool (n, n, n).
        anatomy: of the person.
        person_seed: seed of the person.

    Returns:
        bool (n, n, n), inside tissue that is not mostly fluid.
    """
    from scipy import ndimage

    random = stream(person_seed, "rater")
    if not lesions.any():
        return lesions.copy()
    half = anatomy.voxel / 2.0
    bounds = ndimage.find_objects(lesions.astype(np.uint8))[0]
    box = tuple(slice(max(0, s.start - 4), s.stop + 4) for s in bounds)
    jitter = JITTER_MM * random_field(random, anatomy.shape, JITTER_SMOOTHNESS_MM, anatomy.voxel)[box]
    jitter += random.normal(*HABIT_MM)
    inside, true = anatomy.brain[box] & (anatomy.fluid[box] < 0.6), lesions[box]
    depth = ndimage.distance_transform_edt(true) - ndimage.distance_transform_edt(~true)
    border = anatomy.voxel * depth - half * np.sign(depth)
    mask = np.zeros(lesions.shape, bool)
    mask[box] = (border + jitter > 0.0) & (inside | true)
    return mask
