"""Schedules of the discriminator's patches by epoch (Soulier et al. 2024, section 3.1).

A *lesion patch* is centred on the centre of gravity of a randomly chosen lesion, a *random patch* on a random voxel of
the white matter, lesional or not.
"""

from __future__ import annotations

import numpy as np

SCHEDULES = ("curricular", "anticurricular", "fixed", "uniform")


def random_share(name: str, epoch: int, epochs: int, share: float = 0.5) -> float:
    """Share of random patches in an epoch, 0 to 1.

    `curricular` increases linearly from 0 in the first epoch to 1 in the last; `anticurricular` is the opposite;
    `fixed` is `share` throughout; `uniform` uses random patches only.

    Args:
        name: name of the schedule.
        epoch: number of the epoch, from 0.
        epochs: number of epochs.
        share: share of random patches for `fixed`.

    Returns:
        Share of random patches.

    Raises:
        ValueError: the schedule is unknown, or the share is not in [0, 1].
    """
    if name not in SCHEDULES:
        raise ValueError(f"unknown schedule {name!r}; known: {', '.join(SCHEDULES)}")
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"the share of random patches must be between 0 and 1, not {share}")
    progress = epoch / (epochs - 1) if epochs > 1 else 0.0
    return {"curricular": progress, "anticurricular": 1.0 - progress, "fixed": share, "uniform": 1.0}[name]


def spread_evenly(points: np.ndarray, count: int) -> np.ndarray:
    """Thin out a list to rows at equal distances in it.

    Args:
        points: coordinates, (N, 3).
        count: largest number of rows to keep.

    Returns:
        (min(N, count), 3).
    """
    if len(points) <= count:
        return points
    return points[np.linspace(0, len(points) - 1, count).astype(int)]


def choose_centres(
    rng: np.random.Generator, count: int, random_fraction: float, lesion_centres: np.ndarray, white_matter: np.ndarray
) -> np.ndarray:
    """Choose the centres of the patches of a step.

    A visit without lesions gives random patches only, a visit without white matter gives lesion patches only. Without
    both, patches are centred on the origin, and the caller shifts them into the volume.

    Args:
        rng: source of the draws.
        count: number of patches.
        random_fraction: probability that a patch is random, 0 to 1.
        lesion_centres: (L, 3) centres of gravity.
        white_matter: (W, 3) voxel indices, lesions included.

    Returns:
        (count, 3) voxel indices, int64.
    """
    random_count = int(rng.binomial(count, random_fraction))
    if len(lesion_centres) == 0:
        random_count = count
    elif len(white_matter) == 0:
        random_count = 0
    parts = []
    for candidates, number in ((lesion_centres, count - random_count), (white_matter, random_count)):
        if number and len(candidates):
            parts.append(np.asarray(candidates)[rng.integers(len(candidates), size=number)])
    if not parts:
        return np.zeros((count, 3), np.int64)
    return np.rint(np.concatenate(parts)).astype(np.int64)
