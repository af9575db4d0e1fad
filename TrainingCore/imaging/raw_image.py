"""Content of a file before its voxels are interpreted; checks that all formats share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..runtime.errors import BadInput
from .nifti_position import SHEAR_TOLERANCE, Forms

MAXIMUM_VOXELS = 2**28  # 645^3: 1 GB as float32, above any head MRI we know (ours)
MINIMUM_SLICES = 4  # fewer along any axis is a slice, not a volume (ours)
GZIP_BEST_RATIO = 1032  # the most that deflate can shrink (zlib technical details, Adler & Gailly)


@dataclass(frozen=True)
class RawImage:
    """Content of an image file.

    Attributes:
        data: any dimension and type.
        affine: 4x4 voxel -> world mm RAS.
        notes: sentences without their subject.
        name: name in messages, if it is not that of the file.
        forms: of a NIfTI header, for outputs.
        other: a second affine by which other files of the same visit may refer to this grid, or None.
    """

    data: np.ndarray
    affine: np.ndarray
    notes: tuple[str, ...] = ()
    name: str = ""
    forms: Forms | None = None
    other: np.ndarray | None = None


def to_three_dimensions(data: np.ndarray, label: str) -> np.ndarray:
    """Remove axes of length one beyond the third.

    Args:
        data: array as stored in the file.
        label: name of the file in messages.

    Returns:
        (I, J, K).

    Raises:
        BadInput: the file holds a series, colours, complex numbers or a single slice.
    """
    if data.dtype.kind not in "biuf":
        raise BadInput(f"{label} does not hold grey values (its type is {data.dtype}). Give a scalar image.")
    if data.ndim > 3:
        extra = int(np.prod(data.shape[3:]))
        if extra != 1:
            raise BadInput(f"{label} is 4D: it holds {extra} volumes of {times(data.shape[:3])}. Give one of them.")
        data = data.reshape(data.shape[:3])
    if data.ndim < 3 or min(data.shape) < MINIMUM_SLICES:
        raise BadInput(f"{label} is a slice, not a volume ({times(data.shape)} voxels). Give the whole 3D series.")
    return data


def shear(affine: np.ndarray) -> float:
    """Compute the largest cosine between two axes of a grid.

    Args:
        affine: 4x4, voxel -> world.

    Returns:
        0 if the axes are perpendicular.
    """
    axes = np.asarray(affine, float)[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def shear_notes(affine: np.ndarray) -> tuple[str, ...]:
    """Write a note about a grid whose axes are not perpendicular.

    Args:
        affine: 4x4, voxel -> world mm.

    Returns:
        At most one sentence without its subject.
    """
    if shear(affine) <= SHEAR_TOLERANCE:
        return ()
    degrees = np.degrees(np.arcsin(min(shear(affine), 1.0)))
    return (f"has axes that are not perpendicular, by {degrees:.1f} degrees (tilted or sheared); kept as it is",)


def check_size(shape: tuple[int, ...], itemsize: int, stored: int | None, compressed: bool, label: str) -> None:
    """Check the size in a header before anything is allocated.

    Args:
        shape: voxels along each axis.
        itemsize: bytes per voxel.
        stored: bytes of the file that holds the voxels; None if unknown.
        compressed: whether that file is compressed.
        label: name of the file in messages.

    Raises:
        BadInput: more voxels than the file can hold or than any head MRI has.
    """
    count = 1
    for n in shape:
        count *= int(n)
    if count <= 0:
        raise BadInput(f"{label} has no voxels ({times(shape)}). Export it again from its source.")
    if stored is not None and count * itemsize > stored * (GZIP_BEST_RATIO if compressed else 1):
        raise BadInput(
            f"{label} is incomplete: its header declares {times(shape)} voxels, but the file has only {stored} bytes. "
            "Copy it again from its source."
        )
    if count > MAXIMUM_VOXELS:
        raise BadInput(f"{label} is too large ({times(shape)} voxels). Crop it to the head or resample it to 0.5 mm.")


def times(shape: tuple[int, ...]) -> str:
    """Format a shape, e.g. `182 x 218 x 182`.

    Args:
        shape: voxels along each axis.
    """
    return " x ".join(str(int(n)) for n in shape)
