"""What a digital brain's tissues are to MRI: their shares of every voxel, relaxation times and water content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Anatomy
from .lesions import FULL_LOSS, Lesions
from .protocols import Protocol
from .randomness import smooth_field, stream
from .tumours import Tumour

GAMMA_HZ = 42.577e6


@dataclass
class Relaxation:
    """T1, T2 in ms and proton density (water = 1) of some voxels."""

    t1: np.ndarray
    t2: np.ndarray
    density: np.ndarray


@dataclass
class Scene:
    """One brain in one scanner: all that a sequence needs to know.

    shares: tissue -> fraction of every brain voxel, flat; tissues: tissue -> relaxation; see tissues.py.
    """

    anatomy: Anatomy
    lesions: Lesions
    tumour: Tumour | None
    protocol: Protocol
    person_seed: int
    visit: int
    shares: dict[str, np.ndarray]
    tissues: dict[str, Relaxation]


def tissue_values(field_strength: float) -> dict[str, tuple[float, float, float]]:
    """T1 and T2 in ms and proton density of healthy tissue at a field strength in tesla.

    T1: Rooney et al. 2007 (white 0.00071 (gamma B0)^0.382 s, grey 0.00116 (gamma B0)^0.376 s, fluid 4.3 s); at 3 T that
    is 0.89 and 1.30 s, near Wansapura et al. 1999 (0.83, 1.33). T2 at 3 T: Wansapura et al. 1999 (80, 110 ms) and
    Stanisz et al. 2005 (69, 99 ms), between them; 12 % longer at 1.5 T (ours). Water: Tofts 2003 (0.70, 0.82, 1).
    """
    larmor = GAMMA_HZ * field_strength
    longer = 1.0 + 0.08 * (3.0 - field_strength)
    return {
        "white": (0.71 * larmor**0.382, 80.0 * longer, 0.70),
        "grey": (1.16 * larmor**0.376, 102.0 * longer, 0.82),
        "fluid": (4300.0, 1500.0, 1.0),
    }


def fractions(anatomy: Anatomy, tumour: Tumour | None = None) -> dict[str, np.ndarray]:
    """Share of each tissue in every brain voxel, as flat arrays over `anatomy.brain`; they sum to 1.

    Deep grey matter and thalamus look partly like white matter: the template's texture shifts the shares.
    (n,) each.
    """
    brain = anatomy.brain
    white, grey = anatomy.white_matter[brain], anatomy.grey_matter[brain]
    shift = np.clip(0.8 * anatomy.texture[brain], -white, grey)
    shares = {"white": white + shift, "grey": grey - shift, "fluid": anatomy.fluid[brain]}
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
    """Relaxation of each tissue in every brain voxel; white matter carries lesions, caps and diffuse change."""
    random = stream(person_seed, "tissue", visit)
    brain = anatomy.brain
    tissues = {}
    for name, values in tissue_values(protocol.field_strength).items():
        t1, t2, density = (v * np.exp(random.normal(0.0, protocol.jitter)) for v in values)
        shape = int(brain.sum()) if name == "white" else 1
        tissues[name] = Relaxation(*(np.full(shape, v, np.float32) for v in (t1, t2, min(density, 1.0))))
    white = tissues["white"]
    person = stream(person_seed, "white matter")
    # (ours) caps and bands: a little water along the ventricles that is no lesion and costs no myelin
    cap = person.uniform(0.15, 0.6) * np.exp(-anatomy.ventricle_distance[brain] / person.uniform(1.5, 3.5))
    diffuse = 0.04 * smooth_field(person, anatomy.shape, 25.0, anatomy.voxel)[brain]
    water = cap + lesions.water[brain]
    myelin, axons = lesions.deficit[brain] / FULL_LOSS, lesions.axonal_loss[brain]
    white.t1 *= np.exp(diffuse)
    white.t2 *= np.exp(diffuse)
    tissues["white"] = damaged(white, myelin, axons, water, lesions.t1_visibility[brain])
    if tumour is not None:
        for name, part in tumour.parts.items():
            times = part.relaxation(brain, protocol.field_strength)
            tissues[name] = Relaxation(*(value.astype(np.float32) for value in times))
    return tissues


def damaged(
    white: Relaxation, myelin: np.ndarray, axons: np.ndarray, water: np.ndarray, t1_visibility: np.ndarray | float = 1.0
) -> Relaxation:
    """White matter after losing a share of its myelin and axons and taking up water (each 0 to 1).

    (ours) T1 of chronic lesions 1.0-1.8 s, of black holes more; T2 100-200 ms: water and axonal loss drive both, myelin
    adds its own smaller part, so that MRI knows of myelin only partly. t1_visibility: share (0 to 1) of the change of
    T1 that a lesion shows; the T1-isointense ones are bright in FLAIR and T2w all the same.
    All (n,), or one number for all voxels.
    """
    return Relaxation(
        white.t1 * np.exp(t1_visibility * (0.12 * myelin + 0.45 * axons + 0.50 * water)),
        white.t2 * np.exp(0.10 * myelin + 0.25 * axons + 0.80 * water),
        np.minimum(white.density * np.exp(0.03 * myelin + 0.10 * axons + 0.12 * water), 1.0),
    )


def mix(scene: Scene, signal: dict[str, np.ndarray], reference: float) -> np.ndarray:
    """Partial volume: shares times signals, relative to `reference`, on the anatomy's grid.

    Returns (n, n, n) float32.
    """
    out = np.zeros(scene.anatomy.shape, dtype=np.float32)
    values = scene.shares["white"] * signal["white"]
    for tissue, share in scene.shares.items():
        if tissue != "white":
            values = values + share * signal[tissue]
    out[scene.anatomy.brain] = values / reference
    return out
