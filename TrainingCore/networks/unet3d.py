"""Generator: a 3D U-Net (Soulier et al. 2024), exactly 16,471,077 trainable parameters at its defaults."""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .fast_convolution import joined_convolution, normalised_convolution, pointwise_convolution
from .small_volumes import Conv3d


def _group_count(channels: int, groups: int = 8) -> int:
    """Return the number of groups: `groups`, fewer if it does not divide `channels`, 1 below `groups` channels."""
    return math.gcd(channels, groups) if channels >= groups else 1


def in_float32(maps: Tensor, module: nn.Module) -> Tensor:
    """Apply a last layer in full precision: in bfloat16, a DVR above 1 would have steps of 0.008.

    Args:
        maps: (N, C, ...), of any type.
        module: layer with float32 weights.

    Returns:
        Its output, float32 (float64 of float64).
    """
    with torch.autocast(maps.device.type, enabled=False):
        output: Tensor = module(maps if maps.dtype is torch.float64 else maps.float())
    return output


class Convolution(nn.Module):
    """One 3x3x3 convolution without bias with its GroupNorm and ReLU, in a given order.

    Args:
        order: "gcr" = GroupNorm, convolution, ReLU (gives the paper's count); "cgr" = the paper's prose.
        slope: of a LeakyReLU instead of ReLU, 0 for ReLU.
    """

    def __init__(self, in_channels: int, out_channels: int, order: str, groups: int, slope: float = 0.0) -> None:
        super().__init__()
        self.order, self.slope = order, slope
        channels = in_channels if order == "gcr" else out_channels
        self.norm = nn.GroupNorm(_group_count(channels, groups), channels)
        self.conv = Conv3d(in_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor, deep: Tensor | None = None, fast: torch.dtype | None = None) -> Tensor:
        """Apply the convolution.

        Args:
            x: (N, in_channels, D, H, W).
            deep: map of half the size that is upsampled and concatenated before x, or None.
            fast: type in which `fast_convolution` multiplies; None for torch's plain operators.

        Returns:
            (N, out_channels, D, H, W), not negative if `slope` is 0.
        """
        if fast and deep is not None:
            x = joined_convolution(deep, x, self.norm, self.conv.weight, fast)
        elif fast:
            x = normalised_convolution(x, self.norm, self.conv.weight, fast)
        else:
            if deep is not None:
                x = torch.cat((F.interpolate(deep, scale_factor=2, mode="trilinear", align_corners=False), x), dim=1)
            x = self.conv(self.norm(x)) if self.order == "gcr" else self.norm(self.conv(x))
        return F.leaky_relu(x, self.slope, inplace=True) if self.slope else F.relu(x, inplace=True)


