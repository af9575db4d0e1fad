"""Lesion table of a patient's report: as wide as a page, so values that belong together share a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..data.lesion_columns import formats, titles
from ..runtime.numerals import MISSING

Row = Mapping[str, Any]
# first of the columns -> (heading, all of them, how they are written together)
JOINED = {
    "x_mm": ("centre (mm)", ("x_mm", "y_mm", "z_mm"), "{}, {}, {}"),
    "mean_dvr": ("mean DVR, SD", ("mean_dvr", "sd_dvr"), "{} \N{PLUS-MINUS SIGN} {}"),
    "dvr_low": ("95 % interval of DVR", ("dvr_low", "dvr_high"), "{}\N{EN DASH}{}"),
    "estimated_loss": (
        "myelin loss, estimated (95 %)",
        ("estimated_loss", "estimated_loss_low", "estimated_loss_high"),
        "{} ({}\N{EN DASH}{})",
    ),
}


def report_rows(lesions: Sequence[Row]) -> list[dict[str, Any]]:
    """Make the rows of the lesion table in a report.

    Args:
        lesions: rows of lesions.csv.

    Returns:
        Values by heading; columns that are empty throughout are left out, and joined values are text.
    """
    known = [name for name in titles() if any(row.get(name) is not None for row in lesions)]
    within = {name for _, parts, _ in JOINED.values() for name in parts if set(parts) <= set(known)}
    headings = {name: titles()[name] for name in known if name not in within}
    headings |= {first: heading for first, (heading, parts, _) in JOINED.items() if set(parts) <= set(known)}
    shown = [name for name in known if name in headings]
    return [{headings[name]: _value(row, name, joined=name in within) for name in shown} for row in lesions]


def report_formats() -> dict[str, str]:
    """Number formats of the table's columns by heading."""
    return {heading: formats()[name] for name, heading in titles().items() if name in formats()}


def _value(row: Row, name: str, joined: bool) -> Any:
    if not joined:
        return row.get(name)
    _, parts, form = JOINED[name]
    if row.get(name) is None:
        return None
    return form.format(*(MISSING if row.get(part) is None else formats()[part].format(row[part]) for part in parts))
