"""Sizes of feature maps, computed without torch: recipes are checked before it is imported."""

from __future__ import annotations

from collections.abc import Sequence


def size_after_strides(edge: int, strides: Sequence[int]) -> int:
    """Compute the size of a map after 3x3x3 convolutions with padding 1.

    Args:
        edge: voxels along an edge.
        strides: stride of each convolution.

    Returns:
        Voxels along the edge of the last map.
    """
    for stride in strides:
        edge = (edge - 1) // stride + 1
    return edge
