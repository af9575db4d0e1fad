"""Whether T1w and FLAIR look swapped: a rough, quick look at their voxels in Slicer itself, for a warning only.

The command checks again with the brain mask and after registration (TrainingCore.imaging.checks); here there is
neither, and a quarter of a second is all the time there is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from .geometry import ijkToRas, toWorld
from .words import _

SPACING_MM = 3.0
TISSUE_SHARE = 0.55  # of the typical value of what is not background: CSF, bone and air are below (ours)
SHALLOW_MM, DEEP_MM = 7.0, 12.0
PLAUSIBLE_ML = (600.0, 2000.0)  # what was found is a brain; otherwise nothing is said
# Log of T1w / FLAIR, deep minus superficial: +0.05 to +0.31 in 14 pairs (ten real, four digital), its negative when
# they are swapped (ours)
SWAPPED_BELOW = -0.03


def swappedWarning(t1w: Any, flair: Any) -> str:
    """A sentence where the volume nodes look swapped, else an empty text; what cannot be judged is accepted."""
    contrast = whiteMatterContrast(t1w, flair)
    if contrast is None or contrast >= SWAPPED_BELOW:
        return ""
    return _(
        "T1w and FLAIR look swapped: white matter stands out brighter in the image that was chosen as FLAIR. "
        "Check both."
    )


def whiteMatterContrast(t1w: Any, flair: Any) -> float | None:
    """How much brighter deep brain tissue is against superficial in T1w than in FLAIR (log ratio), or None.

    A bias field that both share cancels, and so does the scale of either.
    """
    from scipy import ndimage

    images = _onCommonGrid(t1w, flair)
    if images is None:
        return None
    images = [ndimage.uniform_filter(np.maximum(image, 0), 2) for image in images]
    tissue = np.ones(images[0].shape, bool)
    for image in images:
        present = image[image > 0.02 * np.percentile(image, 99)]
        if not present.size:
            return None
        tissue &= image > TISSUE_SHARE * np.median(present[present >= np.percentile(present, 30)])
    brain, depth = _roughBrain(tissue)
    shallow, deep = brain & (depth < SHALLOW_MM), brain & (depth > DEEP_MM)
    millilitres = (depth > 0).sum() * SPACING_MM**3 / 1000
    if not PLAUSIBLE_ML[0] <= millilitres <= PLAUSIBLE_ML[1] or not shallow.any() or not deep.any():
        return None
    ratio = np.log(images[0][brain] / images[1][brain])
    return float(np.median(ratio[deep[brain]]) - np.median(ratio[shallow[brain]]))


def _roughBrain(tissue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brain tissue, and the depth in mm below the brain's filled outline: both on the coarse grid.

    The dark layer of skull and CSF keeps the scalp apart once a voxel is peeled off.
    """
    from scipy import ndimage

    labels, _count = ndimage.label(ndimage.binary_erosion(tissue))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    brain = ndimage.binary_dilation(labels == sizes.argmax()) & tissue if sizes.any() else np.zeros_like(tissue)
    margin = 4
    filled = ndimage.binary_closing(np.pad(brain, margin), iterations=3)
    depth = ndimage.distance_transform_edt(ndimage.binary_fill_holes(filled), sampling=SPACING_MM)
    return brain, depth[margin:-margin, margin:-margin, margin:-margin]


def _onCommonGrid(first: Any, second: Any) -> list[np.ndarray] | None:
    """Both volumes' nearest voxels on a coarse RAS grid over where they overlap; None where that is too small."""
    boxes = np.zeros((2, 6))
    for box, node in zip(boxes, (first, second)):
        node.GetRASBounds(box)
    low, high = boxes[:, ::2].max(axis=0), boxes[:, 1::2].min(axis=0)
    shape = np.floor((high - low) / SPACING_MM).astype(int)
    if shape.min() < 16 or shape.max() > 200:
        return None
    axes = [start + SPACING_MM * (np.arange(count) + 0.5) for start, count in zip(low, shape)]
    world = np.stack([*np.meshgrid(*axes, indexing="ij"), np.ones(shape)], -1)
    return [_nearest(node, world) for node in (first, second)]


def _nearest(node: Any, world: np.ndarray) -> np.ndarray:
    voxels = slicer.util.arrayFromVolume(node)
    toIndex = np.linalg.inv(toWorld(node, node.GetName()) @ ijkToRas(node))
    index = np.rint(world @ toIndex[:3].T).astype(int)
    inside = ((index >= 0) & (index < voxels.shape[::-1])).all(axis=-1)
    found = np.zeros(world.shape[:3], np.float32)
    i, j, k = index[inside].T
    found[inside] = voxels[k, j, i]
    return found
