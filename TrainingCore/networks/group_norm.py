"""GroupNorm taken apart: moments of each channel, then one scale and one shift per channel.

torch 2.13's own GroupNorm (and BatchNorm) on channels-last volumes on a CPU adds millions of float32 values one after
the other: errors up to 8e-3, other ones with every number of threads. Here each plane is added up on its own and the
planes in float64. Taken apart it is also cheaper: the scale and shift are done in place, joined maps never need to be
put together, and an upsampled map's moments come from the map before it was upsampled.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

FLAT = 1e-3
"""Where a channel's variance is under this share of its squared mean, the mean is taken off before squaring."""


def channel_products(x: Tensor, y: Tensor) -> Tensor:
    """Sum over the voxels of x * y for every channel: two (N, C, D, H, W) -> (N, C) float64, nothing large allocated.

    The diagonal of a matrix product per plane: 5 times as fast as multiplying and adding up.
    """
    products = torch.bmm(_planes(x).transpose(1, 2), _planes(y)).diagonal(dim1=1, dim2=2)
    return products.double().unflatten(0, (x.shape[0], x.shape[2])).sum(1)


def channel_sums(x: Tensor) -> Tensor:
    """Sum over the voxels of every channel: (N, C, D, H, W) -> (N, C) float64."""
    return _planes(x).sum(1).double().unflatten(0, (x.shape[0], x.shape[2])).sum(1)


def _planes(x: Tensor) -> Tensor:
    """(N, C, D, H, W) -> (N D, H W, C), a view where x is channels-last."""
    return x.permute(0, 2, 3, 4, 1).flatten(2, 3).flatten(0, 1)


def each_voxel(values: Tensor, like: Tensor) -> Tensor:
    """(N, C) -> (N, C, 1, 1, 1) in the type of `like`, to be broadcast over its voxels."""
    return values.to(like.dtype)[:, :, None, None, None]


class _Moments(Function):
    """Mean and variance over the voxels of every channel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, D, H, W) -> mean and variance, (N, C) float64 each."""
        voxels = x[0, 0].numel()
        mean = channel_sums(x) / voxels
        variance = channel_products(x, x) / voxels - mean**2
        if bool((variance < FLAT * mean**2).any()):
            centred = x - each_voxel(mean, x)
            variance = channel_products(centred, centred) / voxels
        ctx.save_for_backward(x, mean)
        return mean, variance

    @staticmethod
    def backward(ctx: Any, mean_gradient: Tensor, variance_gradient: Tensor) -> Tensor:
        x, mean = ctx.saved_tensors
        voxels = x[0, 0].numel()
        slope = 2 * variance_gradient / voxels
        offset = mean_gradient / voxels - slope * mean
        return torch.addcmul(each_voxel(offset, x), x, each_voxel(slope, x))


class _UpsampledVariance(Function):
    """Variance over the voxels of every channel of trilinear x2 upsampled `x`, from `x` and its means alone.

    With U the upsampling of one axis, U'U / 2 is the filter [3, 10, 3] / 16 with the last voxel repeated beyond the
    border, so the mean of (U x)^2 is the mean of x * filtered(x).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, mean: Tensor) -> Tensor:
        centred = x - each_voxel(mean, x)
        ctx.save_for_backward(x, mean)
        return channel_products(centred, _filtered(centred)) / x[0, 0].numel()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x, mean = ctx.saved_tensors
        slope = each_voxel(2 * gradient / x[0, 0].numel(), x)
        return _filtered(x - each_voxel(mean, x)).mul_(slope), None


def _filtered(x: Tensor) -> Tensor:
    return separable_filter(replicated(x), (3 / 16, 10 / 16, 3 / 16))


def replicated(x: Tensor) -> Tensor:
    """`x` with one more voxel on every side, a copy of its last one, channels-last (`F.pad` would lose that order).

    (N, C, D, H, W) -> (N, C, D + 2, H + 2, W + 2).
    """
    return F.pad(x, (1,) * 6, mode="replicate").contiguous(memory_format=torch.channels_last_3d)


def separable_filter(x: Tensor, taps: tuple[float, float, float], padding: int = 0) -> Tensor:
    """The three taps along each of the three axes of every channel: (N, C, D, H, W) -> each axis 2 shorter."""
    line = torch.tensor(taps, dtype=x.dtype, device=x.device)
    cube = line[:, None, None] * line[:, None] * line
    channels = x.shape[1]
    return F.conv3d(x, cube.expand(channels, 1, 3, 3, 3), padding=padding, groups=channels)


def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of every channel: (N, C, D, H, W) -> two (N, C) float64. Differentiable."""
    return _Moments.apply(x)


def upsampled_channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of every channel of the trilinear x2 upsampled x, without upsampling it. Differentiable.

    Upsampling leaves the mean as it is. The variance's gradient through the mean is zero.

    Args:
        x: (N, C, D, H, W); returns two of (N, C).
    """
    mean = channel_sums(x) / x[0, 0].numel()
    return mean, _UpsampledVariance.apply(x, mean.detach())


def scale_and_shift(
    mean: Tensor, variance: Tensor, norm: torch.nn.GroupNorm, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """The scale and shift per channel, (N, C) each, that GroupNorm `norm` amounts to given every channel's moments.

    A group's variance is the mean of its channels' variances and of their means' squared distances from the group's.
    """
    groups = (norm.num_groups, norm.num_channels // norm.num_groups)
    mean, variance = mean.unflatten(1, groups), variance.unflatten(1, groups)
    group_mean = mean.mean(2, keepdim=True)
    group_variance = (variance + (mean - group_mean) ** 2).mean(2, keepdim=True)
    scale = norm.weight.double().unflatten(0, groups) * torch.rsqrt(group_variance + norm.eps)
    shift = norm.bias.double().unflatten(0, groups) - group_mean * scale
    return scale.flatten(1).to(dtype), shift.flatten(1).to(dtype)
