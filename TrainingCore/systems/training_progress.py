"""Progress of a training run, passed to every training step."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a training run.

    Attributes:
        epoch: number of the epoch, from 0.
        epochs: number of epochs of the recipe.
        share: share of all steps that is done, in [0, 1).
    """

    epoch: int
    epochs: int
    share: float

    def decay(self, kind: str) -> float:
        """Factor on the learning rates at this point of the run.

        Args:
            kind: `none`, or `cosine` for half a cosine over all steps.

        Returns:
            1, or a value that falls from 1 to 0.
        """
        return 0.5 * (1 + math.cos(math.pi * self.share)) if kind == "cosine" else 1.0
