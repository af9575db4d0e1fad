"""One measurement in a process of its own: one contender, one task, a JSON line on stdout.

Called by `generator.py`; by hand: python -m Testing.benchmarks.contenders ours inference --size 64
With --keep-memory, freed memory stays in the process, as in `train`: compare `ours step` with and without it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

CONTENDERS = {
    "ours": "TrainingCore.networks.UNet3D as it ships",
    "ours-checkpointing": "ours, keeping only each block's input for backward",
    "ours-plain": "ours with fast=False: torch's plain operators, contiguous float32",
    "ours-torch-norm": "channels-last with torch's own GroupNorm, upsampling and joining carried out",
    "ours-own-norm": "channels-last with our GroupNorm, upsampling and joining carried out",
    "ours-bfloat16": "ours under bfloat16 autocast: float32 maps, bfloat16 products",
    "ours-plain-bfloat16": "ours-plain under bfloat16 autocast",
    "monai": "monai.networks.nets.BasicUNet of the same widths, as it comes (instance norm)",
    "monai-group": "the same with GroupNorm of 8 groups",
}
TASKS = ("inference", "step")
PATCHES, PATCH = 48, 16


def build(name: str) -> Any:
    """The contender's generator, two channels in, one out, in evaluation-neutral training mode."""
    import torch

    torch.manual_seed(0)
    if name.startswith("monai"):
        from monai.networks.nets import BasicUNet

        norm = {"norm": ("group", {"num_groups": 8})} if name == "monai-group" else {}
        return BasicUNet(3, 2, 1, features=(32, 64, 128, 256, 512, 32), **norm)
    from TrainingCore.networks.unet3d import UNet3D

    return UNet3D(checkpointing=name == "ours-checkpointing", fast=not name.startswith("ours-plain"))


@contextlib.contextmanager
def choices(name: str) -> Iterator[None]:
    """Take back, one after the other, the choices that `ours` makes, to see what each is worth."""
    import torch
    import torch.nn.functional as F

    from TrainingCore.networks import unet3d
    from TrainingCore.networks.fast_convolution import normalised_convolution

    def torch_norm(x, norm, weight, kind=None):
        return F.conv3d(norm(x), weight, padding=1)

    def joining(convolution):
        def joined(deep, skip, norm, weight, kind=None):
            deep = F.interpolate(deep, scale_factor=2, mode="trilinear", align_corners=False)
            return convolution(torch.cat((deep, skip), dim=1), norm, weight)

        return joined

    with contextlib.ExitStack() as stack:
        if name == "ours-torch-norm":
            stack.enter_context(mock.patch.object(unet3d, "normalised_convolution", torch_norm))
            stack.enter_context(mock.patch.object(unet3d, "joined_convolution", joining(torch_norm)))
        if name == "ours-own-norm":
            stack.enter_context(mock.patch.object(unet3d, "joined_convolution", joining(normalised_convolution)))
        if name.endswith("bfloat16"):
            stack.enter_context(torch.autocast("cpu", dtype=torch.bfloat16))
        yield


