"""Steps of a registration by mutual information: sample points, images at a resolution, search and ascent."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .bias import box_around
from .grid import SIGMA_PER_FWHM
from .mutual_information import BINS, MutualInformation, Similarity, to_bins
from .transforms import generators, moved_along, turns_and_shifts
from .volumes import Volume, resample

RIM_MM = 4.0  # the brain's edge is the strongest cue; without it two of four raw pairs were lost
RIM_GRID_MM = 2.0
RADIUS_MM = 60.0  # a turn counts as what it moves this far from the brain's centre
CURVATURE = 200.0  # nats of information times this fall by about one per mm^2 around the best place (ours, measured)
MAX_STEPS = 60
SEARCH_BINS = 16
SEARCH_TURN, SEARCH_SHIFT_MM, SEARCH_REACH_MM = np.deg2rad(24.0), 20.0, 50.0  # ours: reach 30 degrees and 40 mm
CENTRED_SHIFT_MM = 15.0


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one thread: more threads slow down operators of a millisecond and change the last bits."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def brain_and_rim(brain: Volume) -> Volume:
    """Dilate a brain mask by 4 mm.

    Args:
        brain: 0/1 mask on any grid.

    Returns:
        bool on an isotropic 2 mm grid.
    """
    shape, affine = box_around(brain, RIM_GRID_MM, RIM_MM + 2 * RIM_GRID_MM)
    outside = resample(brain, shape, affine) <= 0.5
    return Volume(ndimage.distance_transform_edt(outside, sampling=RIM_GRID_MM) <= RIM_MM, affine)


def _sample_points(region: Volume, spacing: float) -> np.ndarray:
    """Return one point in every cube of `spacing` mm of `brain_and_rim`, (n, 3) RAS mm, the same every time.

    The position of a point within its cube is random: points on a lattice make mutual information ripple with the
    voxels of the moving image (Pluim et al. 2000).
    """
    near, shape = region.data, region.data.shape
    low = region.affine[:3, 3] - RIM_GRID_MM / 2
    cubes = np.ceil(RIM_GRID_MM * np.array(shape) / spacing).astype(int)
    random = np.random.default_rng(20)
    axes = [(np.arange(n)[tuple(slice(None) if a == axis else None for a in range(3))]) for axis, n in enumerate(cubes)]
    coordinates = [(axis + random.random(cubes, dtype=np.float32)) * np.float32(spacing) for axis in axes]
    voxels = [
        np.minimum((coordinate / RIM_GRID_MM).astype(np.int32), n - 1) for coordinate, n in zip(coordinates, shape)
    ]
    kept = near[tuple(voxels)]
    return np.stack([coordinate[kept] for coordinate in coordinates], axis=1).astype(float) + low


def at_resolution(image: Volume, spacing: float) -> Volume:
    """Blur an image to a given resolution, on a coarser grid where that suffices (means over whole voxels).

    Args:
        image: volume to blur.
        spacing: FWHM in mm.

    Returns:
        The blurred image.
    """
    factors = np.maximum((spacing / 2 / image.spacing + 0.01).astype(int), 1)
    if factors.max() > 1:
        image = block_means(image, factors)
    sigma = np.sqrt(np.clip(spacing**2 - image.spacing**2, 0, None)) * SIGMA_PER_FWHM / image.spacing
    if sigma.max() <= 0.1:
        return image
    return image.with_data(ndimage.gaussian_filter(image.data, sigma, mode="nearest", truncate=3.0))


def block_means(image: Volume, factors: np.ndarray) -> Volume:
    """Average an image over blocks of voxels.

    Args:
        image: volume to average.
        factors: (3,) voxels per block along each axis.

    Returns:
        Image on the coarser grid; incomplete blocks at the end are cut off. The image itself if an axis would have
        fewer than two blocks.
    """
    shape = [n // f for n, f in zip(image.data.shape, factors)]
    if min(shape) < 2:
        return image
    data = image.data[tuple(slice(n * f) for n, f in zip(shape, factors))]
    for axis, factor in enumerate(factors):
        if factor > 1:
            parts = [data[(slice(None),) * axis + (slice(first, None, factor),)] for first in range(factor)]
            data = sum(parts[1:], start=parts[0]) / np.float32(factor)
    affine = image.affine.copy()
    affine[:3, :3] = image.affine[:3, :3] * factors
    affine[:3, 3] = image.affine[:3, 3] + image.affine[:3, :3] @ ((np.asarray(factors) - 1) / 2)
    return Volume(np.ascontiguousarray(data), affine, image.name, image.notes)


def cropped(image: Volume, corners: np.ndarray) -> Volume:
    """Crop an image to the box that contains world points.

    Args:
        image: volume to crop.
        corners: (n, 3) points, RAS mm.

    Returns:
        The cropped image; the image itself if the box misses it.
    """
    to_voxel = np.linalg.inv(image.affine)
    voxels = corners @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    first = np.clip(np.floor(voxels.min(axis=0)).astype(int), 0, None)
    last = np.minimum(np.ceil(voxels.max(axis=0)).astype(int) + 1, image.data.shape)
    if np.any(last - first < 2):
        return image
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ first
    data = image.data[tuple(slice(a, b) for a, b in zip(first, last))]
    return Volume(np.ascontiguousarray(data), affine, image.name, image.notes)


def values_at(image: Volume, points: np.ndarray, outside: float = np.nan) -> np.ndarray:
    """Interpolate an image linearly at world points.

    Args:
        image: volume.
        points: (n, 3), RAS mm.
        outside: value beyond the centres of the outermost voxels.

    Returns:
        (n,) float32.
    """
    to_voxel = np.linalg.inv(image.affine)
    voxels = points @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    return ndimage.map_coordinates(image.data, voxels.T, order=1, mode="constant", cval=outside, output=np.float32)


@dataclass(frozen=True)
class ImagePair:
    """Two images at one resolution.

    Attributes:
        points: (n, 3) samples, RAS mm.
        fixed: (n,) intensities of the fixed image at the samples, as histogram positions.
        moving: blurred moving image.
        device: torch device.
    """

    points: np.ndarray
    fixed: np.ndarray
    moving: Volume
    device: str

    def information(self, matrix: np.ndarray) -> MutualInformation:
        """Create the similarity function; its bins span the intensities of the brain at a given alignment.

        Args:
            matrix: 4x4 RAS mm, a point of the fixed image -> the point of the moving image.

        Returns:
            Mutual information as a function of the matrix.
        """
        values = values_at(self.moving, self.points @ matrix[:3, :3].T + matrix[:3, 3])
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, [1, 99]) if len(values) else (0.0, 1.0)
        binned = to_bins(self.moving.data, low, high)
        return MutualInformation(self.points, self.fixed, binned, self.moving.affine, self.device)


def level(
    fixed: Volume, moving: Volume, region: Volume, resolution: float, spacing: float, device: str = "cpu"
) -> ImagePair:
    """Prepare one level of the registration.

    Args:
        fixed: fixed image.
        moving: moving image.
        region: result of `brain_and_rim`.
        resolution: FWHM in mm to which both images are blurred.
        spacing: one sample is taken in every cube of this edge, mm.
        device: torch device.

    Returns:
        Both images at this resolution.

    Raises:
        ValueError: the fixed image covers no part of the region.
    """
    points = _sample_points(region, spacing)
    values = values_at(at_resolution(fixed, resolution), points)
    kept = np.isfinite(values)
    points, values = points[kept], values[kept]
    if len(points) == 0:
        raise ValueError("the fixed image does not cover the brain mask")
    low, high = np.percentile(values, [1, 99])
    return ImagePair(points, to_bins(values, low, high), at_resolution(moving, resolution), device)


def ascend(
    information: Callable[[np.ndarray], Similarity],
    matrix: np.ndarray,
    centre: np.ndarray,
    longest: float,
    tolerance: float,
    affine: bool = False,
) -> tuple[np.ndarray, Similarity]:
    """Find the nearest maximum of mutual information by BFGS on 6 or 12 parameters in mm.

    Args:
        information: similarity and its gradient as a function of the matrix.
        matrix: initial 4x4, RAS mm.
        centre: (3,) mm, centre of the rotations.
        longest: largest displacement of the brain's edge in one step, mm.
        tolerance: stop at steps shorter than this, mm.
        affine: 12 parameters instead of 6.

    Returns:
        Final matrix, and the similarity at it.
    """
    directions = generators(centre, RADIUS_MM, affine)

    def slope(at: np.ndarray, similarity: Similarity) -> np.ndarray:
        return CURVATURE * np.einsum("ij,kij->k", at[:3, :3].T @ similarity.gradient, directions[:, :3])

    similarity = information(matrix)
    gradient = slope(matrix, similarity)
    inverse = np.eye(len(directions))
    for _ in range(MAX_STEPS):
        step = inverse @ gradient
        step *= min(1.0, longest / max(float(np.linalg.norm(step)), 1e-12))
        for _ in range(8):
            candidate = moved_along(matrix, directions, step)
            trial = information(candidate)
            if CURVATURE * (trial.information - similarity.information) > 1e-4 * float(step @ gradient):
                break
            step = step / 3
        else:
            break
        new = slope(candidate, trial)
        inverse = _bfgs(inverse, step, gradient - new)
        matrix, similarity, gradient = candidate, trial, new
        if np.linalg.norm(step) < tolerance:
            break
    return matrix, similarity


def _bfgs(inverse: np.ndarray, step: np.ndarray, fall: np.ndarray) -> np.ndarray:
    """Update the estimate of the inverse curvature after a step; fall: decrease of the slope."""
    product = float(step @ fall)
    if product <= 1e-10 * float(step @ step):
        return inverse
    away = np.eye(len(step)) - np.outer(step, fall) / product
    return away @ inverse @ away.T + np.outer(step, step) / product


def search_rigid(coarse: ImagePair, start: np.ndarray, best: int) -> list[np.ndarray]:
    """Search about 2,500 rigid transforms around `start` and around alignment by centre of mass.

    Nearest voxels and a plain histogram are sufficient for ranking; information is multiplied by the share of the brain
    that is covered, so that a narrow overlap cannot win.

    Args:
        coarse: images at the coarsest resolution.
        start: 4x4 RAS mm.
        best: number of matrices to return.

    Returns:
        The best matrices, the most promising first.
    """
    centre = coarse.points.mean(axis=0)
    steps = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)
    turns = SEARCH_TURN * steps[np.abs(steps).max(axis=1) <= 1]
    shifts = SEARCH_SHIFT_MM * steps
    around_start = turns_and_shifts(centre, turns, shifts[np.linalg.norm(shifts, axis=1) <= SEARCH_REACH_MM])
    seen_centre = _centre_of_mass(coarse.moving)
    to_centre = start.copy()
    to_centre[:3, 3] += seen_centre - (start[:3, :3] @ centre + start[:3, 3])
    cross = CENTRED_SHIFT_MM * steps[np.abs(steps).sum(axis=1) <= 1]
    candidates = np.concatenate([start @ around_start, to_centre @ turns_and_shifts(centre, turns, cross)])
    scores = _scores(coarse, candidates)
    return [candidates[index] for index in np.argsort(-scores, kind="stable")[:best]]


def _centre_of_mass(image: Volume) -> np.ndarray:
    low, high = np.percentile(image.data, [50, 99])
    weights = np.clip(image.data, low, high) - low
    voxel = np.array(ndimage.center_of_mass(weights)) if weights.any() else (np.array(image.data.shape) - 1) / 2
    return image.affine[:3, :3] @ voxel + image.affine[:3, 3]


def _scores(coarse: ImagePair, candidates: np.ndarray, chunk: int = 64) -> np.ndarray:
    """Plain mutual information times coverage of each candidate (n, 4, 4)."""
    data = coarse.moving.data
    low, high = np.percentile(data[data >= data.mean()], [1, 99])
    low = min(low, float(np.median(data)))
    bins = np.clip((data - low) / max(high - low, 1e-12) * SEARCH_BINS, 0, SEARCH_BINS - 1).astype(np.int32)
    bins = np.pad(bins, 1, constant_values=SEARCH_BINS).ravel()  # what lies outside has a bin of its own
    shape = np.array(data.shape) + 2
    to_voxel = np.linalg.inv(coarse.moving.affine) @ candidates
    points = np.column_stack([coarse.points, np.ones(len(coarse.points))]).T.astype(np.float32)
    rows = np.round(coarse.fixed * ((SEARCH_BINS - 1) / (BINS - 1))).astype(np.int32)
    cells = SEARCH_BINS * (SEARCH_BINS + 1)
    scores = []
    for first in range(0, len(candidates), chunk):
        indices = to_voxel[first : first + chunk, :3].astype(np.float32) @ points + np.float32(1.5)
        indices = np.clip(indices, 0, (shape - 1)[None, :, None].astype(np.float32)).astype(np.int32)
        index = (indices[:, 0] * shape[1] + indices[:, 1]) * shape[2] + indices[:, 2]
        number = np.arange(len(index))[:, None]
        cell = number * cells + rows * (SEARCH_BINS + 1) + bins[index]
        joint = np.bincount(cell.ravel(), minlength=len(index) * cells)
        scores.append(_plain_information(joint.reshape(-1, SEARCH_BINS, SEARCH_BINS + 1)[..., :SEARCH_BINS], len(rows)))
    return np.concatenate(scores)


def _plain_information(joint: np.ndarray, samples: int) -> np.ndarray:
    """Mutual information times coverage of joint histograms (n, rows, columns), nats."""
    joint = joint.astype(float)
    total = joint.sum(axis=(1, 2), keepdims=True)
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=2, keepdims=True) / np.maximum(total, 1)
    ratio = np.divide(joint, expected, out=np.ones_like(joint), where=joint > 0)
    return (joint * np.log(ratio)).sum(axis=(1, 2)) / samples
