"""White matter, grey matter and CSF from T1w and FLAIR, with lesions excluded from all three.

A mixture of three Gaussians over T1w is fitted away from lesions and smoothed by the neighbourhood; lesions are filled
with white matter for this (Chard et al. 2010), and FLAIR excludes unmarked lesions. Sufficient to determine which white
matter is normal-appearing; not a replacement for a volumetric tool.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .distances import depth_inside
from .robust import median_and_sd

NAWM_DEPTH_MM, SMALLEST_NAWM_SHARE = 2.0, 0.05
CLASSES = ("csf", "grey_matter", "white_matter")  # by rising T1w intensity
SAMPLES = 60_000
KMEANS_STEPS, EM_STEPS = 30, 40
WEIGHTS = (0.2, 0.43, 0.37)  # of a typical adult brain within its mask (ours)
SMOOTHING_MM = 1.0
HYPERINTENSE_DEVIATIONS = 2.5  # FLAIR above grey matter's median by this many robust SD is lesion-like (ours)


def segment_tissues(
    t1w: np.ndarray,
    flair: np.ndarray | None,
    brain: np.ndarray,
    lesions: np.ndarray | None = None,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Segment white matter, grey matter and CSF.

    Args:
        t1w: (I, J, K), bias-corrected, any unit.
        flair: like `t1w`; None leaves lesions that are not in the mask in the tissues.
        brain: (I, J, K) mask.
        lesions: mask or None.
        spacing: voxel edges in mm.
        seed: random seed.

    Returns:
        white_matter, grey_matter and csf, bool (I, J, K), disjoint, inside the brain, without lesions and without
        voxels that are brighter in FLAIR than grey matter.

    Raises:
        ValueError: the brain is too small.
    """
    inside = np.asarray(brain, bool)
    allowed = inside if lesions is None else inside & ~ndimage.binary_dilation(lesions > 0)
    if np.count_nonzero(allowed) < 1000:
        raise ValueError("fewer than 1000 voxels of brain are left to find tissues in")
    box = ndimage.find_objects(inside.astype(np.int8))[0]
    crop_allowed, crop_inside = allowed[box], inside[box]
    t1w_scaled = _scaled(t1w[box], crop_allowed)
    values = t1w_scaled[crop_allowed]
    if len(values) > SAMPLES:
        values = np.random.default_rng(seed).choice(values, SAMPLES, replace=False)
    means, spread = _fit_mixture(values)
    if lesions is not None:  # filled, so that a lesion does not make its neighbours look like grey matter
        t1w_scaled = np.where(lesions[box] > 0, np.float32(means[-1]), t1w_scaled)
    joint = np.moveaxis(_densities(t1w_scaled, means, spread), -1, 0)
    labels = _smoothed_labels(joint, crop_inside, np.asarray(spacing, float))
    bright = np.zeros(labels.shape, bool)
    if flair is not None:
        bright = _hyperintense(_scaled(flair[box], crop_allowed), labels, crop_inside)
    if lesions is not None:
        bright |= lesions[box] > 0
    tissues = {}
    for number, name in enumerate(CLASSES):
        tissues[name] = np.zeros(inside.shape, bool)
        tissues[name][box] = crop_inside & (labels == number) & ~bright
    return tissues


def _scaled(image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Brain's 1st to 99th percentile to 0-1, clipped a little beyond."""
    low, high = np.percentile(image[inside], [1, 99])
    return np.clip((image - low) / max(float(high - low), 1e-12), -0.2, 1.2).astype(np.float32)


def _fit_mixture(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expectation maximisation of three Gaussians whose weights stay at those of a typical adult brain.

    With free weights, or with FLAIR as a second dimension, grey and white matter of an atrophic brain with many lesions
    merged into one class (sub-19 of the open MS data: 670 ml of white matter).

    Args:
        values: (n,) T1w scaled to about 0-1.

    Returns:
        Means (3,) rising, and standard deviations (3,).
    """
    values = values.astype(float)
    means = np.quantile(values, [0.1, 0.4, 0.8])
    for _ in range(KMEANS_STEPS):
        nearest = np.abs(values[:, None] - means).argmin(axis=1)
        means = np.array([values[nearest == k].mean() if (nearest == k).any() else means[k] for k in range(3)])
    share = np.eye(3)[np.abs(values[:, None] - means).argmin(axis=1)]
    spread = np.full(3, 0.1)
    for _ in range(EM_STEPS):
        total = share.sum(axis=0) + 1e-9
        means = share.T @ values / total
        spread = np.sqrt((share * (values[:, None] - means) ** 2).sum(axis=0) / total + 1e-4)
        share = _densities(values, means, spread)
        share /= share.sum(axis=1, keepdims=True) + 1e-30
    order = np.argsort(means)
    return means[order], spread[order]


def _densities(values: np.ndarray, means: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """(..., 3) weighted densities of the three classes; beyond its mean the outer classes do not fall off.

    Args:
        values: any shape, scaled T1w.
        means: (3,).
        spread: (3,).
    """
    z = (values[..., None] - means) / spread
    z[..., 0] = np.maximum(z[..., 0], 0)
    z[..., 2] = np.minimum(z[..., 2], 0)
    return np.asarray(WEIGHTS) * np.exp(-0.5 * z * z) / spread


def _smoothed_labels(joint: np.ndarray, inside: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Return the most probable class of each voxel, weighted by its neighbours (one mean-field step; ours)."""
    posterior = joint / (joint.sum(axis=0) + 1e-30)
    sigma = SMOOTHING_MM / spacing
    prior = np.stack([ndimage.gaussian_filter(np.where(inside, share, 0), sigma) for share in posterior])
    return np.argmax(posterior * prior + 1e-6 * prior, axis=0)


def _hyperintense(flair: np.ndarray, labels: np.ndarray, inside: np.ndarray) -> np.ndarray:
    grey = flair[inside & (labels == CLASSES.index("grey_matter"))]
    if grey.size < 100:
        return np.zeros(inside.shape, bool)
    middle, spread = median_and_sd(grey)
    return inside & (flair > middle + HYPERINTENSE_DEVIATIONS * spread)


def normal_appearing_white_matter(
    white_matter: np.ndarray, lesions: np.ndarray | None, spacing: tuple[float, float, float]
) -> np.ndarray:
    """Select white matter outside lesions and at least 2 mm from other tissue (ours).

    A map with the resolution of PET mixes neighbouring tissues over about half its point spread function (2.5 mm FWHM
    and more): white matter beside the cortex has grey-matter values and would make lesions look normal. Lesions count
    as white matter here, so that white matter beside them is kept. If almost no voxel is that deep (thick slices), all
    white matter outside lesions is used.

    Args:
        white_matter: (I, J, K) mask.
        lesions: (I, J, K) mask, or None.
        spacing: voxel edges in mm.

    Returns:
        bool (I, J, K).
    """
    marked = np.zeros_like(white_matter) if lesions is None else lesions
    outside = white_matter & ~marked
    deep = depth_inside(white_matter | marked, spacing) > NAWM_DEPTH_MM
    core = outside & deep
    return core if core.sum() > SMALLEST_NAWM_SHARE * outside.sum() else outside
