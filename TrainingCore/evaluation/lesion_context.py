"""What contrasts and estimated myelin loss of lesions are measured from, so that they can be measured again.

The MRI without its bias field and the tissues exist only while a patient is synthesized. One small image on the model's
grid keeps them, for outlines that are edited or drawn later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from ..imaging.partial_volumes import partial_volumes_of_labels
from ..imaging.tissues import normal_appearing_white_matter
from .lesion_geometry import FEATURES, GEOMETRY, lesion_geometry
from .lesion_myelin import CONTRASTS, estimated_loss, lesion_contrasts

Row = dict[str, Any]
OUTSIDE, OTHER, WHITE, GREY = range(4)  # tissues
SHIFTS = {"t1w": 2, "flair": 16}  # bits below are the tissue and the image before
STEPS = 2**14 - 1  # of an image's range
MARGIN = 2  # voxels around the brain: voxels of lesions at its border may lie outside


@dataclass(frozen=True)
class LesionContext:
    """MRI and tissues of a patient on the grid of the model.

    Attributes:
        images: `t1w` and `flair`, (I, J, K), any linear unit; those that were measured, not synthesized.
        tissue: uint8 (I, J, K), 0 outside the brain, 1 other, 2 white matter, 3 grey matter; lesions are not left out.
        affine: 4x4, voxel -> world mm.
    """

    images: Mapping[str, np.ndarray]
    tissue: np.ndarray
    affine: np.ndarray

    def estimates(
        self,
        labels: np.ndarray,
        affine: np.ndarray,
        rows: Sequence[Row],
        fitted: Mapping[str, Any] | None,
        lesional: np.ndarray | None = None,
    ) -> list[Row]:
        """Measure the contrasts of lesions, and estimate their myelin loss.

        Args:
            labels: int (I, J, K) on any grid, the numbers of the rows.
            affine: 4x4 of that grid, voxel -> world mm, in the same world.
            rows: lesion table with corrected_ratio.
            fitted: regression of the model (`lesion_myelin.myelin_of_bundle`), or None.
            lesional: bool on the grid of `labels`, all lesions if `labels` are not all of them.

        Returns:
            The rows with t1w_contrast, flair_contrast, estimated_loss, estimated_loss_low and estimated_loss_high.
            None: unknown.
        """
        own = partial_volumes_of_labels(labels, affine, self.tissue.shape, self.affine).labels()
        other = own > 0
        if lesional is not None:
            every = np.asarray(lesional, np.int32)
            other |= partial_volumes_of_labels(every, affine, self.tissue.shape, self.affine).labels() > 0
        white, grey = ((self.tissue == kind) & ~other for kind in (WHITE, GREY))
        brain = self.tissue > OUTSIDE
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        nawm = normal_appearing_white_matter(white, other, (i, j, k))
        masks = {"nawm": nawm, "grey_matter": grey, "brain": brain}
        contrasts = lesion_contrasts(own, self.images, masks, self.affine)
        geometry = None if fitted is None else lesion_geometry(own, brain, white, grey, self.affine, other)
        return [row | _estimates(row, contrasts, geometry, fitted) for row in rows]

    def encode(self) -> np.ndarray:
        """Encode images and tissues as one image, without the face.

        Returns:
            int32 (I, J, K): the tissue in bits 0 and 1, the T1w in bits 2 to 15 and the FLAIR in bits 16 to 29, each
            scaled from its lowest to its highest value; 0 farther than MARGIN voxels from the brain, and throughout for
            a missing image.
        """
        coded = self.tissue.astype(np.int32)
        near = ndimage.binary_dilation(self.tissue > OUTSIDE, iterations=MARGIN)
        for name, image in self.images.items():
            inside = image[near]
            low, high = (float(inside.min()), float(inside.max())) if inside.size else (0.0, 0.0)
            if high > low:
                scaled = np.round((np.clip(image, low, high) - low) / (high - low) * STEPS).astype(np.int32)
                coded |= np.where(near, scaled << SHIFTS[name], 0)
        return coded


def decode_context(coded: np.ndarray, affine: np.ndarray) -> LesionContext:
    """Decode an image of `LesionContext.encode`.

    Args:
        coded: integers (I, J, K).
        affine: 4x4, voxel -> world mm.

    Returns:
        Tissues, and images from 0 to STEPS; contrasts of lesions do not depend on an image's scale.
    """
    coded = np.asarray(coded, np.int32)
    scaled = {name: (coded >> shift & STEPS).astype(np.float32) for name, shift in SHIFTS.items()}
    images = {name: image for name, image in scaled.items() if image.any()}
    return LesionContext(images, (coded & 3).astype(np.uint8), affine)


def _estimates(row: Row, contrasts: Mapping[str, np.ndarray], geometry: np.ndarray | None, fitted: Any) -> Row:
    number = int(row["id"])
    seen: Row = {CONTRASTS[name]: None for name in CONTRASTS}
    seen |= {name: _known(values, number) for name, values in contrasts.items()}
    if geometry is None or number > len(geometry):
        return seen | estimated_loss(None, row)
    shape = {f"{GEOMETRY}{name}": value for name, value in zip(FEATURES, geometry[number - 1], strict=True)}
    return seen | estimated_loss(fitted, row | seen | shape)


def _known(values: np.ndarray, number: int) -> float | None:
    return float(values[number]) if number < len(values) and np.isfinite(values[number]) else None
