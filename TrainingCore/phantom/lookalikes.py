"""Structures that mimic lesions and are never in the lesion mask.

Caps and bands, punctate vascular hyperintensities of old age, perivascular spaces, choroid plexus, inflow in the fluid
of FLAIR, ghosts of motion, and a brain mask that keeps dura or loses cortex. Names as in STRIVE (Wardlaw et al. 2013);
all numbers are ours. Random protocols (site R) have them, other sites on request.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .anatomy import Anatomy
from .lesions import Lesions
from .randomness import random_field, stream

# water and its reach in mm at the ventricles; grows with age from 30 to 80
CAP_WATER, CAP_MM = (0.0, 0.55), (1.5, 5.0)
VASCULAR_AT_60, VASCULAR_PER_YEAR, VASCULAR_MAX = 3.0, 0.07, 30.0  # expected number of punctate hyperintensities
VASCULAR_RADIUS_MM, VASCULAR_WATER, VASCULAR_LOSS = (0.8, 2.4), (0.3, 0.7), 0.05
SPACES_MAX, SPACES_WIDTH, SPACES_FWHM_MM = 0.6, 0.05, 11.0  # share of fluid in perivascular spaces
CHOROID_MAX = 0.7  # share of the voxel that choroid plexus takes
FLOW_CHANCE, FLOW_RANGE = 0.6, (0.3, 1.3)  # inflow: signal of fluid in FLAIR, relative to white matter
GHOST_CHANCE, GHOST_RANGE = 0.35, (0.01, 0.06)  # strength of a ghost, share of the signal
STRIP_CHANCE, STRIP_MM = 0.5, (1.0, 3.0)  # dura that is kept or cortex that is lost, in patches


@dataclass
class LookAlikes:
    """Artefacts of a visit.

    Attributes:
        flow: signal that FLAIR adds to pure fluid, relative to white matter, (n, n, n) or None.
        ghosts: sequence -> (axis, shift in voxels, strength) or None.
    """

    flow: np.ndarray | None = None
    ghosts: dict[str, tuple[int, int, float] | None] | None = None


def add_lookalikes(
    anatomy: Anatomy, lesions: Lesions, person_seed: int, visit: int, age: float
) -> tuple[Anatomy, Lesions, LookAlikes]:
    """Add look-alikes to a brain; lesions keep their owners, so that no mask changes.

    Args:
        anatomy: of the person; not changed.
        lesions: of the visit; not changed.
        person_seed: seed of the person.
        visit: number of the visit, from 1.
        age: years.

    Returns:
        Anatomy and lesions with look-alikes, and artefacts of the visit.
    """
    random = stream(person_seed, "look-alikes")
    old = float(np.clip((age - 30.0) / 50.0, 0.0, 1.0))
    water, diffuse = lesions.water.copy(), lesions.diffuse.copy()
    reach = random.uniform(*CAP_MM)
    cap = random.uniform(0.3, 1.0) * (CAP_WATER[0] + old * (CAP_WATER[1] - CAP_WATER[0]))
    water += (cap * np.exp(-anatomy.ventricle_distance / reach) * anatomy.brain).astype(np.float32)
    _add_vascular(water, diffuse, anatomy, lesions.mask, random, age)
    cavity = np.maximum(lesions.cavity, _perivascular(anatomy, random) * ~lesions.mask)
    mimicked = replace(lesions, water=np.clip(water, 0.0, 1.0), diffuse=diffuse, cavity=cavity.astype(np.float32))
    anatomy = _with_choroid(anatomy, random)
    return anatomy, mimicked, _artefacts(anatomy, stream(person_seed, "artefacts", visit))


def _add_vascular(
    water: np.ndarray,
    diffuse: np.ndarray,
    anatomy: Anatomy,
    taken: np.ndarray,
    random: np.random.Generator,
    age: float,
) -> None:
    """Small bright dots in white matter away from lesions, in place."""
    expected = min(VASCULAR_AT_60 * np.exp(VASCULAR_PER_YEAR * (age - 60.0)), VASCULAR_MAX)
    where = np.flatnonzero((anatomy.white_matter > 0.8) & ~taken & (anatomy.ventricle_distance > 4.0))
    if len(where) == 0:
        return
    for _ in range(int(random.poisson(expected))):
        centre = np.array(np.unravel_index(where[int(random.integers(len(where)))], anatomy.shape))
        radius = random.uniform(*VASCULAR_RADIUS_MM) / anatomy.voxel
        low, high = np.maximum((centre - 2 * radius - 1).astype(int), 0), (centre + 2 * radius + 2).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low, high))
        axes = [np.arange(a, min(b, n)) - c for a, b, n, c in zip(low, high, anatomy.shape, centre)]
        distance = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij")))
        share = np.clip(radius + 0.5 - distance, 0.0, 1.0) * ~taken[box]
        water[box] = np.maximum(water[box], random.uniform(*VASCULAR_WATER) * share)
        diffuse[box] = np.maximum(diffuse[box], VASCULAR_LOSS * share)


def _perivascular(anatomy: Anatomy, random: np.random.Generator) -> np.ndarray:
    """Share of fluid in perivascular spaces: lines where two smooth fields are both near zero."""
    first, second = (random_field(random, anatomy.shape, SPACES_FWHM_MM, anatomy.voxel) for _ in range(2))
    amount = SPACES_MAX * random.uniform(0.0, 1.0)
    lines = np.exp(-(first**2 + second**2) / SPACES_WIDTH)
    return amount * lines * (anatomy.white_matter > 0.8) * (anatomy.cortex_distance > 2.0)


def _with_choroid(anatomy: Anatomy, random: np.random.Generator) -> Anatomy:
    """Choroid plexus in the lateral ventricles: tissue like grey matter, more of it at the back."""
    if not anatomy.ventricles.any():
        return anatomy
    reach = np.flatnonzero(anatomy.ventricles.any(axis=(0, 2)))
    back = np.clip(1.5 - 2.0 * (np.arange(anatomy.shape[1]) - reach[0]) / max(reach[-1] - reach[0], 1), 0.0, 1.0)
    field = random_field(random, anatomy.shape, 8.0, anatomy.voxel)
    share = CHOROID_MAX * np.clip(field - 0.2, 0.0, 1.0) * back[None, :, None] * anatomy.ventricles
    moved = (anatomy.fluid * share).astype(np.float32)
    return replace(anatomy, fluid=anatomy.fluid - moved, grey_matter=anatomy.grey_matter + moved)


def _artefacts(anatomy: Anatomy, random: np.random.Generator) -> LookAlikes:
    flow = None
    if random.random() < FLOW_CHANCE:
        field = random_field(random, anatomy.shape, 16.0, anatomy.voxel)
        flow = (random.uniform(*FLOW_RANGE) * np.clip(field - 0.3, 0.0, 1.0) * anatomy.fluid).astype(np.float32)
    ghosts: dict[str, tuple[int, int, float] | None] = {}
    for name in ("t1w", "flair"):
        axis, share, strength = int(random.integers(3)), random.uniform(0.15, 0.5), random.uniform(*GHOST_RANGE)
        moving = random.random() < GHOST_CHANCE
        ghosts[name] = (axis, max(1, round(share * anatomy.shape[axis])), float(strength)) if moving else None
    return LookAlikes(flow, ghosts)


def with_ghost(signal: np.ndarray, ghost: tuple[int, int, float] | None) -> np.ndarray:
    """Add two faint copies of a signal along the phase-encoding axis.

    Args:
        signal: (n, n, n).
        ghost: axis, shift in voxels and strength, or None.

    Returns:
        (n, n, n).
    """
    if ghost is None:
        return signal
    axis, shift, strength = ghost
    copies = np.roll(signal, shift, axis) + np.roll(signal, -shift, axis)
    return (signal + strength * copies).astype(np.float32)


def badly_stripped(anatomy: Anatomy, person_seed: int, visit: int) -> Anatomy:
    """Simulate a flawed brain extraction: patches of dura kept, patches of cortex lost.

    Args:
        anatomy: of the person; not changed.
        person_seed: seed of the person.
        visit: number of the visit, from 1.

    Returns:
        Anatomy with the flawed mask; unchanged in half of the visits.
    """
    from scipy import ndimage

    random = stream(person_seed, "skull strip", visit)
    if random.random() >= STRIP_CHANCE:
        return anatomy
    field = random_field(random, anatomy.shape, 35.0, anatomy.voxel)
    depth = max(1, round(random.uniform(*STRIP_MM) / anatomy.voxel))
    grown = ndimage.binary_dilation(anatomy.brain, iterations=depth)
    shrunk = ndimage.binary_erosion(anatomy.brain, iterations=depth)
    dura = grown & ~anatomy.brain & (field > 1.0)
    brain = (anatomy.brain & ~(~shrunk & (field < -1.3))) | dura
    kept = np.where(dura, 0.6, 0.0).astype(np.float32)  # bright in part, like dura and fat; the rest air-like fluid
    return replace(
        anatomy,
        brain=brain,
        grey_matter=np.where(dura, kept, anatomy.grey_matter),
        fluid=np.where(dura, 1.0 - kept, anatomy.fluid),
    )
