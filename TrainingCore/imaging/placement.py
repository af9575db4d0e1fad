"""Determine from world positions which image of a visit a mask was drawn on.

A mask moves with the image it was drawn on. It may have that image's grid, the same voxels in another order (a copy
turned to RAS), a part of them (3D Slicer's .seg.nrrd keeps the box around the segments), or the same field of view in
other voxels. A mask with the shape of an image but another position has lost its header, and its position cannot be
recovered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..data.case import word_of
from ..data.cohort_bids import SPACES
from ..runtime.errors import BadInput
from .raw_image import times
from .volumes import Volume, corners

VOXEL_TOLERANCE = 0.2  # voxels between two lattices that count as one (ours)
EXACT_VOXELS = 0.02  # what rounding in headers leaves; a clearly smaller gap decides between two images (ours)
FIELD_TOLERANCE = 1.0  # of the larger voxel edge, between two fields of view that count as one (ours)
OBLIQUE, PARALLEL = np.cos(np.radians(0.5)), np.cos(np.radians(0.1))
SAME_EDGES = 0.01  # relative difference of voxel edges (ours)
WHOLE, PART, FIELD, AXES, NONE = 4, 3, 2, 1, 0  # how well a mask fits an image
SPACE = re.compile(r"(?:^|_)space-(T1w|FLAIR|T2w)(?=_|\.|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Placement:
    """Image that a mask belongs to.

    Attributes:
        follows: volume name of the image it moves with.
        fit: WHOLE to NONE.
        note: sentence for the report, empty if the mask lies on the reference's grid.
    """

    follows: str
    fit: int
    note: str = ""


def place(
    mask: Volume, what: str, images: Mapping[str, Volume], reference: str = "t1w", space: str | None = None
) -> Placement:
    """Decide which image a mask moves with.

    Args:
        mask: as read, in one world with the images (see `in_reference_world`).
        what: name of the mask in messages (`lesion mask`).
        images: images by volume name, as read, the reference among them.
        reference: image that wins if several fit equally well.
        space: BIDS `space` entity of the mask's file, or None to take it from its name.

    Returns:
        The image, quality of the fit and a note.

    Raises:
        BadInput: the mask has the shape of an image and another header.
    """
    order = [reference, *(name for name in images if name != reference)]
    fits = {name: fit_to(mask, images[name]) for name in order}
    space_name = _image_of_space(space if space is not None else _space_in_name(mask.name), order)
    if space_name is not None:
        how = "as its space- entity says"
        return Placement(
            space_name,
            fits[space_name],
            _sentence(mask, what, space_name, reference, how) if space_name != reference else "",
        )
    gaps = {name: _lattice_gap(mask, images[name]) for name in order}
    follows = max(order, key=lambda name: (fits[name], -max(gaps[name] - EXACT_VOXELS, 0.0)))
    if fits[follows] < FIELD:
        refuse_lost_header(mask, what, images)
    if fits[follows] == NONE:
        where = f"in world coordinates, as drawn in the space of the {word_of(reference)}"
        return Placement(reference, NONE, f"The {what} {mask.name} has a grid of its own; it was resampled {where}.")
    note = _note(mask, what, images[follows], follows, reference, fits[follows])
    equal = [name for name in order if name != follows and fits[name] == fits[follows] and fits[name] >= FIELD]
    rivals = [name for name in equal if abs(gaps[name] - gaps[follows]) <= EXACT_VOXELS]
    if rivals and not _same_position(images[follows], images[rivals[0]]):
        both = f"both the {word_of(follows)} and the {word_of(rivals[0])}"
        note = f"The {what} {mask.name} fits the voxels of {both}; it was taken as drawn on the {word_of(follows)}."
    return Placement(follows, fits[follows], note)


def fit_to(mask: Volume, image: Volume) -> int:
    """Classify how well the voxels of a mask fit those of an image.

    Args:
        mask: mask.
        image: image that it may have been drawn on.

    Returns:
        WHOLE, PART, FIELD, AXES or NONE.
    """
    if _lattice_gap(mask, image) <= VOXEL_TOLERANCE:
        ends = corners(mask.data.shape, np.linalg.inv(image.affine) @ mask.affine)
        low, high = ends.min(axis=0), ends.max(axis=0)
        own_low, own_high = np.full(3, -0.5), np.array(image.data.shape) - 0.5
        if np.abs(np.r_[low - own_low, high - own_high]).max() < 2 * VOXEL_TOLERANCE:
            return WHOLE
        if (low > own_low - 2 * VOXEL_TOLERANCE).all() and (high < own_high + 2 * VOXEL_TOLERANCE).all():
            return PART
    if _corner_gap(mask, image) <= FIELD_TOLERANCE * max(mask.spacing.max(), image.spacing.max()):
        return FIELD
    return AXES if _parallel_and_oblique(mask, image) else NONE


def _lattice_gap(mask: Volume, image: Volume) -> float:
    """Return the largest distance of a mask's voxel centres from the image's lattice, in voxels of the image.

    The order and direction of the axes do not matter. Infinite if the voxels have other sizes or directions.
    """
    between = np.linalg.inv(image.affine) @ mask.affine
    turn = np.round(between[:3, :3])
    if not all(np.array_equal(np.abs(turn).sum(axis=axis), np.ones(3)) for axis in (0, 1)):
        return float("inf")
    exact = np.eye(4)
    exact[:3, :3], exact[:3, 3] = turn, np.round(between[:3, 3])
    return float(np.abs(corners(mask.data.shape, between) - corners(mask.data.shape, exact)).max())


def _corner_gap(first: Volume, second: Volume) -> float:
    """Return the largest distance in mm from a corner of one field of view to the nearest corner of the other."""
    first_corners, second_corners = corners(first.data.shape, first.affine), corners(second.data.shape, second.affine)
    distances = np.linalg.norm(first_corners[:, None] - second_corners[None], axis=2)
    return float(max(distances.min(axis=0).max(), distances.min(axis=1).max()))


def in_reference_world(volumes: Mapping[str, Volume], reference: str | None) -> dict[str, Volume]:
    """Move volumes to the world of the reference if they use the form of its header that was not selected.

    A T1w with a scanner's qform and a sform to MNI is read in scanner mm. A mask on its voxels that was saved with the
    sform only lies in MNI; it is moved back.

    Args:
        volumes: volumes by name, as read.
        reference: volume name of the reference, or None.

    Returns:
        Volumes by name.
    """
    if reference is None or volumes[reference].other is None:
        return dict(volumes)
    image = volumes[reference]
    assert image.other is not None
    known_as = replace(image, affine=image.other)
    back = image.affine @ np.linalg.inv(image.other)
    moved = {}
    for name, volume in volumes.items():
        lost = name != reference and fit_to(volume, known_as) >= PART > fit_to(volume, image)
        moved[name] = replace(volume, affine=back @ volume.affine, other=None) if lost else volume
    return moved


def _space_in_name(name: str) -> str:
    """Return the `space-` entity of a file name if it names an image (T1w, FLAIR, T2w), else an empty string."""
    match = SPACE.search(name)
    return match[1] if match else ""


def _image_of_space(space: str, order: list[str]) -> str | None:
    return next((name for name in order if space and SPACES.get(name, "").lower() == space.lower()), None)


def _parallel_and_oblique(mask: Volume, image: Volume) -> bool:
    """Check whether both have the same axes, and these are not the world axes, to which any image may be resampled."""
    mask_axes, image_axes = mask.affine[:3, :3] / mask.spacing, image.affine[:3, :3] / image.spacing
    return bool(
        np.abs(mask_axes.T @ image_axes).max(axis=0).min() > PARALLEL and np.abs(image_axes).max(axis=0).min() < OBLIQUE
    )


def _same_position(first: Volume, second: Volume) -> bool:
    return first.data.shape == second.data.shape and _corner_gap(first, second) < 0.01


def lost_header_hint(mask: Volume, images: Mapping[str, Volume]) -> str:
    """Say whether a mask that does not fit its patient has probably lost its header.

    Args:
        mask: mask, as read.
        images: images by volume name, as read.

    Returns:
        Sentence if the mask has the shape of an image and fits none, else an empty string.
    """
    if any(fit_to(mask, image) >= FIELD for image in images.values()):
        return ""
    for name, image in images.items():
        if sorted(mask.data.shape) == sorted(image.data.shape):
            return (
                f"It has the shape of the {word_of(name)} {image.name} ({times(image.data.shape)} voxels) but another "
                "header, which was probably lost or changed: export it again, or copy the header of that image to it."
            )
    return ""


def refuse_lost_header(mask: Volume, what: str, images: Mapping[str, Volume]) -> None:
    """Check that a mask or map has not lost its header.

    Args:
        mask: mask or map.
        what: its name in messages.
        images: images by volume name that it may belong to.

    Raises:
        BadInput: it has the shape and spacing of an image but lies elsewhere.
    """
    if any(fit_to(mask, image) >= FIELD for image in images.values()):
        return
    for name, image in images.items():
        edges = np.sort(mask.spacing), np.sort(image.spacing)
        spacing_kept = np.abs(edges[0] / edges[1] - 1).max() < SAME_EDGES or np.abs(edges[0] - 1).max() < 1e-3
        if sorted(mask.data.shape) == sorted(image.data.shape) and spacing_kept:
            raise BadInput(
                f"The {what} {mask.name} has the shape of the {word_of(name)} {image.name} "
                f"({times(image.data.shape)} voxels), but its header puts it up to {_corner_gap(mask, image):.0f} mm "
                "away: its header was lost or changed, or it was drawn on another image. Export it again, or copy the "
                "header of that image to it."
            )


def _note(mask: Volume, what: str, image: Volume, follows: str, reference: str, fit: int) -> str:
    if fit == WHOLE and follows == reference:
        return ""
    fits = {
        WHOLE: f"it has the voxels of the {word_of(follows)}",
        PART: f"it covers a part of the voxels of the {word_of(follows)}",
        FIELD: f"it has the field of view of the {word_of(follows)} in other voxels",
        AXES: f"its axes are those of the {word_of(follows)}",
    }
    return _sentence(mask, what, follows, reference, fits[fit])


def _sentence(mask: Volume, what: str, follows: str, reference: str, why: str) -> str:
    moved = "" if follows == reference else f", and was moved to the {word_of(reference)} with it"
    return f"The {what} {mask.name} follows the {word_of(follows)} ({why}){moved}."
