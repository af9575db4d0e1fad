"""The lesion finder (ours): the probability of an MS lesion at every voxel of 1 mm, from T1w and FLAIR.

A 3D U-Net f on folded voxels (networks/folded_unet3d.py) is trained on windows x of a head, drawn at random, often
centred on a lesion. It predicts the whole brain at once, which detects more lesions than windows do, and takes the mean
with the mirrored brain, which marks less that is none; without one of the inputs, windows as in training do better
(docs/lesion_finder.md). With p = f(x), the mask m and the brain B:

    L = sum_B w CE(p, m) / |B| + 1 - (2 sum p m + 1) / (sum p + sum m + 1)      sums over the windows of a step

Voxels of a small lesion weigh more in the cross-entropy than those of a large one (w, up to `small_lesions`), since
the Dice of a head is that of its large lesions while a count of lesions is one of its small ones. One input in a few is
blank in training, so that the network also works where T1w or FLAIR is missing. It predicts with the moving average of
its weights. The threshold and the smallest lesion are those with the highest Dice and, at that threshold, the highest
lesion-wise F1 over the validation people; the bundle keeps both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.bundle import Bundle
from ..evaluation.lesion_detection import SMALLEST, THRESHOLDS, f1_by_smallest
from ..evaluation.measures import dice
from ..imaging.intensities import background_of
from ..imaging.labelling import label_lesions
from ..networks.folded_unet3d import FoldedUNet3D
from ..networks.inference import tiled_forward
from .learner import Learner
from .moving_average import MovingAverage
from .papers.lesion_finder import LesionFinderSettings
from .parts import infer, init_output_bias, inside, mean_over
from .samples import Sample
from .settings import read_settings
from .system import System
from .tensors import Tensors
from .training_progress import TrainingProgress

RARE = 0.01  # share of lesion voxels that the network predicts before training (ours)
ORDINARY = 200.0  # voxels of a lesion from which on a voxel of it weighs as much as any other (ours)
AT_ONCE = 192  # voxels: a brain with a longer edge is predicted in overlapping windows of this edge (ours)
OVERLAP = 0.25  # share of a window that neighbouring ones have in common (ours)
LEFT_RIGHT = 2  # axis of (N, C, I, J, K)


class LesionFinder(System):
    """f and its loss; see System for the verbs, to which it adds `segment`.

    >>> probability = system.segment(torch.zeros(1, 2, 160, 192, 160))            # (1, 1, 160, 192, 160)
    """

    name = "lesion_finder"
    score = ("dice_loss",)
    progress_losses: ClassVar = {"dice_loss": "Dice loss {:.3f}", "cross_entropy": "CE {:.4f}"}
    architecture_keys = ("network.width", "network.levels", "window")
    synthesises = False

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        super().__init__(recipe, device)
        self.options = read_settings(LesionFinderSettings, recipe)
        network = FoldedUNet3D(self.channels, width=self.options.network.width, levels=self.options.network.levels)
        init_output_bias(network.last, math.log(RARE / (1 - RARE)))
        self.network: Learner[FoldedUNet3D] = self.learner("network", network)
        self.average = MovingAverage(self.network.module, self.options.ema)

    # -- training ----------------------------------------------------------------------------------------------------

    def training_step(
        self, batch: list[Sample], progress: TrainingProgress, rng: np.random.Generator
    ) -> dict[str, float]:
        """Train on a window of each visit, all windows of one size."""
        optimizer, weights = self.options.optimizer, self.options.losses
        self.network.set_rate(optimizer.rate * progress.decay(optimizer.decay))
        x = torch.cat([self._some_blank(self._network_input(sample.inputs, sample.brain), rng) for sample in batch])
        brain = torch.cat([sample.brain for sample in batch])
        truth = torch.cat([sample.lesions for sample in batch]) * brain
        logits = self.network(x)
        each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        each = each * lesion_weights(truth, self.options.small_lesions)
        cross_entropy, dice_loss = mean_over(brain, each), _soft_dice_loss(logits.sigmoid() * brain, truth)
        self.network.step(weights.cross_entropy * cross_entropy + weights.dice * dice_loss)
        self.average.follow()
        return {"dice_loss": dice_loss.item(), "cross_entropy": cross_entropy.item()}

    def _some_blank(self, x: Tensor, rng: np.random.Generator) -> Tensor:
        """The inputs, one of which may be blank; (1, C, I, J, K). Two draws, whatever comes of them."""
        draw, which = rng.random(), int(rng.integers(self.channels))
        inputs, any_of_them = self.recipe["data"]["inputs"], self.channels * self.options.missing_input
        if draw >= any_of_them:
            if draw >= any_of_them + (1 - any_of_them) * self.options.missing_t1w or "t1w" not in inputs:
                return x
            which = inputs.index("t1w")
        if self.channels > 1:
            x = x.clone()
            x[:, which] = 0.0
        return x

    @staticmethod
    def _network_input(inputs: Tensor, brain: Tensor) -> Tensor:
        """What the network sees: the brain's mean (0) outside the brain, as in an input that is missing."""
        return inputs * brain

    # -- validation, prediction --------------------------------------------------------------------------------------

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """Soft Dice loss; Dice at each threshold, and F1 of whole lesions for each threshold and smallest lesion.

        Dice and F1 are 0 to 1, nan for a visit without lesions.
        """
        probability = self.segment(sample.inputs)[0, 0].cpu()
        predicted, brain = probability.numpy(), sample.brain[0, 0].cpu().numpy() > 0.5
        truth = (sample.lesions[0, 0].cpu().numpy() > 0.5) & brain
        loss = _soft_dice_loss(probability, torch.from_numpy(truth.astype(np.float32)))
        measures = {"dice_loss": float(loss) if truth.any() else math.nan}
        voxel = sample.spacing**3
        for threshold in THRESHOLDS:
            mask = predicted > threshold
            measures[f"dice_at_{threshold:.2f}"] = (dice(truth, mask) or 0.0) if truth.any() else math.nan
            for smallest, value in f1_by_smallest(truth, mask, voxel).items():
                measures[f"f1_at_{threshold:.2f}_{smallest:g}"] = value
        return measures

    def chosen_on_validation(self, entry: dict[str, float]) -> dict[str, float]:
        """Choose the threshold with the highest mean Dice over the validation people, then the lesion size by F1."""
        mean_dice = {threshold: entry.get(f"validation_dice_at_{threshold:.2f}", 0.0) for threshold in THRESHOLDS}
        if max(mean_dice.values()) <= 0:
            return {}
        threshold = max(mean_dice, key=lambda each: mean_dice[each])
        scores = {size: entry.get(f"validation_f1_at_{threshold:.2f}_{size:g}", 0.0) for size in SMALLEST}
        return {"lesion_threshold": threshold, "smallest_lesion_mm3": max(scores, key=lambda each: scores[each])}

    def predict(self, inputs: Tensor) -> Tensor:
        """Same as `segment`: the output of this system is the probability of a lesion."""
        return self.segment(inputs)

    def segment(self, inputs: Tensor) -> Tensor:
        """Segment the lesions of the whole brain, or, if an input is missing, in overlapping windows that are blended.

        The result is the mean of the image and its mirror image.

        Args:
            inputs: rescaled MRI, (N, C, I, J, K); an input whose voxels are all background counts as missing.

        Returns:
            Probability of a lesion, (N, 1, I, J, K) in [0, 1]; 0 outside the brain.
        """
        inputs = inputs.to(self.device)
        rule = self.recipe["data"]["intensity"]
        brain = inside(inputs, rule)
        x, box = _cropped_to(brain, inputs * (inputs != background_of(rule)))
        network = self.inference_networks()[""]
        probability = torch.zeros_like(brain)

        def run(box_of_brain: Tensor) -> Tensor:
            if not bool(box_of_brain.any()):
                return torch.zeros_like(box_of_brain[:, :1])
            return infer(network, box_of_brain, self.precision).sigmoid()

        complete = bool((x != 0).any(dim=(0, 2, 3, 4)).all())
        edge = AT_ONCE if complete else self.options.window
        own, mirrored = (tiled_forward(run, view, edge, round(OVERLAP * edge)) for view in (x, x.flip(LEFT_RIGHT)))
        probability[box] = (own + mirrored.flip(LEFT_RIGHT)) / 2
        return probability * brain

    def inference_networks(self) -> Mapping[str, nn.Module]:
        """f, or its moving average if there is one."""
        return {"": self.average.predicting}

    # -- state -------------------------------------------------------------------------------------------------------

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything needed to resume a run: tensors, and plain numbers."""
        tensors, facts = super().state()
        tensors |= self.average.state()
        return tensors, facts

    def load_state(self, tensors: Tensors, facts: dict[str, Any]) -> None:
        """Restore a checkpoint, including the moving average."""
        super().load_state(tensors, facts)
        self.average.load_state(tensors)

    def start_from(self, bundle: Bundle) -> None:
        """Initialise the network and its moving average from a bundle."""
        super().start_from(bundle)
        self.average.hand_back()

    def settings(self) -> dict[str, Any]:
        """Size of the window."""
        return {"output": "probability of an MS lesion", "window": f"{self.options.window} voxels"}


def lesion_weights(truth: Tensor, largest: float) -> Tensor:
    """Weights of the cross-entropy: sqrt(ORDINARY / size) within a lesion of `size` voxels, 1 elsewhere.

    Args:
        truth: lesion mask of each window, (N, 1, I, J, K), 0 or 1.
        largest: upper limit of the weights; the lower limit is 1.

    Returns:
        Weights, float32 (N, 1, I, J, K) on the device of `truth`.
    """
    weights = np.ones(tuple(truth.shape), np.float32)
    for window, mask in zip(weights, truth.cpu().numpy()):
        labels, sizes = label_lesions(mask[0], 1.0)
        each = np.clip(np.sqrt(ORDINARY / np.maximum(sizes, 1.0)), 1.0, largest)
        window[0] = np.append(1.0, each)[labels]
    return torch.from_numpy(weights).to(truth.device)


def _soft_dice_loss(probability: Tensor, truth: Tensor) -> Tensor:
    """1 - (2 sum p m + 1) / (sum p + sum m + 1), a single number; both arguments have one shape."""
    return 1 - (2 * (probability * truth).sum() + 1) / (probability.sum() + truth.sum() + 1)


def _cropped_to(brain: Tensor, x: Tensor) -> tuple[Tensor, Any]:
    """Crop x (N, C, I, J, K) to the brain (N, 1, I, J, K); returns the box as an index, all of x without a brain."""
    voxels = brain.amax(dim=(0, 1)).nonzero()
    if len(voxels) == 0:
        return x, ...
    low, high = voxels.amin(0).tolist(), (voxels.amax(0) + 1).tolist()
    box: Any = (..., *(slice(a, b) for a, b in zip(low, high)))
    return x[box], box
