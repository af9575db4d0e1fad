"""Cortical lesions: leukocortical lesions reach into grey matter; intracortical ones are invisible to raters at 3 T.

Most cortical lesions are invisible in T1w and FLAIR (Geurts et al. 2005); number and size are ours.
"""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy
from .lesions import FULL_LOSS, Lesions
from .randomness import stream

INTRACORTICAL_MEAN, INTRACORTICAL_RADIUS_MM = 8.0, (1.5, 4.0)  # (ours) number per patient, extent
INTRACORTICAL_LOSS = (0.4, 0.9)  # (ours) share of cortical myelin


def add_cortical(lesions: Lesions, anatomy: Anatomy, person_seed: int) -> None:
    """Set the myelin loss of grey matter: where white matter lesions cover it, and in intracortical lesions.

    Intracortical lesions are not in the mask.

    Args:
        lesions: `cortical` is set in place.
        anatomy: of the same person.
        person_seed: seed of the person.
    """
    random = stream(person_seed, "cortical lesions")
    mask = lesions.mask
    lesions.cortical[mask] = np.clip(lesions.deficit[mask] / FULL_LOSS, 0.0, 1.0)
    cortex = np.flatnonzero((anatomy.grey_matter > 0.6) & (anatomy.ventricle_distance > 14.0) & ~mask)
    if len(cortex) == 0:
        return
    for _ in range(int(random.poisson(INTRACORTICAL_MEAN))):
        centre = np.array(np.unravel_index(cortex[int(random.integers(len(cortex)))], anatomy.shape))
        radius, loss = random.uniform(*INTRACORTICAL_RADIUS_MM) / anatomy.voxel, random.uniform(*INTRACORTICAL_LOSS)
        low = np.maximum(np.floor(centre - radius).astype(int), 0)
        high = np.minimum(np.ceil(centre + radius).astype(int) + 1, anatomy.shape)
        box = tuple(slice(a, b) for a, b in zip(low, high))
        offset = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high)), indexing="ij"), -1) - centre
        inside = ((offset**2).sum(-1) <= radius**2) & (anatomy.grey_matter[box] > 0.4) & ~mask[box]
        lesions.cortical[box][inside] = np.maximum(lesions.cortical[box][inside], loss)
