"""Sizes of feature maps, computed without torch: recipes are checked before it is imported."""

from __future__ import annotations

from collections.abc import Sequence


def size_after_strides(edge: int, strides: Sequence[int]) -> int:
    """Voxels along an edge that are left after 3x3x3 convolutions with these strides and padding 1."""
    for stride in strides:
        edge = (edge - 1) // stride + 1
    return edge
