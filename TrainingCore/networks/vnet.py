"""The V-Net-like network of Bone et al. 2021 for whole volumes."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .fast_convolution import padded_convolution
from .padding import padded

SLOPE = 0.2  # of every LeakyReLU (Bone et al. 2021)
DARKEST = 0.01  # inputs are clipped to [this, 1 - this] before the logit (ours)


class ResidualBlock3D(nn.Module):
    """Residual convolution block: 3x3x3 convolutions added to their input, LeakyReLU after each and after the sum.

    If the number of channels changes, a 1x1x1 convolution adapts the input to `out_channels` (ours).

    Args:
        parts: channels of the input maps; the maps are never concatenated in memory, each is convolved with its own
            part of the weights.
    """

    def __init__(self, parts: tuple[int, ...], out_channels: int, convolutions: int) -> None:
        super().__init__()
        self.parts = parts
        widths = [sum(parts), *[out_channels] * convolutions]
        pairs = pairwise(widths)
        self.convolutions = nn.ModuleList(nn.Conv3d(before, after, 3, padding=1) for before, after in pairs)
        same = parts == (out_channels,)
        self.shortcut = None if same else nn.Conv3d(sum(parts), out_channels, 1, bias=False)

    def forward(self, *maps: Tensor) -> Tensor:
        """Apply the block to maps that are treated as if they were concatenated.

        Args:
            *maps: (N, parts[i], D, H, W) each.

        Returns:
            (N, out_channels, D, H, W).
        """
        first, *others = (layer for layer in self.convolutions if isinstance(layer, nn.Conv3d))
        x = _joined(first, maps, self.parts)
        for layer in others:
            x = _convolved(F.leaky_relu(x, SLOPE, inplace=True), layer.weight, layer.bias)
        x = x + (maps[0] if self.shortcut is None else _joined(self.shortcut, maps, self.parts))
        return F.leaky_relu(x, SLOPE, inplace=True)


def _joined(layer: nn.Conv3d, maps: tuple[Tensor, ...], parts: tuple[int, ...]) -> Tensor:
    """The convolution of the concatenated maps, without concatenating them."""
    if len(maps) == 1:
        return _convolved(maps[0], layer.weight, layer.bias)
    total: Tensor | None = None
    for x, weight in zip(maps, layer.weight.split(parts, dim=1)):
        part = _convolved(x, weight, layer.bias if total is None else None)
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """conv3d(x, weight, bias) that keeps the size, on a CPU the quickest way."""
    if weight.shape[-1] == 1:
        return F.conv3d(x, weight, bias)
    return padded_convolution(x, weight, bias) if x.device.type == "cpu" else F.conv3d(x, weight, bias, padding=1)


class VNet(nn.Module):
    """Encoder, symmetric decoder, skips by concatenation; LeakyReLU 0.2 everywhere, a sigmoid at the end.

    Down: convolution with kernel 2 and stride 2, twice the channels, LeakyReLU, residual block. Up: the same
    transposed, half the channels, joined with the skip. Last: 1x1x1 convolution, sigmoid. `width` is the paper's C,
    `in_channels` its M. Five levels as in V-Net (Milletari et al. 2016) and two convolutions in every block are ours:
    the paper's text gives neither. No normalisation, as the paper names none. 7,213,473 parameters at the defaults.

    >>> VNet(in_channels=4, width=4)(torch.zeros(1, 4, 32, 48, 20)).shape
    torch.Size([1, 1, 32, 48, 20])

    Args:
        checkpointing: keep only the input of each level for backward and recompute the rest: less memory, more time.
        added_to: index of the input channel to whose logit the output is added before the sigmoid, so that the network
            starts as that channel; None as in the paper (ours).
        amplified: (after, before, factor) adds the input channel factor * (after - before), a small difference that is
            hard to learn from two nearly equal channels; None as in the paper (ours).
    """

    def __init__(
        self,
        in_channels: int = 4,
        out_channels: int = 1,
        width: int = 16,
        levels: int = 5,
        convolutions: int = 2,
        checkpointing: bool = False,
        added_to: int | None = None,
        amplified: tuple[int, int, float] | None = None,
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, width, levels, convolutions) < 1:
            raise ValueError("in_channels, out_channels, width, levels and convolutions must be at least 1")
        self.checkpointing, self.added_to, self.amplified = checkpointing, added_to, amplified
        in_channels += amplified is not None
        widths = [width * 2**level for level in range(levels)]
        pairs = list(pairwise(widths))
        self.first = ResidualBlock3D((in_channels,), width, convolutions)
        self.down = nn.ModuleList(nn.Conv3d(shallow, deep, 2, stride=2) for shallow, deep in pairs)
        self.encoders = nn.ModuleList(ResidualBlock3D((deep,), deep, convolutions) for _, deep in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose3d(deep, shallow, 2, stride=2) for shallow, deep in pairs[::-1])
        self.decoders = nn.ModuleList(ResidualBlock3D((s, s), s, convolutions) for s, _ in pairs[::-1])
        self.last = nn.Conv3d(width, out_channels, 1)
        self.divisor = 2 ** (levels - 1)
        self._initialise()

    def _initialise(self) -> None:
        """He et al. 2015 for LeakyReLU (ours): without norms, torch's own start lets the input fade with depth."""
        for part in self.modules():
            if isinstance(part, (nn.Conv3d, nn.ConvTranspose3d)):
                # a transposed convolution whose stride is its kernel gives every voxel one tap of each channel
                taps = part.weight[0].numel() if isinstance(part, nn.Conv3d) else part.in_channels
                nn.init.normal_(part.weight, 0.0, math.sqrt(2 / ((1 + SLOPE**2) * taps)))
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
        nn.init.xavier_normal_(self.last.weight) if self.added_to is None else nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network.

        Args:
            x: (N, in_channels, D, H, W), intensities in [0, 1]. Sizes that 2^(levels - 1) does not divide are padded
                with their last plane and cropped again.

        Returns:
            (N, out_channels, D, H, W) in (0, 1).
        """
        size = x.shape[2:]
        x = padded(x, self.divisor)
        before = 0.0 if self.added_to is None else torch.logit(x[:, self.added_to, None].clamp(DARKEST, 1 - DARKEST))
        if self.amplified is not None:
            after, zero_dose, factor = self.amplified
            x = torch.cat((x, factor * (x[:, after, None] - x[:, zero_dose, None])), dim=1)
        if x.device.type == "cpu":  # a third faster on a CPU; without norms, no digits are lost
            x = x.contiguous(memory_format=torch.channels_last_3d)
        skips = [self._run(self.first, x)]
        for down, encoder in zip(self.down, self.encoders):
            skips.append(self._run(_Step(down, encoder), skips[-1]))
        x = skips.pop()
        for up, decoder in zip(self.up, self.decoders):
            x = self._run(_Step(up, decoder), x, skips.pop())
        return torch.sigmoid(self.last(x) + before)[..., : size[0], : size[1], : size[2]]

    def _run(self, step: nn.Module | _Step, *maps: Tensor) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(step, *maps, use_reentrant=False)
        return step(*maps)


class _Step:
    """One level: change the size, then the residual block, which a decoder's skip joins."""

    def __init__(self, change: nn.Module, block: nn.Module) -> None:
        self.change, self.block = change, block

    def __call__(self, x: Tensor, *skip: Tensor) -> Tensor:
        return self.block(F.leaky_relu(self.change(x), SLOPE, inplace=True), *skip)
