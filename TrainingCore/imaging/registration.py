"""Rigid registration of FLAIR to T1w by mutual information (Mattes et al. 2003, as in ITK).

Both images are freed of their bias field first: on four raw clinical pairs that took the mean distance to the
publishers' transforms from 0.8 mm to 0.25 mm, more than any finer sampling did.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..errors import BadInput, MyelinSynthError
from .bias import box_around, correct_bias
from .brain_mask import stripped_support
from .grid import SIGMA_PER_FWHM
from .volumes import LPS_FROM_RAS, Volume, matrix_of_sitk, resample, same_grid, sitk_transform, to_sitk

LEVELS_MM = (4.0, 2.0)  # a third level of 1.5 or 1 mm changed nothing that the reference could show
BINS = 32
MASK_MARGIN_MM = 4.0  # the brain's edge is the strongest cue; without it two of four pairs were lost
BOX_MARGIN_MM = 10.0
IN_REGISTER_MM = 0.5  # on one common grid, less than this is not worth an interpolation (ours)
SAME_SUPPORT_DICE = 0.98
LEAST_OVERLAP = 0.05
THREADS = 1  # with more, sums are split differently from run to run and the result differs in its seventh digit
DIGITS = 9  # of the matrix that are kept: what is beyond differs even so


@dataclass(frozen=True)
class Registration:
    """matrix: 4x4 RAS mm, a point of T1w space -> the point of the FLAIR that shows it; how: `identity (...)` or
    `rigid`; moved_mm: mean distance over the brain by which it differs from the identity; covered: share of the
    brain inside the FLAIR."""

    matrix: np.ndarray
    how: str
    moved_mm: float
    covered: float


def register_rigid(t1w: Volume, flair: Volume, brain: Volume, corrected: Volume | None = None) -> Registration:
    """Find where the FLAIR shows each point of T1w space. The same input gives the same result.

    t1w: fixed, as read; flair: moving; brain: 0/1 mask on the T1w's grid; corrected: the T1w without its bias field,
    where it is known already. Images that lie on one grid
    and are skull-stripped alike, or turn out to be in register within 0.5 mm, keep the exact identity.
    Raises BadInput where the volumes do not overlap, MyelinSynthError where the optimiser gets lost.
    """
    points = brain_points(brain)
    identity = np.eye(4)
    if inside_share(points, flair, identity) < LEAST_OVERLAP:
        raise BadInput(
            f"The FLAIR {flair.name} does not overlap with the brain in the T1w {t1w.name} (world coordinates). Check "
            "that both are of one person and one session, and that their headers were kept."
        )
    common = same_grid(t1w, flair)
    if common and stripped_alike(t1w, flair):
        return Registration(identity, "identity (one grid, skull-stripped alike)", 0.0, 1.0)
    fixed = correct_bias(t1w, brain) if corrected is None else corrected
    matrix = _optimise(fixed, _within_brain_range(flair, brain, identity), brain, identity, LEVELS_MM[0])
    moving = _within_brain_range(correct_bias(flair, brain, matrix), brain, matrix)
    for spacing in LEVELS_MM:
        matrix = _optimise(fixed, moving, brain, matrix, spacing)
    moved = mean_distance(points, matrix, identity)
    covered = inside_share(points, flair, matrix)
    if covered < 0.5:
        raise MyelinSynthError(
            f"The FLAIR {flair.name} could not be registered to the T1w {t1w.name}. Register it yourself and give the "
            "transform with --flair-to-t1."
        )
    if common and moved < IN_REGISTER_MM:
        return Registration(identity, f"identity (in register within {moved:.2f} mm)", 0.0, 1.0)
    return Registration(matrix, "rigid", moved, covered)


def brain_points(brain: Volume, step: int = 53) -> np.ndarray:
    """World coordinates (n, 3) RAS mm of every `step`-th voxel of a mask."""
    voxels = np.argwhere(brain.data > 0.5)[::step]
    return voxels @ brain.affine[:3, :3].T + brain.affine[:3, 3]


def mean_distance(points: np.ndarray, first: np.ndarray, second: np.ndarray) -> float:
    """Mean distance in mm between where two 4x4 matrices send points (n, 3)."""
    difference = np.asarray(first) - np.asarray(second)
    return float(np.linalg.norm(points @ difference[:3, :3].T + difference[:3, 3], axis=1).mean())


def inside_share(points: np.ndarray, image: Volume, matrix: np.ndarray) -> float:
    """Share of points (n, 3) that a matrix sends inside the field of view of an image."""
    to_voxel = np.linalg.inv(image.affine) @ matrix
    voxels = points @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    inside = ((voxels >= -0.5) & (voxels <= np.array(image.data.shape) - 0.5)).all(axis=1)
    return float(inside.mean())


def stripped_alike(first: Volume, second: Volume) -> bool:
    """Whether two images of one grid are skull-stripped with practically the same mask: somebody co-registered them."""
    one, other = stripped_support(first), stripped_support(second)
    if one is None or other is None:
        return False
    return bool(
        2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other)) > SAME_SUPPORT_DICE
    )


def _within_brain_range(image: Volume, brain: Volume, matrix: np.ndarray) -> Volume:
    """Clip to what the brain shows (1st to 99th percentile), so that fat and eyes do not eat the histogram's bins."""
    inside = resample(brain, image.data.shape, image.affine, np.linalg.inv(matrix)) > 0.5
    low, high = np.percentile(image.data[inside], [1, 99])
    return image.with_data(np.clip(image.data, low, high))


