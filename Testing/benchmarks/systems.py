"""A training step of every system beside the same system with its networks put together from MONAI's parts.

    python -m Testing.benchmarks.systems                                        # all five, half an hour on one core
    python -m Testing.benchmarks.systems --tasks joint_flair_wmh --size 64 --rounds 1

Both contenders run our training step with the recipe's settings: losses, optimisers and inputs are the same, only the
networks (peers.py) are exchanged. Inputs are noise with boxes of brain, white matter and lesions: 3D systems see
size^3 voxels, the 2D ones their recipe's number of slices of size x size pixels. `error` is the largest difference of
a prediction to that of the same weights in float64, in SDs of that prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from Testing.benchmarks.turns import Contender, main

SLICES = 4  # of each visit in memory, from which the 2D systems draw


def sample(size: int, inputs: int, slices: int = 0, device: str = "cpu") -> Any:
    """A visit of noise with a box of brain, white matter and lesions."""
    import torch

    from TrainingCore.systems.samples import Sample

    shape = (1, 1, size, size, slices or size)
    random = torch.Generator().manual_seed(0)
    masks = {name: torch.zeros(shape) for name in ("brain", "white_matter", "lesions")}
    for name, edge in (("brain", size // 8), ("white_matter", size // 4), ("lesions", size // 2 - 2)):
        masks[name][:, :, edge : size - edge, edge : size - edge] = 1
    mri = torch.rand(1, inputs, *shape[2:], generator=random)
    masks = {name: mask.to(device) for name, mask in masks.items()}
    return Sample(mri.to(device), torch.rand(shape, generator=random).to(device), masks)


def build(name: str, peer: bool, size: int, settings: tuple[str, ...] = (), device: str = "cpu") -> Contender:
    """A system by the name of its recipe, with its own networks or the peer's."""
    import numpy as np
    import torch

    from TrainingCore.data.recipe import load_recipe
    from TrainingCore.systems import system_class
    from TrainingCore.systems.training_progress import TrainingProgress

    recipe = load_recipe(name, [*SETTINGS.get(name, ()), *settings])
    system = system_class(recipe["system"])(recipe, device)
    if peer:
        EXCHANGE[name](system)
    visits = [
        sample(size, len(recipe["data"]["inputs"]), SLICES if name in FLAT else 0, device)
        for _ in range(recipe["data"]["visits_per_step"])
    ]
    rng = np.random.default_rng(0)
    counts = system.describe()["trainable parameters"]

    def error() -> float:
        module = next(one.module for key, one in system.learners.items() if key in FIRST).eval()
        given = visits[0].inputs[..., 0] if name in FLAT else visits[0].inputs
        with torch.no_grad():
            mine = module(given).double()
            exact = deepcopy(module).double()(given.double())
        return float((mine - exact).abs().max() / exact.std())

    return Contender(
        lambda: system.training_step(visits, TrainingProgress(0, 1, 0.0), rng), sum(counts.values()), error
    )


def _curricular(system: Any) -> None:
    from Testing.benchmarks.peers import PeerUNet, patch_judge

    unet = PeerUNet(3, 2, (32, 64, 128, 256, 512), norm="GROUP")
    system.generator = system.learner("generator", unet, "generator_rate")
    system.discriminator = system.learner("discriminator", patch_judge(3), "discriminator_rate")


def _sketcher_refiner(system: Any) -> None:
    from Testing.benchmarks.peers import LEAKY, PeerUNet, grid_judge

    for stage, gan, channels in (("sketcher", system.sketcher, 4), ("refiner", system.refiner, 5)):
        unet = PeerUNet(3, channels, (32, 64, 128, 256), 3, LEAKY, "GROUP", 0.5)
        gan.generator = system.learner(f"{stage} G", unet, f"{stage}_rate")
        gan.discriminator = system.learner(f"{stage} D", grid_judge(5), f"{stage}_rate")


def _joint_flair_wmh(system: Any) -> None:
    from Testing.benchmarks.peers import PeerUNet

    for name, channels in (("classifier", 2), ("generator", 1)):
        setattr(system, name, system.learner(name, PeerUNet(2, channels, (64, 96, 128, 256, 512), 5)))


def _mask_weighted_pix2pix(system: Any) -> None:
    from Testing.benchmarks.peers import PatchGAN, resnet_generator

    system.generator = system.learner("generator", resnet_generator())
    system.discriminator = system.learner("discriminator", PatchGAN())


def _contrast_enhancement(system: Any) -> None:
    from Testing.benchmarks.peers import PeerVNet

    system.network = system.learner("network", PeerVNet())


EXCHANGE: dict[str, Callable[[Any], None]] = {
    "curricular": _curricular,
    "sketcher_refiner": _sketcher_refiner,
    "joint_flair_wmh": _joint_flair_wmh,
    "mask_weighted_pix2pix": _mask_weighted_pix2pix,
    "contrast_enhancement": _contrast_enhancement,
}
FLAT = {"joint_flair_wmh", "mask_weighted_pix2pix"}  # systems of 2D networks
FIRST = ("generator", "sketcher G", "network")  # the learner whose error is told
CHECKPOINTING = {"curricular": "generator", "sketcher_refiner": "generator", "contrast_enhancement": "network"}
SETTINGS = {"joint_flair_wmh": ("visits_per_step=2", "slices_per_visit=3")}  # 6 slices: the recipe's 30 take minutes
SIZES = {  # what five rounds take half an hour for on a core that is shared
    "curricular": 64,
    "sketcher_refiner": 48,
    "joint_flair_wmh": 96,
    "mask_weighted_pix2pix": 128,
    "contrast_enhancement": 64,
}


def contenders(name: str) -> dict[str, Callable[[int], Contender]]:
    """What is measured of one system."""
    found = {"ours": lambda size: build(name, False, size), "monai": lambda size: build(name, True, size)}
    if name in CHECKPOINTING:
        setting = (f"{CHECKPOINTING[name]}.checkpointing=true",)
        found["ours, checkpointing"] = lambda size: build(name, False, size, setting)
    return found


TASKS = {name: contenders(name) for name in EXCHANGE}

if __name__ == "__main__":
    raise SystemExit(main(__spec__.name, TASKS, SIZES, peer="monai"))
