"""Detected, missed and false lesions, as counted in the literature on lesion segmentation.

Lesions are 26-connected. A true lesion is found if at least one of its voxels is marked (as in the ISBI 2015 challenge,
Carass et al. 2017); a marked lesion is false if it touches no true one. From these follow, lesion-wise,

    sensitivity = found / true      precision = 1 - false / marked      F1 = 2 sensitivity precision / (sum of both)

The MSSEG challenge of 2016 (Commowick et al. 2018, tool animaSegPerfAnalyzer) is stricter: beyond a touch it requires a
minimal share of a lesion to be covered, and limits the share of the touching lesions that lies outside. F1 of the two
rules cannot be compared. Under both, lesions of less than 3 mm3 do not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..imaging.labelling import at_least, label_lesions

THRESHOLDS = tuple(round(0.1 * step, 1) for step in range(2, 9))  # probabilities tried on validation people (ours)
SMALLEST = (0.0, 3.0, 6.0, 10.0, 15.0)  # mm3, tried on validation people (ours)
CLASSES_MM3 = {
    "3 to 10": (3.0, 10.0),
    "10 to 50": (10.0, 50.0),
    "50 to 500": (50.0, 500.0),
    "over 500": (500.0, math.inf),
}
MIN_MM3 = 3.0  # true lesions under this are not counted (ours): no rater marks them twice


def without_small(mask: np.ndarray, voxel_volume: float, smallest_mm3: float) -> np.ndarray:
    """Remove small lesions from a mask.

    Args:
        mask: (I, J, K).
        voxel_volume: mm3.
        smallest_mm3: smallest volume that is kept.

    Returns:
        bool (I, J, K).
    """
    return label_lesions(mask, voxel_volume, smallest_mm3)[0] > 0


def lesion_counts(
    truth: np.ndarray, mask: np.ndarray, voxel_volume: float, least_mm3: float = MIN_MM3
) -> dict[str, int]:
    """Count true, found, marked and false lesions.

    Args:
        truth: mask of the true lesions, bool (I, J, K).
        mask: mask of the marked lesions.
        voxel_volume: mm3 of a voxel.
        least_mm3: smaller lesions, true or marked, are not counted; one that touches a small true lesion is not false.

    Returns:
        {true, found, marked, false}.
    """
    return _counts(_touched(truth, mask, voxel_volume), _touched(mask, truth, voxel_volume), least_mm3)


def _touched(mask: np.ndarray, other: np.ndarray, voxel_volume: float) -> tuple[np.ndarray, np.ndarray]:
    """Volumes in mm3 of the lesions of a mask, (n,), and which of them another mask touches, (n,) bool."""
    labels, volumes = label_lesions(mask, voxel_volume)
    touched = np.zeros(len(volumes) + 1, bool)
    touched[np.unique(labels[other])] = True
    return volumes, touched[1:]


def _counts(
    true: tuple[np.ndarray, np.ndarray], marked: tuple[np.ndarray, np.ndarray], least_mm3: float
) -> dict[str, int]:
    """Compute `lesion_counts` from the results of `_touched` for either mask."""
    counted, touched = at_least(true[0], least_mm3), true[1]
    large, right = at_least(marked[0], least_mm3), marked[1]
    return {
        "true": int(counted.sum()),
        "found": int((counted & touched).sum()),
        "marked": int(large.sum()),
        "false": int((large & ~right).sum()),
    }


def rates(counts: Mapping[str, int]) -> dict[str, float | None]:
    """Compute sensitivity, precision and F1.

    Args:
        counts: of `lesion_counts`; may be sums over people.

    Returns:
        {sensitivity, precision, f1}, 0 to 1; None if undefined.
    """
    sensitivity = counts["found"] / counts["true"] if counts["true"] else None
    precision = 1 - counts["false"] / counts["marked"] if counts["marked"] else None
    f1 = None
    if sensitivity is not None:
        both = sensitivity + (precision or 0.0)
        f1 = 2 * sensitivity * (precision or 0.0) / both if both else 0.0
    return {"sensitivity": sensitivity, "precision": precision, "f1": f1}


def f1_by_smallest(truth: np.ndarray, mask: np.ndarray, voxel_volume: float) -> dict[float, float]:
    """Compute the lesion-wise F1 after removing small marked lesions.

    Args:
        truth: bool (I, J, K).
        mask: bool (I, J, K).
        voxel_volume: mm3.

    Returns:
        F1 for each of SMALLEST (mm3); nan without a true lesion.
    """
    true_labels, _ = label_lesions(truth, voxel_volume, MIN_MM3)
    labels, volumes = label_lesions(mask, voxel_volume)
    touching = np.zeros(len(volumes) + 1, bool)
    touching[np.unique(labels[truth])] = True
    result = {}
    for smallest in SMALLEST:
        kept = np.append(False, at_least(volumes, smallest))
        hits = np.unique(true_labels[kept[labels]])
        counts = {
            "true": int(true_labels.max()),
            "found": int((hits > 0).sum()),
            "marked": int(kept.sum()),
            "false": int((kept & ~touching).sum()),
        }
        f1 = rates(counts)["f1"]
        result[smallest] = math.nan if f1 is None else f1
    return result


def detection_measures(truth: np.ndarray, mask: np.ndarray, voxel_volume: float) -> dict[str, float | int | None]:
    """Measure the detection of lesions in one visit: counts and rates, of all lesions and by true volume.

    Args:
        truth: bool (I, J, K).
        mask: bool (I, J, K).
        voxel_volume: mm3 of a voxel.

    Returns:
        true, found, marked, false, sensitivity, precision, f1, f1_10 (lesions of 10 mm3 or more), sensitivity_<class of
        CLASSES_MM3>, volume, marked_volume, volume_error (marked - true), volumes in ml.
    """
    true, marked = _touched(truth, mask, voxel_volume), _touched(mask, truth, voxel_volume)
    counts = _counts(true, marked, MIN_MM3)
    row: dict[str, float | int | None] = {**counts, **rates(counts)}
    row["f1_10"] = rates(_counts(true, marked, 10.0))["f1"]
    volumes, touched = true
    for name, (low, high) in CLASSES_MM3.items():
        chosen = touched[at_least(volumes, low) & ~at_least(volumes, high)]
        row[f"sensitivity_{name.replace(' ', '_')}"] = float(chosen.mean()) if len(chosen) else None
    true_ml, marked_ml = (float(each.sum()) * voxel_volume / 1000 for each in (truth, mask))
    return row | {"volume": true_ml, "marked_volume": marked_ml, "volume_error": marked_ml - true_ml}
