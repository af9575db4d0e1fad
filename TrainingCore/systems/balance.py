"""The variable learning rate: neither network may leave the other without information.

Soulier et al. 2024 vary the rate "to prevent situations where either the generator or the discriminator loss becomes
uninformative" and give no rule. Ours watches how far the discriminator keeps measured and generated patches apart, the
gap between its mean answers (0: it cannot tell; label smoothing makes 0.6 perfect):

- gap > `high`: the discriminator has won, its answers tell the generator nothing -> its rate shrinks by `step`;
- gap < `low`: it cannot tell, its loss says nothing -> its rate recovers and the generator's shrinks by `step`;
- in between both recover towards their full rates. No rate falls below `floor` of its full value.
"""

from __future__ import annotations

from dataclasses import dataclass

MEMORY = 0.95  # of the running mean of the gap: about the last 20 steps


@dataclass
class RateBalance:
    """Factors on both learning rates, each in [floor, 1]."""

    low: float
    high: float
    step: float
    floor: float
    gap: float = 0.25
    generator: float = 1.0
    discriminator: float = 1.0

    def update(self, real_answer: float, fake_answer: float) -> None:
        """Take in the discriminator's mean answers of one step and move the factors."""
        self.gap = MEMORY * self.gap + (1 - MEMORY) * (real_answer - fake_answer)
        self.discriminator = self._moved(self.discriminator, shrink=self.gap > self.high)
        self.generator = self._moved(self.generator, shrink=self.gap < self.low)

    def _moved(self, factor: float, shrink: bool) -> float:
        return max(self.floor, factor * self.step) if shrink else min(1.0, factor / self.step)

    def state(self) -> dict[str, float]:
        """What a resumed run needs."""
        return {"gap": self.gap, "generator": self.generator, "discriminator": self.discriminator}

    def load(self, state: dict[str, float]) -> None:
        """Take up a saved state."""
        self.gap, self.generator, self.discriminator = state["gap"], state["generator"], state["discriminator"]
