"""MRI properties of a simulated brain's tissues: their share of every voxel, relaxation times and water content."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .anatomy import Anatomy
from .lesions import FULL_LOSS, Lesions
from .lookalikes import LookAlikes
from .protocols import Protocol
from .randomness import random_field, stream
from .tracts import tract_myelin
from .tumours import Tumour

GAMMA_HZ = 42.577e6
# (ours) ln of the factor on T1, T2 and proton density at whole loss of myelin, of axons, and at whole uptake of water
ON_T1, ON_T2, ON_WATER = (0.32, 0.34, 0.24), (0.12, 0.16, 0.62), (0.03, 0.10, 0.12)
LESION_SPREAD = (0.07, 0.06)  # (ours) relative SD of a lesion's T1 and T2 that neither myelin, axons nor water explain
# (ours) caps and bands: a little water along the ventricles that is no lesion and costs no myelin; smooth variation
CAP_WATER, CAP_MM, DIFFUSE_SPREAD = (0.15, 0.6), (1.5, 3.5), 0.03
CORTICAL_SHARE = 0.4  # (ours) grey matter holds less myelin: whole loss changes its T1 by this share of white matter's


@dataclass
class Relaxation:
    """T1 and T2 in ms and proton density (water = 1), flat arrays over voxels."""

    t1: np.ndarray
    t2: np.ndarray
    density: np.ndarray


@dataclass
class Scene:
    """One brain in one scanner.

    Attributes:
        shares: tissue -> fraction of every brain voxel, flat.
        tissues: tissue -> relaxation.
        artefacts: of the visit.
    """

    anatomy: Anatomy
    lesions: Lesions
    tumour: Tumour | None
    protocol: Protocol
    person_seed: int
    visit: int
    shares: dict[str, np.ndarray]
    tissues: dict[str, Relaxation]
    artefacts: LookAlikes = field(default_factory=LookAlikes)


def tissue_values(field_strength: float) -> dict[str, tuple[float, float, float]]:
    """Return relaxation of healthy tissue.

    T1: Rooney et al. 2007 (white 0.00071 (gamma B0)^0.382 s, grey 0.00116 (gamma B0)^0.376 s, fluid 4.3 s); at 3 T that
    is 0.89 and 1.30 s, near Wansapura et al. 1999 (0.83, 1.33). T2 at 3 T: Wansapura et al. 1999 (80, 110 ms) and
    Stanisz et al. 2005 (69, 99 ms), between them; 12 % longer at 1.5 T (ours). Water: Tofts 2003 (0.70, 0.82, 1).

    Args:
        field_strength: tesla.

    Returns:
        Tissue -> T1 and T2 in ms, proton density.
    """
    larmor = GAMMA_HZ * field_strength
    longer = 1.0 + 0.08 * (3.0 - field_strength)
    return {
        "white": (0.71 * larmor**0.382, 80.0 * longer, 0.70),
        "grey": (1.16 * larmor**0.376, 102.0 * longer, 0.82),
        "fluid": (4300.0, 1500.0, 1.0),
    }


def fractions(anatomy: Anatomy, tumour: Tumour | None = None, lesions: Lesions | None = None) -> dict[str, np.ndarray]:
    """Compute the share of each tissue in every brain voxel.

    Deep grey matter and thalamus look partly like white matter: the template's texture shifts the shares. Cavities of
    lesions are fluid.

    Args:
        anatomy: of the person.
        tumour: glioma, or None.
        lesions: of the visit, or None.

    Returns:
        Tissue -> (n,) flat over `anatomy.brain`; they sum to 1.
    """
    brain = anatomy.brain
    white, grey = anatomy.white_matter[brain], anatomy.grey_matter[brain]
    shift = np.clip(0.8 * anatomy.texture[brain], -white, grey)
    shares = {"white": white + shift, "grey": grey - shift, "fluid": anatomy.fluid[brain]}
    if lesions is not None and lesions.cavity.any():
        kept = 1.0 - lesions.cavity[brain]
        shares = {"white": shares["white"] * kept, "grey": shares["grey"] * kept, "fluid": shares["fluid"] * kept}
        shares["fluid"] = shares["fluid"] + (1.0 - kept)
    if tumour is not None:
        shares.update({name: part.fraction[brain] for name, part in tumour.parts.items()})
    return shares


def relaxation(
    anatomy: Anatomy,
    lesions: Lesions,
    protocol: Protocol,
    person_seed: int,
    visit: int,
    tumour: Tumour | None = None,
) -> dict[str, Relaxation]:
    """Compute the relaxation of each tissue in every brain voxel from myelin, axons and water.

    White matter contains lesions, caps, tracts and diffuse change, grey matter the lesions that reach it.

    Args:
        anatomy: of the person.
        lesions: of the visit.
        protocol: field strength and jitter.
        person_seed: seed of the person.
        visit: number of the visit, from 1.
        tumour: glioma, or None.

    Returns:
        Tissue -> relaxation, flat over `anatomy.brain` or a single value.
    """
    random = stream(person_seed, "tissue", visit)
    brain = anatomy.brain
    tissues = {}
    for name, values in tissue_values(protocol.field_strength).items():
        t1, t2, density = (v * np.exp(random.normal(0.0, protocol.jitter)) for v in values)
        shape = int(brain.sum()) if name == "white" else 1
        tissues[name] = Relaxation(*(np.full(shape, v, np.float32) for v in (t1, t2, min(density, 1.0))))
    person = stream(person_seed, "white matter")
    cap = person.uniform(*CAP_WATER) * np.exp(-anatomy.ventricle_distance[brain] / person.uniform(*CAP_MM))
    diffuse = DIFFUSE_SPREAD * random_field(person, anatomy.shape, 25.0, anatomy.voxel)[brain]
    water, axons = cap + lesions.water[brain], lesions.axonal_loss[brain]
    # what a tract has more of myelin than the mean of white matter counts as a negative loss
    myelin = lesions.myelin_loss()[brain] + (1.0 - tract_myelin(anatomy, person_seed)[brain]) / FULL_LOSS
    own = stream(person_seed, "lesions", "relaxation").standard_normal((2, int(lesions.owner.max()) + 1))
    own *= np.array(LESION_SPREAD)[:, None]
    own[:, 0] = 0.0
    white = tissues["white"]
    white.t1 *= np.exp(diffuse + own[0].astype(np.float32)[lesions.owner[brain]])
    white.t2 *= np.exp(diffuse + own[1].astype(np.float32)[lesions.owner[brain]])
    tissues["white"] = damaged(white, myelin, axons, water)
    if lesions.cortical.any():
        inside = lesions.mask[brain]
        tissues["grey"] = damaged(
            tissues["grey"], CORTICAL_SHARE * lesions.cortical[brain], axons * inside, water * inside
        )
    if tumour is not None:
        for name, part in tumour.parts.items():
            times = part.relaxation(brain, protocol.field_strength)
            tissues[name] = Relaxation(*(value.astype(np.float32) for value in times))
    return tissues


def damaged(tissue: Relaxation, myelin: np.ndarray, axons: np.ndarray, water: np.ndarray) -> Relaxation:
    """Compute relaxation after loss of myelin and axons and uptake of water.

    T1 grows mainly by demyelination (Kolb et al. 2021) and with the loss of axons (van Waesberghe et al. 1999), T2
    mainly with water; see ON_T1, ON_T2, ON_WATER for our numbers: T1 of chronic lesions 1.0-1.8 s, of black holes more;
    T2 100-200 ms.

    Args:
        tissue: healthy tissue, (n,) or single values.
        myelin: share lost, 0 to 1.
        axons: share lost, 0 to 1.
        water: additional water, 0 to 1.

    Returns:
        Damaged tissue.
    """
    return Relaxation(
        tissue.t1 * np.exp(ON_T1[0] * myelin + ON_T1[1] * axons + ON_T1[2] * water),
        tissue.t2 * np.exp(ON_T2[0] * myelin + ON_T2[1] * axons + ON_T2[2] * water),
        np.minimum(tissue.density * np.exp(ON_WATER[0] * myelin + ON_WATER[1] * axons + ON_WATER[2] * water), 1.0),
    )


def mix(scene: Scene, signal: dict[str, np.ndarray], reference: float) -> np.ndarray:
    """Combine the signals of the tissues in each voxel (partial volume).

    Args:
        scene: shares of the tissues.
        signal: tissue -> signal, flat over the brain or a single value.
        reference: signal that becomes 1.

    Returns:
        (n, n, n) float32 on the anatomy's grid, 0 outside the brain.
    """
    out = np.zeros(scene.anatomy.shape, dtype=np.float32)
    values = scene.shares["white"] * signal["white"]
    for tissue, share in scene.shares.items():
        if tissue != "white":
            values = values + share * signal[tissue]
    out[scene.anatomy.brain] = values / reference
    return out
