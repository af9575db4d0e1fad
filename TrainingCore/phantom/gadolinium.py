"""Gadolinium: distribution of a contrast agent and its effect on relaxation."""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy
from .lesion_classes import ACUTE
from .lesions import Lesions
from .randomness import random_field, stream
from .tissues import Relaxation
from .tumours import Tumour

# Relaxivity per mmol/l and second in plasma at 3 T, gadoterate: Rohrer et al. 2005
RELAXIVITY_T1, RELAXIVITY_T2 = 3.5, 4.9
# Share of the standard 0.1 mmol/kg: Bone et al. 2021 inject 0.025 mmol/kg first, then the rest
DOSES = {"t1ce_low": 0.25, "t1ce": 1.0}
# (ours) mmol/l a few minutes after the whole dose: about 0.6 in plasma, in tissue that times its blood volume
TISSUE_UPTAKE = {"white": 0.012, "grey": 0.028}
VESSEL_UPTAKE = 0.6
# (ours) about half of the acute MS lesions enhance, none of the large
ACTIVE_SHARE, ACTIVE_RANGE, ACTIVE_BELOW_MM3 = 0.55, (0.08, 0.30), 1500.0


def enhanced(tissue: Relaxation, concentration: np.ndarray) -> Relaxation:
    """Compute relaxation with contrast agent: 1/T = 1/T0 + r C.

    Args:
        tissue: relaxation without agent, times in ms.
        concentration: mmol/l, one value or one per voxel.

    Returns:
        Relaxation with agent; proton density is unchanged.
    """
    t1 = 1.0 / (1.0 / tissue.t1 + RELAXIVITY_T1 * concentration / 1000.0)
    t2 = 1.0 / (1.0 / tissue.t2 + RELAXIVITY_T2 * concentration / 1000.0)
    return Relaxation(t1, t2, tissue.density)


def uptake(
    anatomy: Anatomy, lesions: Lesions, tumour: Tumour | None, person_seed: int, visit: int
) -> dict[str, np.ndarray]:
    """Compute the concentration of agent in each tissue after the full dose.

    Normal tissue has it only in its blood, fluid where vessels cross it; active MS lesions and tumours leak.

    Args:
        anatomy: of the person.
        lesions: of the visit.
        tumour: glioma, or None.
        person_seed: seed of the person.
        visit: number of the visit, from 1.

    Returns:
        Tissue -> mmol/l, flat over the brain or a single value.
    """
    brain = anatomy.brain
    white = np.full(int(brain.sum()), TISSUE_UPTAKE["white"], np.float32)
    grey = np.full(1, TISSUE_UPTAKE["grey"], np.float32)
    taken_up = {"white": white, "grey": grey, "fluid": _vessels(anatomy, person_seed)}
    if tumour is None:
        white += active_lesions(lesions, anatomy.voxel, person_seed, visit)[brain]
        return taken_up
    for name, part in tumour.parts.items():
        taken_up[name] = part.uptake_in(brain)
    return taken_up


def active_lesions(lesions: Lesions, voxel: float, person_seed: int, visit: int) -> np.ndarray:
    """Compute the concentration of agent in MS lesions whose blood-brain barrier leaks at this visit.

    Args:
        lesions: of the visit.
        voxel: edge in mm.
        person_seed: seed of the person.
        visit: number of the visit, from 1.

    Returns:
        mmol/l after the full dose, (n, n, n) float32, 0 elsewhere.
    """
    count = int(lesions.owner.max())
    random = stream(person_seed, "active lesions", visit)
    volume = np.bincount(lesions.owner.ravel(), minlength=count + 1) * voxel**3
    active = (random.random(count + 1) < ACTIVE_SHARE) & (volume < ACTIVE_BELOW_MM3) & (lesions.kinds == ACUTE)
    level = np.where(active, random.uniform(*ACTIVE_RANGE, count + 1), 0.0).astype(np.float32)
    level[0] = 0.0
    return level[lesions.owner]


def _vessels(anatomy: Anatomy, person_seed: int) -> np.ndarray:
    """(ours) Vessels in the sulci: where two smooth random fields of the person are both near zero, lines of fluid."""
    random = stream(person_seed, "vessels")
    first, second = (random_field(random, anatomy.shape, 14.0, anatomy.voxel)[anatomy.brain] for _ in range(2))
    lines = np.exp(-(first**2 + second**2) / 0.06)
    sulci = anatomy.ventricle_distance[anatomy.brain] > 8.0
    return (VESSEL_UPTAKE * lines * sulci).astype(np.float32)
