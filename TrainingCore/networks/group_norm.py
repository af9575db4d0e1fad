"""GroupNorm in two parts: moments of each channel, then one scale and one shift per channel.

On a CPU, torch 2.13's GroupNorm (and BatchNorm) sums millions of float32 values of a channels-last volume one after the
other, with errors up to 8e-3 that depend on the number of threads. In this module each plane is summed on its own, and
the sums of the planes are added in float64. It is also cheaper: scale and shift are applied in place, joined maps need
not be concatenated, and the moments of an upsampled map are computed from the map before upsampling.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

FLAT = 1e-3
"""If a channel's variance is below this share of its squared mean, the mean is subtracted before squaring."""


def channel_products(x: Tensor, y: Tensor) -> Tensor:
    """Sum x * y over the voxels of every channel without allocating a large array.

    The diagonal of a matrix product per plane is 5 times as fast as multiplying and summing.

    Args:
        x: (N, C, D, H, W).
        y: (N, C, D, H, W).

    Returns:
        (N, C) float64.
    """
    products = torch.bmm(_planes(x).transpose(1, 2), _planes(y)).diagonal(dim1=1, dim2=2)
    return products.double().unflatten(0, (x.shape[0], x.shape[2])).sum(1)


def channel_sums(x: Tensor) -> Tensor:
    """Sum over the voxels of every channel.

    Args:
        x: (N, C, D, H, W).

    Returns:
        (N, C) float64.
    """
    return _planes(x).sum(1).double().unflatten(0, (x.shape[0], x.shape[2])).sum(1)


def _planes(x: Tensor) -> Tensor:
    """(N, C, D, H, W) -> (N D, H W, C), a view where x is channels-last."""
    return x.permute(0, 2, 3, 4, 1).flatten(2, 3).flatten(0, 1)


def each_voxel(values: Tensor, like: Tensor) -> Tensor:
    """Reshape values per channel for broadcasting over voxels.

    Args:
        values: (N, C).
        like: tensor whose type is used.

    Returns:
        (N, C, 1, 1, 1).
    """
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
    """Pad each side by one voxel that repeats the border; the result is channels-last (`F.pad` would lose that order).

    Args:
        x: (N, C, D, H, W).

    Returns:
        (N, C, D + 2, H + 2, W + 2).
    """
    return F.pad(x, (1,) * 6, mode="replicate").contiguous(memory_format=torch.channels_last_3d)


def separable_filter(x: Tensor, taps: tuple[float, float, float], padding: int = 0) -> Tensor:
    """Filter every channel with the same three taps along each of the three axes.

    Args:
        x: (N, C, D, H, W).
        taps: filter along one axis.
        padding: voxels of zeros added to each side.

    Returns:
        Each axis is 2 voxels shorter if `padding` is 0.
    """
    line = torch.tensor(taps, dtype=x.dtype, device=x.device)
    cube = line[:, None, None] * line[:, None] * line
    channels = x.shape[1]
    return F.conv3d(x, cube.expand(channels, 1, 3, 3, 3), padding=padding, groups=channels)


def channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and variance of every channel; differentiable.

    Args:
        x: (N, C, D, H, W).

    Returns:
        Mean and variance over the voxels, (N, C) float64 each.
    """
    return _Moments.apply(x)


def upsampled_channel_moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and variance of every channel after trilinear x2 upsampling, without upsampling; differentiable.

    Upsampling does not change the mean. The gradient of the variance through the mean is zero.

    Args:
        x: (N, C, D, H, W).

    Returns:
        Mean and variance, (N, C) each.
    """
    mean = channel_sums(x) / x[0, 0].numel()
    return mean, _UpsampledVariance.apply(x, mean.detach())


def scale_and_shift(
    mean: Tensor, variance: Tensor, norm: torch.nn.GroupNorm, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Convert the channels' moments to the scale and shift per channel that a GroupNorm applies.

    The variance of a group is the mean of its channels' variances plus the mean squared distance of the channels' means
    from the group's mean.

    Args:
        mean: (N, C) of every channel.
        variance: (N, C) of every channel.
        norm: the GroupNorm, with its weight, bias and eps.
        dtype: type of the result.

    Returns:
        Scale and shift, (N, C) each.
    """
    groups = (norm.num_groups, norm.num_channels // norm.num_groups)
    mean, variance = mean.unflatten(1, groups), variance.unflatten(1, groups)
    group_mean = mean.mean(2, keepdim=True)
    group_variance = (variance + (mean - group_mean) ** 2).mean(2, keepdim=True)
    scale = norm.weight.double().unflatten(0, groups) * torch.rsqrt(group_variance + norm.eps)
    shift = norm.bias.double().unflatten(0, groups) - group_mean * scale
    return scale.flatten(1).to(dtype), shift.flatten(1).to(dtype)
