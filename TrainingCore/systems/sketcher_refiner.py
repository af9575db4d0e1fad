"""Wei et al. 2018: PiB DVR from MTR, FA, RD and AD by two conditional GANs in sequence.

The sketcher S turns MRI x into a sketch; the refiner R takes MRI and sketch (see conditional_gan.py for both losses):

    L_S = adversarial cross-entropy + lambda_S |y - S(x)|
    L_R = adversarial cross-entropy + lambda_R ( |y - R|_lesions + |y - R|_NAWM + |y - R|_other )      R = R(x, S(x))

|.|_region is the mean absolute error over that region's own voxels; the paper divides by the number of voxels of the
whole image once more, a constant that lambda_R takes in here. Where a region is empty, as the lesions of a control are,
its term is left out. "Other" is the rest of the brain (ours: the background is exactly 0 in both).

Ours, where the paper is silent: both GANs take one step on every visit, and the refiner's gradient does not reach the
sketcher, whose loss is its own; the noise z is the generators' dropout (Isola et al. 2017), off when predicting; the
generator's widths, levels, GroupNorm and place of the dropout (networks/unet3d.py); patch size; both lambdas; epochs.

`stages: 1` is the paper's comparator, a single cGAN (the sketcher alone); adversarial weight 0 the L1-only twin.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..bundle import Bundle
from ..training.samples import Sample, dvr_errors, joined
from ..training.state import Tensors, part, prefixed
from .conditional_gan import ConditionalGAN
from .moment import Moment
from .parts import inside, load_weights, parameters


class SketcherRefiner:
    """The five verbs of the system: build, training_step, validation_step, predict, describe.

    >>> system = SketcherRefiner(load_recipe("sketcher_refiner"))
    >>> losses = system.training_step([sample], moment, rng)
    >>> dvr = system.predict(sample.inputs)                      # (1, 1, I, J, K)
    """

    name = "sketcher_refiner"
    score = ("l1", "lesion_l1")
    shown: ClassVar = {
        "sketcher_loss": "sketch {:.3f}",
        "sketcher_D": "D {:.3f}",
        "refiner_loss": "refined {:.3f}",
        "refiner_D": "D {:.3f}",
    }

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        self.recipe, self.device = recipe, torch.device(device)
        torch.manual_seed(recipe["seed"])
        channels, rates, losses = len(recipe["data"]["inputs"]), recipe["optimizer"], recipe["losses"]
        self.sketcher = ConditionalGAN(recipe, channels, rates["sketcher_rate"], losses["lambda_sketcher"], self.device)
        self.refiner = (
            ConditionalGAN(recipe, channels + 1, rates["refiner_rate"], losses["lambda_refiner"], self.device)
            if recipe["stages"] == 2
            else None
        )

    @property
    def gans(self) -> dict[str, ConditionalGAN]:
        """The stages by name, first to last."""
        return {"sketcher": self.sketcher} | ({"refiner": self.refiner} if self.refiner else {})

    def distribute(self) -> None:
        """Share gradients between the processes of `torchrun`."""
        for gan in self.gans.values():
            gan.distribute()

    def training_step(self, batch: list[Sample], moment: Moment, rng: np.random.Generator) -> dict[str, float]:
        """One step of the sketcher, then one of the refiner on what the sketcher now draws. Returns their losses."""
        sample = joined(batch)
        torch.manual_seed(int(rng.integers(2**62)))  # dropout: a resumed run draws the same
        found = {"sketcher": self.sketcher.step(sample.inputs, sample, mean_absolute_error)}
        if self.refiner is not None:
            with torch.no_grad():
                given = self._with_sketch(sample.inputs)
            found["refiner"] = self.refiner.step(given, sample, region_weighted_error)
        return {f"{stage}_{key}": value for stage, losses in found.items() for key, value in losses.items()}

    def _with_sketch(self, inputs: Tensor) -> Tensor:
        """(N, C, I, J, K) MRI -> (N, C + 1, I, J, K) MRI and sketch, which is 0 outside the brain."""
        sketch = self.sketcher.generate(inputs) * inside(inputs, self.recipe["data"]["intensity"])
        return torch.cat([inputs, sketch], dim=1)

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """Mean absolute DVR error over the brain and over its lesions (nan where there is none)."""
        return dvr_errors(self.predict(sample.inputs), sample)

    def predict(self, inputs: Tensor) -> Tensor:
        """DVR map (N, 1, I, J, K) in float32 from rescaled MRI (N, C, I, J, K); outside the brain it means nothing."""
        with torch.inference_mode():
            inputs = inputs.to(self.device)
            if self.refiner is None:
                return self.sketcher.generate(inputs)
            return self.refiner.generate(self._with_sketch(inputs))

    def sketch(self, inputs: Tensor) -> Tensor:
        """The sketcher's map alone, shapes as in `predict`."""
        with torch.inference_mode():
            return self.sketcher.generate(inputs.to(self.device))

    def weights(self) -> Tensors:
        """The generators' weights as a bundle ships them."""
        return {k: v for name, gan in self.gans.items() for k, v in prefixed(name, gan.generator.state_dict()).items()}

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything a resumed run needs."""
        return {k: v for name, gan in self.gans.items() for k, v in prefixed(name, gan.state()).items()}, {}

    def load_state(self, tensors: Tensors, facts: dict[str, Any]) -> None:
        """Take up the state of a checkpoint."""
        for name, gan in self.gans.items():
            gan.load_state(part(name, tensors))

    def start_from(self, bundle: Bundle) -> None:
        """Take the generators' weights from a bundle; raises BadInput where they are of other networks."""
        weights = bundle.weights()
        for name, gan in self.gans.items():
            load_weights(gan.generator, part(name, weights), bundle)

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: Any = "cpu") -> SketcherRefiner:
        """A system that predicts with a bundle's generators."""
        from ..recipe import load_recipe

        recipe, about = load_recipe("sketcher_refiner"), bundle.description
        recipe["data"] |= {"inputs": about["inputs"], "intensity": about["intensity"]}
        recipe["stages"] = about["architecture"]["stages"]
        recipe["generator"] |= about["architecture"]["generator"]
        recipe["losses"]["adversarial"] = 0.0  # predicting needs no discriminator
        system = cls(recipe, device)
        system.start_from(bundle)
        return system

    def architecture(self) -> dict[str, Any]:
        """What a bundle must know to build the generators again."""
        keys = ("width", "levels", "order", "slope")
        generator = {key: self.recipe["generator"][key] for key in keys}
        return {"stages": self.recipe["stages"], "generator": generator}

    def describe(self) -> dict[str, Any]:
        """Parameter counts and settings, for people."""
        counts = {}
        for name, gan in self.gans.items():
            counts[f"{name} G"] = parameters(gan.generator)
            if gan.discriminator is not None:
                counts[f"{name} D"] = parameters(gan.discriminator)
        data = self.recipe["data"]
        return {
            "trainable parameters": counts,
            "inputs": data["inputs"],
            "output": data["target"],
            "intensity rule": data["intensity"],
            "patch of the grid": self.recipe["discriminator"]["patch"],
        }


def mean_absolute_error(fake: Tensor, sample: Sample) -> Tensor:
    """Mean |y - G| over the brain, the sketcher's L1 (ours: the background is left out)."""
    return masked_error(fake, sample, sample.brain)


def region_weighted_error(fake: Tensor, sample: Sample) -> Tensor:
    """The refiner's L1: mean |y - G| in lesions + in NAWM + in the rest of the brain, of those that are not empty."""
    lesions = sample.lesions * sample.brain
    other = sample.brain * (1 - lesions) * (1 - sample.nawm)
    return sum((masked_error(fake, sample, region) for region in (lesions, sample.nawm, other)), fake.new_zeros(()))


def masked_error(fake: Tensor, sample: Sample, region: Tensor) -> Tensor:
    """Mean |y - G| over a region's voxels; 0 where the region is empty. All (N, 1, I, J, K)."""
    return ((fake - sample.target).abs() * region).sum() / region.sum().clamp(min=1)
