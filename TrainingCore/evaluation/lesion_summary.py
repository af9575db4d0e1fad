"""Summary of the lesions of one patient for provenance.json, after synthesis and again after a review."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..imaging.labelling import at_least
from .lesions import PAPER_MINIMUM_MM3
from .statistics import pearson


def summarise_lesions(rows: list[dict[str, Any]], measured: bool) -> dict[str, Any]:
    """Summarise a lesion table.

    Args:
        rows: lesion table.
        measured: whether it has the columns of a measured DVR.

    Returns:
        lesions, lesion_load_ml, lesions_of_50_mm3, share_below_surrounding_nawm (0 to 1, of the lesions of 50 mm3 or
        more; None without such a lesion), and if `measured`, lesion_correlation, see `_correlation`.
    """
    large = [row for row in rows if at_least(row["volume_mm3"], PAPER_MINIMUM_MM3)]
    compared = [row for row in large if row["ratio_to_surrounding"] is not None]
    below = sum(row["ratio_to_surrounding"] < 1 for row in compared)
    summary = {
        "lesions": len(rows),
        "lesion_load_ml": round(sum(row["volume_mm3"] for row in rows) / 1000, 3),
        "lesions_of_50_mm3": len(large),
        "share_below_surrounding_nawm": below / len(compared) if compared else None,
    }
    return summary | ({"lesion_correlation": _correlation(large)} if measured else {})


def _correlation(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return {r, p, n}, the Pearson correlation of synthetic with measured mean DVR over lesions."""
    pairs = [(row["mean_dvr"], row["measured_mean_dvr"]) for row in rows]
    pairs = [pair for pair in pairs if None not in pair]
    return pearson(np.array([a for a, _ in pairs], float), np.array([b for _, b in pairs], float))


def mean_sd(values: np.ndarray, mask: np.ndarray) -> dict[str, float] | None:
    """Compute mean and SD in a mask.

    Args:
        values: (I, J, K).
        mask: bool (I, J, K).

    Returns:
        {mean, sd} of the finite values, rounded to 5 digits; None if there are none.
    """
    inside = values[mask]
    inside = inside[np.isfinite(inside)]
    if inside.size == 0:
        return None
    return {"mean": round(float(inside.mean(dtype=float)), 5), "sd": round(float(inside.std(dtype=float)), 5)}
