"""Tables of what a model knows of lesions: of true myelin, beyond geometry, by size, and how wide its intervals are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .figures import number, with_interval

Row = dict[str, Any]
GEOMETRY_ALONE = "geometry alone"
CAPTION = (
    "What lesion DVR tells beyond size and place, 95 % by patient. True myelin: known of simulated patients only, "
    "r with the share that is left. Given geometry: partial correlation with measured DVR once size, distances and "
    "tissue fractions are taken from both. Geometry alone: a regression without any intensity, fitted to this cohort's "
    "own measured DVR, each person predicted from the others."
)


def knowledge_rows(summaries: Mapping[str, Row]) -> list[Row]:
    """One row per model, then one for geometry alone: r measured, r true myelin, partial r, difference to geometry."""
    rows = []
    for name, summary in summaries.items():
        geometry, myelin = summary["geometry"], summary["myelin"]["lesion"]["synthetic"]
        gap = geometry["difference"]
        rows.append(
            {
                "model": name,
                "r, measured DVR": _r(summary["lesion"]),
                "r, true myelin": _r(myelin),
                "r given geometry": _r(geometry["partial"]),
                "r - r of geometry alone": with_interval(gap["difference"], gap["low"], gap["high"], "{:+.3f}"),
                "beats geometry": {None: "not estimable", True: "yes", False: "no"}[geometry["beats"]],
            }
        )
    first = next(iter(summaries.values()))
    alone = {"r, measured DVR": _r(first["geometry"]["alone"]), "r, true myelin": _r(first["geometry"]["myelin"])}
    return [*rows, {"model": GEOMETRY_ALONE} | alone | dict.fromkeys(list(rows[0])[3:], "–")]


def _r(found: Row) -> str:
    return with_interval(found["r"], found["r_low"], found["r_high"])


def geometry_sentence(name: str, summary: Row) -> str:
    """What a reader must know of a model that does not beat geometry; empty for one that does."""
    geometry = summary["geometry"]
    if geometry["beats"] is not False:
        return ""
    gap = geometry["difference"]
    return (
        f"{name} does not beat geometry alone: r at lesion level differs by "
        f"{with_interval(gap['difference'], gap['low'], gap['high'], '{:+.3f}')} from a regression on lesion size, "
        "distances and tissue fractions that sees no image intensity."
    )


def volume_rows(summary: Row) -> list[Row]:
    """Agreement by lesion volume."""
    return [
        {
            "volume (mm3)": row["volume"],
            "lesions": row["lesions"],
            "r": _r(row),
            "mean absolute error": with_interval(row["mae"], row["mae_low"], row["mae_high"], "{:.3f}"),
            "bias": with_interval(row["bias"], row["bias_low"], row["bias_high"], "{:+.3f}"),
        }
        for row in summary["by_volume"]
    ]


def interval_rows(summary: Row) -> list[Row]:
    """Coverage and width of the 95 % prediction intervals by lesion volume."""
    return [
        {
            "volume (mm3)": row["volume"],
            "lesions": row["lesions"],
            "measured DVR inside": with_interval(row["coverage"], row["low"], row["high"], "{:.0%}"),
            "width (DVR)": number(row["width"], "{:.3f}"),
        }
        for row in summary["intervals"]
    ]


def ceiling_rows(ceilings: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The table that `simulate` wrote: how well lesions of this cohort can be predicted at all."""
    return [
        {
            "seen": row["what"],
            "regression": row.get("how") or "–",
            "lesion r, measured DVR": number(row.get("lesion_r")),
            "patient r, measured DVR": number(row.get("patient_r")),
            "lesion r, true myelin": number(row.get("myelin_r")),
        }
        for row in ceilings
    ]
