"""Bone et al. 2021: T1w after a full dose of gadolinium from T1w, FLAIR, ADC and T1w after a quarter of the dose.

The network G sees whole volumes x of any M >= 1 of these inputs, in [0, 1], and learns, over all their voxels v and
with the brain mask b,

    L = mean_v (y_v - b_v G(x)_v)^2

The paper's volumes are brain-masked too; that the prediction is masked with them is ours. Without it the network learns
the large black background first, its sigmoid saturates at 0 everywhere, and in our runs it never recovered.

While training every axis is flipped with probability 1/2; for validation and test all eight flips are computed and
averaged, on the device. On a GPU the network computes in half precision, with a scaled loss where that is float16. The
paper names no batch size; one volume at a time is ours. `loss: l1` is the L1 twin. No input but the T1w after the low
dose carries what the target shows: `ablate` drops inputs one by one as the paper does. The recipe's group
`enhancement`, off in the paper, adds the output to an input, and gives the network the amplified uptake of the low
dose as one more input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import chain, combinations
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..evaluation.image_quality import enhancement_quality
from ..networks.vnet import VNet
from .papers.contrast_enhancement import ContrastEnhancementSettings
from .parts import select_measures
from .samples import Sample
from .settings import read_settings
from .system import System
from .training_progress import TrainingProgress

AXES = (2, 3, 4)
ALL_FLIPS = tuple(chain.from_iterable(combinations(AXES, n) for n in range(len(AXES) + 1)))  # eight
LOSSES = {"l2": F.mse_loss, "l1": F.l1_loss}


class ContrastEnhancement(System):
    """G and its one loss; see System for the verbs."""

    name = "contrast_enhancement"
    score = ("l2",)
    progress_losses: ClassVar = {"loss": "loss {:.5f}"}
    architecture_keys = (
        *("network.width", "network.levels", "network.convolutions", "flips.averaged"),
        *("enhancement.added_to", "enhancement.amplified"),
    )

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        super().__init__(recipe, device)
        self.options = read_settings(ContrastEnhancementSettings, recipe)
        self.network = self.learner("network", VNet(self.channels, **asdict(self.options.network), **self._additions()))

    def _additions(self) -> dict[str, Any]:
        """Arguments of the V-Net for our additions, as far as their inputs are available (an ablation drops some)."""
        settings, inputs = self.options.enhancement, self.recipe["data"]["inputs"]
        additions: dict[str, Any] = {}
        if settings.added_to in inputs:
            additions["added_to"] = inputs.index(settings.added_to)
        if settings.amplified and {"t1ce_low", "t1w"} <= set(inputs):
            additions["amplified"] = (inputs.index("t1ce_low"), inputs.index("t1w"), settings.amplified)
        return additions

    def training_step(
        self, batch: list[Sample], progress: TrainingProgress, rng: np.random.Generator
    ) -> dict[str, float]:
        """Train on whole volumes, flipped on the device; returns the loss over all voxels."""
        inputs, target, brain = (torch.cat(column) for column in zip(*(self._flipped(sample, rng) for sample in batch)))
        loss = LOSSES[self.options.loss](self.network(inputs) * brain, target)
        self.network.step(loss)
        return {"loss": loss.item()}

    def _flipped(self, sample: Sample, rng: np.random.Generator) -> list[Tensor]:
        axes = [axis for axis, drawn in zip(AXES, rng.random(len(AXES))) if drawn < self.options.flips.training]
        volumes = (sample.inputs, sample.target * sample.brain, sample.brain)
        return [volume.flip(axes) for volume in volumes]

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """L2 over all voxels and over the tumour (nan if there is none), PSNR in dB and SSIM, as in the paper."""
        target, predicted = (volume[0, 0].cpu().numpy() for volume in (sample.target, self.predict(sample.inputs)))
        enhancing = sample.masks.get("enhancing", sample.lesions)  # the paper's tumour, where it is known
        brain, tumour = (volume[0, 0].cpu().numpy() > 0.5 for volume in (sample.brain, enhancing))
        quality = enhancement_quality(target, predicted, brain, tumour)
        return select_measures(quality, ("l2", "tumour_l2", "psnr", "ssim"))

    def predict(self, inputs: Tensor) -> Tensor:
        """Predict the target, in (0, 1); with `flips.averaged` the mean over all eight flips."""
        inputs = inputs.to(self.device)
        flips = ALL_FLIPS if self.options.flips.averaged else ((),)
        total = self.network.infer(inputs)
        for axes in flips[1:]:
            total += self.network.infer(inputs.flip(axes)).flip(axes)
        return total / len(flips)

    def inference_networks(self) -> Mapping[str, nn.Module]:
        """G."""
        return {"": self.network.module}

    def settings(self) -> dict[str, Any]:
        """The loss and the flips."""
        flips = self.options.flips
        averaged = "eight averaged" if flips.averaged else "none averaged"
        flip_text = f"each axis with probability {flips.training:g}, {averaged}"
        return {"loss": self.options.loss, "flips": flip_text, "additions": self._describe_additions()}

    def _describe_additions(self) -> str:
        options, inputs = self._additions(), self.recipe["data"]["inputs"]
        additions = [f"added to {inputs[options['added_to']]}"] if "added_to" in options else []
        additions += [f"{options['amplified'][2]:g} times the low dose's uptake"] if "amplified" in options else []
        return " and ".join(additions) or "none, as in the paper"