def _optimise(fixed: Volume, moving: Volume, brain: Volume, start: np.ndarray, spacing: float) -> np.ndarray:
    """One level: maximise mutual information over the brain and its rim on a grid of `spacing` mm."""
    import SimpleITK as sitk

    shape, affine = box_around(brain, spacing, BOX_MARGIN_MM)
    inside = resample(brain, shape, affine) > 0.5
    rim = ndimage.distance_transform_edt(~inside, sampling=spacing) <= MASK_MARGIN_MM
    coarse = resample(_smoothed(_within_brain_range(fixed, brain, np.eye(4)), spacing), shape, affine)
    centre = brain_points(brain).mean(axis=0)
    update = sitk.Euler3DTransform()
    update.SetCenter((LPS_FROM_RAS[:3, :3] @ centre).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(THREADS)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(sitk.Cast(to_sitk(Volume(rim.astype(np.float32), affine)), sitk.sitkUInt8))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerScalesFromPhysicalShift()
    first = spacing == LEVELS_MM[0]
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0 if first else 0.5,
        minStep=1e-3 if first else 3e-4,
        numberOfIterations=200,
        relaxationFactor=0.8,  # with 0.6 and larger last steps a turn of ten degrees ended 2.8 mm from the truth
        gradientMagnitudeTolerance=1e-6,
    )
    method.SetMovingInitialTransform(sitk_transform(start))
    method.SetInitialTransform(update, inPlace=True)
    try:
        method.Execute(to_sitk(Volume(coarse, affine)), to_sitk(_smoothed(moving, spacing)))
    except RuntimeError as error:
        raise MyelinSynthError(
            f"The FLAIR {moving.name} could not be registered to the T1w {fixed.name}. Register it yourself and give "
            "the transform with --flair-to-t1."
        ) from error
    return np.round(np.asarray(start) @ matrix_of_sitk(update), DIGITS)


def _smoothed(image: Volume, spacing: float) -> Volume:
    """Blur to the resolution of a coarser grid: FWHM sqrt(target^2 - source^2) along each axis."""
    sigma = np.sqrt(np.clip(spacing**2 - image.spacing**2, 0, None)) * SIGMA_PER_FWHM / image.spacing
    return image.with_data(ndimage.gaussian_filter(image.data, sigma)) if sigma.max() > 0.1 else image
