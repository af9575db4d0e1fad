"""Apply a network to a volume in overlapping tiles, for devices without enough memory for the whole volume."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def tiled_forward(network: Callable[[Tensor], Tensor], x: Tensor, tile: int = 96, overlap: int = 32) -> Tensor:
    """Run a network tile by tile and blend the results.

    The outer quarter of an overlap, which the network computed beside its zero padding, has weight 0; over the half
    between them, one tile fades linearly into the other. If every output depends on fewer than overlap / 4 voxels
    around it, the result equals that of the whole volume; a U-Net with GroupNorm computes its means over each tile, so
    its result is only similar.

    Args:
        network: (N, C, D, H, W) -> (N, C', D, H, W).
        x: (N, C, D, H, W).
        tile: voxels along each axis of a tile (the whole axis if it is shorter).
        overlap: minimum number of voxels that neighbouring tiles share.

    Returns:
        (N, C', D, H, W), on the device of `x`.

    Raises:
        ValueError: `overlap` is too large for `tile`.
    """
    if not 0 <= overlap < tile:
        raise ValueError(f"an overlap of {overlap} voxels does not fit a tile of {tile}")
    sizes = [min(tile, length) for length in x.shape[2:]]
    total: Tensor | None = None
    weights = torch.zeros(x.shape[2:], dtype=x.dtype, device=x.device)
    for starts in itertools.product(*(_starts(n, size, overlap) for n, size in zip(x.shape[2:], sizes))):
        depth, rows, columns = (slice(start, start + size) for start, size in zip(starts, sizes))
        position = (..., depth, rows, columns)
        part = network(x[position]).to(x.dtype)
        weight = _blending_weight(starts, sizes, x.shape[2:], overlap).to(x)
        if total is None:
            total = torch.zeros(*part.shape[:2], *x.shape[2:], dtype=x.dtype, device=x.device)
        total[position] += part * weight
        weights[position] += weight
    assert total is not None
    return total / weights


def _starts(length: int, size: int, overlap: int) -> list[int]:
    """First voxels of the tiles along one axis, evenly spread, the last one ending where the axis ends."""
    steps = -(-(length - size) // (size - overlap)) if length > size else 0
    return [round(step * (length - size) / steps) if steps else 0 for step in range(steps + 1)]


def _blending_weight(starts: Sequence[int], sizes: Sequence[int], shape: Sequence[int], overlap: int) -> Tensor:
    """(D, H, W): 1 inside a tile, falling to 0 towards the sides that it shares with another."""
    halo, ramp = overlap // 4, max(overlap - 2 * (overlap // 4), 1)
    weight = torch.ones(())
    for start, size, length in zip(starts, sizes, shape):
        rise = ((torch.arange(size) + 0.5 - halo) / ramp).clamp(0.0, 1.0)
        line = torch.ones(size)
        if start > 0:
            line *= rise
        if start + size < length:
            line *= rise.flip(0)
        weight = weight[..., None] * line
    return weight
