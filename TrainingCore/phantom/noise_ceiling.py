"""Noise ceiling: agreement of the noise-free truth with the scanner's measurement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

MINIMUM_MM3 = 50.0  # as in Soulier et al. 2024
KINDS = ("clean", "measured")


def noise_ceiling(lesions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Correlate noise-free with measured DVR over the lesions of all visits (Pearson).

    Args:
        lesions: rows (person, volume_mm3, measured, clean).

    Returns:
        Lesion level pools all lesions; patient level uses each person's means over all visits, weighted by lesion
        volume, as evaluations do. None for a correlation over fewer than three points.
    """
    people: dict[str, list[Mapping[str, Any]]] = {}
    for row in lesions:
        people.setdefault(row["person"], []).append(row)
    weighted = [
        [np.average([row[key] for row in rows], weights=[row["volume_mm3"] for row in rows]) for key in KINDS]
        for rows in people.values()
    ]
    return {
        "minimum_lesion_mm3": MINIMUM_MM3,
        "lesions": len(lesions),
        "people_with_lesions": len(weighted),
        "lesion_level_r": _pearson([row[key] for key in KINDS] for row in lesions),
        "patient_level_r": _pearson(weighted),
        "simulated": True,
    }


def _pearson(pairs: Iterable[Sequence[float]]) -> float | None:
    points = np.array(list(pairs), dtype=float)
    if len(points) < 3 or np.any(points.std(axis=0) == 0):
        return None
    return round(float(np.corrcoef(points.T)[0, 1]), 6)
