"""The result in a sentence: of the lesions that were not rejected, as the table says now."""

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
    """Lesions that count, their millilitres and mean DVR over voxels (NaN: not estimable), and the number left out."""

    lesions: int
    load: float
    dvr: float
    leftOut: int


def summarize(review: Review) -> Summary:
    """The lesions that are neither rejected nor without an outline."""
    rows = review.counted()
    volumes = np.array([review.number(row, "volume_mm3") for row in rows], float)
    means = np.array([review.number(row, "mean_dvr") for row in rows], float)
    known = np.isfinite(volumes) & np.isfinite(means)
    dvr = float(np.average(means[known], weights=volumes[known])) if known.any() and volumes[known].sum() else np.nan
    return Summary(len(rows), float(np.nansum(volumes)) / 1000, dvr, len(review) - len(rows))


def lesionWords(review: Review) -> str:
    """`23 lesions, 8.4 ml, mean DVR 0.93; 2 rejected lesions are left out.`"""
    statistics = summarize(review)
    words = _("1 lesion, {load:.1f} ml") if statistics.lesions == 1 else _("{n} lesions, {load:.1f} ml")
    words = words.format(n=statistics.lesions, load=statistics.load)
    if np.isfinite(statistics.dvr):
        words += _(", mean DVR {dvr:.2f}").format(dvr=statistics.dvr)
    if statistics.leftOut:
        words += _("; {n} rejected or without outline excluded").format(n=statistics.leftOut)
    return words + "."


def resultWords(nodes: dict[str, Any]) -> str:
    """The result of a synthesis (nodes by role) in a sentence or two."""
    parts = []
    if "lesions" in nodes and "table" in nodes:
        if provenance.hasNetworkLesions(nodes):
            parts.append(_("Found automatically, to be reviewed:"))
        parts.append(lesionWords(Review(nodes["table"])))
    elif "dvr" in nodes:
        parts.append(_("No lesion mask was given and lesions were not segmented."))
    try:
        nawm = json.loads(nodes["provenance"].GetText())["summary"]["synthetic_dvr"]["nawm"]["mean"]
        parts.append(_("DVR of NAWM {dvr:.2f}.").format(dvr=nawm))
    except (KeyError, TypeError, ValueError):
        pass  # a Result of another version, or a deleted node: the sentence goes without
    return " ".join(parts)
