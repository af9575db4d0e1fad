"""How far a training run is, as a training step is told."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingProgress:
    """epoch: counted from 0; epochs: of the recipe; share: of all steps that are done, in [0, 1)."""

    epoch: int
    epochs: int
    share: float

    def decay(self, kind: str) -> float:
        """What the learning rates are multiplied by: 1 (`none`), or half a cosine from 1 to 0 over all steps."""
        return 0.5 * (1 + math.cos(math.pi * self.share)) if kind == "cosine" else 1.0
