"""Keep the adversarial game informative without touching the L1 term.

Soulier et al. 2024 vary the learning rate "to prevent situations where either the generator or the discriminator loss
becomes uninformative" and give no rule. Ours watches how far the discriminator keeps measured and generated patches
apart, the gap between its mean outputs (0: it cannot tell; label smoothing makes 0.6 perfect):

- gap > `high`: the discriminator has won, its outputs tell the generator nothing -> its rate shrinks by `step`;
- gap < `low`: it cannot tell, its loss says nothing -> its rate recovers and the weight of the generator's adversarial
  term shrinks by `step`;
- in between both recover towards their full values. No factor falls below `floor`.

The generator's own learning rate is never scaled: that would slow the L1 term too, which the L1-only twin never pays.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime.errors import BadInput

MEMORY = 0.95  # of the running mean of the gap: about the last 20 steps (ours)


@dataclass
class AdversarialBalance:
    """Factors on the weight of the adversarial term and on the discriminator's rate, each in [floor, 1]."""

    low: float
    high: float
    step: float
    floor: float
    gap: float = 0.25
    adversarial: float = 1.0
    discriminator: float = 1.0

    def update(self, real_output: float, fake_output: float) -> None:
        """Update the factors.

        Args:
            real_output: discriminator's mean output for the measured patches of one step, 0 to 1.
            fake_output: the same for the generated patches.
        """
        self.gap = MEMORY * self.gap + (1 - MEMORY) * (real_output - fake_output)
        self.discriminator = self._scaled(self.discriminator, shrink=self.gap > self.high)
        self.adversarial = self._scaled(self.adversarial, shrink=self.gap < self.low)

    def _scaled(self, factor: float, shrink: bool) -> float:
        return max(self.floor, factor * self.step) if shrink else min(1.0, factor / self.step)

    def state(self) -> dict[str, float]:
        """What a resumed run needs."""
        return {"gap": self.gap, "adversarial": self.adversarial, "discriminator": self.discriminator}

    def load(self, state: dict[str, float]) -> None:
        """Restore a saved state.

        Raises:
            BadInput: state of the earlier rule, which scaled the generator's rate.
        """
        if set(state) != set(self.state()):
            raise BadInput(
                "The checkpoint belongs to another version of this software or to another recipe. Start a new run."
            )
        self.gap, self.adversarial, self.discriminator = state["gap"], state["adversarial"], state["discriminator"]
