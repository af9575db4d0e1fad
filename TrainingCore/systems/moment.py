"""Where in a training run a step happens."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Moment:
    """epoch: counted from 0; epochs: how many the recipe wants; progress: share of all steps done, in [0, 1)."""

    epoch: int
    epochs: int
    progress: float

    def decay(self, kind: str) -> float:
        """What the learning rates are multiplied by: 1 (`none`), or half a cosine from 1 to 0 over all steps."""
        return 0.5 * (1 + math.cos(math.pi * self.progress)) if kind == "cosine" else 1.0
