"""Detects swapped T1w and FLAIR by a fast, rough look at their voxels, for a warning only.

The command checks again with the brain mask and after registration (TrainingCore.imaging.checks). Neither is available
yet when images are chosen, and the check must take no more than a quarter of a second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from ..scene.geometry import ijkToRas, toWorld
from ..words import _

SPACING_MM = 3.0
TISSUE_SHARE = 0.55  # of the typical value of what is not background: CSF, bone and air are below (ours)
SHALLOW_LAYERS, DEEP_LAYERS = 2, 4  # voxels below the surface: up to 6 mm, and more than 12 mm
PLAUSIBLE_ML = (600.0, 2000.0)  # the mask is a brain; otherwise no warning
# Log of T1w / FLAIR, deep minus superficial: +0.04 to +0.32 in 14 pairs (ten real, four digital), its negative when
# they are swapped (ours)
SWAPPED_BELOW = -0.03
ALL_NEIGHBOURS = [shift for shift in np.ndindex(3, 3, 3) if shift != (1, 1, 1)]
FACE_NEIGHBOURS = [shift for shift in ALL_NEIGHBOURS if shift.count(1) == 2]


def swappedWarning(t1w: Any, flair: Any) -> str:
    """Warn if the images look swapped.

    Args:
        t1w: scalar volume chosen as T1w.
        flair: scalar volume chosen as FLAIR.

    Returns:
        A sentence for the user; empty if the images look right or cannot be judged.
    """
    contrast = _whiteMatterContrast(t1w, flair)
    if contrast is None or contrast >= SWAPPED_BELOW:
        return ""
    return _(
        "T1w and FLAIR may be swapped: white matter is relatively brighter in the image selected as FLAIR. Check both."
    )


def _whiteMatterContrast(t1w: Any, flair: Any) -> float | None:
    """Return how much brighter deep tissue is than superficial tissue in T1w compared with FLAIR (log ratio), or None.

    A bias field that both images share cancels, and so does the scale of either. Only numpy is used: importing more
    would cause a noticeable delay.
    """
    images = _onCommonGrid(t1w, flair)
    if images is None:
        return None
    images = [_smooth(np.maximum(image, 0)) for image in images]
    tissue = np.ones(images[0].shape, bool)
    for image in images:
        present = image[image > 0.02 * np.percentile(image, 99)]
        if not present.size:
            return None
        tissue &= image > TISSUE_SHARE * np.median(present[present >= np.percentile(present, 30)])
    brain, depth = _roughBrain(tissue)
    shallow, deep = brain & (depth <= SHALLOW_LAYERS), brain & (depth > DEEP_LAYERS)
    millilitres = (depth > 0).sum() * SPACING_MM**3 / 1000
    if not PLAUSIBLE_ML[0] <= millilitres <= PLAUSIBLE_ML[1] or not shallow.any() or not deep.any():
        return None
    ratio = np.log(images[0][brain] / images[1][brain])
    return float(np.median(ratio[deep[brain]]) - np.median(ratio[shallow[brain]]))


def _roughBrain(tissue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a mask of brain tissue and the depth in voxels below the brain's filled outline, both on the coarse grid.

    The dark layer of skull and CSF separates the scalp from the brain once one voxel is eroded.
    """
    core = _erode(tissue)
    seed = np.zeros_like(core)
    layers = _layers(core)
    seed.flat[layers.argmax()] = layers.any()
    brain = _dilate(_connected(seed, core)) & tissue
    margin = 4
    closed = np.pad(brain, margin)
    for _turn in range(3):
        closed = _dilate(closed)
    for _turn in range(3):
        closed = _erode(closed)
    outside = np.zeros_like(closed)
    outside[0] = True
    filled = ~_connected(outside, ~closed)
    return brain, _layers(filled)[margin:-margin, margin:-margin, margin:-margin]


def _smooth(image: np.ndarray) -> np.ndarray:
    """Average over 2 x 2 x 2 voxels; the last plane of each axis is kept."""
    for axis in range(3):
        image = image.swapaxes(0, axis).copy()
        image[:-1] = (image[:-1] + image[1:]) / 2
        image = image.swapaxes(0, axis)
    return image


def _dilate(mask: np.ndarray, neighbours: list[tuple[int, ...]] = FACE_NEIGHBOURS) -> np.ndarray:
    padded, grown = np.pad(mask, 1), mask.copy()
    for shift in neighbours:
        grown |= padded[tuple(slice(start, start + size) for start, size in zip(shift, mask.shape))]
    return grown


def _erode(mask: np.ndarray, neighbours: list[tuple[int, ...]] = FACE_NEIGHBOURS) -> np.ndarray:
    return ~_dilate(np.pad(~mask, 1, constant_values=True), neighbours)[1:-1, 1:-1, 1:-1]


def _connected(seed: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the part of a mask that is connected to the seed."""
    grown, count = seed & mask, -1
    while count != grown.sum():
        count = grown.sum()
        for _turn in range(4):  # counting costs as much as growing
            grown = _dilate(grown) & mask
    return grown


def _layers(mask: np.ndarray) -> np.ndarray:
    """Return each voxel's depth in layers below the surface, 1 at the surface; octagonal distance."""
    layers, turn = np.zeros(mask.shape, np.uint8), 0
    while mask.any() and turn < 100:
        layers += mask
        mask = _erode(mask, ALL_NEIGHBOURS if turn % 2 else FACE_NEIGHBOURS)
        turn += 1
    return layers


def _onCommonGrid(first: Any, second: Any) -> list[np.ndarray] | None:
    """Sample both volumes (nearest voxel) on a coarse RAS grid over their overlap; None if the overlap is too small."""
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
    values = np.zeros(world.shape[:3], np.float32)
    i, j, k = index[inside].T
    values[inside] = voxels[k, j, i]
    return values
