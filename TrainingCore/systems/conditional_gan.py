"""One conditional GAN of Wei et al. 2018: a generator, and a discriminator that judges every patch of a grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..networks.grid_discriminator import GridDiscriminator
from ..training.patches import grid_patches
from ..training.samples import Sample
from ..training.state import Tensors, load_optimizer, optimizer_tensors, part, prefixed
from .parts import autocast, build_generator, distributed, precision

GENERATED, MEASURED = 0, 1
PixelLoss = Callable[[Tensor, Sample], Tensor]


class ConditionalGAN:
    """Generator and discriminator with their losses.

    With P patches that hold brain and l = `weight` of the pixel loss R:

        L_D = sum_P [ CE(D(x, y), measured) + CE(D(x, G), generated) ]
        L_G = sum_P CE(D(x, G), measured) + l P R(G)

    The sums over the patches are the paper's. That the pixel loss is multiplied by P is ours: the balance of the two
    then does not depend on the size of the grid, and Adam does not see the common factor. Patches without brain are
    left out (ours): masked alike, they are the same in both and teach nothing. Without a discriminator P is 1.
    """

    def __init__(self, recipe: dict[str, Any], channels: int, rate: float, weight: float, device: torch.device) -> None:
        self.recipe, self.device, self.weight = recipe, device, weight
        self.generator = build_generator(recipe["generator"], channels).to(device)
        betas = tuple(recipe["optimizer"]["betas"])
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), rate, betas)
        self.patch = tuple(recipe["discriminator"]["patch"])
        self.discriminator: GridDiscriminator | None = None
        self.discriminator_optimizer: torch.optim.Optimizer | None = None
        if recipe["losses"]["adversarial"] > 0:
            seen = len(recipe["data"]["inputs"]) + 1
            network = GridDiscriminator(seen, self.patch, recipe["discriminator"]["widths"])
            self.discriminator = network.to(device)
            self.discriminator_optimizer = torch.optim.Adam(network.parameters(), rate, betas)
        self.precision = precision(recipe["precision"], device)
        self._run_generator: Any = self.generator
        self._run_discriminator: Any = self.discriminator

    def distribute(self) -> None:
        """Share gradients between the processes of `torchrun`."""
        self._run_generator = distributed(self.generator, self.device)
        if self.discriminator is not None:
            self._run_discriminator = distributed(self.discriminator, self.device)

    def step(self, given: Tensor, sample: Sample, pixel_loss: PixelLoss) -> dict[str, float]:
        """A step of D, then one of G. given: (N, C, I, J, K), what the generator sees. Returns losses by name.

        `D` and `adversarial` are means over the patches, so that log 2 = 0.693 always means that D cannot tell.
        """
        self.generator.train()
        with autocast(self.device, self.precision):
            fake = self._run_generator(given).float() * sample.brain
        losses = {}
        adversarial, patches = torch.zeros((), device=self.device), 1
        if self.discriminator is not None:
            judged = self._judged(sample)
            patches = int(judged.sum())
            losses["D"] = self._discriminator_step(sample, fake.detach(), judged)
            adversarial = self._deceive(sample, fake, judged)
            losses["adversarial"] = adversarial.item() / patches
        pixels = pixel_loss(fake, sample)
        total = self.recipe["losses"]["adversarial"] * adversarial + self.weight * patches * pixels
        self.generator_optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.generator_optimizer.step()
        return {"loss": pixels.item(), **losses}

    def _judged(self, sample: Sample) -> Tensor:
        """(N P,) bool: the patches of the grid that hold brain."""
        return grid_patches(sample.brain, self.patch).flatten(1).any(dim=1)

    def _patches(self, sample: Sample, dvr: Tensor, judged: Tensor) -> Tensor:
        return grid_patches(torch.cat([sample.inputs, dvr], dim=1), self.patch)[judged]

    def _discriminator_step(self, sample: Sample, fake: Tensor, judged: Tensor) -> float:
        assert self.discriminator_optimizer is not None
        self._run_discriminator.train()
        real = self._patches(sample, sample.target * sample.brain, judged)
        with autocast(self.device, self.precision):
            logits = self._run_discriminator(torch.cat([real, self._patches(sample, fake, judged)])).float()
        of_real, of_fake = logits.chunk(2)
        loss = _summed(of_real, MEASURED) + _summed(of_fake, GENERATED)
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_optimizer.step()
        return loss.item() / len(logits)

    def _deceive(self, sample: Sample, fake: Tensor, judged: Tensor) -> Tensor:
        """The generator's adversarial loss; D is only looked through."""
        assert self.discriminator is not None
        self.discriminator.requires_grad_(False)
        with autocast(self.device, self.precision):
            logits = self.discriminator(self._patches(sample, fake, judged)).float()
        self.discriminator.requires_grad_(True)
        return _summed(logits, MEASURED)

    def generate(self, given: Tensor) -> Tensor:
        """DVR (N, 1, I, J, K) in float32, without dropout."""
        self.generator.eval()
        with autocast(self.device, self.precision):
            return self.generator(given).float()

    def state(self) -> Tensors:
        """Networks and what Adam remembers, for a resumed run."""
        tensors = prefixed("G", dict(self.generator.state_dict()))
        tensors |= prefixed("G_adam", optimizer_tensors(self.generator_optimizer))
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            tensors |= prefixed("D", dict(self.discriminator.state_dict()))
            tensors |= prefixed("D_adam", optimizer_tensors(self.discriminator_optimizer))
        return tensors

    def load_state(self, tensors: Tensors) -> None:
        """Take up the state of a checkpoint."""
        self.generator.load_state_dict(part("G", tensors))
        load_optimizer(self.generator_optimizer, part("G_adam", tensors))
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            self.discriminator.load_state_dict(part("D", tensors))
            load_optimizer(self.discriminator_optimizer, part("D_adam", tensors))


def _summed(logits: Tensor, label: int) -> Tensor:
    """Cross-entropies to one class, summed over the patches: (P, 2) -> ()."""
    return F.cross_entropy(logits, logits.new_full((len(logits),), label, dtype=torch.long), reduction="sum")
