"""Differences between white matter tracts: anisotropy and myelin, with the same pattern in everybody.

The myelin water fraction ranges from 3.9 % (inferior fronto-occipital fasciculus) to 18.6 % (cerebral peduncle); how
much of that [11C]PiB shows is not known, so our spread is much smaller.
"""

from __future__ import annotations

import numpy as np

from .anatomy import COARSE, FIELD_OF_VIEW_MM, Anatomy, coarse_positions, spread_coarse
from .randomness import random_field, stream

WHITE_ANISOTROPY = (0.30, 0.85)  # from crossing fibres under the cortex to the corpus callosum, Pierpaoli et al. 1996
TRACT_SMOOTHNESS_MM = 14.0  # (ours)
# (ours) relative DVR of healthy white matter: spread over the pattern of tracts, gain in the commissure, and a smooth
# spread that is a person's own
TRACT_SPREAD, COMMISSURE_GAIN, OWN_SPREAD, OWN_SMOOTHNESS_MM = 0.03, 0.05, 0.015, 30.0


def tract_anisotropy(anatomy: Anatomy) -> np.ndarray:
    """Compute FA of healthy white matter: lowest under the cortex, highest in the commissure.

    A stand-in for tractography (ours): depth below the cortex, nearness to the midline above the ventricles, and a
    smooth pattern that is fixed in template space and moved by the person's deformation.

    Args:
        anatomy: of the person.

    Returns:
        (n, n, n) float32.
    """
    pattern, midline = _layout(anatomy)
    depth = 1.0 - np.exp(-anatomy.cortex_distance / 7.0)
    commissure = midline * np.exp(-((anatomy.ventricle_distance / 9.0) ** 2))
    return np.clip(0.36 + 0.20 * depth + 0.06 * pattern + 0.28 * commissure, *WHITE_ANISOTROPY).astype(np.float32)


def tract_myelin(anatomy: Anatomy, person_seed: int) -> np.ndarray:
    """Compute myelin of healthy white matter relative to its mean.

    Args:
        anatomy: of the person.
        person_seed: seed of the person.

    Returns:
        (n, n, n) float32, a factor of the DVR; 1 on average over the white matter.
    """
    pattern, midline = _layout(anatomy)
    own = random_field(stream(person_seed, "tract myelin"), anatomy.shape, OWN_SMOOTHNESS_MM, anatomy.voxel)
    commissure = midline * np.exp(-((anatomy.ventricle_distance / 9.0) ** 2))
    factor = 1.0 + TRACT_SPREAD * pattern + COMMISSURE_GAIN * commissure + OWN_SPREAD * own
    white = anatomy.white_matter > 0.5
    return (factor / float(factor[white].mean()) if white.any() else factor).astype(np.float32)


def _layout(anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Return the template's fixed pattern (SD 1, symmetric) and nearness to the midline, in a person's brain."""
    from scipy import ndimage

    step = FIELD_OF_VIEW_MM / COARSE
    white = stream("tracts").standard_normal((COARSE,) * 3)
    fixed = ndimage.gaussian_filter(white, TRACT_SMOOTHNESS_MM / 2.3548 / step, mode="wrap")
    fixed = fixed + fixed[::-1]
    fixed /= fixed.std()
    at = coarse_positions() + anatomy.displacement
    pattern = ndimage.map_coordinates(fixed, at / step + (COARSE - 1) / 2.0, order=1, mode="nearest")
    midline = np.exp(-((at[0] / 14.0) ** 2))
    return spread_coarse(pattern, anatomy.shape[0]), spread_coarse(midline, anatomy.shape[0])
