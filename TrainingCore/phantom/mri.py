"""T1w and FLAIR of a digital patient: tissue values, signal equations, and what a scanner adds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Anatomy
from .lesions import FULL_LOSS, Lesions
from .protocols import Protocol, Sequence
from .randomness import apply_along, linear_matrix, smooth_field, stream

GAMMA_HZ = 42.577e6
UNITS = 1000.0  # white matter's signal in the images written, arbitrary units


@dataclass
class Relaxation:
    """T1, T2 in ms and proton density (water = 1) of some voxels."""

    t1: np.ndarray
    t2: np.ndarray
    density: np.ndarray


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


def spoiled_signal(tissue: Relaxation, sequence: Sequence) -> np.ndarray:
    """Spoiled gradient echo (Ernst): M0 sin a (1 - E1) / (1 - E1 cos a) exp(-TE / T2*)."""
    flip = np.deg2rad(sequence.flip)
    e1 = np.exp(-sequence.repetition / tissue.t1)
    return tissue.density * np.sin(flip) * (1.0 - e1) / (1.0 - e1 * np.cos(flip)) * _t2_star(tissue, sequence)


def mprage_signal(tissue: Relaxation, sequence: Sequence) -> np.ndarray:
    """MPRAGE in its steady state at the centre of k-space (Deichmann et al. 2000), inversion perfect.

    inversion: from the pulse to the centre of the readout train, as scanners report TI.
    """
    flip, spacing = np.deg2rad(sequence.flip), 2.0 * sequence.echo + 3.0
    half = min(sequence.train / 2.0, 0.9 * sequence.inversion / spacing)
    before = sequence.inversion - half * spacing
    after = max(sequence.repetition - sequence.inversion - half * spacing, 0.0)
    e_pulse = np.exp(-spacing / tissue.t1)
    driven = (1.0 - e_pulse) / (1.0 - e_pulse * np.cos(flip))
    kept = (e_pulse * np.cos(flip)) ** half
    e_before, e_after = np.exp(-before / tissue.t1), np.exp(-after / tissue.t1)
    # m before the pulse -> 1 - (1 + m) e_before -> towards `driven`, twice half a train -> recovery: solve m = a - b m
    a = 1.0 - e_after + e_after * (driven * (1.0 - kept**2) + kept**2 * (1.0 - e_before))
    steady = a / (1.0 + e_after * kept**2 * e_before)
    start = 1.0 - (1.0 + steady) * e_before
    centre = driven + (start - driven) * kept
    return tissue.density * np.abs(centre) * np.sin(flip) * _t2_star(tissue, sequence)


def spin_echo_signal(tissue: Relaxation, sequence: Sequence) -> np.ndarray:
    """Spin echo: M0 (1 - exp(-TR / T1)) exp(-TE / T2)."""
    return tissue.density * (1.0 - np.exp(-sequence.repetition / tissue.t1)) * np.exp(-sequence.echo / tissue.t2)


def flair_signal(tissue: Relaxation, sequence: Sequence) -> np.ndarray:
    """Inversion-recovery turbo spin echo, magnitude: M0 |1 - 2 exp(-TI / T1) + exp(-TR / T1)| exp(-TE / T2)."""
    recovered = 1.0 - 2.0 * np.exp(-sequence.inversion / tissue.t1) + np.exp(-sequence.repetition / tissue.t1)
    return tissue.density * np.abs(recovered) * np.exp(-sequence.echo / tissue.t2)


def _t2_star(tissue: Relaxation, sequence: Sequence) -> np.ndarray:
    return np.exp(-sequence.echo / (0.65 * tissue.t2))  # (ours) T2* about two thirds of T2


SIGNALS = {"mprage": mprage_signal, "spoiled": spoiled_signal, "spin_echo": spin_echo_signal, "flair": flair_signal}


def simulate_mri(
    anatomy: Anatomy, lesions: Lesions, protocol: Protocol, person_seed: int, visit: int
) -> dict[str, np.ndarray]:
    """T1w and FLAIR of a visit, float32, arbitrary units (white matter about 1000), exactly 0 outside the brain."""
    tissues = _tissues(anatomy, lesions, protocol, person_seed, visit)
    images = {}
    for name, sequence in (("t1w", protocol.t1w), ("flair", protocol.flair)):
        random = stream(person_seed, "acquire", name, visit)
        signal = _mix(anatomy, tissues, sequence)
        images[name] = acquire(signal, anatomy, sequence, random)
    return images


def _tissues(
    anatomy: Anatomy, lesions: Lesions, protocol: Protocol, person_seed: int, visit: int
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
    tissues["white"] = damaged(white, myelin, axons, water)
    return tissues


def damaged(white: Relaxation, myelin: np.ndarray, axons: np.ndarray, water: np.ndarray) -> Relaxation:
    """White matter after losing a share of its myelin and axons and taking up water (each 0 to 1).

    (ours) T1 of chronic lesions 1.0-1.8 s, of black holes more; T2 100-200 ms: water and axonal loss drive both, myelin
    adds its own smaller part, so that MRI knows of myelin only partly.
    """
    return Relaxation(
        white.t1 * np.exp(0.12 * myelin + 0.45 * axons + 0.50 * water),
        white.t2 * np.exp(0.10 * myelin + 0.25 * axons + 0.80 * water),
        np.minimum(white.density * np.exp(0.03 * myelin + 0.10 * axons + 0.12 * water), 1.0),
    )


def _mix(anatomy: Anatomy, tissues: dict[str, Relaxation], sequence: Sequence) -> np.ndarray:
    """Partial volume: fractions times signals, relative to healthy white matter."""
    brain = anatomy.brain
    signal = {name: SIGNALS[sequence.kind](tissue, sequence) for name, tissue in tissues.items()}
    # deep grey matter and thalamus look partly like white matter: shift the fractions by the template's texture
    white, grey = anatomy.white_matter[brain], anatomy.grey_matter[brain]
    shift = np.clip(0.8 * anatomy.texture[brain], -white, grey)
    values = (
        (white + shift) * signal["white"] + (grey - shift) * signal["grey"] + anatomy.fluid[brain] * signal["fluid"]
    )
    reference = float(np.median(signal["white"]))
    out = np.zeros(anatomy.shape, dtype=np.float32)
    out[brain] = values / reference
    return out


def acquire(signal: np.ndarray, anatomy: Anatomy, sequence: Sequence, random: np.random.Generator) -> np.ndarray:
    """Bias, blur, slices, motion, Rician noise: signal relative to white matter in, image on the same grid out."""
    voxel = anatomy.voxel
    bias = np.exp(sequence.bias * smooth_field(random, anatomy.shape, 110.0, voxel))
    readers = [_sampling(signal.shape[axis], voxel, sequence, axis, random) for axis in range(3)]
    image = signal * bias
    for axis, (sample, _) in enumerate(readers):
        image = apply_along(sample, image, axis)
    noise = sequence.noise * random.standard_normal((2, *image.shape), dtype=np.float32)
    image = np.hypot(image + noise[0], noise[1])
    for axis, (_, spread) in enumerate(readers):
        image = apply_along(spread, image, axis)
    # whole numbers, as scanners store them: small files, and the same bytes whatever the rounding of the last digit
    return np.where(anatomy.brain, np.maximum(np.round(UNITS * image), 1.0), 0.0).astype(np.float32)


def _sampling(
    size: int, voxel: float, sequence: Sequence, axis: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Matrices along one axis: grid -> acquired samples (blurred by the profile), and acquired samples -> grid."""
    phase = random.uniform(0.0, 1.0)
    width = sequence.thickness if axis == sequence.slice_axis else sequence.in_plane
    step = max(width, voxel)
    positions = np.arange(size) * voxel
    if step < 1.05 * voxel:
        samples = positions
    else:
        samples = np.arange(-phase * step, positions[-1] + step, step)
    moved = samples + sequence.shift[axis]
    # Gaussian profile whose FWHM, with the voxel's own blur, is the width; never narrower than linear interpolation
    fwhm = np.sqrt(max(width**2 - (0.7 * voxel) ** 2, (0.45 * voxel) ** 2))
    profile = np.exp(-4.0 * np.log(2.0) * ((moved[:, None] - positions) / fwhm) ** 2)
    if fwhm < 1.2 * voxel:
        narrow = linear_matrix(moved / voxel, size)
        kernel = np.exp(-4.0 * np.log(2.0) * ((positions[:, None] - positions) / fwhm) ** 2)
        profile = narrow @ (kernel / kernel.sum(axis=1, keepdims=True))
    total = np.maximum(profile.sum(axis=1, keepdims=True), 1e-6)
    sample = np.where(profile.sum(axis=1, keepdims=True) > 1e-6, profile / total, 0.0).astype(np.float32)
    return sample, linear_matrix((positions - samples[0]) / (samples[1] - samples[0]), len(samples))
