"""Noise ceiling: agreement of the noise-free truth with the scanner's measurement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

MINIMUM_MM3 = 50.0  # as in Soulier et al. 2024


def noise_ceiling(visits: Sequence[Sequence[dict[str, float]]]) -> dict[str, Any]:
    """Correlate noise-free with measured DVR over the lesions of all visits (Pearson).

    Args:
        visits: one list of rows (volume_mm3, measured, clean) per visit.

    Returns:
        Lesion level pools all lesions; patient level uses each visit's means weighted by lesion volume. None for a
        correlation over fewer than three points.
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
