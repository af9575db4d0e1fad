"""Padding to sizes that a network can halve several times."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def padded(x: Tensor, multiple: int) -> Tensor:
    """Pad every spatial axis by repeating its last row until its size is a multiple of `multiple`.

    Args:
        x: (N, C, H, W) or (N, C, D, H, W).
        multiple: usually 2^(levels - 1).

    Returns:
        The padded tensor; the caller crops the network's output to the original size.
    """
    missing = [-length % multiple for length in x.shape[2:]]
    if not any(missing):
        return x
    return F.pad(x, [amount for length in reversed(missing) for amount in (0, length)], mode="replicate")
