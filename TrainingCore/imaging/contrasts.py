"""Determine the contrast of an image from its intensities, with a few interpretable measures and rules.

All measures are taken inside the brain on a 2 mm grid, in units of the brain's median. Fluid (CSF) is dark in T1w and
FLAIR and bright in T2w; white matter, far from fluid and deep in the brain, is brighter than the cortex in T1w and not
in FLAIR; contrast agent makes vessels at the brain's surface brighter than any tissue; a DVR map is about 1 in tissue
and not dark in fluid; in a mask or label map nearly all neighbouring voxels are equal. The limits were set with the
files listed in docs/benchmarks/checks.md, which also lists what each rule detects and misses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .bias import box_around, correct_bias
from .volumes import Volume, resample

T1W, T1CE, FLAIR, T2W, DVR, LABELS = "T1w", "T1w after contrast agent", "FLAIR", "T2w", "PET (DVR)", "mask or label map"
SPACING_MM = 2.0
SURFACE_MM, DEEP_MM, CENTRE_MM = 6.0, 12.0, 16.0
FAR_FROM_FLUID_MM = 9.0
FLUID_BRIGHT = 1.65  # 97th percentile around the ventricles: T2w 1.90-2.97, T1w and FLAIR at most 1.47
ORDER_LIMIT = 0.27  # T1w 0.46-1.1, after agent 0.31 and more; FLAIR -0.6 to 0.08 (real files; phantoms overlap)
ORDER_CERTAIN = 0.12  # at this distance from the limit, one image is sufficient
VESSELS_BRIGHT = 1.35  # surface's 99th against the centre's 97th percentile: after agent 1.43-1.73, T1w at most 1.25
DVR_MEDIAN, DVR_FLUID = (0.6, 1.6), 0.48  # DVR maps: median 1.03-1.10, fluid 0.52 and more of it; T1w fluid to 0.43
SAME_NEIGHBOURS = 0.6  # share of neighbours with exactly one value; images: under 0.2
FEW_VALUES = 16
AIR_SPACING_MM, AIR_MARGIN_MM, AIR_DISTANCE_MM = 3.0, 60.0, 30.0
MIN_VOXELS = 1000  # in both brains; with fewer, a joint histogram is not informative
GHOST_LEVEL, GHOST_STRUCTURE, MIN_AIR = 0.08, 4.0, 1000


@dataclass(frozen=True)
class Look:
    """Contrast of an image and the measures behind it (ratios to the median of the brain).

    Attributes:
        order: above 0.27 if white matter is brighter than grey matter.
        fluid: intensity of the darkest fluid.
        bright: intensity of the brightest voxels around the ventricles.
        vessels: intensity of vessels at the surface relative to the brightest tissue in the centre.
        median: median of the brain, in the unit of the image.
    """

    contrast: str
    order: float = 0.0
    fluid: float = 0.0
    bright: float = 0.0
    vessels: float = 0.0
    median: float = 0.0


@dataclass(frozen=True)
class View:
    """An image on a 2 mm grid along the world axes.

    Attributes:
        values: (I, J, K), divided by the median of the brain.
        inside: brain, bool.
        depth: mm below the brain's surface; where the image cuts through the brain is not a surface.
        median: median of the brain in the unit of the image.
        visible: voxels within the field of view of the image, bool.
    """

    values: np.ndarray
    inside: np.ndarray
    depth: np.ndarray
    median: float
    visible: np.ndarray


def view(image: Volume, brain: Volume, matrix: np.ndarray | None = None, corrected: bool = False) -> View | None:
    """Resample an image to the 2 mm grid on which contrasts are measured.

    Args:
        image: MRI or map, in any unit.
        brain: 0/1 mask on any grid.
        matrix: 4x4 RAS mm, world of the mask -> world of the image; None for the identity.
        corrected: whether the bias field was removed already.

    Returns:
        The image relative to the brain's median; None if too little of the brain is visible.
    """
    shape, affine = box_around(brain, SPACING_MM, 4.0)
    matrix = np.eye(4) if matrix is None else matrix
    inside = resample(brain, shape, affine) > 0.5
    flattened = image if corrected else correct_bias(image, brain, matrix)
    values = resample(flattened, shape, affine, matrix)
    visible = resample(image.with_data(np.ones_like(image.data)), shape, affine, matrix) > 0.5
    depth = _depth(inside, visible)
    inside &= visible
    depth[~inside] = 0
    if np.count_nonzero(depth > CENTRE_MM) < 500:
        return None
    median = float(np.median(values[inside]))
    level = float(np.median(resample(image, shape, affine, matrix)[inside]))
    return View(values / median, inside, depth, level, visible) if median > 0 else None


def _depth(inside: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Return the distance in mm from what an image shows around the brain; from the brain mask if it shows nothing."""
    around = visible & ~inside
    if not around.any():
        return ndimage.distance_transform_edt(np.pad(inside, 1), sampling=SPACING_MM)[1:-1, 1:-1, 1:-1]
    return ndimage.distance_transform_edt(~around, sampling=SPACING_MM)


