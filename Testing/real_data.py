"""Where the real patients lie that studies, benchmarks and some tests use; they do not come with the repository."""

from __future__ import annotations

import os
from pathlib import Path

DATA = Path(os.environ.get("MYELINSYNTH_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
