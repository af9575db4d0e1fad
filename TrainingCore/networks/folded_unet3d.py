"""3D U-Net that works at half the resolution of its images without losing resolution.

Every 2x2x2 block of voxels becomes one position with eight times the channels (Shi et al. 2016 for 2D, in both
directions). A 1 mm volume then costs as much as a 2 mm volume, while each voxel keeps an output of its own.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .unet3d import UNet3D

BLOCK = 2  # voxels along each edge that become one position


def fold_voxels(x: Tensor) -> Tensor:
    """Turn blocks of 2x2x2 voxels into channels.

    Args:
        x: (N, C, D, H, W), even sizes.

    Returns:
        (N, 8 C, D/2, H/2, W/2).
    """
    n, channels, depth, height, width = x.shape
    x = x.reshape(n, channels, depth // BLOCK, BLOCK, height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    return x.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(
        n, channels * BLOCK**3, depth // BLOCK, height // BLOCK, width // BLOCK
    )


def unfold_voxels(x: Tensor) -> Tensor:
    """Turn channels back into blocks of 2x2x2 voxels; inverse of `fold_voxels`.

    Args:
        x: (N, 8 C, D, H, W).

    Returns:
        (N, C, 2 D, 2 H, 2 W).
    """
    n, channels, depth, height, width = x.shape
    x = x.reshape(n, channels // BLOCK**3, BLOCK, BLOCK, BLOCK, depth, height, width)
    return x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(
        n, channels // BLOCK**3, depth * BLOCK, height * BLOCK, width * BLOCK
    )


class FoldedUNet3D(nn.Module):
    """`UNet3D` between a folding and an unfolding of its voxels.

    >>> FoldedUNet3D(2, width=8, levels=3)(torch.zeros(1, 2, 32, 48, 20)).shape
    torch.Size([1, 1, 32, 48, 20])

    Args:
        in_channels: of the full-size images.
        out_channels: of the full-size images.
        width: of the U-Net between them.
        levels: of the U-Net between them.
    """

    def __init__(self, in_channels: int = 2, out_channels: int = 1, width: int = 16, levels: int = 4) -> None:
        super().__init__()
        self.unet = UNet3D(in_channels * BLOCK**3, out_channels * BLOCK**3, width=width, levels=levels)

    @property
    def last(self) -> nn.Conv3d:
        """Last convolution; its bias sets the initial output."""
        return self.unet.last

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network.

        Args:
            x: (N, in_channels, D, H, W); odd sizes are padded with their last plane and cropped again.

        Returns:
            (N, out_channels, D, H, W).
        """
        size = x.shape[2:]
        odd = [length % BLOCK for length in size]
        if any(odd):
            x = F.pad(x, (0, odd[2], 0, odd[1], 0, odd[0]), mode="replicate")
        return unfold_voxels(self.unet(fold_voxels(x)))[..., : size[0], : size[1], : size[2]]
