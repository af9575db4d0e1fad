"""How well the lesions of a simulated cohort can be predicted at all: the tables that `simulate` wrote beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..runtime.errors import BadInput
from ..runtime.files import read_json

NOISE, INFORMATION = "noise_ceiling.json", "information_ceiling.json"


def read_ceilings(cohort: Path | None) -> dict[str, Any] | None:
    """Both ceilings of a cohort's folder.

    Returns:
        {noise: of phantom.noise_ceiling, information: of evaluation.information}, each None where it is not there or
        cannot be read as such; None where neither is there.
    """
    if cohort is None:
        return None
    ceilings = {
        "noise": _read(cohort, NOISE, "lesion_level_r"),
        "information": _read(cohort, INFORMATION, "rows"),
    }
    return ceilings if any(ceilings.values()) else None


def _read(cohort: Path, name: str, key: str) -> dict[str, Any] | None:
    for path in sorted(cohort.glob(f"derivatives/*/{name}")):
        try:
            content = read_json(path)
        except BadInput:
            continue
        if isinstance(content, dict) and key in content:
            return content
    return None
