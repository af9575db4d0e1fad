"""The networks of the five systems put together from MONAI's parts: same levels, widths, kernels and joins.

MONAI's blocks normalise after their convolution, ours in 3D before it; its shortcuts have a bias. The number of
parameters is printed beside ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from monai.networks.blocks import Convolution, ResidualUnit, UpSample
from monai.networks.nets import PatchDiscriminator
from torch import Tensor, nn

LEAKY = ("LEAKYRELU", {"negative_slope": 0.2, "inplace": True})


class PeerUNet(nn.Module):
    """A U-Net with upsampling and joined skips, in 2D or 3D."""

    def __init__(
        self,
        dimensions: int,
        channels: int,
        widths: Sequence[int],
        first_kernel: int = 3,
        act: Any = "RELU",
        norm: Any = "BATCH",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.how = (dimensions, act, norm)
        kernels = [first_kernel] + [3] * (len(widths) - 1)
        self.encoders = nn.ModuleList(map(self._encoder, [channels, *widths], widths, kernels))
        pairs = list(zip(widths[:0:-1], widths[-2::-1]))
        drops = [dropout if skip > widths[0] else 0.0 for _, skip in pairs]
        self.decoders = nn.ModuleList(
            nn.Sequential(self._convolution(deep + skip, skip, drop=drop), self._convolution(skip, skip))
            for (deep, skip), drop in zip(pairs, drops)
        )
        self.pool = nn.MaxPool3d(2) if dimensions == 3 else nn.MaxPool2d(2)
        mode = {3: ("trilinear", False), 2: ("nearest", None)}[dimensions]
        how = {"mode": "nontrainable", "interp_mode": mode[0], "align_corners": mode[1]}
        self.up = UpSample(dimensions, None, scale_factor=2, **how)
        self.last = Convolution(dimensions, widths[0], 1, kernel_size=1, conv_only=True)

    def _convolution(self, before: int, after: int, kernel: int = 3, drop: float = 0.0) -> nn.Module:
        dimensions, act, norm = self.how
        fitting = ("GROUP", {"num_groups": min(8, after)}) if norm == "GROUP" else norm
        options = {"kernel_size": kernel, "act": act, "norm": fitting, "bias": False, "dropout": drop or None}
        return Convolution(dimensions, before, after, adn_ordering="NAD", **options)

    def _encoder(self, before: int, after: int, kernel: int) -> nn.Module:
        middle = max(after // 2, before) if self.how[0] == 3 else after
        return nn.Sequential(self._convolution(before, middle, kernel), self._convolution(middle, after, kernel))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, ...) -> (N, 1, ...)."""
        skips: list[Tensor] = []
        for encode in self.encoders:
            x = encode(self.pool(x) if skips else x)
            skips.append(x)
        skips.pop()
        for decode in self.decoders:
            x = decode(torch.cat([self.up(x), skips.pop()], dim=1))
        return self.last(x)


def patch_judge(channels: int) -> nn.Module:
    """The curricular system's discriminator of patches of 16^3."""
    widths = (channels, 64, 128, 256, 512)
    blocks = [Convolution(3, a, b, strides=2, act=LEAKY, norm="BATCH", adn_ordering="NA") for a, b in pairwise(widths)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(512, 1), nn.Sigmoid())


def grid_judge(channels: int) -> nn.Module:
    """The sketcher-refiner's discriminator of patches of 16^3."""
    widths = (channels, 32, 64, 128, 256)
    stages = [
        nn.Sequential(Convolution(3, a, b, act=LEAKY, norm="BATCH", adn_ordering="NA"), nn.MaxPool3d(2))
        for a, b in pairwise(widths)
    ]
    return nn.Sequential(*stages, nn.Flatten(), nn.Linear(256, 2))


def resnet_generator() -> nn.Module:
    """pix2pix's ResNet generator: width 64, nine blocks."""

    def layer(before: int, after: int, kernel: int, strides: int = 1, transposed: bool = False) -> Any:
        given = {"strides": strides, "kernel_size": kernel, "norm": "BATCH", "act": "RELU", "bias": False}
        return Convolution(2, before, after, is_transposed=transposed, **given)

    layers = [layer(1, 64, 7), layer(64, 128, 3, 2), layer(128, 256, 3, 2)]
    layers += [ResidualUnit(2, 256, 256, subunits=2, norm="BATCH", act="RELU", bias=False) for _ in range(9)]
    layers += [layer(256, 128, 3, 2, True), layer(128, 64, 3, 2, True)]
    network = nn.Sequential(*layers, Convolution(2, 64, 1, kernel_size=7, conv_only=True), nn.Tanh())
    for part in network.modules():
        if isinstance(part, nn.Conv2d) and part.stride == (1, 1):
            part.padding_mode = "reflect"  # as pix2pix pads; MONAI's parts do not ask for it
    return network


class PatchGAN(nn.Module):
    """MONAI's PatchDiscriminator, which gives every layer, of which the last is the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.receptive_field = 70
        self.layers = PatchDiscriminator(spatial_dims=2, channels=64, in_channels=2, out_channels=1, num_layers_d=3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 2, I, J) -> (N, 1, i, j)."""
        return self.layers(x)[-1]


class PeerVNet(nn.Module):
    """The V-Net-like network of the contrast enhancement, skips joined by torch.cat."""

    def __init__(self, channels: int = 4, width: int = 16, levels: int = 5) -> None:
        super().__init__()
        plain = {"act": LEAKY, "norm": None, "adn_ordering": "A"}
        pairs = list(pairwise(width * 2**level for level in range(levels)))
        halve = {"strides": 2, "kernel_size": 2, "padding": 0, **plain}
        back = {**halve, "is_transposed": True, "output_padding": 0}
        self.first = ResidualUnit(3, channels, width, subunits=2, **plain)
        self.down = nn.ModuleList(Convolution(3, a, b, **halve) for a, b in pairs)
        self.encoders = nn.ModuleList(ResidualUnit(3, b, b, subunits=2, **plain) for _, b in pairs)
        self.up = nn.ModuleList(Convolution(3, b, a, **back) for a, b in pairs[::-1])
        self.decoders = nn.ModuleList(ResidualUnit(3, 2 * a, a, subunits=2, **plain) for a, _ in pairs[::-1])
        self.last = Convolution(3, width, 1, kernel_size=1, conv_only=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, I, J, K) -> (N, 1, I, J, K) in (0, 1)."""
        skips = [self.first(x)]
        for down, encoder in zip(self.down, self.encoders, strict=True):
            skips.append(encoder(down(skips[-1])))
        x = skips.pop()
        for up, decoder in zip(self.up, self.decoders, strict=True):
            x = decoder(torch.cat([up(x), skips.pop()], dim=1))
        return torch.sigmoid(self.last(x))
