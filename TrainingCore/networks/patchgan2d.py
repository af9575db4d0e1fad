"""2D PatchGAN: classifies patches of an image as real or generated (Isola et al. 2017)."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from .resnet2d import NORMS, initialise

KERNEL, SLOPE = 4, 0.2  # Isola et al. 2017


class PatchGAN2D(nn.Module):
    """4x4 convolutions C64-C128-C256-C512 with stride 2 (the last: 1), and one more to a single map.

    Norm and LeakyReLU 0.2 after each but the first (no norm) and the last (neither). At the defaults each output sees
    70x70 pixels: 2,764,609 parameters for two channels, input and target side by side.
    """

    def __init__(
        self, in_channels: int = 2, width: int = 64, layers: int = 3, norm: str = "batch", widest: int = 512
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, not {norm!r}")
        self.receptive_field = 1
        widths = [min(width * 2**layer, max(width, widest)) for layer in range(layers + 1)]
        parts: list[nn.Module] = [nn.Conv2d(in_channels, widths[0], KERNEL, 2, 1), nn.LeakyReLU(SLOPE, inplace=True)]
        for layer, (before, after) in enumerate(pairwise(widths)):
            stride = 2 if layer < layers - 1 else 1
            parts += [nn.Conv2d(before, after, KERNEL, stride, 1, bias=False), NORMS[norm](after)]
            parts.append(nn.LeakyReLU(SLOPE, inplace=True))
        parts.append(nn.Conv2d(widths[-1], 1, KERNEL, 1, 1))
        self.layers = nn.Sequential(*parts)
        for stride in reversed([part.stride[0] for part in parts if isinstance(part, nn.Conv2d)]):
            self.receptive_field = (self.receptive_field - 1) * stride + KERNEL
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Classify overlapping patches of images.

        Args:
            images: (N, in_channels, H, W).

        Returns:
            (N, 1, h, w), logit of each patch being real.
        """
        return self.layers(images)
