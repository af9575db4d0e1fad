"""Soulier et al. 2024: PiB DVR from T1w and FLAIR with curricular discriminator training.

The generator G, a 3D U-Net, sees the whole volume x and makes a DVR map G(x); the discriminator D sees 16^3 patches of
(T1w, FLAIR, DVR) and answers between 0 (generated) and 1 (measured). With P the patches that the schedule chose and
smoothed labels r ~ N(0.8, 0.3), f ~ N(0.2, 0.3):

    L_D = mean_P (D(x, y) - r)^2 + mean_P (D(x, G(x)) - f)^2
    L_G = mean_brain |y - G(x)| + mean_P (D(x, G(x)) - r)^2

The paper gives the generator's adversarial loss; that D minimises the same squared error is ours (as in LSGAN, Mao et
al. 2017). Measured and generated DVR are masked by the brain alike before D sees them. With the adversarial weight 0
there is no discriminator at all: the L1-only twin.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ..bundle import Bundle
from ..networks.patch_discriminator import PatchDiscriminator
from ..training.patches import cut_patches, patch_corners
from ..training.samples import Sample, dvr_errors
from ..training.schedules import choose_centres, random_share
from ..training.state import Tensors, load_optimizer, optimizer_tensors, part, prefixed
from .balance import RateBalance
from .moment import Moment
from .parts import build_generator, load_weights, parameters, precision


class Curricular:
    """The five verbs of the system: build, training_step, validation_step, predict, describe.

    >>> system = Curricular(load_recipe("curricular"))          # build
    >>> losses = system.training_step([sample], moment, np.random.default_rng(0))
    >>> dvr = system.predict(sample.inputs)                      # (1, 1, I, J, K)
    """

    name = "curricular"
    score = ("l1", "lesion_l1")  # of validation_step: their sum chooses the best epoch
    shown: ClassVar = {"l1": "L1 {:.3f}", "loss_G": "G {:.3f}", "loss_D": "D {:.3f}", "random_share": "random {:.0%}"}

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        self.recipe, self.device = recipe, torch.device(device)
        torch.manual_seed(recipe["seed"])
        self.generator = build_generator(recipe["generator"], len(recipe["data"]["inputs"])).to(self.device)
        self.adversarial = recipe["losses"]["adversarial"] > 0
        self.discriminator = self._build_discriminator() if self.adversarial else None
        rates = recipe["optimizer"]
        betas = tuple(rates["betas"])
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), rates["generator_rate"], betas)
        self.discriminator_optimizer = (
            torch.optim.Adam(self.discriminator.parameters(), rates["discriminator_rate"], betas)
            if self.discriminator
            else None
        )
        self.balance = RateBalance(**rates["balance"])
        self.average = _copy(self.generator) if recipe["ema"] > 0 else None
        self.precision = precision(recipe["precision"], self.device)
        self._run_generator: nn.Module = self.generator
        self._run_discriminator: nn.Module | None = self.discriminator

    def _build_discriminator(self) -> PatchDiscriminator:
        settings = self.recipe["discriminator"]
        channels = len(self.recipe["data"]["inputs"]) + 1
        network = PatchDiscriminator(in_channels=channels, patch=settings["patch"], widths=tuple(settings["widths"]))
        return network.to(self.device)

    def distribute(self) -> None:
        """Share gradients between the processes of `torchrun` (plain DistributedDataParallel)."""
        from torch.nn.parallel import DistributedDataParallel

        ids = [self.device.index] if self.device.type == "cuda" else None
        self._run_generator = DistributedDataParallel(self.generator, device_ids=ids)
        if self.discriminator is not None:
            self._run_discriminator = DistributedDataParallel(self.discriminator, device_ids=ids)

    # -- training step ---------------------------------------------------------------------------------------------

    def training_step(self, batch: list[Sample], moment: Moment, rng: np.random.Generator) -> dict[str, float]:
        """One visit: a generator pass, a discriminator step on its patches, a generator step. Returns the losses."""
        (sample,) = batch
        self.generator.train()
        self._set_rates(moment)
        with self._autocast():
            fake = self._run_generator(sample.inputs).float() * sample.brain
        real = sample.target * sample.brain
        losses: dict[str, float] = {}
        adversarial = torch.zeros((), device=self.device)
        if self.discriminator is not None:
            share = self._random_share(moment)
            corners = self._corners(sample, share, rng)
            losses = {"random_share": share, **self._discriminator_step(sample, real, fake.detach(), corners, rng)}
            adversarial = self._adversarial_loss(sample, fake, corners, rng)
        l1 = self._pixel_loss(fake, real, sample)
        weights = self.recipe["losses"]
        total = weights["l1"] * l1 + weights["adversarial"] * adversarial
        self.generator_optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.generator_optimizer.step()
        self._follow_average()
        return {"loss_G": total.item(), "l1": l1.item(), "adversarial": adversarial.item(), **losses}

    def _discriminator_step(
        self, sample: Sample, real: torch.Tensor, fake: torch.Tensor, corners: torch.Tensor, rng: np.random.Generator
    ) -> dict[str, float]:
        assert self._run_discriminator is not None
        assert self.discriminator_optimizer is not None
        self._run_discriminator.train()
        size = self.recipe["discriminator"]["patch"]
        seen = [cut_patches(torch.cat([sample.inputs[0], dvr[0]]), corners, size) for dvr in (real, fake)]
        with self._autocast():
            answers = self._run_discriminator(torch.cat(seen)).float()
        of_real, of_fake = answers.chunk(2)
        loss = _mse(of_real, self._labels("real", of_real, rng)) + _mse(of_fake, self._labels("fake", of_fake, rng))
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_optimizer.step()
        gap = (of_real.mean().item(), of_fake.mean().item())
        self.balance.update(*gap)
        return {
            "loss_D": loss.item(),
            "D_real": gap[0],
            "D_fake": gap[1],
            "rate_G": self.balance.generator,
            "rate_D": self.balance.discriminator,
        }

    def _adversarial_loss(
        self, sample: Sample, fake: torch.Tensor, corners: torch.Tensor, rng: np.random.Generator
    ) -> torch.Tensor:
        assert self.discriminator is not None
        self.discriminator.requires_grad_(False)
        size = self.recipe["discriminator"]["patch"]
        patches = cut_patches(torch.cat([sample.inputs[0], fake[0]]), corners, size)
        with self._autocast():
            answers = self.discriminator(patches).float()
        self.discriminator.requires_grad_(True)
        return _mse(answers, self._labels("real", answers, rng))

    def _pixel_loss(self, fake: torch.Tensor, real: torch.Tensor, sample: Sample) -> torch.Tensor:
        weight = sample.brain + self.recipe["losses"]["lesion_l1"] * sample.lesions * sample.brain
        return ((fake - real).abs() * weight).sum() / weight.sum().clamp(min=1)

    def _random_share(self, moment: Moment) -> float:
        schedule = self.recipe["schedule"]
        return random_share(schedule["name"], moment.epoch, moment.epochs, schedule["share"])

    def _corners(self, sample: Sample, share: float, rng: np.random.Generator) -> torch.Tensor:
        centres = choose_centres(rng, self.recipe["patches"], share, sample.lesion_centres, sample.white_matter)
        corners = patch_corners(centres, tuple(sample.target.shape[2:]), self.recipe["discriminator"]["patch"])
        return torch.as_tensor(corners, device=self.device)

    def _labels(self, kind: str, like: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        labels = self.recipe["labels"]
        drawn = rng.normal(labels[kind], labels["sd"], size=tuple(like.shape)).astype(np.float32)
        return torch.from_numpy(drawn).to(like.device)

    def _set_rates(self, moment: Moment) -> None:
        rates = self.recipe["optimizer"]
        decay = 0.5 * (1 + math.cos(math.pi * moment.progress)) if rates["decay"] == "cosine" else 1.0
        for group in self.generator_optimizer.param_groups:
            group["lr"] = rates["generator_rate"] * decay * self.balance.generator
        if self.discriminator_optimizer is not None:
            for group in self.discriminator_optimizer.param_groups:
                group["lr"] = rates["discriminator_rate"] * decay * self.balance.discriminator

    def _follow_average(self) -> None:
        if self.average is not None:
            with torch.no_grad():
                pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
                for slow, fast in pairs:
                    slow.lerp_(fast, 1 - self.recipe["ema"])

    def _autocast(self) -> Any:
        if self.precision is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.precision)

    # -- validation, prediction ------------------------------------------------------------------------------------

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """Mean absolute DVR error over the brain and over its lesions (nan where there is none)."""
        return dvr_errors(self.predict(sample.inputs), sample)

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        """DVR map (N, 1, I, J, K) in float32 from rescaled MRI (N, C, I, J, K); outside the brain it means nothing."""
        network = self.average if self.average is not None else self.generator
        network.eval()
        with torch.inference_mode(), self._autocast():
            return network(inputs.to(self.device)).float()

    # -- state -----------------------------------------------------------------------------------------------------

    def weights(self) -> Tensors:
        """The generator's weights as a bundle ships them (the moving average where there is one)."""
        return dict((self.average if self.average is not None else self.generator).state_dict())

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything a resumed run needs: tensors, and plain numbers."""
        tensors = {
            **prefixed("G", dict(self.generator.state_dict())),
            **prefixed("G_adam", optimizer_tensors(self.generator_optimizer)),
        }
        if self.average is not None:
            tensors |= prefixed("average", dict(self.average.state_dict()))
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            tensors |= prefixed("D", dict(self.discriminator.state_dict()))
            tensors |= prefixed("D_adam", optimizer_tensors(self.discriminator_optimizer))
        return tensors, {"balance": self.balance.state()}

    def load_state(self, tensors: Tensors, facts: dict[str, Any]) -> None:
        """Take up the state of a checkpoint."""
        self.generator.load_state_dict(part("G", tensors))
        load_optimizer(self.generator_optimizer, part("G_adam", tensors))
        if self.average is not None:
            self.average.load_state_dict(part("average", tensors))
        if self.discriminator is not None and self.discriminator_optimizer is not None:
            self.discriminator.load_state_dict(part("D", tensors))
            load_optimizer(self.discriminator_optimizer, part("D_adam", tensors))
        self.balance.load(facts["balance"])

    def start_from(self, bundle: Bundle) -> None:
        """Take the generator's weights from a bundle; raises BadInput where they are of another network."""
        weights = bundle.weights()
        for network in filter(None, (self.generator, self.average)):
            load_weights(network, weights, bundle)

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: Any = "cpu") -> Curricular:
        """A system that predicts with a bundle's generator."""
        from ..recipe import load_recipe

        recipe = load_recipe("l1_only")
        recipe["data"]["inputs"] = bundle.description["inputs"]
        recipe["generator"] |= bundle.description["architecture"]["generator"]
        system = cls(recipe, device)
        system.start_from(bundle)
        return system

    def architecture(self) -> dict[str, Any]:
        """What a bundle must know to build the generator again."""
        keys = ("width", "levels", "order")
        return {"generator": {key: self.recipe["generator"][key] for key in keys}}

    def describe(self) -> dict[str, Any]:
        """Parameter counts and settings, for people."""
        counts = {"generator": parameters(self.generator)}
        if self.discriminator is not None:
            counts["discriminator"] = parameters(self.discriminator)
        return {
            "trainable parameters": counts,
            "inputs": self.recipe["data"]["inputs"],
            "output": self.recipe["data"]["target"],
            "intensity rule": self.recipe["data"]["intensity"],
            "schedule": self.recipe["schedule"]["name"] if self.adversarial else "none (no discriminator)",
        }


def _copy(network: nn.Module) -> nn.Module:
    from copy import deepcopy

    return deepcopy(network).requires_grad_(False)


def _mse(answers: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return nn.functional.mse_loss(answers, labels)
