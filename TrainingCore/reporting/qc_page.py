"""The page of a cohort: every case with a picture and its numbers, failures on top, then outliers. One HTML file."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import RESEARCH_USE, __version__
from ..preprocessing import names
from ..preprocessing.dataset import PAGE
from ..preprocessing.measures import FEWEST, MEASURES, OUTLIER, deviations
from ..preprocessing.records import read_record
from ..preprocessing.worker import PreparationJob
from ..runtime.files import write_text

TEMPLATE = "page.html.jinja"
SIMULATED_BANNER = "Simulated data: some or all of these people do not exist."
WARNED = 1000.0  # a visit with a warning comes before every outlier without one


def write_page(
    out: Path, tasks: Sequence[PreparationJob], failures: Sequence[Mapping[str, str]], notes: Sequence[str] = ()
) -> None:
    """Write qc.html for the visits that are complete; `failures` and `notes` are said on top."""
    records = []
    for task in tasks:
        record = read_record(out / names.record_path(task.person, task.visit))
        if record is not None:
            records.append((task, record))
    strange = deviations([record["measures"] for _, record in records])
    rows = [_row(out, task, record, odd) for (task, record), odd in zip(records, strange)]
    rows.sort(key=lambda row: (-row["rank"], row["label"]))
    shown = [one for one in MEASURES if any(record["measures"].get(one.key) is not None for _, record in records)]
    for row in rows:
        row["cells"] = [row["cells"][one.key] for one in shown]
    _write(out / PAGE, rows, shown, failures, notes)


def _row(out: Path, task: PreparationJob, record: Mapping[str, Any], strange: Mapping[str, float]) -> dict[str, Any]:
    largest = max((abs(z) for z in strange.values()), default=0.0)
    warnings = record["warnings"]
    cells = {}
    for one in MEASURES:
        value, z = record["measures"].get(one.key), strange.get(one.key, 0.0)
        text = "" if value is None else one.form.format(value)
        cells[one.key] = {"value": "" if value is None else value, "text": text, "odd": abs(z) >= OUTLIER, "z": z}
    score = f"{largest:.1f}" if strange else ""
    picture, width, height = _picture(out / names.figure_path(task.person, task.visit))
    return {
        "label": task.label,
        "rank": round(largest + (WARNED if warnings else 0), 3),
        "score": f"{score} (warning)" if warnings else score,
        "odd": bool(warnings) or largest >= OUTLIER,
        "cells": cells,
        "warnings": warnings,
        "picture": picture,
        "width": width,
        "height": height,
        "simulated": record.get("simulated", False),
    }


def _picture(path: Path) -> tuple[str, int, int]:
    """A JPEG as base64, its width and height; empty where it is missing."""
    try:
        content = path.read_bytes()
    except OSError:
        return "", 0, 0
    width, height = jpeg_size(content)
    return base64.b64encode(content).decode("ascii"), width, height


def jpeg_size(content: bytes) -> tuple[int, int]:
    """Width and height in pixels of a JPEG, from its frame header; (0, 0) where there is none."""
    place = 2
    while place + 9 < len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], struct.unpack(">H", content[place + 2 : place + 4])[0]
        if 0xC0 <= marker <= 0xC3:
            height, width = struct.unpack(">HH", content[place + 5 : place + 9])
            return width, height
        place += 2 + length
    return 0, 0


def _write(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    shown: Sequence[Any],
    failures: Sequence[Mapping[str, str]],
    notes: Sequence[str],
) -> None:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8"))
    odd = sum(row["odd"] for row in rows)
    visits = "visit" if len(rows) == 1 else "visits"
    summary = f"{len(rows)} {visits} prepared, {len(failures)} failed, {odd} unusual or with a warning."
    if len(rows) < FEWEST:
        summary += f" With fewer than {FEWEST} visits nothing can be called unusual."
    html = template.render(
        title="Prepared cases: look before you train",
        banners=[RESEARCH_USE, *([SIMULATED_BANNER] if any(row["simulated"] for row in rows) else [])],
        summary=summary,
        failures=failures,
        notes=notes,
        measures=shown,
        rows=rows,
        with_dvr=any(one.key == "dvr_white_to_grey" for one in shown),
        footer=f"Made by MyelinSynth {__version__}. {RESEARCH_USE}",
    )
    write_text(path, html)
