"""The 2D U-Net of Li et al. 2018 for white-matter hyperintensities, as Orbes-Arteaga et al. 2018 use it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .padding import padded

WIDTHS = (64, 96, 128, 256, 512)


class ConvolutionPair(nn.Sequential):
    """Two convolutions, each followed by BatchNorm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3) -> None:
        parts: list[nn.Module] = []
        for before in (in_channels, out_channels):
            parts += [
                nn.Conv2d(before, out_channels, kernel, padding=kernel // 2, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*parts)


class UNet2D(nn.Module):
    """Five levels of 64-96-128-256-512 channels, max-pooling, nearest-neighbour upsampling, a last 1x1 convolution.

    The first level has 5x5 kernels, all others 3x3 (Li et al. 2018). BatchNorm follows every convolution, as in
    Orbes-Arteaga et al. 2018; the convolutions then need no bias (ours). `forward` returns the output of the last
    convolution: the sigmoid of the classifier and the LeakyReLU of the generator are part of the system.
    """

    def __init__(
        self, in_channels: int, out_channels: int = 1, widths: Sequence[int] = WIDTHS, first_kernel: int = 5
    ) -> None:
        super().__init__()
        if first_kernel % 2 == 0:
            raise ValueError(f"first_kernel must be odd, not {first_kernel}")
        kernels = [first_kernel] + [3] * (len(widths) - 1)
        self.encoders = nn.ModuleList(
            ConvolutionPair(before, after, kernel)
            for before, after, kernel in zip([in_channels, *widths], widths, kernels)
        )
        self.decoders = nn.ModuleList(
            ConvolutionPair(deep + skip, skip) for deep, skip in zip(reversed(widths), reversed(widths[:-1]))
        )
        self.last = nn.Conv2d(widths[0], out_channels, 1)
        self.divisor = 2 ** (len(widths) - 1)
        # two thirds of the CPU time of a training step, measured; torch documents this and forgets it in its types
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network.

        Args:
            x: (N, in_channels, H, W) of any size.

        Returns:
            (N, out_channels, H, W).
        """
        height, width = x.shape[2:]
        x = padded(x, self.divisor)
        skips: list[Tensor] = []
        for encoder in self.encoders:
            x = encoder(F.max_pool2d(x, 2) if skips else x)
            skips.append(x)
        skips.pop()
        for decoder in self.decoders:
            x = decoder(torch.cat((F.interpolate(x, scale_factor=2), skips.pop()), dim=1))
        return self.last(x)[..., :height, :width]
