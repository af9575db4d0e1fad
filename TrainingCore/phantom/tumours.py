"""Gliomas: location, composition, and effect on the surrounding brain.

Properties of the people (subtype, grade, enhancement) are drawn in people.py. Tissue values are ours: orders of
magnitude of published relaxometry and diffusion of gliomas at 3 T, not measurements of any one study.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .anatomy import Anatomy, Mass
from .lesions import Lesions, no_lesions
from .people import Person
from .randomness import random_field, stream

# As the BraTS challenges number them (Menze et al. 2015)
ENHANCING_LABEL = 4
LABELS = {1: "core without enhancement", 2: "oedema", ENHANCING_LABEL: "enhancing tumour"}
# (ours) ln(volume of the core in ml), mean and SD, and its range; growth of the radius between visits
CORE_LOG_ML, CORE_RANGE_ML, GROWTH_PER_VISIT = (3.3, 0.55), (5.0, 90.0), 1.06
OEDEMA_WATER = (0.55, 0.85)  # (ours)
MISMATCH_SHARE = 0.4  # (ours) of astrocytomas of grade 2 and 3: bright in T2w, dark in FLAIR but for the rim


@dataclass
class Part:
    """One tissue of a tumour on the anatomy's grid.

    Attributes:
        fraction: share of each voxel, 0..1.
        variation: relative variation of T1, uptake and diffusivity within the tissue, about 0 with SD 1 before
            `spread`.
        t1: ms at 3 T.
        t2: ms at 3 T.
        density: proton density, water = 1.
        uptake: mmol/l of agent after the whole dose.
        mt_ratio: percent.
        mean_diffusivity: um2/ms.
        anisotropy: FA.
    """

    fraction: np.ndarray
    variation: np.ndarray
    t1: float
    t2: float
    density: float
    uptake: float
    mt_ratio: float
    mean_diffusivity: float
    anisotropy: float
    spread: float = 0.06

    def relaxation(self, brain: np.ndarray, field_strength: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Compute relaxation in every brain voxel; T1 grows with the field like that of white matter.

        Args:
            brain: (I, J, K) mask.
            field_strength: tesla.

        Returns:
            T1 and T2 in ms and proton density, (n,) each.
        """
        varied = np.exp(self.spread * self.variation[brain])
        t1 = self.t1 * (field_strength / 3.0) ** 0.38 * varied
        t2 = self.t2 * (1.0 + 0.08 * (3.0 - field_strength)) * varied
        return t1, t2, np.full(t1.shape, self.density)

    def uptake_in(self, brain: np.ndarray) -> np.ndarray:
        """Compute the concentration of agent after the full dose in every brain voxel of this tissue.

        Args:
            brain: (I, J, K) mask.

        Returns:
            mmol/l, (n,).
        """
        return (self.uptake * np.exp(-4.0 * self.spread * self.variation[brain])).astype(np.float32)

    def mean_diffusivity_in(self, brain: np.ndarray) -> np.ndarray:
        """Compute the mean diffusivity in every brain voxel of this tissue.

        Args:
            brain: (I, J, K) mask.

        Returns:
            um2/ms, (n,).
        """
        return self.mean_diffusivity * np.exp(1.5 * self.spread * self.variation[brain])


@dataclass
class Tumour:
    """A glioma: its tissues by name, the share of oedema in each voxel (0..1), and labels (uint8), see LABELS."""

    parts: dict[str, Part]
    oedema: np.ndarray
    labels: np.ndarray


# t1, t2, density, uptake, mt_ratio, mean_diffusivity, anisotropy
SOLID = {
    "glioblastoma": (1500.0, 130.0, 0.88, 0.015, 26.0, 1.15, 0.14),
    "astrocytoma": (1700.0, 165.0, 0.90, 0.010, 24.0, 1.45, 0.12),
    "oligodendroglioma": (1500.0, 140.0, 0.88, 0.015, 25.0, 1.30, 0.12),
}
MISMATCHED = (2300.0, 260.0, 0.94, 0.008, 18.0, 1.80, 0.08)
ENHANCING = (1450.0, 118.0, 0.88, 0.20, 25.0, 1.05, 0.13)
NECROSIS = (2700.0, 290.0, 0.96, 0.006, 7.0, 2.10, 0.05)


