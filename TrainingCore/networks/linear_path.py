"""A network beside a voxel-wise linear path, for targets that follow quantitative inputs voxel by voxel."""

from __future__ import annotations

from torch import Tensor, nn

from .unet3d import in_float32


class WithLinearPath(nn.Module):
    """Sum of a network and a linear function of every voxel's own inputs (ours).

    GroupNorm rescales each visit's maps, so that a U-Net alone has to recover the absolute values of its inputs. The
    linear path starts at 0: the initial output is that of the network.
    """

    def __init__(self, network: nn.Module, in_channels: int) -> None:
        super().__init__()
        self.network = network
        self.path = nn.Conv3d(in_channels, 1, 1, bias=False)
        nn.init.zeros_(self.path.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Apply network and linear path.

        Args:
            x: (N, in_channels, D, H, W).

        Returns:
            (N, 1, D, H, W).
        """
        return self.network(x) + in_float32(x, self.path)
