"""Axial slices of volumes, for the systems whose networks are 2D.

Axial slices lie across the last axis of the grid, which runs from foot to head (see imaging.grid).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from .samples import Sample

CHUNK = 16  # slices per batch outside training (ours): limits memory, does not affect the result


def _brain_slices(brain: Tensor) -> np.ndarray:
    """Indices of the axial slices that hold brain, (S,).

    Args:
        brain: (1, 1, I, J, K) mask as float.
    """
    return np.flatnonzero((brain[0, 0] > 0.5).any(dim=0).any(dim=0).cpu().numpy())


def draw_slices(sample: Sample, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw axial slices of a visit uniformly from those with brain, without replacement if possible.

    Args:
        sample: one visit.
        count: number of slices.
        rng: source of the draws.

    Returns:
        (count,) indices in ascending order.
    """
    indices = _brain_slices(sample.brain)
    return np.sort(rng.choice(indices, count, replace=len(indices) < count))


def axial(volume: Tensor, slices: Sequence[int] | np.ndarray) -> Tensor:
    """Take axial slices of a volume as a batch of 2D images.

    Args:
        volume: (1, C, I, J, K).
        slices: S indices along the last axis.

    Returns:
        (S, C, I, J).
    """
    chosen = torch.as_tensor(np.asarray(slices), device=volume.device)
    return volume[0].index_select(3, chosen).permute(3, 0, 1, 2).contiguous()


def random_slices(batch: Sequence[Sample], count: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """Draw random axial slices of every visit as one batch.

    Args:
        batch: the visits.
        count: slices of each visit.
        rng: source of the draws.

    Returns:
        `inputs` (S, C, I, J); `target`, `brain`, `lesions` (S, 1, I, J), with S = count times the number of visits.
    """
    parts: dict[str, list[Tensor]] = {"inputs": [], "target": [], "brain": [], "lesions": []}
    for sample in batch:
        chosen = draw_slices(sample, count, rng)
        for name, stack in parts.items():
            stack.append(axial(getattr(sample, name), chosen))
    return {name: torch.cat(stack) for name, stack in parts.items()}


def slice_by_slice(network: Callable[[Tensor], Tensor], volume: Tensor, empty: float, chunk: int = CHUNK) -> Tensor:
    """Run a 2D network over the axial slices of a volume.

    Slices without any contrast, which hold no brain, are not computed.

    Args:
        network: (S, C, I, J) -> (S, C', I, J).
        volume: (N, C, I, J, K).
        empty: output for slices without contrast.
        chunk: slices per call of the network.

    Returns:
        (N, C', I, J, K).
    """
    images = volume.permute(0, 4, 1, 2, 3).flatten(0, 1)  # (N K, C, I, J)
    with_contrast = (images.flatten(1).amax(1) > images.flatten(1).amin(1)).nonzero()[:, 0]
    first = network(images[with_contrast[:chunk]] if len(with_contrast) else images[:1])
    result = first.new_full((len(images), *first.shape[1:]), empty)
    result[with_contrast[:chunk]] = first[: len(with_contrast)]
    for start in range(chunk, len(with_contrast), chunk):
        result[with_contrast[start : start + chunk]] = network(images[with_contrast[start : start + chunk]])
    return result.unflatten(0, (volume.shape[0], volume.shape[4])).permute(0, 2, 3, 4, 1).contiguous()
