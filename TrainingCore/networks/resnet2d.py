"""2D generator of residual blocks (Johnson et al. 2016), as in pix2pix (Isola et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .padding import padded

NORMS = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d}
LARGEST = 0.98  # inputs are clipped to +-this before the inverse tanh (ours)
LEVELS = {2, 5, 8}  # indices of the layers that end a level of the encoder


def _convolution_layers(
    before: int, after: int, kernel: int, norm: str, stride: int = 1, transposed: bool = False
) -> list[nn.Module]:
    """Return a convolution without bias and its norm; stride 1 keeps the size by reflection, 2 halves or doubles."""
    if transposed:
        layers: list[nn.Module] = [nn.ConvTranspose2d(before, after, kernel, stride, 1, output_padding=1, bias=False)]
    elif stride > 1:
        layers = [nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)]
    else:
        layers = [nn.Conv2d(before, after, kernel, padding=kernel // 2, padding_mode="reflect", bias=False)]
    return [*layers, NORMS[norm](after)]


class ResidualBlock2D(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), two 3x3 convolutions of equal width (He et al. 2016)."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        first, second = (
            _convolution_layers(channels, channels, 3, norm),
            _convolution_layers(channels, channels, 3, norm),
        )
        self.layers = nn.Sequential(*first, nn.ReLU(inplace=True), *second)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block.

        Args:
            x: (N, channels, H, W).

        Returns:
            Same shape.
        """
        return x + self.layers(x)


class ResNetGenerator2D(nn.Module):
    """7x7 convolution, two that halve the size, residual blocks, two that double it again, 7x7 convolution, tanh.

    The paper (Genc et al. 2022) names ResNet blocks and gives no further details; the rest is the ResNet generator of
    pix2pix: `width` 64 and 9 blocks, 11,370,881 parameters with one channel in and one out.

    >>> ResNetGenerator2D(width=8, blocks=2)(torch.zeros(1, 1, 40, 50)).shape
    torch.Size([1, 1, 40, 50])

    Args:
        norm: `batch`, as in pix2pix, which predicts with the running averages (ours: the statistics of a single slice
            would remove its brightness), or `instance`.
        skips: whether every map of the encoder is concatenated with the decoder's map of equal size, as in pix2pix's
            U-Net, so that detail need not pass a quarter of the resolution (ours; off in the paper).
        added_to: index of the input channel to which the output is added before the tanh, so that the network starts as
            that channel; None as in the paper (ours).
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        width: int = 64,
        blocks: int = 9,
        norm: str = "batch",
        skips: bool = False,
        added_to: int | None = None,
    ) -> None:
        super().__init__()
        self.skips, self.added_to = skips, added_to
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, not {norm!r}")
        layers = [*_convolution_layers(in_channels, width, 7, norm), nn.ReLU(inplace=True)]
        for channels in (width, 2 * width):
            layers += [*_convolution_layers(channels, 2 * channels, 3, norm, stride=2), nn.ReLU(inplace=True)]
        layers += [ResidualBlock2D(4 * width, norm) for _ in range(blocks)]
        self.joined = {len(layers) + above for above in (0, 3, 6)}  # before each that doubles, and before the last
        maps = 1 + skips
        for channels in (4 * width, 2 * width):
            layers += [
                *_convolution_layers(maps * channels, channels // 2, 3, norm, 2, transposed=True),
                nn.ReLU(inplace=True),
            ]
        last = nn.Conv2d(maps * width, out_channels, 7, padding=3, padding_mode="reflect")
        self.layers = nn.Sequential(*layers, last)
        initialise(self)
        if added_to is not None:
            nn.init.zeros_(last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the generator.

        Args:
            x: (N, in_channels, H, W) in [-1, 1].

        Returns:
            (N, out_channels, H, W) in (-1, 1).
        """
        before: list[Tensor] = []
        maps = padded(x, 4)
        for index, layer in enumerate(self.layers):
            if self.skips and index in self.joined:
                maps = torch.cat((maps, before.pop()), dim=1)
            maps = layer(maps)
            if self.skips and index in LEVELS:
                before.append(maps)
        maps = maps[..., : x.shape[2], : x.shape[3]]
        if self.added_to is not None:
            maps = maps + torch.atanh(x[:, self.added_to, None].clamp(-LARGEST, LARGEST))
        return maps.tanh()


def initialise(network: nn.Module) -> None:
    """Initialise weights from N(0, 0.02) and scales of norms from N(1, 0.02), as in pix2pix (Isola et al. 2017).

    Args:
        network: changed in place.
    """
    for part in network.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(part.weight, 0.0, 0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1.0, 0.02)
