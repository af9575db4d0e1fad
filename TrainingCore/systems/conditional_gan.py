"""Conditional GAN of Wei et al. 2018: a generator, and a discriminator that classifies every patch of a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks.grid_discriminator import GridDiscriminator
from .learner import Learner
from .parts import combine_losses
from .patches import grid_patches
from .samples import Sample

GENERATED, MEASURED = 0, 1
PixelLoss = Callable[[Tensor, Sample], Tensor]


@dataclass
class ConditionalGAN:
    """Generator and discriminator with their losses.

    With P patches that hold brain and l = `weight` of the pixel loss R:

        L_D = sum_P [ CE(D(x, y), measured) + CE(D(x, G), generated) ]
        L_G = sum_P CE(D(x, G), measured) + l P R(G)

    The sums over the patches follow the paper. Its equations 2 and 3 print the minimax game with a minus before the
    second expectation, where the usual plus must be meant. G minimises the cross-entropy to `measured` instead of
    maximising L_D, as in Goodfellow et al. 2014 (ours: log(1 - D) has no gradient while D is confident).

    The factor P of the pixel loss is ours: it makes the balance of the two terms independent of the size of the grid,
    and Adam is invariant to the common factor. Patches without brain are excluded (ours), because they are identical in
    both and uninformative. Without a discriminator, P is 1.

    D has BatchNorm, so measured and generated patches form one batch in the discriminator and in the generator step
    (ours; see systems/curricular.py for the reason).

    Attributes:
        patch: edges of the grid's patches in voxels.
        adversarial: a factor on the first term of L_G, 1 in the paper.
    """

    generator: Learner[nn.Module]
    discriminator: Learner[GridDiscriminator] | None
    patch: Sequence[int]
    adversarial: float
    weight: float

    def step(self, inputs: Tensor, sample: Sample, pixel_loss: PixelLoss) -> dict[str, float]:
        """Take a step of D, then one of G.

        `D` and `adversarial` are means over the patches, so log 2 = 0.693 is chance level.

        Args:
            inputs: inputs of the generator, (N, C, I, J, K).
            sample: the visits, with target and masks.
            pixel_loss: R, from the generated target (N, 1, I, J, K) and the visits.

        Returns:
            Losses by name.
        """
        fake = self.generator(inputs) * sample.brain
        losses = {}
        adversarial, patches = torch.zeros((), device=fake.device), 1
        if self.discriminator is not None:
            with_brain = self._patches_with_brain(sample)
            patches = int(with_brain.sum())
            losses["D"] = self._discriminator_step(self.discriminator, sample, fake.detach(), with_brain)
            adversarial = _summed(self._logits_for_generator(self.discriminator, sample, fake, with_brain), MEASURED)
            losses["adversarial"] = adversarial.item() / patches
        pixels = pixel_loss(fake, sample)
        pixel_term, adversarial_term = self.weight * patches * pixels, self.adversarial * adversarial
        if self.discriminator is None:
            self.generator.step(pixel_term)
        else:
            combined, losses["gradient_ratio"] = combine_losses(fake, pixel_term, adversarial_term)
            self.generator.step(combined)
        return {"loss": pixels.item(), **losses}

    def _logits_for_generator(
        self, D: Learner[GridDiscriminator], sample: Sample, fake: Tensor, with_brain: Tensor
    ) -> Tensor:
        """Logits (P, 2) of the generated patches, in one batch with the measured ones as in the step of D."""
        real = self._patches(sample, sample.target * sample.brain, with_brain)
        return D.frozen(torch.cat([real, self._patches(sample, fake, with_brain)])).chunk(2)[1]

    def _discriminator_step(
        self, D: Learner[GridDiscriminator], sample: Sample, fake: Tensor, with_brain: Tensor
    ) -> float:
        real = self._patches(sample, sample.target * sample.brain, with_brain)
        logits = D(torch.cat([real, self._patches(sample, fake, with_brain)]))
        of_real, of_fake = logits.chunk(2)
        loss_D = _summed(of_real, MEASURED) + _summed(of_fake, GENERATED)
        D.step(loss_D)
        return loss_D.item() / len(logits)

    def _patches_with_brain(self, sample: Sample) -> Tensor:
        """(N P,) bool: the patches of the grid that hold brain."""
        return grid_patches(sample.brain, self.patch).flatten(1).any(dim=1)

    def _patches(self, sample: Sample, dvr: Tensor, with_brain: Tensor) -> Tensor:
        """Patches of MRI and DVR that hold brain, (P, C + 1, *patch)."""
        return grid_patches(torch.cat([sample.inputs, dvr], dim=1), self.patch)[with_brain]


def _summed(logits: Tensor, label: int) -> Tensor:
    """Cross-entropies to one class, summed over the patches: (P, 2) -> ()."""
    return F.cross_entropy(logits, logits.new_full((len(logits),), label, dtype=torch.long), reduction="sum")
