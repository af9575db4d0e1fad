"""A training step of mask-weighted pix2pix and of contrast enhancement beside the same networks of MONAI's parts.

    python -m Testing.benchmarks.systems_contrasts
    python -m Testing.benchmarks.systems_contrasts --tasks contrast_enhancement --size 64 --rounds 1

Losses, optimisers and inputs are the same for all. pix2pix: 4 slices of 160 x size pixels, width 64, 9 blocks, a step
of generator and discriminator. Contrast enhancement: 4 inputs of size^3 voxels, width 16, 5 levels.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from Testing.benchmarks.turns import main

SLICES, WIDTH = 4, 160


def gan_step(generator: Any, discriminator: Any, size: int) -> tuple[Callable[[], Any], int]:
    """One step of pix2pix with mask loss."""
    import torch

    from TrainingCore.systems.parts import cross_entropy_to, parameters

    random = torch.Generator().manual_seed(0)
    inputs, real = (torch.rand(SLICES, 1, WIDTH, size, generator=random) * 2 - 1 for _ in range(2))
    mask = (torch.rand(SLICES, 1, WIDTH, size, generator=random) > 0.97).float()
    for_generator, for_discriminator = (torch.optim.Adam(n.parameters(), 1e-4) for n in (generator, discriminator))

    def judged(image: Any) -> Any:
        answer = discriminator(torch.cat([inputs, image], dim=1))
        return answer[-1] if isinstance(answer, list) else answer  # MONAI's gives every layer

    def step() -> None:
        fake = generator(inputs)
        loss = (cross_entropy_to(judged(real), 1.0) + cross_entropy_to(judged(fake.detach()), 0.0)) / 2
        for_discriminator.zero_grad()
        loss.backward()
        for_discriminator.step()
        discriminator.requires_grad_(False)
        error = (fake - real).abs()
        loss = cross_entropy_to(judged(fake), 1.0) + 118.74 * error.mean() + 151.04 * (mask * error).mean()
        discriminator.requires_grad_(True)
        for_generator.zero_grad()
        loss.backward()
        for_generator.step()

    return step, parameters(generator) + parameters(discriminator)


def our_gan(size: int) -> tuple[Callable[[], Any], int]:
    """Ours."""
    from TrainingCore.networks.patchgan2d import PatchGAN2D
    from TrainingCore.networks.resnet2d import ResNetGenerator2D

    return gan_step(ResNetGenerator2D(), PatchGAN2D(), size)


def monai_gan(size: int) -> tuple[Callable[[], Any], int]:
    """The same from MONAI's Convolution, ResidualUnit and PatchDiscriminator."""
    from monai.networks.blocks import Convolution, ResidualUnit
    from monai.networks.nets import PatchDiscriminator
    from torch import nn

    def layer(before: int, after: int, kernel: int, strides: int = 1, transposed: bool = False) -> Any:
        given = {"strides": strides, "kernel_size": kernel, "norm": "BATCH", "act": "RELU", "bias": False}
        return Convolution(2, before, after, is_transposed=transposed, **given)

    layers = [layer(1, 64, 7), layer(64, 128, 3, 2), layer(128, 256, 3, 2)]
    layers += [ResidualUnit(2, 256, 256, subunits=2, norm="BATCH", act="RELU", bias=False) for _ in range(9)]
    layers += [layer(256, 128, 3, 2, True), layer(128, 64, 3, 2, True)]
    last = Convolution(2, 64, 1, kernel_size=7, conv_only=True)
    discriminator = PatchDiscriminator(spatial_dims=2, channels=64, in_channels=2, out_channels=1, num_layers_d=3)
    return gan_step(nn.Sequential(*layers, last, nn.Tanh()), discriminator, size)


def volume_step(network: Any, size: int) -> tuple[Callable[[], Any], int]:
    """One step with the L2 loss on a whole volume."""
    import torch
    import torch.nn.functional as F

    from TrainingCore.systems.parts import parameters

    random = torch.Generator().manual_seed(0)
    inputs = torch.rand(1, 4, size, size, size, generator=random)
    target = inputs.mean(1, keepdim=True)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)

    def step() -> None:
        loss = F.mse_loss(network(inputs), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step, parameters(network)


def our_volume(size: int, checkpointing: bool = False) -> tuple[Callable[[], Any], int]:
    """Ours."""
    from TrainingCore.networks.vnet import VNet

    return volume_step(VNet(4, checkpointing=checkpointing), size)


def monai_volume(size: int) -> tuple[Callable[[], Any], int]:
    """The same from MONAI's Convolution and ResidualUnit, skips joined by torch.cat."""
    import torch
    from monai.networks.blocks import Convolution, ResidualUnit
    from torch import nn

    activation = ("LEAKYRELU", {"negative_slope": 0.2, "inplace": True})
    plain = {"act": activation, "norm": None, "adn_ordering": "A"}

    class Peer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = [16, 32, 64, 128, 256]
            pairs = list(pairwise(widths))
            halve = {"strides": 2, "kernel_size": 2, "padding": 0, **plain}
            self.first = ResidualUnit(3, 4, 16, subunits=2, **plain)
            self.down = nn.ModuleList(Convolution(3, a, b, **halve) for a, b in pairs)
            self.encoders = nn.ModuleList(ResidualUnit(3, b, b, subunits=2, **plain) for _, b in pairs)
            back = {**halve, "is_transposed": True, "output_padding": 0}
            self.up = nn.ModuleList(Convolution(3, b, a, **back) for a, b in pairs[::-1])
            self.decoders = nn.ModuleList(ResidualUnit(3, 2 * a, a, subunits=2, **plain) for a, _ in pairs[::-1])
            self.last = Convolution(3, 16, 1, kernel_size=1, conv_only=True)

        def forward(self, x: Any) -> Any:
            skips = [self.first(x)]
            for down, encoder in zip(self.down, self.encoders, strict=True):
                skips.append(encoder(down(skips[-1])))
            x = skips.pop()
            for up, decoder in zip(self.up, self.decoders, strict=True):
                x = decoder(torch.cat([up(x), skips.pop()], dim=1))
            return torch.sigmoid(self.last(x))

    return volume_step(Peer(), size)


TASKS = {
    "mask_weighted_pix2pix": {"ours": our_gan, "monai": monai_gan},
    "contrast_enhancement": {
        "ours": our_volume,
        "ours, checkpointing": lambda size: our_volume(size, checkpointing=True),
        "monai": monai_volume,
    },
}
SIZES = {"mask_weighted_pix2pix": 192, "contrast_enhancement": 96}

if __name__ == "__main__":
    raise SystemExit(main(__spec__.name, TASKS, SIZES, peer="monai"))
