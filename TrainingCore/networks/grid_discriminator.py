"""3D patch discriminator of Wei et al. 2018: classifies each patch of a grid as measured or generated."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .small_volumes import Conv3d


class GridDiscriminator(nn.Module):
    """Four stages of Conv3D, BatchNorm, LeakyReLU (0.2), downsampling; a fully connected layer; softmax over 2 classes.

    Kernels are 3x3x3, as in the paper; downsampling by max-pooling and the widths are ours, as the paper gives neither.
    The softmax is part of the cross-entropy, which combines it with the logarithm: `forward` returns its inputs.

    Args:
        patch: edges l x w x h in voxels.

    Raises:
        ValueError: an edge of `patch` cannot be halved at every stage.
    """

    def __init__(
        self,
        in_channels: int = 5,
        patch: Sequence[int] = (16, 16, 16),
        widths: Sequence[int] = (32, 64, 128, 256),
        slope: float = 0.2,
    ) -> None:
        super().__init__()
        halvings = 2 ** len(widths)
        if len(patch) != 3 or any(edge < halvings or edge % halvings for edge in patch):
            raise ValueError(f"{len(widths)} stages need patch edges that {halvings} divides, not {tuple(patch)}")
        self.stages = nn.Sequential()
        for before, after in zip([in_channels, *widths], widths):
            self.stages.append(
                nn.Sequential(
                    Conv3d(before, after, 3, padding=1),
                    nn.BatchNorm3d(after),
                    nn.LeakyReLU(slope, inplace=True),
                    nn.MaxPool3d(2),
                )
            )
        left = [edge // halvings for edge in patch]
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * left[0] * left[1] * left[2], 2))

    def forward(self, patches: Tensor) -> Tensor:
        """Classify patches.

        Args:
            patches: (P, in_channels, l, w, h).

        Returns:
            (P, 2), logits of generated and measured.
        """
        return self.head(self.stages(patches))
