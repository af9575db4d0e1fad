"""Wei et al. 2018: PiB DVR from MTR, FA, RD and AD by two conditional GANs in sequence.

The sketcher S turns MRI x into a sketch; the refiner R takes MRI and sketch (see conditional_gan.py for both losses):

    L_S = adversarial cross-entropy + lambda_S |y - S(x)|
    L_R = adversarial cross-entropy + lambda_R ( |y - R|_lesions + |y - R|_NAWM + |y - R|_other )      R = R(x, S(x))

|.|_region is the mean absolute error over that region's own voxels; the paper divides by the number of voxels of the
whole image once more, a constant that lambda_R takes in here. Where a region is empty, as the lesions of a control are,
its term is left out. "Other" is the rest of the brain (ours: the background is exactly 0 in both).

Ours, where the paper is silent: both GANs take one step on every visit, and the refiner's gradient does not reach the
sketcher, whose loss is its own; the noise z is the generators' dropout (Isola et al. 2017), off when predicting. The
refiner learns from sketches drawn with it, I_S ~ S(x, z) as in the paper's equation 3. Ours too: the
generator's widths, levels, GroupNorm and place of the dropout (networks/unet3d.py); patch size; both lambdas; epochs.

`generator.linear_path` adds a linear function of every voxel's own MRI to the output of a generator (ours, off in the
paper's recipe; networks/linear_path.py): DVR follows quantitative MRI voxel by voxel, and GroupNorm hides their values.

`stages: 1` is the paper's comparator, a single cGAN (the sketcher alone); adversarial weight 0 the L1-only twin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..networks.grid_discriminator import GridDiscriminator
from ..networks.linear_path import WithLinearPath
from .conditional_gan import ConditionalGAN
from .papers.sketcher_refiner import SketcherRefinerSettings
from .parts import build_generator, inside, mean_over
from .samples import Sample, joined
from .settings import read_settings
from .system import System
from .training_progress import TrainingProgress


class SketcherRefiner(System):
    """S, R and their discriminators; see System for the verbs."""

    name = "sketcher_refiner"
    progress_losses: ClassVar = {
        "sketcher_loss": "sketch {:.3f}",
        "sketcher_D": "D {:.3f}",
        "refiner_loss": "refined {:.3f}",
        "refiner_D": "D {:.3f}",
    }
    architecture_keys = (
        "stages",
        "generator.width",
        "generator.levels",
        "generator.order",
        "generator.slope",
        "generator.linear_path",
    )

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        super().__init__(recipe, device)
        self.options = read_settings(SketcherRefinerSettings, recipe)
        self.sketcher = self._gan("sketcher", self.channels)
        self.refiner = self._gan("refiner", self.channels + 1) if self.options.stages == 2 else None

    def _gan(self, stage: str, channels: int) -> ConditionalGAN:
        losses, settings, rate = self.options.losses, self.options.discriminator, f"{stage}_rate"
        generator = self.learner(f"{stage} G", self._generator(channels), rate)
        discriminator = None
        if losses.adversarial > 0:
            network = GridDiscriminator(self.channels + 1, settings.patch, settings.widths)
            discriminator = self.learner(f"{stage} D", network, rate)
        weight = losses.lambda_sketcher if stage == "sketcher" else losses.lambda_refiner
        return ConditionalGAN(generator, discriminator, settings.patch, losses.adversarial, weight)

    def _generator(self, channels: int) -> nn.Module:
        layout = asdict(self.options.generator)
        with_linear_path = layout.pop("linear_path")
        network = build_generator(layout, channels)
        return WithLinearPath(network, channels) if with_linear_path else network

    def training_step(
        self, batch: list[Sample], progress: TrainingProgress, rng: np.random.Generator
    ) -> dict[str, float]:
        """Train the sketcher, then the refiner on what the sketcher now draws."""
        sample, adam = joined(batch), self.options.optimizer
        rates = {"sketcher": adam.sketcher_rate, "refiner": adam.refiner_rate}
        for name, learner in self.learners.items():
            learner.set_rate(rates[name.split()[0]] * progress.decay(adam.decay))
        torch.manual_seed(int(rng.integers(2**62)))  # dropout: a resumed run draws the same
        losses = {"sketcher": self.sketcher.step(sample.inputs, sample, brain_l1)}
        if self.refiner is not None:
            with_sketch = self._with_sketch(sample.inputs, self._training_sketch(sample.inputs))
            losses["refiner"] = self.refiner.step(with_sketch, sample, region_weighted_error)
        return {f"{stage}_{key}": value for stage, values in losses.items() for key, value in values.items()}

    def _training_sketch(self, inputs: Tensor) -> Tensor:
        """A sketch (N, 1, I, J, K) with dropout, which is the noise of the paper; no gradients."""
        with torch.no_grad():
            return self.sketcher.generator(inputs)

    def _with_sketch(self, inputs: Tensor, sketch: Tensor) -> Tensor:
        """(N, C, I, J, K) MRI and a sketch -> (N, C + 1, I, J, K) both, the sketch 0 outside the brain."""
        return torch.cat([inputs, sketch * inside(inputs, self.recipe["data"]["intensity"])], dim=1)

    def predict(self, inputs: Tensor) -> Tensor:
        """Predict the DVR map with both stages, or with the sketcher alone if `stages` is 1."""
        if self.refiner is None:
            return self.sketch(inputs)
        inputs = inputs.to(self.device)
        return self.refiner.generator.infer(self._with_sketch(inputs, self.sketch(inputs)))

    def sketch(self, inputs: Tensor) -> Tensor:
        """Predict the DVR map of the sketcher alone.

        Args:
            inputs: rescaled MRI, (N, C, I, J, K).

        Returns:
            Sketch, float32 (N, 1, I, J, K); undefined outside the brain.
        """
        return self.sketcher.generator.infer(inputs)

    def inference_networks(self) -> Mapping[str, nn.Module]:
        """S, and R if there is one."""
        sketcher = {"sketcher/": self.sketcher.generator.module}
        return sketcher | ({"refiner/": self.refiner.generator.module} if self.refiner is not None else {})

    def settings(self) -> dict[str, Any]:
        """Patches of the discriminators."""
        return {"patch of the grid": list(self.options.discriminator.patch)}


def brain_l1(fake: Tensor, sample: Sample) -> Tensor:
    """The sketcher's L1: mean |y - G| over the brain (ours: the background is left out).

    Args:
        fake: generated DVR, (N, 1, I, J, K).
        sample: the visits, with target and brain mask.

    Returns:
        A single number, with gradients.
    """
    return torch.stack([mean_over(*pair) for pair in zip(sample.brain, (fake - sample.target).abs())]).mean()


def region_weighted_error(fake: Tensor, sample: Sample) -> Tensor:
    """The refiner's L1: mean |y - G| in lesions + in NAWM + in the rest of the brain, averaged over the visits.

    Empty regions are left out.

    Args:
        fake: generated DVR, (N, 1, I, J, K).
        sample: the visits, with target and masks.

    Returns:
        A single number, with gradients.
    """
    lesions, error = sample.lesions * sample.brain, (fake - sample.target).abs()
    other = sample.brain * (1 - lesions) * (1 - sample.nawm)
    visits = zip(error, lesions, sample.nawm, other)
    regions = [[mean_over(region, own) for region in own_regions] for own, *own_regions in visits]
    return torch.stack([torch.stack(means).sum() for means in regions]).mean()
