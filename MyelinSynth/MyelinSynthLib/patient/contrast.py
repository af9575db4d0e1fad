"""Whether T1w and FLAIR look swapped: a rough, quick look at their voxels in Slicer itself, for a warning only.

The command checks again with the brain mask and after registration (TrainingCore.imaging.checks); here there is
neither, and a quarter of a second is all the time there is.
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
PLAUSIBLE_ML = (600.0, 2000.0)  # what was found is a brain; otherwise nothing is said
# Log of T1w / FLAIR, deep minus superficial: +0.04 to +0.32 in 14 pairs (ten real, four digital), its negative when
# they are swapped (ours)
SWAPPED_BELOW = -0.03
ALL_NEIGHBOURS = [shift for shift in np.ndindex(3, 3, 3) if shift != (1, 1, 1)]
FACE_NEIGHBOURS = [shift for shift in ALL_NEIGHBOURS if shift.count(1) == 2]


def swappedWarning(t1w: Any, flair: Any) -> str:
    """A sentence where the volume nodes look swapped, else an empty text; what cannot be judged is accepted."""
    contrast = whiteMatterContrast(t1w, flair)
    if contrast is None or contrast >= SWAPPED_BELOW:
        return ""
    return _(
        "T1w and FLAIR may be swapped: white matter is relatively brighter in the image selected as FLAIR. Check both."
    )


def whiteMatterContrast(t1w: Any, flair: Any) -> float | None:
    """How much brighter deep brain tissue is against superficial in T1w than in FLAIR (log ratio), or None.

    A bias field that both share cancels, and so does the scale of either. Numpy alone: importing more would be felt.
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
    """Brain tissue, and the layers of voxels below the brain's filled outline: both on the coarse grid.

    The dark layer of skull and CSF keeps the scalp apart once a voxel is peeled off.
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
    """Means of 2 x 2 x 2 voxels; the last plane of each axis stays as it is."""
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
    """The part of a mask that hangs together with the seed."""
    grown, count = seed & mask, -1
    while count != grown.sum():
        count = grown.sum()
        for _turn in range(4):  # counting costs as much as growing
            grown = _dilate(grown) & mask
    return grown


def _layers(mask: np.ndarray) -> np.ndarray:
    """How many layers of voxels lie between each voxel and the outside, itself included; octagonal distance."""
    layers, turn = np.zeros(mask.shape, np.uint8), 0
    while mask.any() and turn < 100:
        layers += mask
        mask = _erode(mask, ALL_NEIGHBOURS if turn % 2 else FACE_NEIGHBOURS)
        turn += 1
    return layers


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
    values = np.zeros(world.shape[:3], np.float32)
    i, j, k = index[inside].T
    values[inside] = voxels[k, j, i]
    return values
