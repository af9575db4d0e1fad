"""Check real lesion masks before the first person is simulated with them: values, position, amount.

No part of the frozen edition: what is refused here never reaches a simulated person.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..runtime.errors import BadInput
from .template import load_template

if TYPE_CHECKING:
    from ..imaging.volumes import Volume

LEAST_INSIDE = (
    0.8  # share of a mask in the template's brain; the 29 masks of Lesjak et al. 2018 lie in it wholly (ours)
)
LARGEST_ML = 150.0  # more lesion than in people with MS; the largest of those masks has 52 ml (ours)


def check_masks(paths: Sequence[Path]) -> None:
    """Check that files can be lesion masks in MNI space.

    Args:
        paths: the masks.

    Raises:
        BadInput: one cannot be read, is no mask, lies outside the template's brain, or holds too much lesion.
    """
    for path in paths:
        volume = read_mask(path)
        amount = float(volume.data.sum()) * abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000.0
        if amount > LARGEST_ML:
            raise BadInput(f"{path} marks {amount:.0f} ml, which is more than lesions can be. Give lesion masks.")
        if (inside := _share_in_brain(volume)) < LEAST_INSIDE:
            raise BadInput(
                f"Only {inside:.0%} of {path} lies in the template's brain, so it is not in MNI space. Give lesion "
                "masks in MNI space."
            )


def read_mask(path: Path) -> Volume:
    """Read a lesion mask with the rules for every mask.

    Args:
        path: NIfTI file.

    Returns:
        Its 0/1 voxels.

    Raises:
        BadInput: it cannot be read, or its values are those of no mask.
    """
    from ..imaging.volumes import read_volume

    try:
        return read_volume(path, what="lesion mask", mask=True)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def _share_in_brain(volume: Volume) -> float:
    """Share of the lesion voxels that lie in the template's brain; 1 for an empty mask."""
    template = load_template()
    voxels = np.argwhere(volume.data > 0)
    if not len(voxels):
        return 1.0
    to_template = np.linalg.inv(template.affine) @ volume.affine
    at = np.round(voxels @ to_template[:3, :3].T + to_template[:3, 3]).astype(int)
    known = ((at >= 0) & (at < template.brain.shape)).all(axis=1)
    return float(template.brain[tuple(at[known].T)].sum() / len(voxels))
