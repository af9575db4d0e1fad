"""PiB PET: the distribution volume ratio (DVR) of one visit, before and after the scanner."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from .anatomy import Anatomy
from .lesions import Lesions
from .randomness import apply_along, linear_matrix, random_field, stream
from .tracts import tract_myelin

GREY_RANGE = (1.00, 1.05)
WHITE_TO_GREY_RANGE = (1.20, 1.23)  # at most +23 %: Veronese et al. 2015
REFERENCE_FWHM = 2.5  # mm, HRRT: EJNMMI Physics, s40658-020-00349-0
FLUID_RANGE = (0.60, 0.70)  # (ours)
REGION_MM3 = 106.0  # region of the test-retest figure below: EJNMMI Research 2024, s13550-024-01107-4


@dataclass(frozen=True)
class Scanner:
    """A PET scanner and its reconstruction.

    Attributes:
        fwhm: resolution in mm (range).
        noise_fwhm: correlation of the noise in mm.
        variability: mean absolute difference between two scans of a 106 mm3 white-matter region as a share of its mean
            (below 0.10).
    """

    fwhm: tuple[float, float]
    noise_fwhm: float
    variability: float


# Published: less than 10 % from scan to scan above 106 mm3 (EJNMMI Research 2024), repositioning and physiology
# included; here misregistration comes on top of the noise. (ours) noise alone stays low enough for a ceiling above
# r = 0.70 per lesion, which Soulier et al. 2024 reach against a real scanner; smoother reconstructions repeat better
SCANNERS = {
    "A": Scanner((2.5, 2.5), 3.0, 0.06),
    "B": Scanner((4.0, 5.0), 5.0, 0.05),
    "C": Scanner((3.0, 4.0), 4.0, 0.055),
    "R": Scanner((2.5, 2.5), 3.0, 0.06),
}
NOISE_POWER = 0.5  # (ours) noise grows with the square root of the DVR, as counts do
MISREGISTRATION_MM = 0.6  # (ours) SD along each axis: about 1 mm in all
# (ours) scalp, marrow and sinuses: DVR, smoothing of the brain mask (mm FWHM) and the values between which they lie
OUTSIDE_RANGE, SHELL_MM, SHELL_RANGE = (0.3, 0.8), 20.0, (0.08, 0.32)
CORTICAL_LOSS = 0.15  # (ours) share of grey matter's DVR that whole cortical demyelination costs


def true_dvr(anatomy: Anatomy, lesions: Lesions, person_seed: int) -> np.ndarray:
    """Compute the DVR before the scanner.

    Args:
        anatomy: of the person.
        lesions: of the visit.
        person_seed: seed of the person.

    Returns:
        float32 (n, n, n), 0 outside the brain.
    """
    random = stream(person_seed, "pet")
    grey = random.uniform(*GREY_RANGE)
    fluid = random.uniform(*FLUID_RANGE)
    ratio = random.uniform(*WHITE_TO_GREY_RANGE)
    tract = tract_myelin(anatomy, person_seed)
    value = _white_level(anatomy, grey, fluid, ratio, tract) * tract
    value *= (1.0 - lesions.diffuse) * (1.0 - lesions.deficit)
    bare_grey = grey * (1.0 - CORTICAL_LOSS * lesions.cortical)
    # what shares a voxel with a lesion is lesion too, save for cortex that the lesion covers and for fluid
    inside = lesions.mask
    cortex = np.where(inside & (anatomy.grey_matter <= 0.5), 0.0, anatomy.grey_matter)
    white = np.where(inside, 1.0 - anatomy.fluid - cortex, anatomy.white_matter)
    tissue = white * value + cortex * bare_grey + anatomy.fluid * fluid
    tissue = (1.0 - lesions.cavity) * tissue + lesions.cavity * fluid
    return np.where(anatomy.brain, tissue, 0.0).astype(np.float32)


def _white_level(anatomy: Anatomy, grey: float, fluid: float, ratio: float, tract: np.ndarray) -> float:
    """Return the white matter DVR whose mean after a 2.5 mm blur is `ratio` times that of grey matter.

    The blur is linear. tract: relative DVR of the white matter, (n, n, n).
    """
    parts = (anatomy.white_matter * tract, anatomy.grey_matter, anatomy.fluid)
    blurred = [blur(part, REFERENCE_FWHM, anatomy.voxel) for part in parts]
    in_white = [float(part[anatomy.white_matter > 0.5].mean()) for part in blurred]
    in_grey = [float(part[anatomy.grey_matter > 0.5].mean()) for part in blurred]
    known = grey * in_white[1] + fluid * in_white[2]
    known_grey = grey * in_grey[1] + fluid * in_grey[2]
    return (ratio * known_grey - known) / (in_white[0] - ratio * in_grey[0])


def blur(volume: np.ndarray, fwhm: float, voxel: float) -> np.ndarray:
    """Blur a volume with a Gaussian.

    Args:
        volume: (n, n, n).
        fwhm: mm.
        voxel: edge in mm.
    """
    from scipy import ndimage

    return ndimage.gaussian_filter(volume, fwhm / 2.3548 / voxel, mode="constant", truncate=3.5)


def scan_dvr(
    dvr: np.ndarray, anatomy: Anatomy, person_seed: int, visit: int, site: str
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Simulate the site's PET scanner.

    The measured map has noise and is slightly misregistered with the MRI; the noise-free map is only blurred. Both
    contain the activity of scalp and sinuses that blurs into the brain's rim.

    Args:
        dvr: true DVR, (n, n, n).
        anatomy: of the person.
        person_seed: seed of the person.
        visit: number of the visit, from 1.
        site: A, B, C or R.

    Returns:
        Measured map, noise-free map, and the parameters used.
    """
    random = stream(person_seed, "scan", visit)
    scanner = SCANNERS[site]
    fwhm = random.uniform(*scanner.fwhm)
    shift = random.normal(0.0, MISREGISTRATION_MM, 3)
    clean = blur(dvr + _outside_activity(anatomy, random), fwhm, anatomy.voxel)
    white = anatomy.white_matter > 0.5
    level = float(clean[white].mean()) if white.any() else 1.0
    moved = _shifted(clean, shift / anatomy.voxel)
    gain = level * (np.maximum(moved, 0.0) / level) ** NOISE_POWER
    noise = draw_noise(random, anatomy.shape, anatomy.voxel, scanner) * gain
    measured = np.where(anatomy.brain, np.maximum(moved + noise, 0.0), 0.0).astype(np.float32)
    clean = np.where(anatomy.brain, clean, 0.0).astype(np.float32)
    used = {"fwhm_mm": round(fwhm, 3), "noise_fwhm_mm": scanner.noise_fwhm}
    return measured, clean, used | {"shift_mm": [round(float(part), 3) for part in shift]}


