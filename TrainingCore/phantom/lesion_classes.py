"""Classes of MS lesions, and their effect on myelin, axons and water.

From histology: inactive, active, smouldering and shadow (remyelinated) plaques (Frischer et al. 2015, 2,476 plaques;
Luchetti et al. 2018, 7,562 lesions, 57 % active or mixed). Remyelination differs widely between people (Patrikios et
al. 2006; Bodini et al. 2016) and is more frequent in small and in deep white matter lesions than along the ventricles
(Goldschmidt et al. 2009; Kolb et al. 2021: short-T1 lesions are the remyelinated ones). Axonal loss is greatest where
T1 is longest (van Waesberghe et al. 1999), and the core of large old lesions may be fluid. The numbers are ours, set so
that the mean deficit and its spread between people are those of PMC4660647 (17.6 +- 6.2 % of DVR in 12 patients).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .anatomy import Anatomy
from .lesions import FULL_LOSS, Lesions, depth_profile
from .randomness import random_field, stream


class LesionClass(NamedTuple):
    """A class: (mean, SD) of lost myelin, lost axons and water, each a share of 1, and its frequency.

    The weight of a class is exp(logit + per_log_volume ln(volume / 100 mm3) + near_ventricles n + repair r), with n 1
    at the ventricle wall and falling to 0, and r the person's capacity for repair (SD 1).

    Attributes:
        depth: how much deeper the loss is in the centre than at the rim, 0 to 1.
        logit: term of the weight.
        per_log_volume: term of the weight.
        near_ventricles: term of the weight.
        repair: term of the weight.
    """

    name: str
    myelin: tuple[float, float]
    axons: tuple[float, float]
    water: tuple[float, float]
    depth: float
    logit: float
    per_log_volume: float
    near_ventricles: float
    repair: float


# (ours) see above
CLASSES = (
    LesionClass("shadow", (0.14, 0.08), (0.06, 0.04), (0.28, 0.08), 0.4, 0.1, -0.45, -0.5, 1.0),
    LesionClass("acute", (0.38, 0.15), (0.15, 0.06), (0.62, 0.12), 0.6, -1.3, 0.00, 0.0, 0.0),
    LesionClass("inactive", (0.55, 0.13), (0.35, 0.09), (0.42, 0.10), 0.7, 0.3, 0.00, 0.0, -0.3),
    LesionClass("smouldering", (0.63, 0.12), (0.42, 0.09), (0.52, 0.10), 0.3, -1.0, 0.30, 0.3, -0.5),
    LesionClass("cavitated", (0.80, 0.08), (0.68, 0.08), (0.58, 0.10), 0.9, -2.2, 0.50, 0.5, -0.6),
)
NAMES = ("none", *(kind.name for kind in CLASSES))
SHADOW, ACUTE, INACTIVE, SMOULDERING, CAVITATED = range(1, 6)
NEAR_VENTRICLES_MM = 6.0  # (ours) 1/e of nearness to the ventricles
PERSON_LOSS_SD = 0.13  # (ours) SD between people of lost myelin within one class; with repair about 6 % of DVR in all
AXONS_WITH_MYELIN = 0.3  # (ours) lost axons per lost myelin within a class
CAVITY_RANGE, CAVITY_DEPTH, CAVITY_MIN_MM3 = (0.55, 0.95), 0.35, 150.0  # (ours) share of fluid, depth where it starts
RIM_GAIN = 0.25  # (ours) a smouldering lesion's edge is as bare as its centre, and more oedematous
PATCHINESS, PATCH_MM = 0.12, 6.0  # (ours) variation within a lesion


class Traits(NamedTuple):
    """Traits of a person: capacity for repair (SD 1) and a shift of lost myelin in all lesions."""

    repair: float
    loss: float


def draw_traits(person_seed: int) -> Traits:
    """Draw a person's capacity for repair and severity.

    Args:
        person_seed: seed of the person.
    """
    random = stream(person_seed, "repair")
    return Traits(float(random.normal()), PERSON_LOSS_SD * float(random.normal()))


def draw_kinds(
    volumes: np.ndarray, ventricle_mm: np.ndarray, traits: Traits, random: np.random.Generator
) -> np.ndarray:
    """Draw the class of each lesion.

    Args:
        volumes: (n,) mm3.
        ventricle_mm: (n,) distance to the ventricles in mm.
        traits: of the person.
        random: random generator.

    Returns:
        int8 (n,), 1 to 5.
    """
    near = np.exp(-ventricle_mm / NEAR_VENTRICLES_MM)
    size = np.log(np.maximum(volumes, 1.0) / 100.0)
    weights = np.exp(
        [c.logit + c.per_log_volume * size + c.near_ventricles * near + c.repair * traits.repair for c in CLASSES]
    )
    shares = np.cumsum(weights, axis=0) / weights.sum(axis=0)
    return (1 + (random.random(len(volumes)) > shares[:-1]).sum(axis=0)).astype(np.int8)


def set_states(
    lesions: Lesions,
    anatomy: Anatomy,
    traits: Traits,
    random: np.random.Generator,
    kinds: np.ndarray | None = None,
) -> None:
    """Draw the class of every lesion and set its tissue accordingly.

    Args:
        lesions: changed in place.
        anatomy: of the person.
        traits: of the person.
        random: random generator.
        kinds: int8 (lesions + 1,), given classes; None to draw them.
    """
    count = int(lesions.owner.max())
    lesions.kinds = np.zeros(count + 1, np.int8)
    if count == 0:
        return
    mask, owners = lesions.mask, lesions.owner[lesions.mask]
    voxels = np.maximum(np.bincount(owners, minlength=count + 1), 1)
    volumes = voxels * anatomy.voxel**3
    distances = np.bincount(owners, anatomy.ventricle_distance[mask], minlength=count + 1) / voxels
    lesions.kinds[1:] = draw_kinds(volumes[1:], distances[1:], traits, random)
    if kinds is not None:
        lesions.kinds[:] = kinds
    mean, axons, water = _levels(lesions.kinds, traits, random)
    depth = depth_profile(lesions)
    _set_myelin(lesions, anatomy, mean, depth, voxels, random)
    rim = RIM_GAIN * (lesions.kinds == SMOULDERING)[owners] * (1.0 - depth)
    slope = np.array([0.0, *(kind.depth for kind in CLASSES)])[lesions.kinds]
    lesions.axonal_loss[mask] = np.clip(axons[owners] * (1.0 + slope[owners] * (depth - 0.5)), 0.0, 1.0)
    lesions.water[mask] = np.clip(water[owners] * (0.85 + 0.3 * depth) + rim, 0.0, 1.0)
    full = random.uniform(*CAVITY_RANGE, count + 1) * ((lesions.kinds == CAVITATED) & (volumes >= CAVITY_MIN_MM3))
    lesions.cavity[mask] = full[owners] * np.clip((depth - CAVITY_DEPTH) / (0.75 - CAVITY_DEPTH), 0.0, 1.0)


def _levels(
    kinds: np.ndarray, traits: Traits, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw mean lost myelin, lost axons and water of each lesion."""
    table = np.array([[0.0] * 6, *([*kind.myelin, *kind.axons, *kind.water] for kind in CLASSES)])[kinds]
    noise = random.standard_normal((3, len(kinds)))
    own = traits.loss + table[:, 1] * noise[0]
    mean = np.clip(table[:, 0] + own, 0.03, 0.97)
    axons = np.clip(table[:, 2] + AXONS_WITH_MYELIN * own + table[:, 3] * noise[1], 0.0, 0.9)
    water = np.clip(table[:, 4] + table[:, 5] * noise[2], 0.12, 1.0)
    return mean, axons, water


def _set_myelin(
    lesions: Lesions,
    anatomy: Anatomy,
    mean: np.ndarray,
    depth: np.ndarray,
    voxels: np.ndarray,
    random: np.random.Generator,
) -> None:
    mask, owners = lesions.mask, lesions.owner[lesions.mask]
    slope = np.array([0.0, *(kind.depth for kind in CLASSES)])[lesions.kinds]
    profile = 1.0 + slope[owners] * (depth - 0.5)
    profile /= (np.bincount(owners, profile, minlength=len(mean)) / voxels)[owners]
    patchy = 1.0 + PATCHINESS * random_field(random, anatomy.shape, PATCH_MM, anatomy.voxel)[mask]
    lesions.deficit[mask] = FULL_LOSS * np.clip(mean[owners] * profile * patchy, 0.0, 1.0)