def place_mass(coarse: Anatomy, person: Person, visit: int) -> Mass:
    """Draw the position, size and displacement of a person's tumour.

    Args:
        coarse: the person's anatomy without the tumour, of any (small) size.
        person: a person with glioma.
        visit: number of the visit, from 1.
    """
    random = stream(person.seed, "tumour")
    volume = float(np.clip(np.exp(random.normal(*CORE_LOG_ML)), *CORE_RANGE_ML))
    radius = (3000.0 * volume / (4.0 * np.pi)) ** (1.0 / 3.0) * GROWTH_PER_VISIT ** (visit - 1)
    # (ours) glioblastomas displace, lower grades infiltrate
    push = radius * random.uniform(0.30, 0.50) * (1.0 if person.subtype == "glioblastoma" else 0.5)
    position = coarse.positions()
    white = (coarse.white_matter > 0.5) & (coarse.ventricle_distance < 50.0)
    side = np.abs(position[0]) > 16.0
    above = position[2] > -12.0  # cerebrum, not cerebellum or brain stem
    weight = white * side * above * (coarse.ventricle_distance > 8.0)
    if person.subtype == "oligodendroglioma":  # cortical, most of them frontal
        weight = weight * np.exp(-coarse.cortex_distance / 5.0) * (1.0 + 2.0 * (position[1] > 5.0))
    total = np.cumsum(weight.ravel(), dtype=np.float64)
    at = int(np.searchsorted(total, random.uniform(0.0, total[-1])))
    centre = position.reshape(3, -1)[:, min(at, total.size - 1)]
    return Mass((float(centre[0]), float(centre[1]), float(centre[2])), radius, push)


def grow_tumour(anatomy: Anatomy, person: Person, mass: Mass) -> tuple[Anatomy, Lesions, Tumour]:
    """Generate the tumour in an anatomy that its mass has already displaced.

    Args:
        anatomy: displaced anatomy; not changed.
        person: a person with glioma.
        mass: position and size of the core.

    Returns:
        Remaining tissues, oedema as a lesion, and the tumour.
    """
    random = stream(person.seed, "tumour growth")
    depth, variation = _depth_in_core(anatomy, mass, random)
    fractions = _parts(depth, variation, person, random)
    core = np.where(anatomy.brain, sum(fractions.values()), 0.0).astype(np.float32)
    oedema = _oedema(anatomy, depth, variation, person, random)
    oedema = oedema * (1.0 - core)
    solid = SOLID[person.subtype]
    if person.subtype == "astrocytoma" and person.grade < 4 and random.random() < MISMATCH_SHARE:
        solid = MISMATCHED
    values = {"solid": solid, "enhancing": ENHANCING, "necrosis": NECROSIS}
    parts = {
        name: Part(np.where(anatomy.brain, fraction, 0.0).astype(np.float32), variation, *values[name])
        for name, fraction in fractions.items()
    }
    if "enhancing" in parts:
        parts["enhancing"].uptake *= float(random.uniform(0.45, 1.5))
    labels = _labels(parts, core, oedema, anatomy.brain)
    left = {name: getattr(anatomy, name) * (1.0 - core) for name in ("white_matter", "grey_matter", "fluid", "texture")}
    lesions = no_lesions(anatomy.shape)
    lesions.owner[labels > 0] = 1
    lesions.water[:] = random.uniform(*OEDEMA_WATER) * oedema
    return replace(anatomy, **left), lesions, Tumour(parts, oedema, labels)


