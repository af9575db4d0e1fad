"""Bias field: slow shading from the coils in MRI, estimated by N4 and divided out.

ITK's N4 fits its B-splines to scattered points, which takes three seconds of CPU time on a 4 mm grid. On a regular grid
the same fit is a product along each axis, so that this implementation of the same algorithm takes a tenth of a second.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import BSpline

from .grid import SIGMA_PER_FWHM
from .volumes import Volume, resample

# The field is smooth, so it is estimated on a coarse grid: N4 at full resolution takes two minutes, shrunk four times
# it leaves less than 1 % of the bias (measured, see performance.md of the design).
SPACING_MM = 4.0
MARGIN_MM = 20.0
LEVELS, ITERATIONS = 3, 20  # B-spline mesh of 1, 2 and 4 elements along each axis, at most 20 iterations on each
CONVERGED = 1e-3  # coefficient of variation of an update, as in ITK
SPLINE_ORDER = 3
HISTOGRAM_BINS, BIAS_FWHM, WIENER_NOISE = 200, 0.15, 0.01  # Tustison et al. 2010, the defaults of ITK


def box_around(mask: Volume, spacing: float, margin: float) -> tuple[tuple[int, int, int], np.ndarray]:
    """Compute an isotropic grid along the world axes that contains a mask.

    Args:
        mask: 0/1 mask.
        spacing: voxel edge in mm.
        margin: distance from the mask to the border in mm.

    Returns:
        Shape, and affine 4x4 (voxel -> RAS mm).

    Raises:
        ValueError: empty mask.
    """
    inside = mask.data > 0.5
    columns = np.argwhere(inside.any(axis=2))
    if len(columns) == 0:
        raise ValueError("the mask is empty")
    lines = inside[columns[:, 0], columns[:, 1]]  # the ends of each line hold every extreme of the mask
    first, last = lines.argmax(axis=1), lines.shape[1] - 1 - lines[:, ::-1].argmax(axis=1)
    voxels = np.vstack([np.column_stack([columns, first]), np.column_stack([columns, last])])
    world = voxels @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    low, high = world.min(axis=0) - margin, world.max(axis=0) + margin
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = low
    i, j, k = (int(n) for n in np.ceil((high - low) / spacing) + 1)
    return (i, j, k), affine


def correct_bias(image: Volume, mask: Volume, matrix: np.ndarray | None = None) -> Volume:
    """Divide an image by its bias field (Tustison et al. 2010, N4), normalised to mean 1 inside the mask.

    Beyond 20 mm around the brain the image is unchanged.

    Args:
        image: MRI in arbitrary units.
        mask: 0/1 brain mask on any grid.
        matrix: 4x4 RAS mm, world of the mask -> world of the image; None for the identity.

    Returns:
        The corrected image.
    """
    matrix = np.eye(4) if matrix is None else matrix
    shape, affine = box_around(mask, SPACING_MM, MARGIN_MM)
    inside = resample(mask, shape, affine) > 0.5
    coarse = resample(image, shape, affine, matrix)
    inside &= coarse > 0
    if inside.sum() < 1000:
        return image
    coarse = np.clip(coarse, 0.01 * np.median(coarse[inside]), None)
    field = log_bias_field(np.log(coarse), inside)
    centred = Volume(field - field[inside].mean(), affine)
    full = resample(centred, image.data.shape, image.affine, np.linalg.inv(matrix))
    return image.with_data((image.data / np.exp(full)).astype(np.float32))


def log_bias_field(log_image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Estimate the logarithm of the bias field by N4 (Tustison et al. 2010).

    Args:
        log_image: logarithm of the image, (I, J, K).
        inside: bool of that shape, the voxels to fit.

    Returns:
        (I, J, K), on the whole grid.
    """
    field = np.zeros(log_image.shape)
    for level in range(LEVELS):
        fit = _SplineFit(inside, 2**level)
        for _ in range(ITERATIONS):
            values = (log_image - field)[inside]
            residual = np.zeros(log_image.shape)
            residual[inside] = values - _sharpened(values)
            update = fit(residual)
            field += update
            change = np.exp(update[inside])
            if change.std() / change.mean() < CONVERGED:
                break
    return field


def _sharpened(values: np.ndarray) -> np.ndarray:
    """Estimate each log intensity without bias, by Wiener deconvolution of the histogram."""
    low, high = values.min(), values.max()
    if high <= low:
        return values
    slope = (high - low) / (HISTOGRAM_BINS - 1)
    position = (values - low) / slope
    lower = np.minimum(position.astype(int), HISTOGRAM_BINS - 2)
    upper_share = position - lower
    histogram = np.bincount(lower, 1 - upper_share, HISTOGRAM_BINS)
    histogram += np.bincount(lower + 1, upper_share, HISTOGRAM_BINS)
    size = int(2 ** np.ceil(np.log2(HISTOGRAM_BINS) + 1))
    offset = (size - HISTOGRAM_BINS) // 2
    padded = np.zeros(size)
    padded[offset : offset + HISTOGRAM_BINS] = histogram
    distance = np.minimum(np.arange(size), size - np.arange(size))
    sigma = BIAS_FWHM / slope * SIGMA_PER_FWHM
    blur = np.fft.fft(np.exp(-0.5 * (distance / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))).real
    deblurred = np.fft.ifft(np.fft.fft(padded) * blur / (blur**2 + WIENER_NOISE)).real.clip(0)
    centres = low + (np.arange(size) - offset) * slope
    total = np.fft.ifft(np.fft.fft(deblurred) * blur).real
    weighted = np.fft.ifft(np.fft.fft(deblurred * centres) * blur).real
    expected = np.divide(weighted, total, out=np.zeros(size), where=total > 1e-12)
    return np.interp(values, centres[offset : offset + HISTOGRAM_BINS], expected[offset : offset + HISTOGRAM_BINS])


class _SplineFit:
    """The B-spline approximation of Lee et al. 1997 on a regular grid, along one axis after the other.

    fit(residual) returns the smooth approximation (I, J, K) of a residual that is zero outside the mask.
    """

    def __init__(self, inside: np.ndarray, elements: int) -> None:
        knots = np.arange(-SPLINE_ORDER, elements + SPLINE_ORDER + 1.0)
        self.basis = []
        for voxels in inside.shape:
            positions = np.linspace(0, elements, voxels)
            positions[-1] -= 1e-9 * elements  # the last knot belongs to the last element
            self.basis.append(BSpline.design_matrix(positions, knots, SPLINE_ORDER).toarray())
        squares = [basis**2 for basis in self.basis]
        self.cubes = [(basis**3 / square.sum(axis=1, keepdims=True)).T for basis, square in zip(self.basis, squares)]
        self.weight = _along_axes([square.T for square in squares], inside.astype(float))

    def __call__(self, residual: np.ndarray) -> np.ndarray:
        summed = _along_axes(self.cubes, residual)
        lattice = np.divide(summed, self.weight, out=np.zeros_like(summed), where=self.weight > 0)
        return _along_axes(self.basis, lattice)


def _along_axes(matrices: list[np.ndarray], values: np.ndarray) -> np.ndarray:
    for matrix in matrices:
        values = np.moveaxis(np.tensordot(matrix, values, axes=(1, 0)), 0, -1)
    return values
