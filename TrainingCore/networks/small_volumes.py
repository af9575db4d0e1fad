"""Convolutions of small volumes, which oneDNN gets wrong in bfloat16 and computes slowly.

torch 2.13 on a CPU returns gradients of the weights that hold unset memory (1e30, sometimes NaN) for 3x3x3 convolutions
in bfloat16 if a volume is two voxels deep, and with stride 2 or 3 for other volumes with an edge of one or two voxels
(measured: kernels 1 to 7, strides 1 to 3, 1 to 96 volumes, one and two threads). Such volumes cost next to nothing, so
they are convolved in float32.

A convolution whose output is a single voxel is a matrix product with the taps that fall on the volume: one of 27 for a
single voxel amid its padding. oneDNN multiplies the zeros too; the last block of the patch discriminator took 0.18 s
for 96 patches of a single voxel, forward and backward, and 0.02 s as a matrix product (one core).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEWEST = 2
"""A volume with an edge of this many voxels or fewer is not convolved in bfloat16 on a CPU."""


def needs_float32(x: Tensor, kind: torch.dtype | None = None) -> bool:
    """Whether a convolution of this volume would be wrong in bfloat16.

    Args:
        x: (N, C, D, H, W).
        kind: type of the products; None for what autocast, or else the type of `x`, makes it.
    """
    if kind is None:
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return kind is torch.bfloat16 and x.device.type == "cpu" and min(x.shape[2:]) <= FEWEST


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 1) -> Tensor:
    """Compute conv3d(x, weight, bias), in float32 where bfloat16 would be wrong, without products with padding alone.

    Args:
        x: (N, A, D, H, W).
        weight: (C, A, k, k, k).
        bias: (C,), or None.
        stride: of the convolution, along each axis.
        padding: zeros around the volume, in voxels.

    Returns:
        (N, C, D', H', W') in the type that `torch.nn.functional.conv3d` would give.
    """
    compute = _one_voxel if _gives_one_voxel(x, weight, stride, padding) else _all_voxels
    if not needs_float32(x):
        return compute(x, weight, bias, stride, padding)
    with torch.autocast("cpu", enabled=False):
        exact = compute(x.float(), weight.float(), None if bias is None else bias.float(), stride, padding)
    return exact.to(torch.bfloat16)


def _all_voxels(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    return F.conv3d(x, weight, bias, stride, padding)


def _gives_one_voxel(x: Tensor, weight: Tensor, stride: int, padding: int) -> bool:
    """Whether, on a CPU, a 3x3x3 kernel covers the volume from its middle tap on and is placed only once."""
    kernel, edges = tuple(weight.shape[2:]), x.shape[2:]
    return x.device.type == "cpu" and kernel == (3, 3, 3) and padding == 1 and max(edges) <= min(stride, 2)


def _one_voxel(x: Tensor, weight: Tensor, bias: Tensor | None, _stride: int, _padding: int) -> Tensor:
    i, j, k = x.shape[2:]
    covered = weight[:, :, 1 : 1 + i, 1 : 1 + j, 1 : 1 + k]
    product = F.linear(x.flatten(1), covered.flatten(1), bias)
    return product[..., None, None, None].clone()  # no view: the caller, a Function too, may change it in place


class Conv3d(nn.Conv3d):
    """torch's Conv3d with the same stride and padding along each axis, by `convolve`."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve a batch.

        Args:
            input: (N, A, D, H, W).

        Returns:
            (N, C, D', H', W').
        """
        return convolve(input, self.weight, self.bias, int(self.stride[0]), int(self.padding[0]))
