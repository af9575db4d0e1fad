"""Effects of the scanner on a signal: receive field, blur, slices, motion, Rician noise."""

from __future__ import annotations

from collections.abc import Sequence as Many

import numpy as np

from .anatomy import Anatomy
from .protocols import Sequence
from .randomness import apply_along, linear_matrix, random_field

UNITS = 1000.0  # white matter's signal in the images written, arbitrary units


def acquire(
    signal: np.ndarray,
    anatomy: Anatomy,
    sequence: Sequence,
    random: np.random.Generator,
    coil: np.random.Generator | None = None,
) -> np.ndarray:
    """Simulate the acquisition of one image: receive field, blur, slices, motion, Rician noise.

    Args:
        signal: (n, n, n) relative to white matter, 0 outside the head.
        anatomy: of the same grid.
        sequence: resolution, noise, bias and motion.
        random: random generator.
        coil: draws the receive field instead of `random`, for images of one session that share it.

    Returns:
        Image on the same grid.
    """
    return acquire_together([signal], anatomy, sequence, random, coil)[0]


def acquire_together(
    signals: Many[np.ndarray],
    anatomy: Anatomy,
    sequence: Sequence,
    random: np.random.Generator,
    coil: np.random.Generator | None = None,
) -> list[np.ndarray]:
    """Simulate the acquisition of images that share receive field, slices and position, each with its own noise.

    Args:
        signals: (n, n, n) each, relative to white matter.
        anatomy: of the same grid.
        sequence: resolution, noise, bias and motion.
        random: random generator.
        coil: draws the receive field instead of `random`, or None.

    Returns:
        Whole numbers as float32, as scanners store them (small files, and the same bytes whatever the rounding of the
        last digit); exactly 0 outside the brain and at least 1 inside.
    """
    readers, images = None, []
    bias = np.exp(sequence.bias * random_field(random if coil is None else coil, anatomy.shape, 110.0, anatomy.voxel))
    for signal in signals:
        image = signal * bias
        if readers is None:
            readers = [_sampling(image.shape[axis], anatomy.voxel, sequence, axis, random) for axis in range(3)]
        for axis, (sample, _) in enumerate(readers):
            image = apply_along(sample, image, axis)
        noise = sequence.noise * random.standard_normal((2, *image.shape), dtype=np.float32)
        image = np.hypot(image + noise[0], noise[1])
        for axis, (_, spread) in enumerate(readers):
            image = apply_along(spread, image, axis)
        images.append(np.where(anatomy.brain, np.maximum(np.round(UNITS * image), 1.0), 0.0).astype(np.float32))
    return images


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
