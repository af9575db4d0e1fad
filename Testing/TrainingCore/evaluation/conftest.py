"""Small made-up visits: a ball of a brain, white matter in it, lesions of known DVR in that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from TrainingCore.case import Case

SIZE = 40
SPACING = 3.0


def made_up_case(
    person: str = "A01", visit: str = "1", lesions: int = 6, seed: int = 0, group: str = "patient"
) -> Case:
    """A visit on a 40^3 grid of 3 mm: noisy DVR, noise-free DVR, and MRI that shows part of the deficit."""
    generator = np.random.default_rng([seed, len(person), *map(ord, person + visit)])
    grid = np.stack(np.meshgrid(*[np.arange(SIZE) - SIZE / 2] * 3, indexing="ij"))
    radius = np.sqrt((grid**2).sum(axis=0))
    brain, white = radius < 17, radius < 12
    lesion, truth = np.zeros(brain.shape, bool), np.where(brain, np.where(white, 1.22, 1.0), 0.0)
    level = generator.normal(0.2, 0.05)
    for centre in generator.uniform(-8, 8, (lesions, 3)):
        here = white & (((grid - centre[:, None, None, None]) ** 2).sum(axis=0) < generator.uniform(1.3, 2.5) ** 2)
        lesion |= here
        truth[here] = 1.22 - np.clip(generator.normal(level, 0.06), 0, 0.5)
    clean = gaussian_filter(truth, 0.4)
    noise = gaussian_filter(generator.standard_normal(brain.shape), 0.6) * 0.12
    mri = np.where(brain, 2 * (truth - 1.1) + 0.05 * generator.standard_normal(brain.shape), -1)
    volumes = {
        "t1w": mri.astype(np.float32),
        "flair": np.where(brain, -mri, -1).astype(np.float32),
        "dvr": np.where(brain, clean + noise, 0).astype(np.float32),
        "dvr_clean": np.where(brain, clean, 0).astype(np.float32),
        "lesions": lesion,
        "white_matter": white,
        "grey_matter": brain & ~white,
        "brain": brain,
    }
    affine = np.diag([SPACING, SPACING, SPACING, 1.0])
    affine[:3, 3] = -SPACING * (SIZE - 1) / 2
    return Case(person, visit, volumes, affine, {"group": group, "simulated": "true"})


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    """The factory of made-up visits."""
    return made_up_case
