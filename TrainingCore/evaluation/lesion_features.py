"""Features of every lesion, its rim and its person in T1w and FLAIR, for a regression."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from scipy import ndimage

from ..imaging.labelling import mean_by_label

RIM_MM = 4.0  # (ours) how far around a lesion its rim reaches
NAWM_MARGIN = 2  # (ours) voxels between a lesion and normal-appearing white matter
CORE_DEPTH = 0.6  # (ours) share of the greatest depth beyond which a voxel belongs to the core


def image_features(
    labels: np.ndarray, images: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray], spacing: np.ndarray
) -> dict[str, np.ndarray]:
    """Measure the intensities of lesions relative to the person's normal-appearing white matter.

    Args:
        labels: int (I, J, K), lesions 1..n (see `lesions.label_lesions`).
        images: name -> (I, J, K), arbitrary units.
        masks: white_matter, grey_matter and brain, bool (I, J, K).
        spacing: voxel edges in mm, (3,).

    Returns:
        Feature -> (n,): mean, SD, percentiles, core and rim of each lesion; and of its person, repeated, grey matter,
        fluid, spread of the white matter, and mean over all lesions. NaN if a region has no voxel.
    """
    count = int(labels.max(initial=0))
    lesion = labels > 0
    white, grey, brain = (np.asarray(masks[name], bool) for name in ("white_matter", "grey_matter", "brain"))
    nawm = white & ~ndimage.binary_dilation(lesion, iterations=NAWM_MARGIN)
    fluid = brain & ~white & ~grey & ~lesion
    rim = rim_labels(labels, brain, spacing)
    depth = ndimage.distance_transform_edt(np.pad(lesion, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    deepest = np.asarray(ndimage.maximum(depth, labels, np.arange(count + 1)), float) if count else np.zeros(1)
    core = np.where(lesion & (depth >= CORE_DEPTH * deepest[labels]), labels, 0)
    features: dict[str, np.ndarray] = {}
    for name, image in images.items():
        relative = image / max(_median(image, nawm), 1e-6)
        features |= {
            f"{name}_mean": label_means(labels, relative, count),
            f"{name}_sd": np.sqrt(np.maximum(_variance(labels, relative, count), 0.0)),
            f"{name}_core": label_means(core, relative, count),
            f"{name}_rim": label_means(rim, relative, count),
        }
        low, high = _percentiles(labels, relative, count)
        features |= {f"{name}_p10": low, f"{name}_p90": high}
        everywhere = {"grey": _median(relative, grey), "fluid": _median(relative, fluid)}
        everywhere |= {"nawm_sd": _spread(relative, nawm), "lesions": _mean(relative, lesion)}
        features |= {f"person_{name}_{key}": np.full(count, value) for key, value in everywhere.items()}
    load = float(lesion.sum() * np.prod(spacing))
    features["person_log_load"] = np.full(count, np.log(max(load, 1.0)))
    return features


def rim_labels(labels: np.ndarray, brain: np.ndarray, spacing: np.ndarray, width: float = RIM_MM) -> np.ndarray:
    """Label the rim of each lesion: voxels of the brain near it that belong to no lesion.

    Args:
        labels: int (I, J, K).
        brain: bool (I, J, K).
        spacing: (3,), mm.
        width: width of the rim in mm; a voxel belongs to the nearest lesion.

    Returns:
        int (I, J, K).
    """
    lesion = labels > 0
    if not lesion.any():
        return np.zeros_like(labels)
    distance, nearest = ndimage.distance_transform_edt(~lesion, sampling=spacing, return_indices=True)
    return np.where(~lesion & brain & (distance <= width), labels[tuple(nearest)], 0)


def label_means(labels: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Compute the mean of an image over each label.

    Args:
        labels: int (I, J, K).
        values: (I, J, K).
        count: largest label.

    Returns:
        (count,), entry i for label i + 1; NaN if a label has no voxel.
    """
    return mean_by_label(labels, values, count)[1:]


def _variance(labels: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    mean = np.concatenate([[0.0], np.nan_to_num(label_means(labels, values, count))])
    return label_means(labels, (values - mean[labels]) ** 2, count)


def _percentiles(labels: np.ndarray, values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    inside = np.flatnonzero(labels)
    owner, inner = labels.ravel()[inside], values.ravel()[inside]
    order = np.lexsort((inner, owner))
    owner, inner = owner[order], inner[order]
    starts = np.searchsorted(owner, np.arange(1, count + 2))
    parts = [inner[first:last] for first, last in pairwise(starts)]
    both = np.array([np.percentile(part, [10, 90]) if len(part) else [np.nan] * 2 for part in parts]).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _median(image: np.ndarray, mask: np.ndarray) -> float:
    return float(np.median(image[mask])) if mask.any() else float("nan")


def _mean(image: np.ndarray, mask: np.ndarray) -> float:
    return float(image[mask].mean(dtype=float)) if mask.any() else float("nan")


def _spread(image: np.ndarray, mask: np.ndarray) -> float:
    return float(image[mask].std(dtype=float)) if mask.any() else float("nan")
