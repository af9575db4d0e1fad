"""Genc et al. 2022: a missing contrast of a glioma patient, with a 2D conditional GAN and a lesion mask loss.

The generator G, ResNet blocks, makes an axial slice of the missing contrast from one of the contrast that is there (T2w
FSE -> FLAIR, T1w after gadolinium -> before); the PatchGAN D looks at both side by side. With m the lesion mask, D(.)
logits and bce the cross-entropy to a label, every mean over all pixels of the slices as in pix2pix (Isola et al. 2017):

    L_D = 1/2 [bce(D(x, y), 1) + bce(D(x, G(x)), 0)]
    L_G = a bce(D(x, G(x)), 1) + c1 mean |y - G(x)| + c2 mean |m y - m G(x)|

The adversarial weight a = 1, the layers of G beyond "ResNet blocks", the 70x70 patches, batch norm and Adam's betas are
pix2pix's; the paper names none of them. A step sees `visits_per_step` scans (the paper's batch size) and of each
`samples` random slices that hold brain (our reading of its "number of batch samples"). Measured and synthetic slices
have the same background before anything looks at them. a = 0: the L1-only twin; c2 = 0: without mask loss.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..bundle import Bundle
from ..evaluation.image_quality import translation_quality
from ..imaging.intensities import background_of
from ..networks.patchgan2d import PatchGAN2D
from ..networks.resnet2d import ResNetGenerator2D
from ..training.samples import Sample
from ..training.slices import drawn, slice_by_slice
from ..training.state import Tensors, load_optimizer, optimizer_tensors, part, prefixed
from .moment import Moment
from .parts import autocast, cross_entropy_to, distributed, load_weights, parameters, precision


class MaskWeightedPix2Pix:
    """The five verbs of the system: build, training_step, validation_step, predict, describe.

    >>> system = MaskWeightedPix2Pix(load_recipe("mask_weighted_pix2pix"))   # build
    >>> losses = system.training_step([sample, another], moment, np.random.default_rng(0))
    >>> flair = system.predict(sample.inputs)                                 # (1, 1, I, J, K)
    """

    name = "mask_weighted_pix2pix"
    score = ("dissimilarity",)  # 1 - mean SSIM of the brain, which the paper's search makes as small as it can
    shown: ClassVar = {"l1": "L1 {:.3f}", "mask": "mask {:.4f}", "loss_G": "G {:.2f}", "loss_D": "D {:.3f}"}

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        self.recipe, self.device = recipe, torch.device(device)
        torch.manual_seed(recipe["seed"])
        channels = len(recipe["data"]["inputs"])
        self.background = background_of(recipe["data"]["intensity"])
        self.precision = precision(recipe["precision"], self.device)
        self.generator = ResNetGenerator2D(channels, **recipe["generator"]).to(self.device)
        self.adversarial = recipe["losses"]["adversarial"] > 0
        self.discriminator = PatchGAN2D(channels + 1, **recipe["discriminator"]).to(self.device)
        rate, betas = recipe["optimizer"]["rate"], tuple(recipe["optimizer"]["betas"])
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), rate, betas)
        self.discriminator_optimizer = torch.optim.Adam(self.discriminator.parameters(), rate, betas)
        self._run_generator: nn.Module = self.generator
        self._run_discriminator: nn.Module = self.discriminator

    def distribute(self) -> None:
        """Share gradients between the processes of `torchrun`."""
        self._run_generator = distributed(self.generator, self.device)
        if self.adversarial:
            self._run_discriminator = distributed(self.discriminator, self.device)

    # -- training step ---------------------------------------------------------------------------------------------

    def training_step(self, batch: list[Sample], moment: Moment, rng: np.random.Generator) -> dict[str, float]:
        """Some slices of every visit: a generator pass, a discriminator step, a generator step. Returns the losses."""
        slices = drawn(batch, self.recipe["samples"], rng)
        inputs, lesions = slices["inputs"], slices["lesions"] * slices["brain"]
        self.generator.train()
        with autocast(self.device, self.precision):
            fake = self._run_generator(inputs).float()
        fake, real = self._masked(fake, slices["brain"]), self._masked(slices["target"], slices["brain"])
        losses: dict[str, float] = {}
        adversarial = torch.zeros((), device=self.device)
        if self.adversarial:
            losses = self._discriminator_step(inputs, real, fake.detach())
            adversarial = self._adversarial_loss(inputs, fake)
        l1 = (fake - real).abs().mean()
        mask = (lesions * fake - lesions * real).abs().mean()
        weights = self.recipe["losses"]
        total = weights["adversarial"] * adversarial + weights["l1"] * l1 + weights["mask"] * mask
        self.generator_optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.generator_optimizer.step()
        parts = {"loss_G": total, "l1": l1, "mask": mask, "adversarial": adversarial}
        return {**{name: value.item() for name, value in parts.items()}, **losses}

    def _discriminator_step(self, inputs: Tensor, real: Tensor, fake: Tensor) -> dict[str, float]:
        self._run_discriminator.train()
        with autocast(self.device, self.precision):
            of_real, of_fake = (self._run_discriminator(torch.cat([inputs, seen], dim=1)) for seen in (real, fake))
        loss = (cross_entropy_to(of_real.float(), 1.0) + cross_entropy_to(of_fake.float(), 0.0)) / 2
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_optimizer.step()
        answers = {"D_real": of_real.float().sigmoid().mean().item(), "D_fake": of_fake.float().sigmoid().mean().item()}
        return {"loss_D": loss.item(), **answers}

    def _adversarial_loss(self, inputs: Tensor, fake: Tensor) -> Tensor:
        self.discriminator.requires_grad_(False)
        with autocast(self.device, self.precision):
            answers = self.discriminator(torch.cat([inputs, fake], dim=1))
        self.discriminator.requires_grad_(True)
        return cross_entropy_to(answers.float(), 1.0)

    def _masked(self, image: Tensor, brain: Tensor) -> Tensor:
        return image * brain + self.background * (1 - brain)

    # -- validation, prediction ------------------------------------------------------------------------------------

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """1 - SSIM of the brain, SSIM of brain and lesions of the synthetic target and, beside it, of the input."""
        predicted = self._masked(self.predict(sample.inputs), sample.brain.to(self.device))
        images = [one[0, 0].cpu().numpy() for one in (sample.target, predicted, sample.inputs)]
        masks = [one[0, 0].cpu().numpy() > 0.5 for one in (sample.brain, sample.lesions)]
        found = translation_quality(*images, *masks)
        kept = ("ssim_brain", "ssim_lesion", "input_ssim_brain", "input_ssim_lesion", "mae_brain")
        measured = {key: float("nan") if found[key] is None else float(found[key]) for key in kept}
        return {"dissimilarity": 1 - measured["ssim_brain"], **measured}

    def predict(self, inputs: Tensor) -> Tensor:
        """Target (N, 1, I, J, K) in [-1, 1] from MRI (N, C, I, J, K); outside the brain it means nothing."""
        self.generator.eval()
        with torch.inference_mode(), autocast(self.device, self.precision):
            return slice_by_slice(lambda x: self.generator(x).float(), inputs.to(self.device), empty=self.background)

    # -- state -----------------------------------------------------------------------------------------------------

    def weights(self) -> Tensors:
        """The generator's weights as a bundle ships them."""
        return dict(self.generator.state_dict())

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything a resumed run needs: tensors, and plain numbers."""
        tensors = {
            **prefixed("G", self.weights()),
            **prefixed("G_adam", optimizer_tensors(self.generator_optimizer)),
        }
        if self.adversarial:
            tensors |= prefixed("D", dict(self.discriminator.state_dict()))
            tensors |= prefixed("D_adam", optimizer_tensors(self.discriminator_optimizer))
        return tensors, {}

    def load_state(self, tensors: Tensors, facts: dict[str, Any]) -> None:
        """Take up the state of a checkpoint."""
        self.generator.load_state_dict(part("G", tensors))
        load_optimizer(self.generator_optimizer, part("G_adam", tensors))
        if self.adversarial:
            self.discriminator.load_state_dict(part("D", tensors))
            load_optimizer(self.discriminator_optimizer, part("D_adam", tensors))

    def start_from(self, bundle: Bundle) -> None:
        """Take the generator's weights from a bundle; raises BadInput where they are of another network."""
        load_weights(self.generator, bundle.weights(), bundle)

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: Any = "cpu") -> MaskWeightedPix2Pix:
        """A system that predicts with a bundle's generator."""
        from ..recipe import load_recipe

        recipe = load_recipe("mask_weighted_pix2pix", ["adversarial=0"])
        description = bundle.description
        recipe["data"] |= {"inputs": description["inputs"], "intensity": description["intensity"]}
        recipe["generator"] |= description["architecture"]["generator"]
        system = cls(recipe, device)
        system.start_from(bundle)
        return system

    def architecture(self) -> dict[str, Any]:
        """What a bundle must know to build the generator again."""
        return {"generator": dict(self.recipe["generator"])}

    def describe(self) -> dict[str, Any]:
        """Parameter counts and settings, for people."""
        data = self.recipe["data"]
        counts = {"generator": parameters(self.generator)}
        if self.adversarial:
            counts["discriminator"] = parameters(self.discriminator)
        return {
            "trainable parameters": counts,
            "inputs": data["inputs"],
            "output": data["target"],
            "intensity rule": data["intensity"],
            "slices per step": f"{self.recipe['samples']} of each of {data['visits_per_step']} visits",
            "discriminator's patches": f"{self.discriminator.receptive_field} pixels" if self.adversarial else "none",
        }
