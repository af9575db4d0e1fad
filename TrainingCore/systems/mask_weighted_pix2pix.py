"""Genc et al. 2022: a missing contrast of a glioma patient, with a 2D conditional GAN and a lesion mask loss.

The generator G, ResNet blocks, makes an axial slice of the missing contrast from one of an available contrast (T2w
FSE -> FLAIR, T1w after gadolinium -> before); the PatchGAN D looks at both side by side. With m the lesion mask, D(.)
logits and bce the cross-entropy to a label, every mean over all pixels of the slices as in pix2pix (Isola et al. 2017):

    L_D = 1/2 [bce(D(x, y), 1) + bce(D(x, G(x)), 0)]
    L_G = a bce(D(x, G(x)), 1) + c1 mean |y - G(x)| + c2 mean |m y - m G(x)|

The adversarial weight a = 1, the layers of G beyond "ResNet blocks", the 70x70 patches, batch norm and Adam's betas are
pix2pix's; the paper names none of them. A step sees `visits_per_step` scans (the paper's batch size) and of each
`samples` random slices that hold brain (our reading of its "number of batch samples"). Measured and synthetic slices
have the same background before any network or loss sees them. a = 0: the L1-only twin; c2 = 0: without mask loss.
As in pix2pix, D sees measured and generated slices in separate batches, both in its own step and in the step of G, so
that BatchNorm gives G the statistics that D was trained with.
The recipe's `generator.skips` and `generator.added_to`, both off in the paper, help G to preserve the content of its
input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..evaluation.image_quality import translation_quality
from ..imaging.intensities import background_of
from ..networks.patchgan2d import PatchGAN2D
from ..networks.resnet2d import ResNetGenerator2D
from .learner import Learner
from .papers.mask_weighted_pix2pix import MaskWeightedPix2PixSettings
from .parts import combine_losses, cross_entropy_to, select_measures
from .samples import Sample
from .settings import read_settings
from .slices import random_slices, slice_by_slice
from .system import System
from .training_progress import TrainingProgress


class MaskWeightedPix2Pix(System):
    """G, D and their losses; see System for the verbs."""

    name = "mask_weighted_pix2pix"
    score = ("dissimilarity",)  # 1 - mean SSIM of the brain, which the paper's search minimises
    progress_losses: ClassVar = {"l1": "L1 {:.3f}", "mask": "mask {:.4f}", "loss_G": "G {:.2f}", "loss_D": "D {:.3f}"}
    architecture_keys = tuple(f"generator.{key}" for key in ("width", "blocks", "norm", "skips", "added_to"))

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        super().__init__(recipe, device)
        self.options = read_settings(MaskWeightedPix2PixSettings, recipe)
        self.background = background_of(recipe["data"]["intensity"])
        self.generator = self.learner("generator", ResNetGenerator2D(self.channels, **self._layout()))
        self.discriminator: Learner[PatchGAN2D] | None = None
        if self.options.losses.adversarial > 0:
            network = PatchGAN2D(self.channels + 1, **asdict(self.options.discriminator))
            self.discriminator = self.learner("discriminator", network)

    def _layout(self) -> dict[str, Any]:
        """What the generator is made of; an input that it adds to is its channel, none where that is not there."""
        layout, inputs = asdict(self.options.generator), self.recipe["data"]["inputs"]
        added_to = layout.pop("added_to")
        return {**layout, "added_to": inputs.index(added_to) if added_to in inputs else None}

    # -- training step ---------------------------------------------------------------------------------------------

    def training_step(
        self, batch: list[Sample], progress: TrainingProgress, rng: np.random.Generator
    ) -> dict[str, float]:
        """Train on some slices of every visit: a generator pass, a discriminator step, a generator step."""
        slices = random_slices(batch, self.options.samples, rng)
        x, brain, m = slices["inputs"], slices["brain"], slices["lesions"] * slices["brain"]
        y, generated = self._masked(slices["target"], brain), self._masked(self.generator(x), brain)
        losses: dict[str, float] = {}
        adversarial = torch.zeros((), device=self.device)
        if self.discriminator is not None:
            losses = self._discriminator_step(self.discriminator, x, y, generated.detach())
            adversarial = cross_entropy_to(self.discriminator.frozen(torch.cat([x, generated], dim=1)), 1.0)
        l1 = (y - generated).abs().mean()
        mask = (m * y - m * generated).abs().mean()
        weights = self.options.losses
        pixel, adversarial_term = weights.l1 * l1 + weights.mask * mask, weights.adversarial * adversarial
        loss_G = adversarial_term + pixel
        if self.discriminator is None:
            self.generator.step(loss_G)
        else:
            combined, losses["gradient_ratio"] = combine_losses(generated, pixel, adversarial_term)
            self.generator.step(combined)
        parts = {"loss_G": loss_G, "l1": l1, "mask": mask, "adversarial": adversarial}
        return {**{name: value.item() for name, value in parts.items()}, **losses}

    @staticmethod
    def _discriminator_step(D: Learner[PatchGAN2D], x: Tensor, y: Tensor, generated: Tensor) -> dict[str, float]:
        of_real, of_fake = (D(torch.cat([x, seen], dim=1)) for seen in (y, generated))
        loss_D = (cross_entropy_to(of_real, 1.0) + cross_entropy_to(of_fake, 0.0)) / 2
        D.step(loss_D)
        outputs = {"D_real": of_real.sigmoid().mean().item(), "D_fake": of_fake.sigmoid().mean().item()}
        return {"loss_D": loss_D.item(), **outputs}

    def _masked(self, image: Tensor, brain: Tensor) -> Tensor:
        return image * brain + self.background * (1 - brain)

    # -- validation, prediction ------------------------------------------------------------------------------------

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """1 - SSIM of the brain; SSIM and mean absolute error of brain and lesions."""
        prediction = self._masked(self.predict(sample.inputs), sample.brain.to(self.device))
        target, image = (volume[0, 0].cpu().numpy() for volume in (sample.target, prediction))
        brain, lesions = (volume[0, 0].cpu().numpy() > 0.5 for volume in (sample.brain, sample.lesions))
        kept = ("ssim_brain", "ssim_lesion", "mae_brain", "mae_lesion")
        measured = select_measures(translation_quality(target, image, brain, lesions), kept)
        return {"dissimilarity": 1 - measured["ssim_brain"], **measured}

    def predict(self, inputs: Tensor) -> Tensor:
        """Predict the target, in [-1, 1], slice by slice."""
        return slice_by_slice(self.generator.infer, inputs.to(self.device), empty=self.background)

    def inference_networks(self) -> Mapping[str, nn.Module]:
        """G."""
        return {"": self.generator.module}

    def settings(self) -> dict[str, Any]:
        """How a step is made up, and what D sees at once."""
        D, visits = self.discriminator, self.recipe["data"]["visits_per_step"]
        return {
            "slices per step": f"{self.options.samples} of each of {visits} visits",
            "discriminator's patches": f"{D.module.receptive_field} pixels" if D is not None else "none",
            "generator's additions": self._describe_additions(),
        }

    def _describe_additions(self) -> str:
        layout = self._layout()
        additions = ["skips"] if layout["skips"] else []
        additions += [f"added to {self.options.generator.added_to}"] if layout["added_to"] is not None else []
        return " and ".join(additions) or "none, as in the paper"