def _shifted(volume: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Shift a volume by fractions of a voxel along each axis, with linear interpolation; ends are repeated."""
    for axis, step in enumerate(voxels):
        volume = apply_along(linear_matrix(np.arange(volume.shape[axis]) - step, volume.shape[axis]), volume, axis)
    return volume


def _outside_activity(anatomy: Anatomy, random: np.random.Generator) -> np.ndarray:
    """Activity of scalp, marrow and sinuses as a DVR, in a shell around the brain. Returns (n, n, n)."""
    from scipy import ndimage

    near = ndimage.gaussian_filter(anatomy.brain.astype(np.float32), SHELL_MM / 2.3548 / anatomy.voxel, truncate=2.5)
    shell = ~anatomy.brain & (near > SHELL_RANGE[0]) & (near < SHELL_RANGE[1])
    uneven = 1.0 + 0.3 * random_field(random, anatomy.shape, 30.0, anatomy.voxel)
    return np.where(shell, np.clip(random.uniform(*OUTSIDE_RANGE) * uneven, 0.0, None), 0.0).astype(np.float32)


def draw_noise(random: np.random.Generator, shape: tuple[int, int, int], voxel: float, scanner: Scanner) -> np.ndarray:
    """Draw spatially correlated noise, calibrated to the scanner's variability.

    Args:
        random: random generator.
        shape: voxels along each axis.
        voxel: edge in mm.
        scanner: resolution and variability.

    Returns:
        (n, n, n) float32, as a share of the white-matter level.
    """
    white = random.standard_normal(shape, dtype=np.float32)
    return blur(white, scanner.noise_fwhm, voxel) * _noise_gain(voxel, scanner)


@functools.lru_cache(maxsize=32)
def _noise_gain(voxel: float, scanner: Scanner) -> float:
    """Return the factor of the blurred unit noise at which a 106 mm3 region has the scanner's variability.

    Two repeats with SD s differ by 2 s / sqrt(pi) on average (normal noise).
    """
    target_variance = scanner.variability * np.sqrt(np.pi) / 2.0
    region = spherical_region(voxel, REGION_MM3, pad=int(np.ceil(4.0 * scanner.noise_fwhm / 2.3548 / voxel)))
    weights = blur(region / region.sum(), scanner.noise_fwhm, voxel)  # a symmetric kernel is its own adjoint
    return float(target_variance / np.sqrt((weights.astype(np.float64) ** 2).sum()))


def spherical_region(voxel: float, volume: float, pad: int = 0) -> np.ndarray:
    """Create a ball.

    Args:
        voxel: edge in mm.
        volume: mm3; the ball has at least one voxel.
        pad: empty voxels around it.

    Returns:
        (m, m, m) float32, 0 or 1.
    """
    count = max(1, round(volume / voxel**3))
    half = int(np.ceil((3.0 * volume / (4.0 * np.pi)) ** (1.0 / 3.0) / voxel)) + 1 + pad
    axis = np.arange(-half, half + 1) * voxel
    distance = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    region = np.zeros(distance.size, dtype=np.float32)
    region[np.argsort(distance.ravel(), kind="stable")[:count]] = 1.0
    return region.reshape(distance.shape)
