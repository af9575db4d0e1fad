"""One-sentence result, computed from the lesion table as it is now, without rejected lesions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..scene import provenance
from ..words import _
from .table import Review


@dataclass(frozen=True)
class Summary:
    """Figures of the lesions that count.

    Attributes:
        lesions: their number.
        load: their volume in ml.
        dvr: mean DVR over their voxels; NaN if not estimable.
        leftOut: number of lesions that do not count.
    """

    lesions: int
    load: float
    dvr: float
    leftOut: int


def _summarize(review: Review) -> Summary:
    """Summarise the lesions that are neither rejected nor without an outline."""
    rows = review.counted()
    volumes = np.array([review.number(row, "volume_mm3") for row in rows], float)
    means = np.array([review.number(row, "mean_dvr") for row in rows], float)
    known = np.isfinite(volumes) & np.isfinite(means)
    dvr = float(np.average(means[known], weights=volumes[known])) if known.any() and volumes[known].sum() else np.nan
    return Summary(len(rows), float(np.nansum(volumes)) / 1000, dvr, len(review) - len(rows))


def lesionWords(review: Review) -> str:
    """Describe the lesions that count, such as `23 lesions, 8.4 ml, mean DVR 0.93.`

    Args:
        review: review of the lesion table node.
    """
    statistics = _summarize(review)
    words = _("1 lesion, {load:.1f} ml") if statistics.lesions == 1 else _("{n} lesions, {load:.1f} ml")
    words = words.format(n=statistics.lesions, load=statistics.load)
    if np.isfinite(statistics.dvr):
        words += _(", mean DVR {dvr:.2f}").format(dvr=statistics.dvr)
    if statistics.leftOut:
        words += _("; {n} rejected or without outline excluded").format(n=statistics.leftOut)
    return words + "."


def resultWords(nodes: dict[str, Any]) -> str:
    """Describe the result of a synthesis in one to three sentences.

    Args:
        nodes: nodes of one synthesis by role; parts whose node was deleted are left out.
    """
    parts = []
    if "table" not in nodes:
        parts.append(_("The lesion table was deleted from the scene."))
    elif "lesions" in nodes or len(Review(nodes["table"])):
        if provenance.hasNetworkLesions(nodes):
            parts.append(_("Found automatically, to be reviewed:"))
        parts.append(lesionWords(Review(nodes["table"])))
        if "lesions" not in nodes:
            parts.append(_("Their outlines were deleted from the scene."))
    else:
        parts.append(_("No lesion mask was given and lesions were not segmented."))
    try:
        nawm = json.loads(nodes["provenance"].GetText())["summary"]["synthetic_dvr"]["nawm"]["mean"]
        parts.append(_("DVR of NAWM {dvr:.2f}.").format(dvr=nawm))
    except (KeyError, TypeError, ValueError):
        pass  # a Result of another version, or a deleted node: that sentence is left out
    return " ".join(parts)
