"""Convolutions of the U-Net on a CPU: same results as torch's plain operators, with less work and memory.

Four ideas: volumes are channels-last, which oneDNN convolves fastest; a normalised map is used once and recomputed in
backward instead of being kept; the trilinear upsampling before a decoder's convolution is never carried out; and a
small volume is convolved as a batch of its two halves, because torch does not use oneDNN for a small single volume.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from .group_norm import (
    channel_moments,
    channel_products,
    channel_sums,
    each_voxel,
    replicated,
    scale_and_shift,
    separable_filter,
    upsampled_channel_moments,
)
from .small_volumes import convolve, needs_float32

BINOMIAL = (1 / 4, 2 / 4, 1 / 4)
FEW_VOXELS = 1024
"""Deeper maps with fewer voxels than this are upsampled: preparing the kernels would cost more than it saves.

Measured, forward and backward on one core: 8^3 voxels of 256 channels 0.30 s either way, 4^3 0.11 s against 0.05 s,
16^3 1.9 s against 3.1 s.
"""

FEW_VALUES = 20480
"""Up to this channels x depth x height, torch 2.13 convolves a volume that is alone in its batch without oneDNN.

Measured, one core, forward and backward: 40x48x40 voxels of 8 channels 86 ms against 15 ms as two halves.
"""


def normalised_convolution(x: Tensor, norm: nn.GroupNorm, weight: Tensor, kind: torch.dtype | None = None) -> Tensor:
    """Compute conv3d(GroupNorm(x), weight), 3x3x3 with padding 1.

    Args:
        x: (N, A, D, H, W); overwritten if gradients are disabled.
        norm: normalisation of the A channels.
        weight: (C, A, 3, 3, 3).
        kind: type of the products, e.g. bfloat16; None for that of the input.

    Returns:
        (N, C, D, H, W).
    """
    scale, shift = scale_and_shift(*channel_moments(x), norm, x.dtype)
    return _scaled_convolution(x, scale, shift, weight, kind)


def joined_convolution(
    deep: Tensor, skip: Tensor, norm: nn.GroupNorm, weight: Tensor, kind: torch.dtype | None = None
) -> Tensor:
    """Compute conv3d(GroupNorm(cat(trilinear x2 of deep, skip)), weight) without upsampling or concatenating.

    Convolution is linear in its input channels, so each part is convolved with its part of the weight, and the results
    are added.

    Args:
        deep: (N, A, D/2, H/2, W/2).
        skip: (N, B, D, H, W); overwritten if gradients are disabled.
        norm: normalisation of the A + B channels.
        weight: (C, A + B, 3, 3, 3).
        kind: type of the products, e.g. bfloat16; None for that of the input.

    Returns:
        (N, C, D, H, W).
    """
    if deep[0, 0].numel() < FEW_VOXELS or _is_slow(deep, kind or deep.dtype):
        deep = F.interpolate(deep, scale_factor=2, mode="trilinear", align_corners=False)
        return normalised_convolution(torch.cat((deep, skip), dim=1), norm, weight, kind)
    moments = zip(upsampled_channel_moments(deep), channel_moments(skip))
    mean, variance = (torch.cat(parts, dim=1) for parts in moments)
    scale, shift = scale_and_shift(mean, variance, norm, skip.dtype)
    channels = deep.shape[1]
    deep = torch.addcmul(each_voxel(shift[:, :channels], deep), deep, each_voxel(scale[:, :channels], deep))
    joined = upsampled_convolution(deep, weight[:, :channels], kind)
    return joined.add_(_scaled_convolution(skip, scale[:, channels:], shift[:, channels:], weight[:, channels:], kind))


def padded_convolution(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute conv3d(x, weight, bias), 3x3x3 with padding 1.

    Args:
        x: (N, A, D, H, W).
        weight: (C, A, 3, 3, 3).
        bias: (C,), or None.

    Returns:
        (N, C, D, H, W).
    """
    if not _in_halves(x):
        return convolve(x, weight, bias)
    return torch.cat(F.conv3d(_halves(x), weight, bias, padding=(0, 1, 1)).chunk(2), dim=2)


def pointwise_convolution(x: Tensor, convolution: nn.Conv3d) -> Tensor:
    """Apply a 1x1x1 convolution as a matrix product: torch would first copy a channels-last `x`.

    Args:
        x: (N, C, D, H, W).
        convolution: 1x1x1, C to C' channels.

    Returns:
        (N, C', D, H, W).
    """
    voxels = F.linear(x.permute(0, 2, 3, 4, 1), convolution.weight.flatten(1), convolution.bias)
    return voxels.permute(0, 4, 1, 2, 3)


def _scaled_convolution(x: Tensor, scale: Tensor, shift: Tensor, weight: Tensor, kind: torch.dtype | None) -> Tensor:
    if torch.is_grad_enabled():
        return _ScaledConvolution.apply(x, scale, shift, weight, kind or x.dtype)
    x = torch.addcmul(each_voxel(shift, x), x, each_voxel(scale, x), out=x)
    return _convolution_in(kind or x.dtype, x, weight)


def _convolution_in(kind: torch.dtype, x: Tensor, weight: Tensor) -> Tensor:
    """`padded_convolution` that multiplies in one type and returns that of `x`."""
    return padded_convolution(x.to(kind), weight.to(kind)).to(x.dtype)


