"""Damage outside lesions: normal-appearing and dirty white matter, ventricle wall, halos.

MRI and PET show the same damage: T1, T2, MTR and diffusion follow from it as in lesions.
"""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy
from .lesions import Lesions
from .randomness import random_field, stream

NAWM_LOSS_RANGE = (0.0, 0.05)  # patients' normal-appearing white matter against healthy white matter, share of DVR
PERIVENTRICULAR_MM = 5.0  # Brown et al.: the gradient lies within 1-5 mm of the ventricles
PERIVENTRICULAR_LOSS_RANGE = (0.02, 0.07)  # (ours) extra loss at the ventricle wall, 0 at 5 mm
# (ours) dirty white matter: where a smooth field of this FWHM exceeds the threshold; share of DVR lost, and water
DIRTY_MM, DIRTY_ABOVE, DIRTY_LOSS, DIRTY_WATER, DIRTY_CORTEX_MM = 16.0, 0.9, 0.05, 0.16, 8.0
HALO_MM, HALO_SHARE = 5.0, 0.45  # (ours) FWHM of a lesion's halo, and its share of the lesion's damage


def set_diffuse_damage(lesions: Lesions, anatomy: Anatomy, person_seed: int, dirty: bool = True) -> None:
    """Set the damage outside lesions: `diffuse`, water and axonal loss.

    Args:
        lesions: changed in place.
        anatomy: of the person.
        person_seed: seed of the person.
        dirty: whether to add dirty white matter and halos.
    """
    random = stream(person_seed, "diffuse damage")
    nawm, wall_loss = random.uniform(*NAWM_LOSS_RANGE), random.uniform(*PERIVENTRICULAR_LOSS_RANGE)
    extent = float(random.uniform(0.0, 1.0))
    wall = np.clip(1.0 - anatomy.ventricle_distance / PERIVENTRICULAR_MM, 0.0, 1.0)
    kept = (1.0 - nawm) * (1.0 - wall_loss * wall)
    if dirty:
        field = random_field(random, anatomy.shape, DIRTY_MM, anatomy.voxel)
        patches = extent * np.clip(field - DIRTY_ABOVE, 0.0, 1.0)
        patches *= np.clip(anatomy.cortex_distance / DIRTY_CORTEX_MM, 0.0, 1.0)
        outside = ~lesions.mask & anatomy.brain
        kept *= 1.0 - DIRTY_LOSS * patches * outside
        lesions.water[outside] += (DIRTY_WATER * patches)[outside]
        kept *= 1.0 - _halos(lesions, anatomy, outside)
    lesions.diffuse[:] = np.where(anatomy.brain, 1.0 - kept, 0.0)


def _halos(lesions: Lesions, anatomy: Anatomy, outside: np.ndarray) -> np.ndarray:
    """Return the share of DVR lost around lesions; adds their water and axonal loss outside lesions, in place."""
    from scipy import ndimage

    sigma = HALO_MM / 2.3548 / anatomy.voxel
    for name in ("water", "axonal_loss"):
        volume = getattr(lesions, name)
        spread = ndimage.gaussian_filter(np.where(lesions.mask, volume, 0.0), sigma, truncate=3.0)
        volume[outside] += HALO_SHARE * spread[outside]
    return HALO_SHARE * ndimage.gaussian_filter(lesions.deficit, sigma, truncate=3.0) * outside