class Encoder(nn.Module):
    """Two convolutions; the width between them is max(out / 2, in)."""

    def __init__(self, in_channels: int, out_channels: int, order: str, groups: int, slope: float = 0.0) -> None:
        super().__init__()
        middle = max(out_channels // 2, in_channels)
        self.first = Convolution(in_channels, middle, order, groups, slope)
        self.second = Convolution(middle, out_channels, order, groups, slope)

    def forward(self, x: Tensor, fast: torch.dtype | None = None) -> Tensor:
        """Apply both convolutions.

        Args:
            x: (N, in_channels, D, H, W).
            fast: type in which `fast_convolution` multiplies; None for torch's plain operators.

        Returns:
            (N, out_channels, D, H, W).
        """
        return self.second(self.first(x, fast=fast), fast=fast)


class Decoder(nn.Module):
    """Two convolutions of `skip_channels` over the upsampled deeper map joined with the skip, dropout between them."""

    def __init__(
        self, deep_channels: int, skip_channels: int, order: str, groups: int, slope: float = 0.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.join = Convolution(deep_channels + skip_channels, skip_channels, order, groups, slope)
        self.second = Convolution(skip_channels, skip_channels, order, groups, slope)

    def forward(self, deep: Tensor, skip: Tensor, fast: torch.dtype | None = None) -> Tensor:
        """Upsample the deeper map, join it with the skip and apply both convolutions.

        Args:
            deep: (N, deep_channels, D/2, H/2, W/2).
            skip: (N, C, D, H, W).
            fast: type in which `fast_convolution` multiplies; None for torch's plain operators.

        Returns:
            (N, C, D, H, W).
        """
        joined = self.join(skip, deep, fast=fast)
        if self.dropout:
            joined = F.dropout(joined, self.dropout, self.training)
        return self.second(joined, fast=fast)


class UNet3D(nn.Module):
    """3D U-Net after Soulier et al. 2024: T1w + FLAIR in, DVR out.

    `levels` encoders of `width`, 2 `width`, 4 `width`, ... channels with max-pooling between them, one decoder less
    with trilinear upsampling, and a last 1x1x1 convolution with bias. Defaults: 16,471,077 trainable parameters; order
    "cgr" (the paper's prose): 16,470,177.

    >>> UNet3D(width=8)(torch.zeros(1, 2, 32, 48, 20)).shape
    torch.Size([1, 1, 32, 48, 20])

    Args:
        checkpointing: keep only each block's input for backward and recompute the rest: less memory, more time.
        fast: on a CPU, use `fast_convolution` (same results to about 1e-6, same weights) where it applies: order "gcr"
            without autocast, or with autocast to bfloat16, which is then used for products only. Everything else, CUDA
            included, uses torch's plain operators.
        slope: of a LeakyReLU instead of ReLU, 0 for ReLU.
        dropout: share of values dropped in every decoder but the last, whose full-size maps would only become noisy.
        scale: whether to add an output channel, the logarithm of the scale of the error: a 1x1x1 convolution of the
            last maps, through which no gradient reaches them.
    """

    def __init__(
        self,
        in_channels: int = 2,
        out_channels: int = 1,
        width: int = 32,
        levels: int = 5,
        order: str = "gcr",
        groups: int = 8,
        checkpointing: bool = False,
        fast: bool = True,
        slope: float = 0.0,
        dropout: float = 0.0,
        scale: bool = False,
    ) -> None:
        super().__init__()
        if order not in ("gcr", "cgr"):
            raise ValueError(f"order must be 'gcr' or 'cgr', not {order!r}")
        if min(in_channels, out_channels, width, levels, groups) < 1:
            raise ValueError("in_channels, out_channels, width, levels and groups must be at least 1")
        self.order, self.checkpointing, self.fast = order, checkpointing, fast
        widths = [width * 2**level for level in range(levels)]
        self.encoders = nn.ModuleList(
            Encoder(before, after, order, groups, slope) for before, after in zip([in_channels, *widths], widths)
        )
        self.decoders = nn.ModuleList(
            Decoder(deep, skip, order, groups, slope, dropout if skip > width else 0.0)
            for deep, skip in zip(widths[:0:-1], widths[-2::-1])
        )
        self.last = nn.Conv3d(width, out_channels, 1)
        self.scale = nn.Conv3d(width, 1, 1) if scale else None
        self.divisor = 2 ** (levels - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network.

        Args:
            x: (N, in_channels, D, H, W), intensities in [-1, 1]. Sizes that 2^(levels - 1) does not divide are padded
                with their last plane and cropped again.

        Returns:
            (N, out_channels, D, H, W) in the target's unit (DVR); with `scale`, one more channel, the logarithm of its
            scale.
        """
        size = x.shape[2:]
        fast = self._fast_type(x)
        with torch.autocast("cpu", enabled=False) if fast else nullcontext():
            return self._layers(self._pad(x), fast)[..., : size[0], : size[1], : size[2]]

    def _layers(self, x: Tensor, fast: torch.dtype | None) -> Tensor:
        if x.device.type == "cpu":  # torch 2.13's GroupNorm is inaccurate on channels-last volumes; `fast` has its own
            x = x.clone(memory_format=torch.channels_last_3d) if fast else x.contiguous()
        skips: list[Tensor] = []
        for encoder in self.encoders:
            x = self._run(encoder, F.max_pool3d(x, 2) if skips else x, fast=fast)
            skips.append(x)
        skips.pop()
        for decoder in self.decoders:
            x = self._run(decoder, x, skips.pop(), fast=fast)
        last = pointwise_convolution if fast else in_float32
        output = last(x, self.last)
        return output if self.scale is None else torch.cat((output, last(x.detach(), self.scale)), dim=1)

    def _fast_type(self, x: Tensor) -> torch.dtype | None:
        """Return the type in which `fast_convolution` multiplies; None if it cannot be used."""
        if not self.fast or self.order != "gcr" or x.device.type != "cpu":
            return None
        if torch.is_autocast_enabled("cpu"):
            reduced = torch.get_autocast_dtype("cpu")
            return reduced if reduced is torch.bfloat16 and x.dtype is torch.float32 else None
        return x.dtype if x.dtype in (torch.float32, torch.float64) else None

    def _run(self, block: nn.Module, *maps: Tensor, fast: torch.dtype | None) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *maps, fast, use_reentrant=False)
        return block(*maps, fast)

    def _pad(self, x: Tensor) -> Tensor:
        missing = [-length % self.divisor for length in x.shape[2:]]
        if not any(missing):
            return x
        return F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0]), mode="replicate")
