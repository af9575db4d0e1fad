"""Small network of Li et al. 2014: two convolutions and an output layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TwoLayerNetwork(nn.Module):
    """Two hidden layers of 10 feature maps with 7x7x7 filters and sigmoids, then one output map (1x1x1).

    It predicts patches of 3^3 voxels from patches of 15^3 (Li et al. 2014: 37,761 parameters for one input). Applied to
    a whole volume whose border is repeated, it gives every voxel the value that the patch around it would give.
    """

    def __init__(self, in_channels: int = 1, features: int = 10, kernel: int = 7) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, not {kernel}")
        self.first = nn.Conv3d(in_channels, features, kernel)
        self.second = nn.Conv3d(features, features, kernel)
        self.last = nn.Conv3d(features, 1, 1)
        self.reach = kernel - 1

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network to a whole volume.

        Args:
            x: (N, in_channels, D, H, W).

        Returns:
            (N, 1, D, H, W) in the target's unit.
        """
        x = nn.functional.pad(x, (self.reach,) * 6, mode="replicate")
        return self.last(torch.sigmoid(self.second(torch.sigmoid(self.first(x)))))
