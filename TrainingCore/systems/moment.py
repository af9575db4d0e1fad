"""Where in a training run a step happens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Moment:
    """epoch: counted from 0; epochs: how many the recipe wants; progress: share of all steps done, in [0, 1)."""

    epoch: int
    epochs: int
    progress: float
