"""PiB PET: the distribution volume ratio (DVR) of one visit, before and after the scanner."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from .anatomy import Anatomy
from .lesions import Lesions
from .randomness import stream

GREY_RANGE = (1.00, 1.05)
WHITE_TO_GREY_RANGE = (1.20, 1.23)  # at most +23 %: Veronese et al. 2015
REFERENCE_FWHM = 2.5  # mm, HRRT: EJNMMI Physics, s40658-020-00349-0
FLUID_RANGE = (0.60, 0.70)  # (ours)
NAWM_LOSS_RANGE = (0.0, 0.05)  # patients' normal-appearing white matter against healthy white matter
PERIVENTRICULAR_MM = 5.0
PERIVENTRICULAR_LOSS_RANGE = (0.02, 0.07)  # (ours) extra loss at the ventricle wall, 0 at 5 mm
REGION_MM3 = 106.0  # region of the test-retest figure below: EJNMMI Research 2024, s13550-024-01107-4


@dataclass(frozen=True)
class Scanner:
    """A PET scanner and its reconstruction.

    fwhm: resolution in mm (range); noise_fwhm: correlation of the noise in mm; variability: mean absolute difference
    between two scans of a 106 mm3 white-matter region as a share of its mean (at most about 0.09).
    """

    fwhm: tuple[float, float]
    noise_fwhm: float
    variability: float


# (ours) below the published 9 %, so that the cohort's noise ceiling per lesion (about 0.8) lies above the r = 0.70 that
# Soulier et al. 2024 reach against a real scanner
SCANNERS = {
    "A": Scanner((2.5, 2.5), 3.0, 0.05),
    "B": Scanner((4.0, 5.0), 5.0, 0.03),
    "C": Scanner((3.0, 4.0), 4.0, 0.04),
    "R": Scanner((2.5, 2.5), 3.0, 0.05),
}


def true_dvr(anatomy: Anatomy, lesions: Lesions, person_seed: int, patient: bool) -> np.ndarray:
    """DVR before the scanner, float32, 0 outside the brain. Returns (n, n, n)."""
    random = stream(person_seed, "pet")
    grey = random.uniform(*GREY_RANGE)
    fluid = random.uniform(*FLUID_RANGE)
    ratio = random.uniform(*WHITE_TO_GREY_RANGE)
    nawm_loss = random.uniform(*NAWM_LOSS_RANGE)
    wall_loss = random.uniform(*PERIVENTRICULAR_LOSS_RANGE)
    white = white_level(anatomy, grey, fluid, ratio)
    value = np.full(anatomy.shape, white, dtype=np.float32)
    if patient:
        wall = np.clip(1.0 - anatomy.ventricle_distance / PERIVENTRICULAR_MM, 0.0, 1.0)
        value *= 1.0 - nawm_loss - wall_loss * wall
    value *= 1.0 - lesions.deficit
    tissue = anatomy.white_matter * value + anatomy.grey_matter * grey + anatomy.fluid * fluid
    # a lesion's own tissue is lesion through and through, save for the fluid beside it
    inside = lesions.mask
    tissue[inside] = (1.0 - anatomy.fluid[inside]) * value[inside] + anatomy.fluid[inside] * fluid
    return np.where(anatomy.brain, tissue, 0.0).astype(np.float32)


def white_level(anatomy: Anatomy, grey: float, fluid: float, ratio: float) -> float:
    """White matter's DVR such that after a 2.5 mm blur its mean is `ratio` times grey matter's (the blur is linear)."""
    blurred = [
        blur(part, REFERENCE_FWHM, anatomy.voxel) for part in (anatomy.white_matter, anatomy.grey_matter, anatomy.fluid)
    ]
    in_white = [float(part[anatomy.white_matter > 0.5].mean()) for part in blurred]
    in_grey = [float(part[anatomy.grey_matter > 0.5].mean()) for part in blurred]
    known = grey * in_white[1] + fluid * in_white[2]
    known_grey = grey * in_grey[1] + fluid * in_grey[2]
    return (ratio * known_grey - known) / (in_white[0] - ratio * in_grey[0])


def blur(volume: np.ndarray, fwhm: float, voxel: float) -> np.ndarray:
    """Gaussian blur, fwhm in mm. volume: (n, n, n)."""
    from scipy import ndimage

    return ndimage.gaussian_filter(volume, fwhm / 2.3548 / voxel, mode="constant", truncate=3.5)


def measure(
    dvr: np.ndarray, anatomy: Anatomy, person_seed: int, visit: int, site: str
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """What the site's scanner makes of a DVR map: (measured with noise, noise-free but blurred, what was used)."""
    random = stream(person_seed, "scan", visit)
    scanner = SCANNERS[site]
    fwhm = random.uniform(*scanner.fwhm)
    clean = blur(dvr, fwhm, anatomy.voxel)
    white = anatomy.white_matter > 0.5
    level = float(clean[white].mean()) if white.any() else 1.0
    noise = draw_noise(random, anatomy.shape, anatomy.voxel, scanner) * level
    measured = np.where(anatomy.brain, np.maximum(clean + noise, 0.0), 0.0).astype(np.float32)
    clean = np.where(anatomy.brain, clean, 0.0).astype(np.float32)
    return measured, clean, {"fwhm_mm": round(fwhm, 3), "noise_fwhm_mm": scanner.noise_fwhm}


def draw_noise(random: np.random.Generator, shape: tuple[int, int, int], voxel: float, scanner: Scanner) -> np.ndarray:
    """Spatially correlated noise as a share of the white-matter level, calibrated to the scanner's variability.

    Returns (n, n, n) float32.
    """
    white = random.standard_normal(shape, dtype=np.float32)
    return blur(white, scanner.noise_fwhm, voxel) * noise_gain(voxel, scanner)


@functools.lru_cache(maxsize=32)
def noise_gain(voxel: float, scanner: Scanner) -> float:
    """Factor of the blurred unit noise so that a 106 mm3 region repeats as the scanner's variability says.

    Two repeats with SD s differ by 2 s / sqrt(pi) on average (normal noise).
    """
    wanted = scanner.variability * np.sqrt(np.pi) / 2.0
    region = spherical_region(voxel, REGION_MM3, pad=int(np.ceil(4.0 * scanner.noise_fwhm / 2.3548 / voxel)))
    weights = blur(region / region.sum(), scanner.noise_fwhm, voxel)  # a symmetric kernel is its own adjoint
    return float(wanted / np.sqrt((weights.astype(np.float64) ** 2).sum()))


def spherical_region(voxel: float, volume: float, pad: int = 0) -> np.ndarray:
    """A ball of about `volume` mm3, at least one voxel, as 0/1 float32 with `pad` empty voxels around it.

    Returns (m, m, m).
    """
    count = max(1, round(volume / voxel**3))
    half = int(np.ceil((3.0 * volume / (4.0 * np.pi)) ** (1.0 / 3.0) / voxel)) + 1 + pad
    axis = np.arange(-half, half + 1) * voxel
    distance = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    region = np.zeros(distance.size, dtype=np.float32)
    region[np.argsort(distance.ravel(), kind="stable")[:count]] = 1.0
    return region.reshape(distance.shape)
