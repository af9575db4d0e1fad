"""The noise ceiling: how well even the noise-free truth agrees with what the scanner measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

MINIMUM_MM3 = 50.0  # as in Soulier et al. 2024


def lesion_means(
    lesions: np.ndarray, measured: np.ndarray, clean: np.ndarray, voxel_volume: float, minimum_mm3: float = MINIMUM_MM3
) -> list[dict[str, float]]:
    """Volume (mm3) and mean measured and noise-free DVR of every connected lesion of at least `minimum_mm3`.

    lesions: bool (I, J, K), 26-connected components are lesions; measured, clean: DVR on the same grid.
    """
    from scipy import ndimage

    labels, count = ndimage.label(lesions, np.ones((3, 3, 3)))
    flat = labels.ravel()
    voxels = np.bincount(flat, minlength=count + 1)
    sums = [np.bincount(flat, volume.ravel().astype(np.float64), minlength=count + 1) for volume in (measured, clean)]
    rows = []
    for label in range(1, count + 1):
        volume = float(voxels[label]) * voxel_volume
        if volume >= minimum_mm3:
            measured_mean, clean_mean = (float(total[label] / voxels[label]) for total in sums)
            rows.append(
                {"volume_mm3": round(volume, 3), "measured": round(measured_mean, 6), "clean": round(clean_mean, 6)}
            )
    return rows


def noise_ceiling(visits: Sequence[Sequence[dict[str, float]]]) -> dict[str, Any]:
    """Pearson correlation of noise-free with measured DVR over the lesions of all visits.

    visits: one list of `lesion_means` rows per visit. Lesion level pools all lesions; patient level takes each visit's
    means weighted by lesion volume. A correlation that cannot be computed (fewer than three points) is None.
    """
    pooled = [row for rows in visits for row in rows]
    weighted = [
        [
            np.average([row[key] for row in rows], weights=[row["volume_mm3"] for row in rows])
            for key in ("clean", "measured")
        ]
        for rows in visits
        if rows
    ]
    return {
        "minimum_lesion_mm3": MINIMUM_MM3,
        "lesions": len(pooled),
        "visits_with_lesions": len(weighted),
        "lesion_level_r": _pearson((row["clean"], row["measured"]) for row in pooled),
        "patient_level_r": _pearson(weighted),
        "simulated": True,
    }


def _pearson(pairs: Iterable[Sequence[float]]) -> float | None:
    points = np.array(list(pairs), dtype=float)
    if len(points) < 3 or np.any(points.std(axis=0) == 0):
        return None
    return round(float(np.corrcoef(points.T)[0, 1]), 6)
