"""Independent random streams: all randomness of a simulated patient depends on a seed and a name, never on order."""

from __future__ import annotations

import zlib

import numpy as np


def stream(*keys: int | str) -> np.random.Generator:
    """Create a random generator for some keys, e.g. `stream(person_seed, "lesions", visit)`.

    Different keys give statistically independent streams, so that an additional draw changes nothing elsewhere.

    Args:
        *keys: numbers and words that identify the stream.

    Returns:
        The generator; the same keys give the same one.
    """
    entropy = [zlib.crc32(key.encode()) if isinstance(key, str) else int(key) for key in keys]
    return np.random.default_rng(np.random.SeedSequence(entropy))


def random_field(random: np.random.Generator, shape: tuple[int, int, int], fwhm: float, voxel: float) -> np.ndarray:
    """Draw a smooth random field of mean about 0 and standard deviation 1.

    It is drawn on a grid no finer than its smoothness requires, then upsampled.

    Args:
        random: random generator.
        shape: voxels along each axis.
        fwhm: smoothness in mm.
        voxel: edge of the (isotropic) voxel in mm.

    Returns:
        float32 of `shape`.
    """
    from scipy import ndimage

    step = max(1, int(fwhm / (3.0 * voxel)))
    coarse = tuple(int(np.ceil(n / step)) + 3 for n in shape)
    sigma = fwhm / 2.3548 / (voxel * step)
    field = ndimage.gaussian_filter(random.standard_normal(coarse), sigma, mode="wrap", truncate=3.0)
    field = (field - field.mean()) / max(float(field.std()), 1e-12)
    if step == 1:
        return field[: shape[0], : shape[1], : shape[2]].astype(np.float32)
    return _upsample(field.astype(np.float32), shape, step)


def _upsample(field: np.ndarray, shape: tuple[int, ...], step: float) -> np.ndarray:
    """Upsample a coarse field linearly, `step` fine voxels per coarse voxel; both grids start at one voxel centre."""
    for axis, size in enumerate(shape):
        field = apply_along(linear_matrix(np.arange(size) / step, field.shape[axis]), field, axis)
    return np.ascontiguousarray(field, dtype=np.float32)


def linear_matrix(positions: np.ndarray, size: int) -> np.ndarray:
    """Create the matrix that interpolates a line of samples linearly; ends are repeated.

    Args:
        positions: (m,) fractional positions in samples.
        size: number of samples.

    Returns:
        (m, size).
    """
    positions = np.clip(np.asarray(positions, dtype=np.float64), 0, size - 1)
    low = np.minimum(positions.astype(int), size - 2)
    matrix = np.zeros((len(positions), size), dtype=np.float32)
    rows = np.arange(len(positions))
    matrix[rows, low] = 1.0 - (positions - low)
    matrix[rows, low + 1] += positions - low
    return matrix


def apply_along(matrix: np.ndarray, volume: np.ndarray, axis: int) -> np.ndarray:
    """Multiply every line of a volume along one axis with a matrix.

    Args:
        matrix: (n_out, n_in).
        volume: array with n_in voxels along `axis`.
        axis: 0, 1 or 2.

    Returns:
        Volume with n_out voxels along `axis`.
    """
    moved = np.moveaxis(volume, axis, 0)
    lines = np.ascontiguousarray(moved).reshape(volume.shape[axis], -1)  # one large product, not many small ones
    product = (matrix @ lines).reshape(len(matrix), *moved.shape[1:])
    return np.ascontiguousarray(np.moveaxis(product, 0, axis))
