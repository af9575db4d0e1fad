"""Keep the adversarial game informative without touching the L1 term.

Soulier et al. 2024 vary the learning rate "to prevent situations where either the generator or the discriminator loss
becomes uninformative" and give no rule. Our rule uses the gap between the mean outputs of the discriminator for
measured and generated patches (0: chance level; with label smoothing, 0.6 is perfect):

- gap > `high`: the discriminator is too strong to be informative -> its learning rate is reduced by `step`;
- gap < `low`: the discriminator is near chance and uninformative -> its learning rate recovers, and the weight of the
  generator's adversarial term is reduced by `step`;
- in between, both recover towards their full values. No factor falls below `floor`.

The generator's own learning rate is never scaled, because this would also slow the L1 term, unlike in the L1-only
model.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..runtime.errors import BadInput

MEMORY = 0.95  # decay of the running mean of the gap, about the last 20 steps (ours)


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
        """State needed to resume a run."""
        return {"gap": self.gap, "adversarial": self.adversarial, "discriminator": self.discriminator}

    def load(self, state: dict[str, float]) -> None:
        """Restore a saved state.

        Args:
            state: what `state` returned.

        Raises:
            BadInput: state of the earlier rule, which scaled the generator's rate.
        """
        if set(state) != set(self.state()):
            raise BadInput(
                "The checkpoint belongs to another version of this software or to another recipe. Start a new run."
            )
        self.gap, self.adversarial, self.discriminator = state["gap"], state["adversarial"], state["discriminator"]