class _ScaledConvolution(Function):
    """conv3d(scale * x + shift, weight) that keeps only x: the scaled map is recomputed in backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, weight: Tensor, kind: torch.dtype) -> Tensor:
        """Convolve, and save what `backward` needs."""
        ctx.save_for_backward(x, scale, shift, weight)
        ctx.kind = kind
        return _convolution_in(kind, torch.addcmul(each_voxel(shift, x), x, each_voxel(scale, x)), weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        """Return the gradients of x, scale, shift and weight; `kind` has none."""
        x, scale, shift, weight = ctx.saved_tensors
        scaled = torch.addcmul(each_voxel(shift, x), x, each_voxel(scale, x))
        below, of_weight = _convolution_backward(*(values.to(ctx.kind) for values in (gradient, scaled, weight)))
        below = below.to(x.dtype)
        of_scale, of_shift = channel_products(x, below), channel_sums(below)
        below = below.mul_(each_voxel(scale, x))
        return below, of_scale.to(scale.dtype), of_shift.to(scale.dtype), of_weight.to(weight.dtype), None


def _is_slow(x: Tensor, kind: torch.dtype) -> bool:
    """Whether torch would convolve these maps without oneDNN, as it does in float32 only."""
    return kind is not torch.bfloat16 and len(x) == 1 and x.shape[1] * x.shape[2] * x.shape[3] <= FEW_VALUES


def _in_halves(x: Tensor) -> bool:
    return _is_slow(x, x.dtype) and x.shape[2] % 2 == 0


def _halves(x: Tensor) -> Tensor:
    """(1, C, D, H, W) -> (2, C, D/2 + 2, H, W): each half with the plane before and after it, 0 beyond the volume."""
    half = x.shape[2] // 2
    padded = F.pad(x, (0, 0, 0, 0, 1, 1))
    return torch.cat((padded[:, :, : half + 2], padded[:, :, half:])).contiguous(memory_format=torch.channels_last_3d)


def _convolution_backward(gradient: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of `padded_convolution` towards x and weight."""
    if needs_float32(x, x.dtype):
        below, of_weight = _convolution_backward(gradient.float(), x.float(), weight.float())
        return below.to(x.dtype), of_weight.to(weight.dtype)
    ones, halved = [1, 1, 1], _in_halves(x)
    padding = [0, 1, 1] if halved else ones
    if halved:
        gradient, x = torch.cat(gradient.chunk(2, dim=2)), _halves(x)
    arguments = (gradient, x, weight, None, ones, padding, ones, False, [0, 0, 0], 1)
    below, of_weight, _ = torch.ops.aten.convolution_backward(*arguments, [True, True, False])
    if halved:  # the two planes on either side of the cut were seen by both halves
        first, second = below[:1, :, 1:-1], below[1:, :, 1:-1]
        first[:, :, -1] += below[1:, :, 0]
        second[:, :, 0] += below[:1, :, -1]
        below = torch.cat((first, second), dim=2)
    return below, of_weight


def upsampled_convolution(x: Tensor, weight: Tensor, kind: torch.dtype | None = None) -> Tensor:
    """Compute conv3d(trilinear x2 of x, weight), 3x3x3 with padding 1, with 8/27 of the multiplications.

    Along one axis, trilinear upsampling (half-pixel centres) is nearest-neighbour upsampling followed by the binomial
    filter [1, 2, 1] / 4. Filters commute, so the convolution is applied to the nearest-neighbour map, where two of
    three taps fall on the same voxel (2^3 products instead of 3^3: a transposed convolution with stride 2), and the
    filter comes last, on fewer channels. Zero padding does not commute at the faces: what a repeated border adds there
    is subtracted.

    Args:
        x: (N, A, D, H, W).
        weight: (C, A, 3, 3, 3).
        kind: type of the products, e.g. bfloat16; None for that of the input.

    Returns:
        (N, C, 2 D, 2 H, 2 W).
    """
    kind = kind or x.dtype
    kernel = weight.transpose(0, 1).flip(2, 3, 4)
    for axis in (2, 3, 4):
        kernel = _pad(kernel, axis, (0, 1)) + _pad(kernel, axis, (1, 0))
    repeated = replicated(x)
    nearest = F.conv_transpose3d(repeated.to(kind), kernel.to(kind), stride=2, padding=2).to(x.dtype)
    return _SubtractFaces.apply(_Binomial.apply(nearest), *_beyond_faces(x, weight))


def _pad(x: Tensor, axis: int, sides: tuple[int, int], mode: str = "constant") -> Tensor:
    """Pad one axis of a tensor with zeros or, `mode` "replicate", with its last plane."""
    if mode == "replicate":
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, -1, 1)
        return torch.cat([first] * sides[0] + [x] + [last] * sides[1], dim=axis)
    return F.pad(x, (0, 0) * (x.dim() - 1 - axis) + sides)


def _beyond_faces(x: Tensor, weight: Tensor) -> list[Tensor]:
    """Return what the plane just beyond each of the six faces adds to the convolution if the border repeats there.

    In the order of `_SubtractFaces`. Once an axis is corrected, the map counts as zero beyond it, so that edges and
    corners are subtracted once.
    """
    faces = []
    for axis in (2, 3, 4):
        for side, tap in ((0, 0), (-1, 2)):
            plane = F.interpolate(x.select(axis, side), scale_factor=2, mode="bilinear", align_corners=False)
            for index, other in enumerate(a for a in (2, 3, 4) if a != axis):
                plane = _pad(plane, index + 2, (1, 1), "constant" if other < axis else "replicate")
            faces.append(F.conv2d(plane, weight.select(axis, tap)))
    return faces


class _SubtractFaces(Function):
    """Subtract, in place, one plane from each face: first and last of axis 2, of axis 3, of axis 4."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *faces: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        for number, face in enumerate(faces):
            x.select(2 + number // 2, -(number % 2)).sub_(face)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return gradient, *(-gradient.select(2 + number // 2, -(number % 2)) for number in range(6))


class _Binomial(Function):
    """Binomial filter along the three axes; it is symmetric, so with padding it is its own transpose."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return separable_filter(x, BINOMIAL)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return separable_filter(gradient, BINOMIAL, padding=2)
