"""Discriminator that classifies patches of T1w, FLAIR and DVR as real or generated (Soulier et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .sizes import size_after_strides
from .small_volumes import Conv3d


class PatchDiscriminator(nn.Module):
    """Four blocks of 3x3x3 convolution (with bias), BatchNorm, LeakyReLU; then flatten, linear(1), sigmoid.

    4,653,441 parameters at the defaults.

    Args:
        patch: edge of the patches in voxels, 2 or more: 16 in the paper, where they span 24 mm; 8 at voxels of 3 mm.
        strides: the paper writes "striding = 3". Stride 3 with padding 1 reduces 16 to 1 (16-6-2-1-1), but the last
            block then sees a single voxel surrounded by padding: 26 of 27 taps of its 3.5 million weights multiply
            zeros and never learn, and no two windows overlap. Stride 2 with padding 1 (16-8-4-2-1) has the same number
            of parameters, halves the patch in every block, lets windows overlap and uses 8 times as many of the last
            block's weights. Therefore 2 is the default (ours); `strides=(3, 3, 3, 3)` is the paper to the letter. A
            patch of 8 (3 mm) ends in a single voxel with either (8-4-2-1-1); (1, 2, 2, 2) uses the last block there
            (8-8-4-2-1).
        negative_slope: of LeakyReLU, 0.2 (ours; the paper gives none, 0.2 is usual since Radford et al. 2016).

    Raises:
        ValueError: the strides do not reduce `patch` to one voxel.
    """

    def __init__(
        self,
        in_channels: int = 3,
        patch: int = 16,
        widths: Sequence[int] = (64, 128, 256, 512),
        strides: Sequence[int] | None = None,
        negative_slope: float = 0.2,
    ) -> None:
        super().__init__()
        strides = tuple(strides) if strides is not None else (2,) * len(widths)
        if len(strides) != len(widths):
            raise ValueError(f"{len(widths)} blocks need {len(widths)} strides, not {len(strides)}")
        size = size_after_strides(patch, strides)
        if size != 1:
            raise ValueError(f"strides {strides} bring a patch of {patch} voxels to {size}, not to 1")
        self.patch = patch
        self.blocks = nn.Sequential()
        for before, after, stride in zip([in_channels, *widths], widths, strides):
            self.blocks.append(
                nn.Sequential(
                    Conv3d(before, after, 3, stride=stride, padding=1),
                    nn.BatchNorm3d(after),
                    nn.LeakyReLU(negative_slope, inplace=True),
                )
            )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1], 1), nn.Sigmoid())

    def forward(self, patches: Tensor) -> Tensor:
        """Classify patches.

        Args:
            patches: (N, in_channels, patch, patch, patch).

        Returns:
            (N, 1), probability that each patch is real, in [0, 1].
        """
        return self.head(self.blocks(patches))
