"""Noise and information ceilings of a simulated cohort, as written by `simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..runtime.errors import BadInput
from ..runtime.files import read_json

NOISE, INFORMATION = "noise_ceiling.json", "information_ceiling.json"


def read_ceilings(cohort: Path | None) -> dict[str, Any] | None:
    """Read both ceilings of a cohort.

    Args:
        cohort: folder of the cohort, or None.

    Returns:
        `noise` (see phantom.noise_ceiling) and `information` (see evaluation.information), each None if missing or
        unreadable; None if both are.
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
