"""Quality-control page of a cohort: every case with a picture and its measures; failures and outliers come first."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import RESEARCH_USE, __version__
from ..runtime.files import write_text
from .qc_measures import MEASURES, MIN_VISITS, OUTLIER, deviations

PAGE = "qc.html"
TEMPLATE = "page.html.jinja"
SIMULATED_BANNER = "Simulated data: some or all of these people are simulated."
WARNED = 1000.0  # a visit with a warning comes before every outlier without one


@dataclass(frozen=True)
class PreparedVisit:
    """A visit on the page.

    Attributes:
        label: name of the visit.
        measures: values by key of `MEASURES`.
        warnings: sentences to show.
        picture: JPEG file, which may be missing.
        simulated: whether the person is simulated.
    """

    label: str
    measures: Mapping[str, float | None]
    warnings: Sequence[str]
    picture: Path
    simulated: bool = False


def write_page(
    out: Path, visits: Sequence[PreparedVisit], failures: Sequence[Mapping[str, str]], notes: Sequence[str] = ()
) -> None:
    """Write qc.html.

    Args:
        out: folder of the dataset.
        visits: prepared visits.
        failures: {visit, reason} of visits that could not be prepared.
        notes: further notes for the top of the page.
    """
    unusual = deviations([visit.measures for visit in visits])
    rows = [_row(visit, scores) for visit, scores in zip(visits, unusual)]
    rows.sort(key=lambda row: (-row["rank"], row["label"]))
    columns = [measure for measure in MEASURES if any(v.measures.get(measure.key) is not None for v in visits)]
    for row in rows:
        row["cells"] = [row["cells"][measure.key] for measure in columns]
    _write(out / PAGE, rows, columns, failures, notes)


def _row(visit: PreparedVisit, scores: Mapping[str, float]) -> dict[str, Any]:
    """Values of a visit for the template; scores: robust z-score of each measure."""
    largest = max((abs(z) for z in scores.values()), default=0.0)
    warnings = visit.warnings
    cells = {}
    for measure in MEASURES:
        value, z = visit.measures.get(measure.key), scores.get(measure.key, 0.0)
        text = "" if value is None else measure.form.format(value)
        cells[measure.key] = {"value": "" if value is None else value, "text": text, "odd": abs(z) >= OUTLIER, "z": z}
    score = f"{largest:.1f}" if scores else ""
    picture, width, height = _picture(visit.picture)
    return {
        "label": visit.label,
        "rank": round(largest + (WARNED if warnings else 0), 3),
        "score": f"{score} (warning)" if warnings else score,
        "odd": bool(warnings) or largest >= OUTLIER,
        "cells": cells,
        "warnings": warnings,
        "picture": picture,
        "width": width,
        "height": height,
        "simulated": visit.simulated,
    }


def _picture(path: Path) -> tuple[str, int, int]:
    """Read a JPEG: base64 text, width and height; ("", 0, 0) if the file is missing."""
    try:
        content = path.read_bytes()
    except OSError:
        return "", 0, 0
    width, height = jpeg_size(content)
    return base64.b64encode(content).decode("ascii"), width, height


def jpeg_size(content: bytes) -> tuple[int, int]:
    """Read the size of a JPEG from its frame header.

    Args:
        content: content of the file.

    Returns:
        Width and height in pixels; (0, 0) without such a header.
    """
    offset = 2
    while offset + 9 < len(content) and content[offset] == 0xFF:
        marker, length = content[offset + 1], struct.unpack(">H", content[offset + 2 : offset + 4])[0]
        if 0xC0 <= marker <= 0xC3:
            height, width = struct.unpack(">HH", content[offset + 5 : offset + 9])
            return width, height
        offset += 2 + length
    return 0, 0


def _write(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[Any],
    failures: Sequence[Mapping[str, str]],
    notes: Sequence[str],
) -> None:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8"))
    odd = sum(row["odd"] for row in rows)
    visits = "visit" if len(rows) == 1 else "visits"
    summary = f"{len(rows)} {visits} prepared, {len(failures)} failed, {odd} unusual or with a warning."
    if len(rows) < MIN_VISITS:
        summary += f" Outliers need at least {MIN_VISITS} visits."
    html = template.render(
        title="Quality control of prepared cases",
        banners=[RESEARCH_USE, *([SIMULATED_BANNER] if any(row["simulated"] for row in rows) else [])],
        summary=summary,
        failures=failures,
        notes=notes,
        measures=columns,
        rows=rows,
        with_dvr=any(measure.key == "dvr_white_to_grey" for measure in columns),
        footer=f"Made by MyelinSynth {__version__}. {RESEARCH_USE}",
    )
    write_text(path, html)
