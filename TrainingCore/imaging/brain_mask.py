"""Brain mask: given, from a skull-stripped image, or by brain extraction from the T1w."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..runtime.errors import BadInput, MyelinSynthError
from .distances import depth_inside
from .placement import refuse_lost_header
from .volumes import Volume, corners, resample, same_grid

# A support of this size that starts with brain-like grey values is a stripped brain; a head is larger and starts with
# skin or air (six stripped images: 1.1-1.6 l, rim/core 0.55-1.0; six heads: 2.8-5.8 l, rim/core 0.01-0.10; ours).
STRIPPED_ML = (500.0, 2200.0)
STRIPPED_RIM_TO_CORE = (0.2, 1.2)
RIM_MM, CORE_MM = 4.0, 15.0
PLAUSIBLE_ML = (600.0, 2200.0)
EXTRACTION_SPACING_MM = 1.0
EXTRACTION_THRESHOLD = 0.5


@dataclass(frozen=True)
class Brain:
    """Brain mask of a patient.

    Attributes:
        mask: 0/1 on the T1w grid.
        how: `given`, `skull-stripped input` or `deepbet`.
    """

    mask: Volume
    how: str

    @property
    def millilitres(self) -> float:
        """Volume of the mask in ml."""
        return float(self.mask.data.sum()) * self.mask.voxel_volume / 1000

    @property
    def warning(self) -> str:
        """Warning if the size is implausible for an adult brain, else an empty string."""
        low, high = PLAUSIBLE_ML
        if low <= self.millilitres <= high:
            return ""
        return (
            f"The brain mask ({self.how}) has {self.millilitres:.0f} ml, outside {low:.0f}-{high:.0f} ml. "
            "Look at brain_mask.nii.gz; give a better one with --brain-mask."
        )


def find_brain(t1w: Volume, mask: Volume | None = None) -> Brain:
    """Determine the brain mask on the T1w grid: given, else support of a stripped image, else brain extraction.

    Args:
        t1w: T1w image.
        mask: brain mask, or None.

    Returns:
        The mask.

    Raises:
        BadInput: the given mask does not overlap with the T1w, or no brain is detected.
    """
    if mask is not None:
        return Brain(t1w.with_data(mask_on_grid(mask, t1w)), "given")
    support = stripped_support(t1w)
    if support is not None:
        return Brain(t1w.with_data(support.astype(np.float32)), "skull-stripped input")
    return Brain(t1w.with_data(_extract_brain(t1w).astype(np.float32)), "deepbet")


def mask_on_grid(mask: Volume, reference: Volume) -> np.ndarray:
    """Resample a 0/1 mask in world coordinates to the grid of another volume.

    Args:
        mask: brain mask.
        reference: volume that defines the grid.

    Returns:
        0/1, float32 (I, J, K).

    Raises:
        BadInput: the mask is empty, lost its header, or less than half of it lies within the reference.
    """
    total = float(mask.data.sum()) * mask.voxel_volume
    if total == 0:
        raise BadInput(f"The brain mask {mask.name} is empty. Give another one, or leave out --brain-mask.")
    if same_grid(mask, reference):
        return mask.data
    refuse_lost_header(mask, "brain mask", {"t1w": reference})
    moved = (resample(mask, reference.data.shape, reference.affine) >= 0.5).astype(np.float32)
    if float(moved.sum()) * reference.voxel_volume < 0.5 * total:
        raise BadInput(
            f"The brain mask {mask.name} does not match the position of {reference.name or 'the T1w'} (world "
            "coordinates). Give a mask of this T1w."
        )
    return moved


def stripped_support(image: Volume) -> np.ndarray | None:
    """Determine the support of a skull-stripped image.

    The background may be exactly zero or close to it: interpolation leaves values slightly below.

    Args:
        image: MRI in arbitrary units.

    Returns:
        bool (I, J, K) with holes filled, or None if the image is not skull-stripped.
    """
    data = image.data
    faces = np.concatenate([np.take(data, end, axis).ravel() for axis in range(3) for end in (0, -1)])
    background = float(np.median(faces))
    scale = float(np.percentile(data, 99.5)) - background
    if scale <= 0:
        return None
    support = largest_component(np.abs(data - background) > 0.002 * scale)
    support = ndimage.binary_fill_holes(support)
    if not STRIPPED_ML[0] <= support.sum() * image.voxel_volume / 1000 <= STRIPPED_ML[1]:
        return None
    depth = depth_inside(np.pad(support, 1), image.spacing)[1:-1, 1:-1, 1:-1]
    rim, core = support & (depth < RIM_MM), depth > CORE_MM
    if not core.any() or not rim.any():
        return None
    ratio = (np.median(data[rim]) - background) / max(float(np.median(data[core])) - background, 1e-6)
    return support if STRIPPED_RIM_TO_CORE[0] < ratio < STRIPPED_RIM_TO_CORE[1] else None


def _extract_brain(t1w: Volume) -> np.ndarray:
    """Extract the brain of a raw T1w with deepbet, bool on the T1w's grid.

    Fisch et al. 2024; the weights come with the package. Runs on a 1 mm copy in RAS order, so that thick and oblique
    slices resemble deepbet's training data; takes about 3 s and 1.2 GB on two CPU cores. Raises BadInput if no brain is
    detected, MyelinSynthError if deepbet is not installed.
    """
    try:
        from deepbet.bet import BrainExtraction
    except ImportError as error:
        raise MyelinSynthError(
            "Brain extraction needs the package deepbet: pip install deepbet. Or give a mask with --brain-mask."
        ) from error
    ends = corners(t1w.data.shape, t1w.affine)
    low = ends.min(axis=0)
    i, j, k = (int(n) for n in np.ceil((ends.max(axis=0) - low) / EXTRACTION_SPACING_MM))
    affine = np.diag([EXTRACTION_SPACING_MM] * 3 + [1.0])
    affine[:3, 3] = low + EXTRACTION_SPACING_MM / 2
    image = resample(t1w, (i, j, k), affine, outside=float(t1w.data.min()))
    try:
        probability = BrainExtraction(no_gpu=True).run_model(image)
    except (AssertionError, ValueError) as error:
        raise BadInput(_no_brain(t1w)) from error
    inside = largest_component(probability > EXTRACTION_THRESHOLD)
    if not inside.any():
        raise BadInput(_no_brain(t1w))
    inside = ndimage.binary_fill_holes(inside)
    on_grid = resample(Volume(inside.astype(np.float32), affine), t1w.data.shape, t1w.affine) >= 0.5
    if not on_grid.any():
        raise BadInput(_no_brain(t1w))
    return on_grid


def _no_brain(t1w: Volume) -> str:
    return f"No brain was found in {t1w.name}. Check that it is a head MRI, or give a mask with --brain-mask."


def largest_component(mask: np.ndarray) -> np.ndarray:
    """Select the largest face-connected component of a mask.

    Args:
        mask: (I, J, K).

    Returns:
        bool (I, J, K); empty if the mask is empty.
    """
    labels, count = ndimage.label(mask)
    if count < 2:
        return np.asarray(mask, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()
