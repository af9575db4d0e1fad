"""Location of a lesion in the brain, in the terms in which MS is described.

Regions after the MAGNIMS / McDonald terms (Filippi et al. 2016; Thompson et al. 2018): infratentorial, periventricular
(touching the lateral ventricles), juxtacortical (touching the cortex), deep white matter (none of these). The distance
that counts as touching at the resolution of clinical MRI is ours: TOUCH_MM.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from .distances import depth_inside, distance_to
from .registration import brain_points, register
from .volumes import Volume, read_volume, resample

ATLAS = Path(__file__).parent / "atlas"
SUPRATENTORIAL, INFRATENTORIAL, VENTRICLE = 1, 2, 3
INFRATENTORIAL_NAME, PERIVENTRICULAR, JUXTACORTICAL, DEEP = (
    "infratentorial",
    "periventricular",
    "juxtacortical",
    "deep white matter",
)
REGIONS = (PERIVENTRICULAR, JUXTACORTICAL, DEEP, INFRATENTORIAL_NAME)
TOUCH_MM = 2.0  # (ours) about one voxel of clinical MRI between lesion and ventricle or cortex
VENTRICLE_REACH_MM = 8.0  # (ours) how far a person's ventricles may lie outside the template's
SURFACE_MM = 14.0  # (ours) grey matter deeper than this below the brain's surface is no cortex but a nucleus
MIN_CORTEX_MM3 = 2000.0  # (ours) smaller pieces of grey matter are no cortex
MIN_CORTEX = (
    0.15  # (ours) share of a lesion's voxels that touch the cortex: a lesion of the deep white matter may graze it
)


class RegionMasks(NamedTuple):
    """Masks (I, J, K) on the T1w's grid: below the tentorium, lateral ventricles, cortical grey matter."""

    infratentorial: np.ndarray
    ventricles: np.ndarray
    cortex: np.ndarray


def encode_regions(masks: RegionMasks) -> np.ndarray:
    """Encode the masks as one image.

    Args:
        masks: three masks (I, J, K).

    Returns:
        uint8 (I, J, K): bit 0 infratentorial, bit 1 lateral ventricles, bit 2 cortex.
    """
    bits = [np.asarray(mask, np.uint8) << bit for bit, mask in enumerate(masks)]
    return np.bitwise_or.reduce(bits)


def decode_regions(coded: np.ndarray) -> RegionMasks:
    """Decode an image of `encode_regions`.

    Args:
        coded: integers (I, J, K).

    Returns:
        Three bool masks.
    """
    return RegionMasks(*((coded >> bit & 1).astype(bool) for bit in range(len(RegionMasks._fields))))


def align_to_atlas(t1w: Volume, brain: Volume) -> np.ndarray:
    """Register the T1w to the atlas.

    Args:
        t1w: T1w without its bias field.
        brain: 0/1 mask on its grid.

    Returns:
        Affine transform, 4x4 RAS mm: a point of the T1w -> the point of the atlas that shows it.

    Raises:
        MyelinSynthError: the registration fails.
    """
    atlas = read_volume(ATLAS / "t1w.nii.gz", "atlas")
    start = np.eye(4)
    start[:3, 3] = _middle(atlas.with_data((atlas.data > 0).astype(np.float32))) - _middle(brain)
    registration = register(
        t1w, atlas, brain, t1w, contrast="atlas", affine=True, start=start, moving_bias=False, check_mirrored=False
    )  # the atlas is nearly symmetric and fits no T1w exactly: all would be tried mirrored
    return registration.matrix


def _middle(mask: Volume) -> np.ndarray:
    return brain_points(mask, step=11).mean(axis=0)


def find_regions(t1w: Volume, brain: Volume, tissues: dict[str, np.ndarray], to_atlas: np.ndarray) -> RegionMasks:
    """Determine the anatomy for the regions of lesions, approximately from the atlas and exactly from the tissues.

    Args:
        t1w: T1w that defines the grid.
        brain: 0/1 mask on its grid.
        tissues: masks csf and grey_matter on its grid.
        to_atlas: 4x4 RAS mm, a point of the T1w -> the point of the atlas that shows it.
    """
    regions = read_volume(ATLAS / "regions.nii.gz", "atlas")
    shape = t1w.data.shape

    def on_t1w_grid(region: int) -> np.ndarray:
        chosen = regions.with_data((regions.data == region).astype(np.float32))
        return resample(chosen, shape, t1w.affine, to_atlas)

    spacing = tuple(t1w.spacing)
    near = _within(on_t1w_grid(VENTRICLE) > 0.5, VENTRICLE_REACH_MM, spacing)
    below = on_t1w_grid(INFRATENTORIAL) > 0.5
    inside = brain.data > 0.5
    depth = depth_inside(inside, spacing)
    cortex = _sheets(tissues["grey_matter"] & ~below & (depth < SURFACE_MM), t1w.voxel_volume)
    return RegionMasks(below & inside, tissues["csf"] & near & (depth > TOUCH_MM), cortex)


def _sheets(mask: np.ndarray, voxel_volume: float) -> np.ndarray:
    """Remove small islands: the dim rim of a lesion is often classified as grey matter and would count as cortex."""
    labels, _count = ndimage.label(mask)
    volumes = np.bincount(labels.ravel()) * voxel_volume
    volumes[0] = 0
    return (volumes >= MIN_CORTEX_MM3)[labels]


def _within(mask: np.ndarray, reach: float, spacing: tuple[float, ...]) -> np.ndarray:
    return distance_to(mask, reach, spacing) <= reach


def _touches(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Voxels within TOUCH_MM of a mask, and its face neighbours, whose centres lie farther away in thick slices."""
    near = _within(mask, TOUCH_MM, spacing)
    return near | ndimage.binary_dilation(mask) if max(spacing) > TOUCH_MM else near


def lesion_regions(labels: np.ndarray, masks: RegionMasks, spacing: tuple[float, ...]) -> list[str]:
    """Determine the region of each lesion.

    Infratentorial if most of the lesion is; else periventricular if any of it touches the ventricles; else
    juxtacortical if MIN_CORTEX of it touches the cortex; else deep white matter.

    Args:
        labels: int (I, J, K), lesions 1, 2, ...
        masks: anatomy on the same grid.
        spacing: voxel edges in mm.

    Returns:
        Region of lesion 1, 2, ...; an empty string for labels without a voxel.
    """
    inside = np.flatnonzero(labels)
    owner = labels.ravel()[inside]
    counts = np.bincount(owner)

    def share(mask: np.ndarray) -> np.ndarray:
        return np.bincount(owner, mask.ravel()[inside], len(counts)) / np.maximum(counts, 1)

    below = share(masks.infratentorial) > 0.5
    touching = share(_touches(masks.ventricles, spacing)) > 0
    cortical = share(_touches(masks.cortex, spacing)) > MIN_CORTEX
    chosen = np.select([counts == 0, below, touching, cortical], ["", *_names()], DEEP)
    return chosen[1:].tolist()


def _names() -> tuple[str, str, str]:
    return INFRATENTORIAL_NAME, PERIVENTRICULAR, JUXTACORTICAL
