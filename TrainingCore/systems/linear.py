"""Voxel-wise linear regression: DVR = a + b T1w + c FLAIR (or any target and inputs), least squares over the brain.

Baseline: a network must improve on it by using anatomy and neighbourhood in addition to the intensities of the voxel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..data.bundle import Bundle
from ..data.recipe import load_recipe
from ..runtime.errors import BadInput
from .parts import other_network
from .samples import Sample
from .system import System
from .tensors import Tensors
from .training_progress import TrainingProgress


def solve(products: Tensor, moments: Tensor) -> Tensor:
    """Solve the normal equations (minimum norm).

    With NumPy, because the last bits of torch's solver (gelsy) depend on memory alignment.

    Args:
        products: sums of products of the terms, float64 (terms, terms).
        moments: sums of products of terms and target, float64 (terms,).

    Returns:
        Coefficients, float64 (terms,).
    """
    return torch.from_numpy(np.linalg.lstsq(products.numpy(), moments.numpy(), rcond=None)[0])


class LinearVoxelwise(System):
    """System with a closed-form solution: each training step adds a visit to the normal equations."""

    name = "linear"
    progress_losses: ClassVar = {"l1": "L1 {:.3f}"}
    epochs = 1  # closed form: every visit is needed once, regardless of the recipe

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        super().__init__(recipe, device)
        terms = self.channels + 1
        self.products = torch.zeros(terms, terms, dtype=torch.float64)
        self.moments = torch.zeros(terms, dtype=torch.float64)
        self.coefficients = torch.zeros(terms, dtype=torch.float64)

    def distribute(self) -> None:
        """Nothing to share: the visits of each process would be summed; run it in one process."""
        raise BadInput("The linear regression takes seconds and runs in one process. Start it without torchrun.")

    def training_step(
        self, batch: list[Sample], progress: TrainingProgress, rng: np.random.Generator
    ) -> dict[str, float]:
        """Add the visits to the normal equations; returns the mean absolute error on them of the fit so far."""
        masks = [sample.brain[0, 0] > 0 for sample in batch]
        inputs = [sample.inputs[0][:, inside] for sample, inside in zip(batch, masks)]
        terms = self._terms(torch.cat(inputs, dim=1).double().cpu())
        target = torch.cat([sample.target[0, 0][inside] for sample, inside in zip(batch, masks)]).double().cpu()
        self.products += terms @ terms.T
        self.moments += terms @ target
        self.coefficients = solve(self.products, self.moments)
        return {"l1": float((self.coefficients @ terms - target).abs().mean())}

    @staticmethod
    def _terms(values: Tensor) -> Tensor:
        return torch.cat([torch.ones(1, values.shape[1], dtype=values.dtype), values])

    def predict(self, inputs: Tensor) -> Tensor:
        """Predict the target from the intensities of each voxel."""
        weights = self.coefficients.to(inputs.device, torch.float32)
        return (weights[0] + torch.einsum("c,ncijk->nijk", weights[1:], inputs.float()))[:, None]

    def weights(self) -> Tensors:
        """The regression's coefficients: constant, then one per input."""
        return {"coefficients": self.coefficients}

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything needed to resume a run."""
        return {"products": self.products, "moments": self.moments, **self.weights()}, {}

    def load_state(self, tensors: Tensors, facts: dict[str, Any]) -> None:
        """Restore a checkpoint."""
        self.products, self.moments = tensors["products"], tensors["moments"]
        self.coefficients = tensors["coefficients"]

    def start_from(self, bundle: Bundle) -> None:
        """Refuse to start from a bundle, because the solution has a closed form.

        Raises:
            BadInput: always.
        """
        raise BadInput("The linear regression is solved directly. Leave out --start-from.")

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: Any = "cpu") -> LinearVoxelwise:
        """Load the regression of a bundle."""
        recipe = load_recipe("linear")
        recipe["data"] |= {"inputs": bundle.description["inputs"], "target": bundle.description["output"]}
        system = cls(recipe, device)
        coefficients = bundle.weights().get("coefficients")
        if coefficients is None or coefficients.shape != system.coefficients.shape:
            raise other_network(bundle)
        system.coefficients = coefficients.double()
        return system

    def inference_networks(self) -> Mapping[str, nn.Module]:
        """Empty: the regression has no network."""
        return {}

    def architecture(self) -> dict[str, Any]:
        """Settings that a bundle needs to rebuild the regression."""
        return {"regression": {"terms": ["constant", *self.recipe["data"]["inputs"]]}}

    def describe(self) -> dict[str, Any]:
        """Parameter counts and settings to print."""
        return super().describe() | {"trainable parameters": {"regression": len(self.coefficients)}}

    def settings(self) -> dict[str, Any]:
        """Output, in the words of the other DVR systems."""
        return {"schedule": "none (no discriminator)"}
