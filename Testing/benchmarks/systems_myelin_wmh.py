"""A training step of the sketcher-refiner and of the joint FLAIR and WMH beside the same networks of MONAI's parts.

    python -m Testing.benchmarks.systems_myelin_wmh
    python -m Testing.benchmarks.systems_myelin_wmh --tasks joint_flair_wmh --size 64 --rounds 1

Losses, optimisers and inputs are the same for all: the peer is our system with MONAI's networks. Sketcher-refiner:
4 inputs of size^3 voxels, the recipe's networks, a step of both GANs. Joint: 4 slices of size^2 pixels, the recipe's
networks, a step of C and of G. MONAI's blocks normalise after their convolution, ours in 3D before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from Testing.benchmarks.turns import main

SLICES = 4


def sample(size: int, inputs: int, slices: int = 0) -> Any:
    """A visit of noise with a box of brain, white matter and lesions."""
    import torch

    from TrainingCore.training.samples import Sample

    shape = (1, 1, size, size, slices or size)
    random = torch.Generator().manual_seed(0)
    masks = {name: torch.zeros(shape) for name in ("brain", "white_matter", "lesions")}
    for name, edge in (("brain", size // 8), ("white_matter", size // 4), ("lesions", size // 2 - 2)):
        masks[name][:, :, edge : size - edge, edge : size - edge] = 1
    mri = torch.rand(1, inputs, *shape[2:], generator=random)
    return Sample(mri, torch.rand(shape, generator=random), masks)


def step_of(system: Any, visit: Any) -> tuple[Callable[[], Any], int]:
    """One training step of a system on a visit, and its parameters."""
    import numpy as np

    from TrainingCore.systems.moment import Moment

    rng = np.random.default_rng(0)
    counts = system.describe()["trainable parameters"]
    return lambda: system.training_step([visit], Moment(0, 1, 0.0), rng), sum(counts.values())


def our_sketcher_refiner(size: int, checkpointing: bool = False) -> tuple[Callable[[], Any], int]:
    """Ours."""
    from TrainingCore.recipe import load_recipe
    from TrainingCore.systems.sketcher_refiner import SketcherRefiner

    recipe = load_recipe("sketcher_refiner", [f"checkpointing={str(checkpointing).lower()}"])
    return step_of(SketcherRefiner(recipe), sample(size, 4))


def monai_sketcher_refiner(size: int) -> tuple[Callable[[], Any], int]:
    """The same system with generators and discriminators of MONAI's Convolution, UpSample and torch.cat."""
    from monai.networks.blocks import Convolution
    from torch import nn

    from TrainingCore.recipe import load_recipe
    from TrainingCore.systems.sketcher_refiner import SketcherRefiner

    system = SketcherRefiner(load_recipe("sketcher_refiner"))
    leaky = ("LEAKYRELU", {"negative_slope": 0.2, "inplace": True})
    for stage, gan, channels in (("sketcher", system.sketcher, 4), ("refiner", system.refiner, 5)):
        peer = peer_unet(3, channels, (32, 64, 128, 256), 3, leaky, ("GROUP", {"num_groups": 8}), 0.5)
        gan.generator = system.learner(f"{stage} G", peer, f"{stage}_rate")
        widths = (5, 32, 64, 128, 256)
        stages = [
            nn.Sequential(Convolution(3, a, b, act=leaky, norm="BATCH", adn_ordering="NA"), nn.MaxPool3d(2))
            for a, b in pairwise(widths)
        ]
        judge = nn.Sequential(*stages, nn.Flatten(), nn.Linear(256, 2))
        gan.discriminator = system.learner(f"{stage} D", judge, f"{stage}_rate")
    return step_of(system, sample(size, 4))


def our_joint(size: int) -> tuple[Callable[[], Any], int]:
    """Ours."""
    from TrainingCore.recipe import load_recipe
    from TrainingCore.systems.joint_flair_wmh import JointFlairWMH

    recipe = load_recipe("joint_flair_wmh", [f"slices_per_visit={SLICES}"])
    return step_of(JointFlairWMH(recipe), sample(size, 1, SLICES))


def monai_joint(size: int) -> tuple[Callable[[], Any], int]:
    """The same system with networks of MONAI's Convolution, UpSample and torch.cat."""
    from TrainingCore.recipe import load_recipe
    from TrainingCore.systems.joint_flair_wmh import JointFlairWMH

    system = JointFlairWMH(load_recipe("joint_flair_wmh", [f"slices_per_visit={SLICES}"]))
    for name, channels in (("classifier", 2), ("generator", 1)):
        peer = peer_unet(2, channels, (64, 96, 128, 256, 512), 5, "RELU", "BATCH", 0.0)
        setattr(system, name, system.learner(name, peer))
    return step_of(system, sample(size, 1, SLICES))


def peer_unet(
    dimensions: int, channels: int, widths: Sequence[int], first_kernel: int, act: Any, norm: Any, dropout: float
) -> Any:
    """A U-Net of the same levels, widths and kernels as ours from MONAI's Convolution and UpSample."""
    import torch
    from monai.networks.blocks import Convolution, UpSample
    from torch import nn

    def convolution(before: int, after: int, kernel: int = 3, drop: float = 0.0) -> Any:
        fitting = ("GROUP", {"num_groups": min(8, after)}) if norm[0] == "GROUP" else norm
        options = {"kernel_size": kernel, "act": act, "norm": fitting, "bias": False, "dropout": drop or None}
        return Convolution(dimensions, before, after, adn_ordering="NAD", **options)

    def encoder(before: int, after: int, kernel: int) -> Any:
        middle = max(after // 2, before) if dimensions == 3 else after
        return nn.Sequential(convolution(before, middle, kernel), convolution(middle, after, kernel))

    def decoder(before: int, after: int) -> Any:
        drop = dropout if after > widths[0] else 0.0
        return nn.Sequential(convolution(before, after, 3, drop), convolution(after, after))

    class Peer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            kernels = [first_kernel] + [3] * (len(widths) - 1)
            self.encoders = nn.ModuleList(map(encoder, [channels, *widths], widths, kernels))
            pairs = list(zip(widths[:0:-1], widths[-2::-1]))
            self.decoders = nn.ModuleList(decoder(deep + skip, skip) for deep, skip in pairs)
            self.pool = nn.MaxPool3d(2) if dimensions == 3 else nn.MaxPool2d(2)
            mode = "trilinear" if dimensions == 3 else "nearest"
            align = {"align_corners": False} if dimensions == 3 else {"align_corners": None}
            self.up = UpSample(dimensions, None, scale_factor=2, mode="nontrainable", interp_mode=mode, **align)
            self.last = Convolution(dimensions, widths[0], 1, kernel_size=1, conv_only=True)

        def forward(self, x: Any) -> Any:
            skips: list[Any] = []
            for encode in self.encoders:
                x = encode(self.pool(x) if skips else x)
                skips.append(x)
            skips.pop()
            for decode in self.decoders:
                x = decode(torch.cat([self.up(x), skips.pop()], dim=1))
            return self.last(x)

    return Peer()


TASKS = {
    "sketcher_refiner": {
        "ours": our_sketcher_refiner,
        "ours, checkpointing": lambda size: our_sketcher_refiner(size, checkpointing=True),
        "monai": monai_sketcher_refiner,
    },
    "joint_flair_wmh": {"ours": our_joint, "monai": monai_joint},
}
SIZES = {"sketcher_refiner": 64, "joint_flair_wmh": 192}

if __name__ == "__main__":
    raise SystemExit(main(__spec__.name, TASKS, SIZES, peer="monai"))
