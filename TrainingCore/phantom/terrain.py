"""Location and shape of lesions in one brain."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy
from .lesions import Lesions
from .randomness import random_field

CONFLUENT_DEEP_SHARE = 0.35  # (ours) confluent lesions that start away from the ventricles


class Terrain:
    """Probability of lesions at each voxel of one brain, and the cost of growing into it."""

    def __init__(self, anatomy: Anatomy, random: np.random.Generator) -> None:
        self.anatomy, self.random = anatomy, random
        self.roughness = random_field(random, anatomy.shape, 9.0, anatomy.voxel)
        self.grain = random_field(random, anatomy.shape, 4.5, anatomy.voxel)
        cerebrum = anatomy.brain & (anatomy.ventricle_distance < 60.0)
        white = (anatomy.white_matter > 0.6) & cerebrum
        near = anatomy.ventricle_distance
        cortex = anatomy.cortex_distance
        weights = {
            "periventricular": white * np.exp(-((near / 5.0) ** 2)),
            "juxtacortical": white * np.exp(-((cortex / 2.5) ** 2)) * (near > 10.0) * np.exp(-near / 30.0),
            "leukocortical": white * np.exp(-((cortex / 1.5) ** 2)) * (near > 14.0),
            "deep": white * (cortex > 2.0) * (near > 4.0) * np.exp(-near / 30.0),
        }
        self.cumulated = {}
        for region, weight in weights.items():
            where = np.flatnonzero(weight > 1e-4)
            if len(where) == 0:  # a coarse grid has no such place
                weight = white.astype(np.float32)
                where = np.flatnonzero(weight)
            self.cumulated[region] = (where, np.cumsum(weight.ravel()[where], dtype=np.float64))
        self.penalty = np.where(anatomy.white_matter + 0.35 * anatomy.grey_matter > 0.4, 0.0, np.inf).astype(np.float32)
        self.penalty += 1.2 * anatomy.grey_matter
        tissue = anatomy.white_matter + anatomy.grey_matter
        self.open = np.where(tissue > 0.6, 0.0, np.inf).astype(np.float32)  # a leukocortical lesion crosses the border

    def _pick(self, kind: str) -> tuple[int, int, int]:
        """Draw a voxel where a lesion of that kind starts."""
        if kind == "confluent":
            kind = "deep" if self.random.random() < CONFLUENT_DEEP_SHARE else "periventricular"
        where, cumulated = self.cumulated[kind]
        at = int(np.searchsorted(cumulated, self.random.uniform(0.0, cumulated[-1])))
        i, j, k = np.unravel_index(where[min(at, len(where) - 1)], self.anatomy.shape)
        return int(i), int(j), int(k)

    def add(self, lesions: Lesions, volume: float, kind: str) -> None:
        """Grow one lesion from a seed over the voxels of lowest cost; none if no voxel is free.

        Args:
            lesions: `owner` is extended in place.
            volume: mm3.
            kind: periventricular, juxtacortical, leukocortical, deep or confluent.
        """
        voxel = self.anatomy.voxel
        seed = self._pick(kind)
        radius = (3.0 * volume / (4.0 * np.pi)) ** (1.0 / 3.0)
        reach = max(2, int(np.ceil(radius * (3.2 if kind == "confluent" else 2.4) / voxel)))
        box = tuple(slice(max(0, i - reach), min(n, i + reach + 1)) for i, n in zip(seed, self.anatomy.shape))
        cost = self._cost(seed, box, radius, kind)
        cost = np.where(lesions.owner[box] > 0, np.inf, cost).ravel()
        target = min(max(1, round(volume / voxel**3)), int(np.isfinite(cost).sum()))
        if target == 0:
            return
        chosen = np.argpartition(cost, target - 1)[:target]
        taken = np.zeros(cost.shape, bool)
        taken[chosen] = True
        taken = _piece_at_seed(taken.reshape(lesions.owner[box].shape), [i - s.start for i, s in zip(seed, box)])
        lesions.owner[box][taken] = lesions.owner.max() + 1

    def _cost(self, seed: tuple[int, int, int], box: tuple[slice, ...], radius: float, kind: str) -> np.ndarray:
        """Distance from the seed in units of the radius, in the lesion's own stretched frame, roughened."""
        anatomy, random = self.anatomy, self.random
        axes = [np.arange(s.start, s.stop) - i for s, i in zip(box, seed)]
        offset = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) * anatomy.voxel
        direction = _outwards(anatomy.ventricle_distance, seed)
        if kind in ("juxtacortical", "leukocortical", "deep"):
            direction = direction + random.normal(0.0, 0.8, 3)
        direction = direction / max(float(np.linalg.norm(direction)), 1e-6)
        stretch = random.uniform(1.2, 2.2) if kind == "periventricular" else random.uniform(0.8, 1.5)
        along = offset @ direction
        across = np.maximum((offset**2).sum(axis=-1) - along**2, 0.0)
        distance = np.sqrt((along / stretch) ** 2 + across * stretch) / radius
        rough = 0.30 * self.roughness[box] + 0.18 * self.grain[box]
        if kind == "confluent":
            near = anatomy.ventricle_distance[box] / max(radius, 8.0)
            return 0.45 * near + 0.85 * distance + 1.2 * rough + self.penalty[box]
        return distance + rough + (self.open if kind == "leukocortical" else self.penalty)[box]


def _outwards(distance: np.ndarray, seed: tuple[int, int, int]) -> np.ndarray:
    """Return the direction away from the ventricles at a voxel: Dawson's fingers follow the veins, across the wall."""
    slopes = []
    for axis in range(3):
        ahead, back = list(seed), list(seed)
        ahead[axis] = min(seed[axis] + 2, distance.shape[axis] - 1)
        back[axis] = max(seed[axis] - 2, 0)
        slopes.append(float(distance[tuple(ahead)] - distance[tuple(back)]))
    return np.array(slopes) + 1e-9


def _piece_at_seed(taken: np.ndarray, seed: list[int]) -> np.ndarray:
    from scipy import ndimage

    labels, count = ndimage.label(taken, np.ones((3, 3, 3)))
    if count <= 1:
        return taken
    label = labels[tuple(seed)]
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == (label if label else int(sizes.argmax()))
