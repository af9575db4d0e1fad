"""An egg-shaped head, small enough that a synthesis takes about a second."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

# left-handed, as real MRI often is
AFFINE = np.array([[-3.0, 0, 0, 88], [0, 3, 0, -100], [0, 0, 3, -70], [0, 0, 0, 1]])


def make_head(seed: int = 3) -> dict[str, np.ndarray]:
    """Skull-stripped T1w and FLAIR of an egg-shaped brain (1.2 l) with ventricles and three lesions."""
    i, j, k = np.meshgrid(*(np.arange(n) for n in (60, 68, 52)), indexing="ij")
    x, y, z = (i - 30) * 3.0, (j - 34) * 3.0, (k - 26) * 3.0
    radius = np.sqrt((x / 62) ** 2 + (y / 76) ** 2 + (z / 60) ** 2)
    brain, white = radius < 1, radius < 0.78
    ventricles = (np.abs(np.abs(x) - 12) < 6) & (np.abs(y) < 24) & (np.abs(z) < 9)
    lesions = np.zeros(brain.shape, bool)
    for place in ((24, 9, 12), (-27, 18, 9), (21, -27, 6)):
        lesions |= (x - place[0]) ** 2 + (y - place[1]) ** 2 + (z - place[2]) ** 2 < 6.5**2
    rng = np.random.default_rng(seed)
    t1w = np.select([lesions, ventricles, white, brain], [420, 150, 700, 500], 0).astype(float)
    flair = np.select([lesions, ventricles, white, brain], [900, 120, 480, 560], 0).astype(float)
    images = {}
    for name, image in (("t1w", t1w), ("flair", flair)):
        image = ndimage.gaussian_filter(image, 0.5) + 12 * rng.standard_normal(image.shape)
        images[name] = np.where(brain, image, 0).astype(np.float32)
    return images | {"lesions": lesions, "brain": brain, "white": white & ~lesions & ~ventricles}
