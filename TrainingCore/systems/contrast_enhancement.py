"""Bone et al. 2021: T1w after a full dose of gadolinium from T1w, FLAIR, ADC and T1w after a quarter of the dose.

The network G sees whole volumes x of any M >= 1 of these inputs, in [0, 1], and learns, over all their voxels v and
with the brain mask b,

    L = mean_v (y_v - b_v G(x)_v)^2

The paper's volumes are brain-masked too; that the prediction is masked with them is ours. Without it the network learns
the large black background first, its sigmoid saturates at 0 everywhere, and it was never seen to come back.

While training every axis is flipped with probability 1/2; for validation and test all eight flips are computed and
averaged, on the device. On a GPU the network computes in half precision, with a scaled loss where that is float16. The
paper names no batch size; one volume at a time is ours. `loss: l1` is the L1 twin. No input but the T1w after the low
dose carries what the target shows: `recipe.without_input` drops inputs one by one as the paper does.
"""

from __future__ import annotations

from itertools import chain, combinations
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..bundle import Bundle
from ..evaluation.image_quality import enhancement_quality
from ..networks.vnet import VNet
from ..training.samples import Sample
from ..training.state import Tensors, load_optimizer, optimizer_tensors, part, prefixed
from .moment import Moment
from .parts import autocast, distributed, load_weights, parameters, precision

AXES = (2, 3, 4)
ALL_FLIPS = tuple(chain.from_iterable(combinations(AXES, n) for n in range(len(AXES) + 1)))  # eight
LOSSES = {"l2": F.mse_loss, "l1": F.l1_loss}


class ContrastEnhancement:
    """The five verbs of the system: build, training_step, validation_step, predict, describe.

    >>> system = ContrastEnhancement(load_recipe("contrast_enhancement"))   # build
    >>> losses = system.training_step([sample], moment, np.random.default_rng(0))
    >>> t1ce = system.predict(sample.inputs)                                 # (1, 1, I, J, K)
    """

    name = "contrast_enhancement"
    score = ("l2",)
    shown: ClassVar = {"loss": "loss {:.5f}"}

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        self.recipe, self.device = recipe, torch.device(device)
        torch.manual_seed(recipe["seed"])
        self.network = VNet(len(recipe["data"]["inputs"]), **recipe["network"]).to(self.device)
        rates = recipe["optimizer"]
        self.optimizer = torch.optim.Adam(self.network.parameters(), rates["rate"], tuple(rates["betas"]))
        self.precision = precision(recipe["precision"], self.device)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision is torch.float16)
        self._run_network: nn.Module = self.network

    def distribute(self) -> None:
        """Share gradients between the processes of `torchrun`."""
        self._run_network = distributed(self.network, self.device)

    # -- training step ---------------------------------------------------------------------------------------------

    def training_step(self, batch: list[Sample], moment: Moment, rng: np.random.Generator) -> dict[str, float]:
        """One step on whole volumes, flipped on the device. Returns the loss over all voxels."""
        inputs, target, brain = (torch.cat(column) for column in zip(*(self._flipped(one, rng) for one in batch)))
        self.network.train()
        with autocast(self.device, self.precision):
            predicted = self._run_network(inputs)
        loss = LOSSES[self.recipe["loss"]](predicted.float() * brain, target)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return {"loss": loss.item()}

    def _flipped(self, sample: Sample, rng: np.random.Generator) -> list[Tensor]:
        axes = [axis for axis, drawn in zip(AXES, rng.random(len(AXES))) if drawn < self.recipe["flips"]["training"]]
        volumes = (sample.inputs, sample.target * sample.brain, sample.brain)
        return [volume.flip(axes) for volume in volumes]

    # -- validation, prediction ------------------------------------------------------------------------------------

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """L2 over all voxels and over the tumour (nan where there is none), PSNR in dB and SSIM, as in the paper."""
        images = [one[0, 0].cpu().numpy() for one in (sample.target, self.predict(sample.inputs))]
        masks = [one[0, 0].cpu().numpy() > 0.5 for one in (sample.brain, sample.lesions)]
        found = enhancement_quality(*images, *masks)
        kept = ("l2", "tumour_l2", "psnr", "ssim")
        return {key: float("nan") if found[key] is None else float(found[key]) for key in kept}

    def predict(self, inputs: Tensor) -> Tensor:
        """Target (N, 1, I, J, K) in (0, 1) from MRI (N, C, I, J, K), the mean of all eight flips where asked for."""
        self.network.eval()
        inputs = inputs.to(self.device)
        flips = ALL_FLIPS if self.recipe["flips"]["averaged"] else ((),)
        with torch.inference_mode(), autocast(self.device, self.precision):
            total = self.network(inputs).float()
            for axes in flips[1:]:
                total += self.network(inputs.flip(axes)).float().flip(axes)
        return total / len(flips)

    # -- state -----------------------------------------------------------------------------------------------------

    def weights(self) -> Tensors:
        """The network's weights as a bundle ships them."""
        return dict(self.network.state_dict())

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything a resumed run needs: tensors, and plain numbers."""
        tensors = {**prefixed("network", self.weights()), **prefixed("adam", optimizer_tensors(self.optimizer))}
        return tensors, {"scaler": self.scaler.state_dict()}

    def load_state(self, tensors: Tensors, facts: dict[str, Any]) -> None:
        """Take up the state of a checkpoint."""
        self.network.load_state_dict(part("network", tensors))
        load_optimizer(self.optimizer, part("adam", tensors))
        if facts["scaler"] and self.scaler.is_enabled():
            self.scaler.load_state_dict(facts["scaler"])

    def start_from(self, bundle: Bundle) -> None:
        """Take the network's weights from a bundle; raises BadInput where they are of another network."""
        load_weights(self.network, bundle.weights(), bundle)

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: Any = "cpu") -> ContrastEnhancement:
        """A system that predicts with a bundle's network."""
        from ..recipe import load_recipe

        recipe = load_recipe("contrast_enhancement")
        recipe["data"]["inputs"] = bundle.description["inputs"]
        recipe["network"] |= bundle.description["architecture"]["network"]
        recipe["flips"]["averaged"] = bundle.description["architecture"]["flips_averaged"]
        system = cls(recipe, device)
        system.start_from(bundle)
        return system

    def architecture(self) -> dict[str, Any]:
        """What a bundle must know to build the network again and to predict as it was validated."""
        keys = ("width", "levels", "convolutions")
        network = {key: self.recipe["network"][key] for key in keys}
        return {"network": network, "flips_averaged": self.recipe["flips"]["averaged"]}

    def describe(self) -> dict[str, Any]:
        """Parameter counts and settings, for people."""
        data, flips = self.recipe["data"], self.recipe["flips"]
        averaged = "eight averaged" if flips["averaged"] else "none averaged"
        return {
            "trainable parameters": {"network": parameters(self.network)},
            "inputs": data["inputs"],
            "output": data["target"],
            "intensity rule": data["intensity"],
            "loss": self.recipe["loss"],
            "flips": f"each axis with probability {flips['training']:g}, {averaged}",
        }
