"""Li et al. 2014: a network of two hidden layers, the comparator that Wei et al. 2018 call "2-layer DNN".

Two layers of 10 feature maps with 7x7x7 filters and sigmoids (networks/two_layer.py) minimise the squared error:

    L = mean_brain (y - f(x))^2

Li et al. learn it from patches of 15^3 voxels towards patches of 3^3 by plain gradient descent. Ours: every patch of a
visit in one step, which is one pass over the whole volume; Adam; inputs and target as for the other systems.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..bundle import Bundle
from ..networks.two_layer import TwoLayerNetwork
from ..training.samples import Sample, dvr_errors, joined
from ..training.state import Tensors, load_optimizer, optimizer_tensors, part, prefixed
from .moment import Moment
from .parts import TYPICAL_DVR, autocast, distributed, load_weights, parameters, precision


class TwoLayerDNN:
    """The five verbs of the system: build, training_step, validation_step, predict, describe."""

    name = "two_layer_dnn"
    score = ("l1", "lesion_l1")
    shown: ClassVar = {"l2": "L2 {:.4f}", "l1": "L1 {:.3f}"}

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        self.recipe, self.device = recipe, torch.device(device)
        torch.manual_seed(recipe["seed"])
        self.network = TwoLayerNetwork(len(recipe["data"]["inputs"]), **recipe["network"]).to(self.device)
        nn.init.constant_(self.network.last.bias, TYPICAL_DVR)
        rates = recipe["optimizer"]
        self.optimizer = torch.optim.Adam(self.network.parameters(), rates["rate"], tuple(rates["betas"]))
        self.precision = precision(recipe["precision"], self.device)
        self._run: nn.Module = self.network

    def distribute(self) -> None:
        """Share gradients between the processes of `torchrun`."""
        self._run = distributed(self.network, self.device)

    def training_step(self, batch: list[Sample], moment: Moment, rng: np.random.Generator) -> dict[str, float]:
        """One step on all patches of the visits. Returns the squared and the absolute error."""
        sample = joined(batch)
        self.network.train()
        with autocast(self.device, self.precision):
            error = (self._run(sample.inputs).float() - sample.target) * sample.brain
        voxels = sample.brain.sum()
        loss = error.square().sum() / voxels
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return {"l2": loss.item(), "l1": float(error.detach().abs().sum() / voxels)}

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """Mean absolute DVR error over the brain and over its lesions (nan where there is none)."""
        return dvr_errors(self.predict(sample.inputs), sample)

    def predict(self, inputs: Tensor) -> Tensor:
        """DVR map (N, 1, I, J, K) in float32 from rescaled MRI (N, C, I, J, K); outside the brain it means nothing."""
        self.network.eval()
        with torch.inference_mode(), autocast(self.device, self.precision):
            return self.network(inputs.to(self.device)).float()

    def weights(self) -> Tensors:
        """The network's weights as a bundle ships them."""
        return dict(self.network.state_dict())

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything a resumed run needs."""
        return {**prefixed("network", self.weights()), **prefixed("adam", optimizer_tensors(self.optimizer))}, {}

    def load_state(self, tensors: Tensors, facts: dict[str, Any]) -> None:
        """Take up the state of a checkpoint."""
        self.network.load_state_dict(part("network", tensors))
        load_optimizer(self.optimizer, part("adam", tensors))

    def start_from(self, bundle: Bundle) -> None:
        """Take the weights from a bundle; raises BadInput where they are of another network."""
        load_weights(self.network, bundle.weights(), bundle)

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: Any = "cpu") -> TwoLayerDNN:
        """The network of a bundle."""
        from ..recipe import load_recipe

        recipe = load_recipe("two_layer_dnn")
        recipe["data"]["inputs"] = bundle.description["inputs"]
        recipe["network"] |= bundle.description["architecture"]["network"]
        system = cls(recipe, device)
        system.start_from(bundle)
        return system

    def architecture(self) -> dict[str, Any]:
        """What a bundle must know to build the network again."""
        return {"network": dict(self.recipe["network"])}

    def describe(self) -> dict[str, Any]:
        """Parameter counts and settings, for people."""
        data = self.recipe["data"]
        return {
            "trainable parameters": {"network": parameters(self.network)},
            "inputs": data["inputs"],
            "output": data["target"],
            "intensity rule": data["intensity"],
        }
