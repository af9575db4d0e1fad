"""Li et al. 2014: a network of two hidden layers, the comparator that Wei et al. 2018 call "2-layer DNN".

Two layers of 10 feature maps with 7x7x7 filters and sigmoids (networks/two_layer.py) minimise the squared error:

    L = mean_brain (y - f(x))^2

Li et al. learn it from patches of 15^3 voxels towards patches of 3^3 by plain gradient descent. Ours: every patch of a
visit in one step, which is one pass over the whole volume; Adam; inputs and target as for the other systems.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from ..networks.two_layer import TwoLayerNetwork
from .papers.sketcher_refiner import TwoLayerDNNSettings
from .parts import TYPICAL_DVR, init_output_bias
from .samples import Sample, joined
from .settings import read_settings
from .system import System
from .training_progress import TrainingProgress


class TwoLayerDNN(System):
    """f and its one loss; see System for the verbs."""

    name = "two_layer_dnn"
    progress_losses: ClassVar = {"l2": "L2 {:.4f}", "l1": "L1 {:.3f}"}
    architecture_keys = ("network.features", "network.kernel")

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        super().__init__(recipe, device)
        self.options = read_settings(TwoLayerDNNSettings, recipe)
        network = TwoLayerNetwork(self.channels, **asdict(self.options.network))
        init_output_bias(network.last, TYPICAL_DVR)
        self.network = self.learner("network", network)

    def training_step(
        self, batch: list[Sample], progress: TrainingProgress, rng: np.random.Generator
    ) -> dict[str, float]:
        """Train on all patches of the visits; returns the squared and the absolute error."""
        sample, adam = joined(batch), self.options.optimizer
        self.network.set_rate(adam.rate * progress.decay(adam.decay))
        error = (self.network(sample.inputs) - sample.target) * sample.brain
        voxels = sample.brain.sum()
        loss = error.square().sum() / voxels
        self.network.step(loss)
        return {"l2": loss.item(), "l1": float(error.detach().abs().sum() / voxels)}

    def predict(self, inputs: Tensor) -> Tensor:
        """Predict the DVR map."""
        return self.network.infer(inputs)

    def inference_networks(self) -> Mapping[str, nn.Module]:
        """f."""
        return {"": self.network.module}