def volumes(size: int) -> tuple[Any, Any]:
    """Smooth random T1w + FLAIR in [-1, 1], (1, 2, size^3), and a DVR, (1, 1, size^3)."""
    import torch
    import torch.nn.functional as F

    random = torch.Generator().manual_seed(1)
    coarse = torch.randn(1, 3, *(max(size // 8, 2),) * 3, generator=random)
    fine = F.interpolate(coarse, size=(size,) * 3, mode="trilinear", align_corners=False)
    fine = torch.tanh(fine + 0.1 * torch.randn(fine.shape, generator=random))
    return fine[:, :2].contiguous(), 1 + 0.3 * fine[:, 2:]


def inference(generator: Any, size: int) -> Callable[[], Any]:
    """A function that predicts one whole volume."""
    import torch

    mri, _ = volumes(size)
    generator.eval()

    def run() -> Any:
        with torch.inference_mode():
            return generator(mri)

    return run


def gan_step(generator: Any, size: int) -> Callable[[], Any]:
    """A function that does one whole training step: G (L1 + adversarial over 48 patches), then D, with Adam."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    from TrainingCore.networks.patch_discriminator import PatchDiscriminator
    from TrainingCore.systems.patches import cut_patches, patch_corners

    mri, dvr = volumes(size)
    centres = np.random.default_rng(2).uniform(0, size, (PATCHES, 3))
    corners = patch_corners(centres, (size,) * 3, PATCH)
    discriminator = PatchDiscriminator(patch=PATCH)
    for_generator = torch.optim.Adam(generator.parameters(), lr=1e-4)
    for_discriminator = torch.optim.Adam(discriminator.parameters(), lr=1e-4)

    def judge(volume: Any) -> Any:
        return discriminator(cut_patches(torch.cat((mri, volume), dim=1)[0], corners, PATCH))

    def run() -> Any:
        synthetic = generator(mri)
        probability = judge(synthetic)
        loss = F.l1_loss(synthetic, dvr) + F.mse_loss(probability, torch.full_like(probability, 0.8))
        for_generator.zero_grad()
        loss.backward()
        for_generator.step()
        real, fake = judge(dvr), judge(synthetic.detach())
        loss = F.mse_loss(real, torch.full_like(real, 0.8)) + F.mse_loss(fake, torch.full_like(fake, 0.2))
        for_discriminator.zero_grad()
        loss.backward()
        for_discriminator.step()
        return synthetic

    return run


def error_against_plain(name: str, size: int) -> dict[str, float]:
    """Largest difference of the prediction to that of the same network in plain contiguous float32.

    `gradient_error`: the same for the gradients of a mean square, relative to each one's largest, at size / 2, with
    softplus in place of ReLU: a voxel within rounding of ReLU's kink otherwise changes a gradient by up to 1e-2, in
    plain float32 against float64 as much as here.
    """
    import torch
    import torch.nn.functional as F

    network = build(name)
    with torch.inference_mode():
        mri, _ = volumes(size)
        with choices(name):
            own = network(mri).float()
        network.fast = False
        plain = network(mri)
    errors = {"error": float((own - plain).abs().max()), "output_sd": float(plain.std())}
    half, _ = volumes(size // 2)
    gradients = []
    for fast in (True, False):
        network.fast = fast and not name.startswith("ours-plain")
        smooth = mock.patch.object(F, "relu", lambda x, inplace=False: F.softplus(x))
        with smooth, choices(name if fast else "ours-plain"):
            gradients.append(torch.autograd.grad(network(half).float().square().mean(), list(network.parameters())))
    worst = max(float((a - b).abs().max() / b.abs().max().clamp_min(1e-12)) for a, b in zip(*gradients))
    return {**errors, "gradient_error": worst}


def matrix_rate() -> float:
    """What float32 matrix products reach here with these threads, in GFLOP/s: the roof for convolutions."""
    import torch

    a, best = torch.randn(2048, 2048), 1e9
    for _ in range(5):
        started = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - started)
    return 2 * 2048**3 / best / 1e9


def measure(name: str, task: str, size: int, repeats: int) -> dict[str, Any]:
    """Least wall and CPU seconds of `repeats` runs after one unmeasured run at size / 2, and the peak memory in GB."""
    task_of = {"inference": inference, "step": gan_step}[task]
    with choices(name):
        task_of(build(name), max(size // 2, 32))()
        run = task_of(build(name), size)
        times = []
        for _ in range(repeats):
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    return {"wall_s": min(t[0] for t in times), "cpu_s": min(t[1] for t in times), "peak_gb": peak}


def main() -> int:
    """Measure what the command line names and print it as one JSON line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("name", choices=CONTENDERS)
    arguments.add_argument("task", choices=(*TASKS, "error", "roof"))
    arguments.add_argument("--size", type=int, default=128)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--repeats", type=int, default=1)
    arguments.add_argument("--keep-memory", action="store_true")
    chosen = arguments.parse_args()
    import torch

    from TrainingCore.runtime.memory import keep_freed_memory

    if chosen.keep_memory and not keep_freed_memory():
        raise SystemExit("--keep-memory needs Linux with glibc.")

    torch.set_num_threads(chosen.threads)
    if chosen.task == "error":
        result: dict[str, Any] = error_against_plain(chosen.name, chosen.size)
    elif chosen.task == "roof":
        result = {"gflops": matrix_rate()}
    else:
        result = measure(chosen.name, chosen.task, chosen.size, chosen.repeats)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