def _depth_in_core(anatomy: Anatomy, mass: Mass, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Depth in mm below the surface of the tumour's core (negative outside), and a smooth field of SD 1."""
    position = anatomy.positions() - np.array(mass.centre)[:, None, None, None]
    stretch = np.exp(random.normal(0.0, 0.16, 3))
    frame = np.linalg.qr(random.standard_normal((3, 3)))[0]
    turned = (
        np.einsum("ab,bijk->aijk", frame, position) / (stretch / stretch.prod() ** (1.0 / 3.0))[:, None, None, None]
    )
    cost = np.sqrt((turned**2).sum(axis=0)) / mass.radius
    cost += 0.16 * random_field(random, anatomy.shape, 24.0, anatomy.voxel)
    cost += 0.06 * random_field(random, anatomy.shape, 9.0, anatomy.voxel)
    # (ours) ventricles and the falx are borders, the cortex a weak one
    other_side = np.sign(mass.centre[0]) * anatomy.positions()[0] < 0.0
    cost += 0.8 * anatomy.fluid + 0.08 * anatomy.grey_matter + 0.35 * other_side
    voxels_wanted = round(4.0 / 3.0 * np.pi * mass.radius**3 / anatomy.voxel**3)
    within = np.where(anatomy.brain, cost, np.inf).ravel()
    border = np.partition(within, min(voxels_wanted, int(anatomy.brain.sum()) - 1))[voxels_wanted]
    depth = ((border - cost) * mass.radius).astype(np.float32)
    return depth, random_field(random, anatomy.shape, 8.0, anatomy.voxel)


def _parts(
    depth: np.ndarray, variation: np.ndarray, person: Person, random: np.random.Generator
) -> dict[str, np.ndarray]:
    """Shares of solid tumour, enhancing tumour and necrosis: a rim around necrosis, nodules, or neither."""
    sharp = 1.2 if person.subtype == "glioblastoma" else 2.5  # mm over which the border fades (ours)
    core = _step(depth, sharp)
    thickness, threshold = random.uniform(3.5, 7.0), random.uniform(0.2, 0.9)
    if person.enhancement != "yes":
        return {"solid": core}
    if person.subtype == "glioblastoma":
        necrosis = _step(depth - thickness * np.maximum(1.0 + 0.35 * variation, 0.5), 1.0) * core
        return {"enhancing": core - necrosis, "necrosis": necrosis}
    nodules = _step(6.0 * (variation - threshold), 1.5) * _step(depth - 3.0, 1.5) * core
    if person.grade < 4:
        return {"solid": core - nodules, "enhancing": nodules}
    necrosis = _step(6.0 * (-variation - 0.8), 1.5) * _step(depth - 5.0, 1.5) * (core - nodules)
    return {"solid": core - nodules - necrosis, "enhancing": nodules, "necrosis": necrosis}


def _oedema(
    anatomy: Anatomy, depth: np.ndarray, variation: np.ndarray, person: Person, random: np.random.Generator
) -> np.ndarray:
    """Share of oedema: fingers of white matter around the core, which grey matter stops."""
    high = person.subtype == "glioblastoma" or person.grade == 4
    extent = float(random.uniform(8.0, 24.0) if high else random.uniform(1.0, 6.0))
    near = _step(depth + extent * (1.0 + 0.3 * variation), 2.5)
    free_of_cortex = np.clip((anatomy.white_matter - 0.35) / 0.4, 0.0, 1.0)
    return np.where(anatomy.brain, near * free_of_cortex, 0.0).astype(np.float32)


def _step(distance: np.ndarray, width: float) -> np.ndarray:
    """0 to 1 across `width` mm around 0."""
    return np.clip(0.5 + distance / width, 0.0, 1.0)


def _labels(parts: dict[str, Part], core: np.ndarray, oedema: np.ndarray, brain: np.ndarray) -> np.ndarray:
    labels = np.zeros(core.shape, np.uint8)
    labels[oedema > 0.4] = 2
    labels[core > 0.5] = 1
    if "enhancing" in parts:
        labels[(core > 0.5) & (parts["enhancing"].fraction > 0.5 * core)] = 4
    return np.where(brain, labels, 0).astype(np.uint8)
