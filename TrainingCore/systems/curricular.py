"""Soulier et al. 2024: PiB DVR from T1w and FLAIR with curricular discriminator training.

The generator G, a 3D U-Net, sees the whole volume x and makes a DVR map G(x); the discriminator D sees 16^3 patches of
(T1w, FLAIR, DVR) and outputs a number between 0 (generated) and 1 (measured). With P the patches that the schedule
chose and smoothed labels r ~ N(0.8, 0.3), f ~ N(0.2, 0.3):

    L_D = mean_P (D(x, y) - r)^2 + mean_P (D(x, G(x)) - f)^2
    L_G = mean_brain |y - G(x)| + mean_P (D(x, G(x)) - r)^2 + w mean_P |y - G(x)|

The paper gives the generator's adversarial loss; that D minimises the same squared error is ours (as in LSGAN, Mao et
al. 2017). Measured and generated DVR are masked by the brain alike before D sees them. With the adversarial weight 0
there is no discriminator at all: the L1-only twin. The last term is ours and off in the paper (w, losses.patch_l1, is
0): without a discriminator it keeps the schedule alone, as weights of L1.

Another term is ours and off in the paper (losses.lesion_mean is 0): the squared error of the mean DVR of each lesion,
averaged over the visit's lesions. Lesion measures are means, in which a small lesion counts as much as a large one;
and where MRI leaves the DVR open, L1 aims at the median of what is possible, a squared error at its mean.

Also ours and off in the paper (losses.error_scale is 0): a second output b of G, the scale of a Laplace distribution
of its error in each voxel, with the loss mean_brain |y - G(x)| / b + log b. It sees G's last maps but sends them no
gradients, so the DVR map is the same with it and without. With losses.l1 0 it alone is trained, on a finished network.

The same holds for losses.adversarial_at_most (0: no limit). Once D is better than chance, its gradient at G's output
can be many times that of L1, and maps become worse. With a limit, a larger gradient is scaled down to this multiple of
L1's at each step, whatever the weight.

D has BatchNorm, so its output for a patch depends on the batch. In the discriminator and in the generator step, the
batch contains measured and generated patches (ours; in the generator step the measured half has no gradients): in a
batch of generated patches only, their own statistics would hide how they differ from measured ones. Running statistics
would suffice for G, but D trains poorly with them, because they lag behind its weights.

The paper's patches have 16^3 voxels. The recipe gives their size in mm, because 16 voxels of 3 mm span so much of the
brain that lesion and random patches contain equal amounts of lesion. `lesion_shares` reports both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.bundle import Bundle
from ..data.recipe import grid_spacing, patch_voxels
from ..networks.patch_discriminator import PatchDiscriminator
from ..runtime.processes import over_processes
from .balance import AdversarialBalance
from .learner import Learner
from .moving_average import MovingAverage
from .papers.curricular import CurricularSettings, learns_map
from .parts import (
    SMALLEST_SCALE,
    build_generator,
    combine_losses,
    infer,
    laplace_loss,
    lesion_mean_loss,
    limiting_factor,
    mean_over,
)
from .patches import cut_patches, patch_corners, share_in_patches
from .samples import Sample, dvr_errors
from .schedules import choose_centres, random_share, spread_evenly
from .settings import read_settings
from .system import System
from .tensors import Tensors
from .training_progress import TrainingProgress

MIN_SHARE_RATIO = 1.1  # lesion share of lesion patches over random patches; below, a schedule has no effect (ours)
SHARE_PATCHES = 64  # random patches whose lesion share is reported at each step (ours)


class Curricular(System):
    """G, D and their losses; see System for the verbs."""

    name = "curricular"
    progress_losses: ClassVar = {
        "l1": "L1 {:.3f}",
        "loss_G": "G {:.3f}",
        "loss_D": "D {:.3f}",
        "random_share": "random {:.0%}",
    }
    architecture_keys = ("generator.width", "generator.levels", "generator.order", "losses.error_scale")
    optional_weights = ("scale.",)

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        super().__init__(recipe, device)
        self.options = read_settings(CurricularSettings, recipe)
        self.patch = patch_voxels(recipe)
        self.predicts_scale = self.options.losses.error_scale > 0
        self.keeps_map = not learns_map(recipe)
        if self.predicts_scale and self.keeps_map:
            self.score = ("scale",)  # the map stays as it is, and so do its errors
        generator = build_generator(asdict(self.options.generator), self.channels, self.predicts_scale)
        self.generator = self.learner("generator", generator, "generator_rate")
        self.discriminator: Learner[PatchDiscriminator] | None = None
        if self.options.losses.adversarial > 0:
            settings = self.options.discriminator
            network = PatchDiscriminator(self.channels + 1, self.patch, settings.widths, settings.strides)
            self.discriminator = self.learner("discriminator", network, "discriminator_rate")
        self.balance = AdversarialBalance(**asdict(self.options.optimizer.balance))
        self.average = MovingAverage(self.generator.module, self.options.ema)

    # -- training step ---------------------------------------------------------------------------------------------

    def training_step(
        self, batch: list[Sample], progress: TrainingProgress, rng: np.random.Generator
    ) -> dict[str, float]:
        """Train on one visit: a generator pass, a discriminator step on its patches, a generator step."""
        (sample,) = batch
        self._set_rates(progress)
        output = self.generator(sample.inputs)
        fake, real = output[:, :1] * sample.brain, sample.target * sample.brain
        losses: dict[str, float] = {"loss_G": 0.0, "l1": 0.0, "adversarial": 0.0}
        adversarial, patch_l1, of_patches = self._patch_losses(sample, fake, real, progress, rng)
        loss, of_voxels = self._pixel_loss(sample, fake, real)
        losses |= of_patches | of_voxels
        if patch_l1 is not None:
            loss = loss + patch_l1
        losses["loss_G"] = loss.item() + (0.0 if adversarial is None else adversarial.item())
        if adversarial is not None:
            limit = self.options.losses.adversarial_at_most
            loss, losses["gradient_ratio"] = combine_losses(fake, loss, adversarial, limit)
            if limit > 0:
                losses["weight_adversarial"] *= limiting_factor(losses["gradient_ratio"], limit)
        if self.predicts_scale:
            scale = mean_over(self._weighted(sample), laplace_loss((fake - real).abs().detach(), output[:, 1:]))
            losses["scale"] = scale.item()
            loss = loss + self.options.losses.error_scale * scale
        self.generator.step(loss)
        self.average.follow()
        return losses

    def _weighted(self, sample: Sample) -> Tensor:
        """(1, 1, I, J, K) weight of each voxel in the L1 term."""
        return sample.brain * (1 + self.options.losses.lesion_l1 * sample.lesions)

    def _pixel_loss(self, sample: Sample, fake: Tensor, real: Tensor) -> tuple[Tensor, dict[str, float]]:
        """L1 over the brain, and the error of each lesion's mean if it has a weight: their sum, and the terms."""
        weights = self.options.losses
        l1 = mean_over(self._weighted(sample), (fake - real).abs())
        if weights.lesion_mean == 0:
            return weights.l1 * l1, {"l1": l1.item()}
        lesion_mean = lesion_mean_loss(fake - real, sample.lesion_labels)
        terms = {"l1": l1.item(), "lesion_mean": lesion_mean.item()}
        return weights.l1 * l1 + weights.lesion_mean * lesion_mean, terms

    def _patch_losses(
        self,
        sample: Sample,
        fake: Tensor,
        real: Tensor,
        progress: TrainingProgress,
        rng: np.random.Generator,
    ) -> tuple[Tensor | None, Tensor | None, dict[str, float]]:
        """Discriminator step, then the generator's adversarial loss and L1 at the schedule's patches, and the log.

        Both losses are weighted; None: there is none.
        """
        weights = self.options.losses
        if self.discriminator is None and weights.patch_l1 == 0:
            return None, None, {}
        share = self._random_share(progress)
        log = {"random_share": share, **self.lesion_shares(sample)}
        corners = self._corners(sample, share, rng)
        adversarial = patch_l1 = None
        if self.discriminator is not None:
            log |= self._discriminator_step(self.discriminator, sample, real, fake.detach(), corners, rng)
            mixture = torch.cat([self._patches(sample, dvr, corners) for dvr in (real, fake)])
            of_fake = self.discriminator.frozen(mixture).chunk(2)[1]
            adversarial = F.mse_loss(of_fake, self._labels(self.options.labels.real, of_fake, rng))
            log["adversarial"] = adversarial.item()
            adversarial = self._adversarial_weight() * adversarial
        if weights.patch_l1 > 0:
            patch_l1 = weights.patch_l1 * self._patch_l1(sample, (fake - real).abs(), corners)
        return adversarial, patch_l1, log

    def _discriminator_step(
        self,
        D: Learner[PatchDiscriminator],
        sample: Sample,
        real: Tensor,
        fake: Tensor,
        corners: Tensor,
        rng: np.random.Generator,
    ) -> dict[str, float]:
        of_real, of_fake = D(torch.cat([self._patches(sample, dvr, corners) for dvr in (real, fake)])).chunk(2)
        loss_D = F.mse_loss(of_real, self._labels(self.options.labels.real, of_real, rng))
        loss_D = loss_D + F.mse_loss(of_fake, self._labels(self.options.labels.fake, of_fake, rng))
        D.step(loss_D)
        both = over_processes(torch.stack([of_real.detach().mean(), of_fake.detach().mean()]))
        means = dict(zip(("D_real", "D_fake"), both.tolist(), strict=True))
        self.balance.update(means["D_real"], means["D_fake"])  # alike in all processes, or their D would drift apart
        factors = {"weight_adversarial": self._adversarial_weight(), "rate_D": self.balance.discriminator}
        return {"loss_D": loss_D.item(), **means, **factors}

    def _adversarial_weight(self) -> float:
        return self.options.losses.adversarial * self.balance.adversarial

    def _patches(self, sample: Sample, dvr: Tensor, corners: Tensor) -> Tensor:
        """(P, C + 1, patch, patch, patch): MRI and DVR at the corners."""
        return cut_patches(torch.cat([sample.inputs[0], dvr[0]]), corners, self.patch)

    def _patch_l1(self, sample: Sample, error: Tensor, corners: Tensor) -> Tensor:
        """Mean of (1, 1, I, J, K) absolute errors over the brain's voxels in the patches; a voxel counts in each."""
        patches = cut_patches(torch.cat([error[0], sample.brain[0]]), corners, self.patch)
        return mean_over(patches[:, 1], patches[:, 0])

    def lesion_shares(self, sample: Sample) -> dict[str, float]:
        """Mean share of lesional voxels in a visit's lesion patches, and in random patches, 0 to 1 each.

        The curriculum has an effect only if they differ. The share of the random patches is estimated at SHARE_PATCHES
        white matter voxels spread evenly over the visit, so that no random numbers are used.
        """
        lesions = sample.lesions[0, 0].cpu().numpy() > 0.5
        centres = {"lesion_patches": sample.lesion_centres}
        centres["random_patches"] = spread_evenly(sample.white_matter, SHARE_PATCHES)
        return {
            f"lesion_share_{kind}": share_in_patches(lesions, points, self.patch) for kind, points in centres.items()
        }

    def _random_share(self, progress: TrainingProgress) -> float:
        schedule = self.options.schedule
        return random_share(schedule.name, progress.epoch, progress.epochs, schedule.share)

    def _corners(self, sample: Sample, share: float, rng: np.random.Generator) -> Tensor:
        centres = choose_centres(rng, self.options.patches, share, sample.lesion_centres, sample.white_matter)
        corners = patch_corners(centres, tuple(sample.target.shape[2:]), self.patch)
        return torch.as_tensor(corners, device=self.device)

    def _labels(self, mean: float, like: Tensor, rng: np.random.Generator) -> Tensor:
        drawn = rng.normal(mean, self.options.labels.sd, size=tuple(like.shape)).astype(np.float32)
        return torch.from_numpy(drawn).to(like.device)

    def _set_rates(self, progress: TrainingProgress) -> None:
        rates = self.options.optimizer
        decay = progress.decay(rates.decay)
        self.generator.set_rate(rates.generator_rate * decay)
        if self.discriminator is not None:
            self.discriminator.set_rate(rates.discriminator_rate * decay * self.balance.discriminator)

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """Mean absolute DVR error over the brain and over its lesions, and the loss of the scale if there is one."""
        outputs = infer(self.inference_networks()[""], sample.inputs, self.precision)
        measures = dvr_errors(outputs[:, :1], sample)
        if self.predicts_scale:
            error = (outputs[:, :1] - sample.target * sample.brain).abs()
            measures["scale"] = mean_over(self._weighted(sample), laplace_loss(error, outputs[:, 1:])).item()
        return measures

    # -- prediction, state -----------------------------------------------------------------------------------------

    def predict(self, inputs: Tensor) -> Tensor:
        """Predict the DVR map."""
        return infer(self.inference_networks()[""], inputs, self.precision)[:, :1]

    def predict_with_scale(self, inputs: Tensor) -> Tensor:
        """Predict the DVR map and the SD of its error that the generator expects; only where `predicts_scale`.

        Args:
            inputs: (N, C, I, J, K), rescaled MRI.

        Returns:
            (N, 2, I, J, K), float32, in DVR.
        """
        outputs = infer(self.inference_networks()[""], inputs, self.precision)
        return torch.cat((outputs[:, :1], math.sqrt(2) * outputs[:, 1:].exp().clamp(min=SMALLEST_SCALE)), dim=1)

    def inference_networks(self) -> Mapping[str, nn.Module]:
        """G, or its moving average if there is one."""
        return {"": self.average.predicting}

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything needed to resume a run: tensors, and plain numbers."""
        tensors, facts = super().state()
        tensors |= self.average.state()
        return tensors, facts | {"balance": self.balance.state()}

    def load_state(self, tensors: Tensors, facts: dict[str, Any]) -> None:
        """Restore a checkpoint, including the moving average and the adversarial balance."""
        super().load_state(tensors, facts)
        self.average.load_state(tensors)
        self.balance.load(facts["balance"])

    def start_from(self, bundle: Bundle) -> None:
        """Initialise the generator and its moving average from a bundle."""
        super().start_from(bundle)
        self.average.hand_back()

    def settings(self) -> dict[str, Any]:
        """Where the discriminator looks."""
        if self.discriminator is None and self.options.losses.patch_l1 == 0:
            return {"schedule": "none (no discriminator)"}
        edge = f"{self.patch} voxels, {self.patch * grid_spacing(self.recipe):g} mm"
        return {"schedule": self.options.schedule.name, "patch": edge}

    def warnings(self, entry: dict[str, float]) -> list[str]:
        """Warn if the patches are so large that the curriculum has no effect."""
        keys = ("lesion_share_lesion_patches", "lesion_share_random_patches")
        of_lesion, of_random = (entry.get(key, 0.0) for key in keys)
        if of_random <= 0 or of_lesion / of_random >= MIN_SHARE_RATIO:
            return []
        return [
            f"Lesion patches hold {of_lesion:.1%} lesion, random patches {of_random:.1%}: the curriculum makes little "
            "difference. Use smaller patches (discriminator.patch_mm)."
        ]
