"""MS lesions of one visit as volumes: label of every voxel, and state of its tissue."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FULL_LOSS = 0.40  # (ours) DVR deficit of wholly demyelinated white matter, share of healthy white matter


@dataclass
class Lesions:
    """Lesions of one visit on the anatomy's grid, (n, n, n) each.

    Attributes:
        owner: int32, 0 = none, k = lesion k.
        kinds: int8 (lesions + 1,), class of lesion k, see lesion_classes (0: no MS lesion).
        deficit: share of DVR lost in lesions, against the surrounding white matter, 0 to FULL_LOSS.
        diffuse: share of DVR lost outside lesions (normal-appearing and dirty white matter, halos), against healthy
            white matter.
        axonal_loss: share of axons lost, 0 to 1.
        water: additional water, 0 to 1.
        cavity: share of a voxel that is fluid instead of tissue, 0 to 1.
        cortical: share of myelin lost in grey matter, 0 to 1.
    """

    owner: np.ndarray
    kinds: np.ndarray
    deficit: np.ndarray
    diffuse: np.ndarray
    axonal_loss: np.ndarray
    water: np.ndarray
    cavity: np.ndarray
    cortical: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """Where a lesion is, bool (n, n, n)."""
        return self.owner > 0

    def myelin_loss(self) -> np.ndarray:
        """Share of the healthy tissue's myelin that is lost, in and around lesions, 0 to 1, (n, n, n)."""
        return np.clip((1.0 - (1.0 - self.deficit) * (1.0 - self.diffuse)) / FULL_LOSS, 0.0, 1.0)


def no_lesions(shape: tuple[int, int, int]) -> Lesions:
    """Create the lesions of a healthy person: none.

    Args:
        shape: voxels along each axis.
    """
    volumes = (np.zeros(shape, np.float32) for _ in range(6))
    return Lesions(np.zeros(shape, np.int32), np.zeros(1, np.int8), *volumes)


def depth_profile(lesions: Lesions) -> np.ndarray:
    """Compute the relative depth of each voxel inside its lesion.

    Args:
        lesions: lesions.

    Returns:
        Flat array over the mask, 0 at the rim to 1 at the centre.
    """
    from scipy import ndimage

    mask = lesions.mask
    inside = ndimage.distance_transform_edt(mask)[mask]
    owners = lesions.owner[mask]
    deepest = np.ones(lesions.owner.max() + 1)
    np.maximum.at(deepest, owners, inside)
    return np.where(deepest[owners] > 1.01, (inside - 0.5) / (deepest[owners] - 0.5), 0.8)