def is_label_map(data: np.ndarray) -> bool:
    """Check whether an image has few values, or values that are nearly always equal in the next voxel.

    Args:
        data: (I, J, K), any unit.
    """
    filled = data[data != 0]
    if filled.size == 0:
        return True
    pairs = data[:-1] != 0
    same = np.count_nonzero((data[1:] == data[:-1]) & pairs) / max(int(np.count_nonzero(pairs)), 1)
    few = filled.size > 1000 and len(np.unique(filled[:: filled.size // 1000])) < FEW_VALUES
    return bool(same > SAME_NEIGHBOURS or few)


def look(image: Volume, brain: Volume, matrix: np.ndarray | None = None, corrected: bool = False) -> Look:
    """Determine the contrast of an image.

    Args:
        image: MRI or map, in any unit.
        brain: brain mask on the reference grid.
        matrix: 4x4 RAS mm, reference world -> world of the image; None for the identity.
        corrected: whether the bias field was removed already.

    Returns:
        Contrast and measures; an empty contrast if too little of the brain is visible.
    """
    if is_label_map(image.data):
        return Look(LABELS)
    picture = view(image, brain, matrix, corrected)
    return Look("") if picture is None else judge(picture)


def judge(picture: View) -> Look:
    """Determine the contrast of a view by the rules of this module.

    Args:
        picture: image on the 2 mm grid.

    Returns:
        Contrast and measures.
    """
    centre, surface = (
        picture.values[picture.depth > CENTRE_MM],
        picture.values[picture.inside & (picture.depth < SURFACE_MM)],
    )
    fluid, bright = (float(np.percentile(centre, share)) for share in (1, 97))
    vessels = float(np.percentile(surface, 99)) / bright
    order = _tissue_order(picture, fluid)
    contrast = T1W if order > ORDER_LIMIT else FLAIR
    if bright > FLUID_BRIGHT:
        contrast = T2W
    elif DVR_MEDIAN[0] < picture.median < DVR_MEDIAN[1] and fluid > DVR_FLUID:
        contrast = DVR
    elif contrast == T1W and vessels > VESSELS_BRIGHT:
        contrast = T1CE
    return Look(contrast, order, fluid, bright, vessels, picture.median)


def _tissue_order(picture: View, fluid: float) -> float:
    """Measure how much brighter white matter is than grey matter (ours).

    Rank correlation of brightness with the distance from fluid (cortex lies beside fluid), plus twice the difference
    between deep and superficial tissue.
    """
    tissue = picture.inside & (picture.values > 0.5)
    deep, surface = tissue & (picture.depth > DEEP_MM), tissue & (picture.depth < SURFACE_MM)
    if not deep.any() or not surface.any():
        return 0.0
    step = float(np.median(picture.values[deep]) - np.median(picture.values[surface]))
    dark = picture.visible & (~picture.inside | (picture.values < (fluid + 1) / 2))
    away = ndimage.distance_transform_edt(~dark, sampling=SPACING_MM)
    counted = picture.inside & (away > SPACING_MM) & (away < FAR_FROM_FLUID_MM + 5)
    return _rank_correlation(np.minimum(away[counted], FAR_FROM_FLUID_MM), picture.values[counted]) + 2 * step


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    from scipy.stats import rankdata

    if len(first) < 100 or first.min() == first.max() or second.min() == second.max():
        return 0.0
    return float(np.corrcoef(rankdata(first), rankdata(second))[0, 1])


@dataclass(frozen=True)
class Agreement:
    """Similarity of two images at the same position.

    Attributes:
        information: normalised mutual information minus 1 (0: independent).
        edges: rank correlation of the gradient magnitudes.
        tissue: rank correlation of the values outside fluid.
    """

    information: float
    edges: float
    tissue: float


def contrast_agreement(first: View, second: View) -> Agreement:
    """Compare two views on one grid, at least 4 mm below the brain's surface.

    Args:
        first: one image.
        second: the other image.

    Returns:
        Three measures of similarity; `information` is 0 if fewer than 1000 voxels are in both brains.
    """
    inner = (first.depth > 4) & (second.depth > 4)
    first_smooth, second_smooth = (ndimage.gaussian_filter(picture.values, 0.7) for picture in (first, second))
    lengths = [ndimage.gaussian_gradient_magnitude(values, 0.8)[inner] for values in (first_smooth, second_smooth)]
    solid = inner.copy()
    for picture in (first, second):
        solid &= picture.values > (np.percentile(picture.values[picture.depth > CENTRE_MM], 1) + 1) / 2
    return Agreement(
        normalised_information(first_smooth[inner], second_smooth[inner]) - 1 if inner.sum() >= MIN_VOXELS else 0.0,
        _rank_correlation(*lengths),
        _rank_correlation(first.values[solid], second.values[solid]),
    )


def normalised_information(first: np.ndarray, second: np.ndarray, bins: int = 32) -> float:
    """Compute normalised mutual information, (H(a) + H(b)) / H(a, b) (Studholme et al. 1999).

    Args:
        first: (n,) values, clipped at their 1st and 99th percentiles.
        second: (n,) values, clipped likewise.
        bins: bins per axis of the joint histogram.

    Returns:
        1 (independent) to 2.
    """
    a, b = (np.clip(values, *np.percentile(values, [1, 99])) for values in (first, second))
    joint = np.histogram2d(a, b, bins=bins)[0] / len(first)

    def entropy(shares: np.ndarray) -> float:
        shares = shares[shares > 0]
        return float(-(shares * np.log(shares)).sum())

    whole = entropy(joint.ravel())
    return (entropy(joint.sum(0)) + entropy(joint.sum(1))) / whole if whole > 0 else 1.0


def ghosting(image: Volume, brain: Volume, matrix: np.ndarray | None = None) -> float | None:
    """Measure ghosts: the brightest structure in the air above and beside the head.

    Motion leaves copies of the head there (Mortamet et al. 2009); noise is uniform: its 98th percentile is below four
    times its median, and counts as 0. Brain, skull and skin are excluded: only voxels over 30 mm from the brain and
    above its centre are used.

    Args:
        image: MRI in arbitrary units.
        brain: 0/1 mask.
        matrix: 4x4 RAS mm, world of the mask -> world of the image; None for the identity.

    Returns:
        Relative to the brain's median; None if there is too little air, or the background was set to zero.
    """
    shape, affine = box_around(brain, AIR_SPACING_MM, AIR_MARGIN_MM)
    matrix = np.eye(4) if matrix is None else matrix
    inside = resample(brain, shape, affine) > 0.5
    values = np.abs(resample(image, shape, affine, matrix))
    visible = resample(image.with_data((image.data != 0).astype(np.float32)), shape, affine, matrix) > 0.99
    away = ndimage.distance_transform_edt(~inside, sampling=AIR_SPACING_MM) > AIR_DISTANCE_MM
    above = np.arange(shape[2]) >= np.argwhere(inside)[:, 2].mean()
    known = resample(brain.with_data(np.ones_like(brain.data)), shape, affine) > 0.99  # where the mask's image ends,
    air = values[away & visible & known & above[None, None]]  # another image may show more brain
    if air.size < MIN_AIR:
        return None
    middle, top = np.percentile(air, [50, 98])
    return float(top / np.median(values[inside])) if top > GHOST_STRUCTURE * middle else 0.0
