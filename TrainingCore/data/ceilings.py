"""How well the lesions of a simulated cohort can be predicted at all: `ceilings.json` beside participants.tsv.

`simulate` writes it, `evaluate` prints it beside every result. The noise ceiling is what the noise-free truth reaches;
an information ceiling is what a regression on what the MRI shows, or on the true tissue parameters, reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..runtime.files import read_json, write_json

NAME = "ceilings.json"
ROW_KEYS = ("what", "how", "lesion_r", "patient_r", "myelin_r")


def write_ceilings(cohort: Path, rows: Sequence[dict[str, Any]], about: dict[str, Any]) -> None:
    """Write the table of a cohort.

    Args:
        cohort: folder of the dataset.
        rows: each {what: what is seen (`noise-free DVR`, `geometry`, `T1w and FLAIR`, `true T1, T2, partial volumes`),
            how: `linear`, `trees` or empty, lesion_r and patient_r: Pearson r with measured DVR, myelin_r: with the
            true myelin of lesions, None where it cannot be computed}, cross-validated by person.
        about: what the numbers rest on: {minimum_lesion_mm3, lesions, people, ...}.
    """
    table = [{key: row.get(key) for key in ROW_KEYS} for row in rows]
    write_json(cohort / NAME, {"simulated": True, **about, "rows": table})


def read_ceilings(cohort: Path | None) -> dict[str, Any] | None:
    """The table of a cohort's folder, or None where there is none or it cannot be read as such."""
    if cohort is None or not (cohort / NAME).is_file():
        return None
    found = read_json(cohort / NAME)
    rows = found.get("rows") if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "what" in row for row in rows):
        return None
    return found
