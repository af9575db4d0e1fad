"""Orbes-Arteaga et al. 2018: joint synthesis of FLAIR and segmentation of WMH from T1w.

The generator G synthesizes a FLAIR from an axial slice x of T1w; the classifier C segments the white-matter
hyperintensities l in x and G(x). For every batch of slices, C and then G takes a step (this order is ours), with y the
true FLAIR:

    L_C = cross-entropy( C(x, G(x)), l )
    L_G = mean (y - G(x))^2 + cross-entropy( C(x, G(x)), l )

`mode` selects the comparators of the paper: `offline`, where G is trained with L2 only and then fixed while C is
trained, each for as many steps as in joint training; `unimodal`, where C uses T1w only and there is no G.

The paper prints only the cross-entropy term of the hyperintense pixels, which would be 0 for an output of 1 everywhere,
and the squared norm, a sum over pixels; we use the usual two terms, and means (ours).

Both are the U-Nets of Li et al. 2018 (networks/unet2d.py); G has one input channel and ends in LeakyReLU instead of C's
sigmoid. Ours: both losses are means over the pixels of the brain, outside of which G's output is set to the background
before it is passed to C; the slope of that LeakyReLU is 0.3, Keras's default; the output bias of C starts at 1 %
hyperintense voxels (as Lin et al. 2017); the epoch is selected by the cross-entropy of the validation set only, in
every mode: with L_G, whose squared error is ten times larger, the FLAIR would dominate the selection, and in mode
offline an epoch before C's first step could be selected. The probability threshold for hyperintense voxels is also
selected on the validation set and stored in the bundle (ours; the paper gives none).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..evaluation.measures import dice
from ..evaluation.segmentation import HALF
from ..imaging.intensities import background_of
from ..networks.unet2d import UNet2D
from ..runtime.errors import BadInput
from .learner import Learner
from .papers.joint_flair_wmh import JointFlairWMHSettings
from .parts import init_output_bias, inside, mean_over
from .samples import Sample
from .settings import read_settings
from .slices import random_slices, slice_by_slice
from .system import System
from .training_progress import TrainingProgress

SLOPE = 0.3
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(2, 19))  # 0.1 to 0.9
RARE = 0.01  # share of hyperintense pixels that C predicts before training


class JointFlairWMH(System):
    """G and C; see System for the verbs, to which it adds `segment`.

    >>> flair, probability = system.predict(t1w), system.segment(t1w)       # (N, 1, I, J, K) each
    """

    name = "joint_flair_wmh"
    score = ("cross_entropy",)
    progress_losses: ClassVar = {"l2": "L2 {:.3f}", "cross_entropy": "CE {:.4f}"}
    architecture_keys = ("mode", "networks.widths", "networks.first_kernel")

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        super().__init__(recipe, device)
        self.options = read_settings(JointFlairWMHSettings, recipe)
        self.rule, self.mode = recipe["data"]["intensity"], self.options.mode
        self.synthesises = self.mode != "unimodal"
        self.phases = 2 if self.mode == "offline" else 1
        classifier = UNet2D(self.channels + self.synthesises, **asdict(self.options.networks))
        init_output_bias(classifier.last, math.log(RARE / (1 - RARE)))
        self.classifier = self.learner("classifier", classifier)
        self.generator: Learner[UNet2D] | None = None
        if self.synthesises:
            self.generator = self.learner("generator", UNet2D(self.channels, **asdict(self.options.networks)))

    # -- training ----------------------------------------------------------------------------------------------------

    def training_step(
        self, batch: list[Sample], progress: TrainingProgress, rng: np.random.Generator
    ) -> dict[str, float]:
        """Train on slices of the visits: one step of C, one of G, depending on the mode."""
        slices = random_slices(batch, self.options.slices_per_visit, rng)
        G, C = self.generator, self.classifier
        learning = self._learning(progress)
        self._set_rates(progress)
        losses: dict[str, float] = {}
        seen = slices["inputs"]
        if G is not None:
            flair = self._flair(G if "G" in learning else G.infer, slices["inputs"])
            seen = torch.cat([slices["inputs"], flair], dim=1)
        if "C" in learning:
            loss_C = cross_entropy(C(seen.detach()), slices)
            C.step(loss_C)
            losses["cross_entropy"] = loss_C.item()
        if G is not None and "G" in learning:
            l2 = mean_over(slices["brain"], (slices["target"] - flair).square())
            loss_G = l2 + cross_entropy(C.frozen(seen), slices) if "C" in learning else l2
            G.step(loss_G)
            losses |= {"l2": l2.item(), "loss_G": loss_G.item()}
        return losses

    def _learning(self, progress: TrainingProgress) -> str:
        """The networks that are trained at this point."""
        if self.mode == "joint":
            return "CG"
        return "G" if self.mode == "offline" and progress.share < 0.5 else "C"

    def _set_rates(self, progress: TrainingProgress) -> None:
        """Set the learning rate; in mode `offline` it decays in each half, so that both networks see the same rates."""
        half = replace(progress, share=2 * progress.share % 1) if self.mode == "offline" else progress
        for learner in self.learners.values():
            learner.set_rate(self.options.optimizer.rate * half.decay(self.options.optimizer.decay))

    def _flair(self, G: Callable[[Tensor], Tensor], t1w: Tensor) -> Tensor:
        """(S, C, I, J) T1w -> (S, 1, I, J) synthetic FLAIR, background outside the brain."""
        return torch.where(inside(t1w, self.rule) > 0, F.leaky_relu(G(t1w), SLOPE), background_of(self.rule))

    # -- validation, prediction --------------------------------------------------------------------------------------

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """Cross-entropy, Dice, squared and absolute error of the FLAIR, over the brain.

        `dice` (0 to 1, nan without WMH) is at a probability of 0.5; `dice_at_<threshold>` at each of THRESHOLDS.
        """
        probability = self.segment(sample.inputs)
        truth = sample.lesions * sample.brain
        each = F.binary_cross_entropy(probability.clamp(1e-6, 1 - 1e-6), truth, reduction="none")
        measures = {
            "cross_entropy": float(mean_over(sample.brain, each)),
            "dice": _dice((probability > HALF) * sample.brain, truth),
        }
        for threshold in THRESHOLDS:
            measures[f"dice_at_{threshold:.2f}"] = _dice((probability > threshold) * sample.brain, truth)
        if self.generator is not None:
            error = self.predict(sample.inputs) - sample.target
            measures["l2"] = float(mean_over(sample.brain, error.square()))
            measures["mae"] = float(mean_over(sample.brain, error.abs()))
        return measures

    def chosen_on_validation(self, entry: dict[str, float]) -> dict[str, float]:
        """Choose the threshold with the highest mean Dice over the validation people; on ties, nearest 0.5."""
        mean_dice = {threshold: entry.get(f"validation_dice_at_{threshold:.2f}", 0.0) for threshold in THRESHOLDS}
        best = max(mean_dice.values())
        if best <= 0:
            return {}
        highest = [threshold for threshold in mean_dice if mean_dice[threshold] == best]
        return {"lesion_threshold": min(highest, key=lambda threshold: abs(threshold - HALF))}

    def predict(self, inputs: Tensor) -> Tensor:
        """Synthesize the FLAIR, in the units of the intensity rule, slice by slice.

        Raises:
            BadInput: the mode is `unimodal`, which synthesizes no FLAIR.
        """
        if self.generator is None:
            raise BadInput(
                "The unimodal comparator segments hyperintensities in T1w and synthesizes no FLAIR. Use `segment`."
            )
        infer, empty = self.generator.infer, background_of(self.rule)
        return slice_by_slice(lambda t1w: self._flair(infer, t1w), inputs.to(self.device), empty)

    def segment(self, inputs: Tensor) -> Tensor:
        """Segment the hyperintensities.

        Args:
            inputs: rescaled T1w, (N, C, I, J, K).

        Returns:
            Probability of a hyperintensity, (N, 1, I, J, K) in [0, 1]; 0 outside the brain.
        """
        return slice_by_slice(self._probability, inputs.to(self.device), 0.0)

    def _probability(self, t1w: Tensor) -> Tensor:
        G = self.generator
        seen = t1w if G is None else torch.cat([t1w, self._flair(G.infer, t1w)], dim=1)
        return torch.sigmoid(self.classifier.infer(seen)) * inside(t1w, self.rule)

    def inference_networks(self) -> Mapping[str, nn.Module]:
        """C, and G if there is one."""
        return {"C.": self.classifier.module} | ({"G.": self.generator.module} if self.generator else {})

    def settings(self) -> dict[str, Any]:
        """Outputs and mode."""
        target = self.recipe["data"]["target"]
        outputs = f"{target} and hyperintensities" if self.synthesises else "hyperintensities"
        turns = " (all steps of G, then as many of C)" if self.mode == "offline" else ""
        return {"output": outputs, "mode": f"{self.mode}{turns}"}


def _dice(mask: Tensor, truth: Tensor) -> float:
    """Dice index of two masks of 0 and 1; nan if there is no true lesion."""
    if not bool(truth.any()):
        return math.nan
    return dice((mask > 0).cpu().numpy(), (truth > 0).cpu().numpy()) or 0.0


def cross_entropy(logits: Tensor, slices: dict[str, Tensor]) -> Tensor:
    """Mean cross-entropy of C's output to the hyperintensities, over the brain.

    Args:
        logits: output of C before the sigmoid, (S, 1, I, J).
        slices: `lesions` and `brain`, (S, 1, I, J) each, 0 or 1.

    Returns:
        A single number, with gradients.
    """
    each = F.binary_cross_entropy_with_logits(logits, slices["lesions"], reduction="none")
    return mean_over(slices["brain"], each)
