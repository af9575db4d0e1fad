"""Fixtures for both rooms. Real patients are never copied here: tests that need them skip where they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real patients: $MYELINSYNTH_DATA, or ../shared/data beside the checkout."""
    folder = Path(os.environ.get("MYELINSYNTH_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "ms_mni").is_dir():
        pytest.skip(f"real patients are not here ({folder} has no ms_mni); set MYELINSYNTH_DATA to try them")
    return folder
