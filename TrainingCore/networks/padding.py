"""Sizes that a network cannot halve as often as it wants."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def padded(x: Tensor, multiple: int) -> Tensor:
    """Repeat the last row of every spatial axis until `multiple` divides it: (N, C, H, W) or (N, C, D, H, W).

    The caller crops the answer to the size that `x` had.
    """
    missing = [-length % multiple for length in x.shape[2:]]
    if not any(missing):
        return x
    return F.pad(x, [amount for length in reversed(missing) for amount in (0, length)], mode="replicate")
