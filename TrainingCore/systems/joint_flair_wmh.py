"""Orbes-Arteaga et al. 2018: FLAIR synthesised and WMH segmented from T1w, by two networks that learn together.

The generator G makes a FLAIR from an axial slice x of T1w; the classifier C finds the white-matter hyperintensities l
in x and G(x). Both take one step each in turn on every batch of slices, C first (ours), with y the true FLAIR:

    L_C = cross-entropy( C(x, G(x)), l )
    L_G = mean (y - G(x))^2 + cross-entropy( C(x, G(x)), l )

`mode` chooses the comparators of the paper: `offline`, where G learns alone from L2 for the first half of the steps and
then stands still while C learns; `unimodal`, where C sees T1w alone and there is no G.

Both are the U-Nets of Li et al. 2018 (networks/unet2d.py); G has one input channel and ends in LeakyReLU in place of
C's sigmoid. Ours: both losses are means over the brain's pixels, outside of which G's answer is set to the background
before C sees it; the slope of that LeakyReLU is 0.3, Keras's default; C begins with the answer that 1 % of the brain is
hyperintense (as Lin et al. 2017), which saves it from having to learn so first.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..bundle import Bundle
from ..errors import BadInput
from ..imaging.intensities import background_of
from ..networks.unet2d import UNet2D
from ..training.samples import Sample
from ..training.slices import drawn, slice_by_slice
from ..training.state import Tensors, load_optimizer, optimizer_tensors, part, prefixed
from .moment import Moment
from .parts import autocast, distributed, inside, load_weights, parameters, precision

SLOPE = 0.3
RARE = 0.01  # of the brain's pixels that C takes for hyperintense before it has learnt anything
HYPERINTENSE = 0.5  # probability from which a voxel counts as hyperintense (ours)


class JointFlairWMH:
    """The five verbs of the system, and `segment`.

    >>> system = JointFlairWMH(load_recipe("joint_flair_wmh"))
    >>> losses = system.training_step(samples, moment, rng)
    >>> flair, probability = system.predict(t1w), system.segment(t1w)       # (N, 1, I, J, K) each
    """

    name = "joint_flair_wmh"
    shown: ClassVar = {"l2": "L2 {:.3f}", "cross_entropy": "CE {:.4f}"}

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        self.recipe, self.device = recipe, torch.device(device)
        torch.manual_seed(recipe["seed"])
        self.mode, channels = recipe["mode"], len(recipe["data"]["inputs"])
        self.synthesises = self.mode != "unimodal"
        self.score = ("l2", "cross_entropy") if self.synthesises else ("cross_entropy",)
        shape = {"widths": recipe["networks"]["widths"], "first_kernel": recipe["networks"]["first_kernel"]}
        self.networks = nn.ModuleDict({"C": UNet2D(channels + self.synthesises, **shape)})
        if self.synthesises:
            self.networks["G"] = UNet2D(channels, **shape)
        nn.init.constant_(self.networks["C"].last.bias, math.log(RARE / (1 - RARE)))
        self.networks.to(self.device)
        rates = recipe["optimizer"]
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), rates["rate"], tuple(rates["betas"]))
            for name, network in self.networks.items()
        }
        self.precision = precision(recipe["precision"], self.device)
        self._run: dict[str, Any] = dict(self.networks.items())

    def distribute(self) -> None:
        """Share gradients between the processes of `torchrun`."""
        self._run = {name: distributed(network, self.device) for name, network in self.networks.items()}

    # -- training ----------------------------------------------------------------------------------------------------

    def training_step(self, batch: list[Sample], moment: Moment, rng: np.random.Generator) -> dict[str, float]:
        """Slices of the visits: one step of C, one of G, as the mode wants. Returns the losses."""
        slices = drawn(batch, self.recipe["slices_per_visit"], rng)
        learning = self._learning(moment)
        self.networks.eval()
        for name in learning:
            self.networks[name].train()
        losses: dict[str, float] = {}
        flair = self._flair(slices["inputs"], learns="G" in learning) if self.synthesises else None
        if "C" in learning:
            losses["cross_entropy"] = self._step("C", self._cross_entropy(slices, flair, through=False))
        if "G" in learning:
            assert flair is not None
            error = masked_mean((slices["target"] - flair).square(), slices["brain"])
            total = error
            if "C" in learning:
                total = error + self._cross_entropy(slices, flair, through=True)
            self._step("G", total)
            losses |= {"l2": error.item(), "loss_G": total.item()}
        return losses

    def _learning(self, moment: Moment) -> tuple[str, ...]:
        """The networks that take a step at a moment of the training."""
        if self.mode == "joint":
            return ("C", "G")
        return ("G",) if self.mode == "offline" and moment.progress < 0.5 else ("C",)

    def _flair(self, t1w: Tensor, learns: bool = False) -> Tensor:
        """(S, C, I, J) T1w -> (S, 1, I, J) synthetic FLAIR, background outside the brain."""
        with torch.set_grad_enabled(learns), autocast(self.device, self.precision):
            made = F.leaky_relu((self._run["G"] if learns else self.networks["G"])(t1w).float(), SLOPE)
        rule = self.recipe["data"]["intensity"]
        return torch.where(inside(t1w, rule) > 0, made, background_of(rule))

    def _logits(self, t1w: Tensor, flair: Tensor | None, network: Any) -> Tensor:
        with autocast(self.device, self.precision):
            return network(t1w if flair is None else torch.cat([t1w, flair], dim=1)).float()

    def _cross_entropy(self, slices: dict[str, Tensor], flair: Tensor | None, through: bool) -> Tensor:
        """Mean cross-entropy over the brain; `through` C to G's FLAIR, or from C's weights alone."""
        if through:
            self.networks["C"].requires_grad_(False)
            logits = self._logits(slices["inputs"], flair, self.networks["C"])
            self.networks["C"].requires_grad_(True)
        else:
            logits = self._logits(slices["inputs"], flair if flair is None else flair.detach(), self._run["C"])
        each = F.binary_cross_entropy_with_logits(logits, slices["lesions"], reduction="none")
        return masked_mean(each, slices["brain"])

    def _step(self, name: str, loss: Tensor) -> float:
        self.optimizers[name].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers[name].step()
        return loss.item()

    # -- validation, prediction --------------------------------------------------------------------------------------

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """Over the brain: cross-entropy and Dice (0 to 1, nan without WMH), squared and absolute error of the FLAIR."""
        probability = self.segment(sample.inputs)
        found, truth = (probability > HYPERINTENSE) * sample.brain, sample.lesions * sample.brain
        each = F.binary_cross_entropy(probability.clamp(1e-6, 1 - 1e-6), truth, reduction="none")
        both = float(found.sum() + truth.sum())
        measures = {
            "cross_entropy": float(masked_mean(each, sample.brain)),
            "dice": 2 * float((found * truth).sum()) / both if both else math.nan,
        }
        if self.synthesises:
            error = self.predict(sample.inputs) - sample.target
            measures["l2"] = float(masked_mean(error.square(), sample.brain))
            measures["mae"] = float(masked_mean(error.abs(), sample.brain))
        return measures

    def predict(self, inputs: Tensor) -> Tensor:
        """FLAIR (N, 1, I, J, K) in the units of the intensity rule from T1w (N, C, I, J, K), slice by slice.

        Raises BadInput in mode `unimodal`, which makes none.
        """
        if not self.synthesises:
            raise BadInput("The unimodal comparator finds hyperintensities in T1w and makes no FLAIR: use `segment`.")
        self.networks.eval()
        empty = background_of(self.recipe["data"]["intensity"])
        with torch.inference_mode():
            return slice_by_slice(self._flair, inputs.to(self.device), empty)

    def segment(self, inputs: Tensor) -> Tensor:
        """Probability of a hyperintensity, (N, 1, I, J, K) in [0, 1], from T1w (N, C, I, J, K); 0 outside the brain."""
        self.networks.eval()
        with torch.inference_mode():
            return slice_by_slice(self._probability, inputs.to(self.device), 0.0)

    def _probability(self, t1w: Tensor) -> Tensor:
        flair = self._flair(t1w) if self.synthesises else None
        logits = self._logits(t1w, flair, self.networks["C"])
        return torch.sigmoid(logits) * inside(t1w, self.recipe["data"]["intensity"])

    # -- state -------------------------------------------------------------------------------------------------------

    def weights(self) -> Tensors:
        """Both networks' weights as a bundle ships them."""
        return dict(self.networks.state_dict())

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything a resumed run needs."""
        tensors = prefixed("networks", self.weights())
        for name, optimizer in self.optimizers.items():
            tensors |= prefixed(f"{name}_adam", optimizer_tensors(optimizer))
        return tensors, {}

    def load_state(self, tensors: Tensors, facts: dict[str, Any]) -> None:
        """Take up the state of a checkpoint."""
        self.networks.load_state_dict(part("networks", tensors))
        for name, optimizer in self.optimizers.items():
            load_optimizer(optimizer, part(f"{name}_adam", tensors))

    def start_from(self, bundle: Bundle) -> None:
        """Take both networks' weights from a bundle; raises BadInput where they are of other networks."""
        load_weights(self.networks, bundle.weights(), bundle)

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: Any = "cpu") -> JointFlairWMH:
        """A system that predicts with a bundle's networks."""
        from ..recipe import load_recipe

        recipe, about = load_recipe("joint_flair_wmh"), bundle.description
        recipe["data"] |= {"inputs": about["inputs"], "intensity": about["intensity"]}
        recipe["mode"] = about["architecture"]["mode"]
        recipe["networks"] |= about["architecture"]["networks"]
        system = cls(recipe, device)
        system.start_from(bundle)
        return system

    def architecture(self) -> dict[str, Any]:
        """What a bundle must know to build the networks again."""
        return {"mode": self.mode, "networks": dict(self.recipe["networks"])}

    def describe(self) -> dict[str, Any]:
        """Parameter counts and settings, for people."""
        data, names = self.recipe["data"], {"C": "classifier", "G": "generator"}
        return {
            "trainable parameters": {names[name]: parameters(network) for name, network in self.networks.items()},
            "inputs": data["inputs"],
            "output": f"{data['target']} and hyperintensities" if self.synthesises else "hyperintensities",
            "intensity rule": data["intensity"],
            "mode": self.mode,
        }


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the values in a mask of 0 and 1 of the same shape; 0 where it is empty."""
    return (values * mask).sum() / mask.sum().clamp(min=1)
