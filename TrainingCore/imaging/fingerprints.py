"""Fingerprints of images: a model carries those of its training images, so that its training people are recognised.

A fingerprint is the start of a SHA-256 of voxel values and position. It holds nothing of the image; only who has the
same image can find it in a list. Copies, other names and other compression are recognised, other visits are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..data.cohort import Cohort
from ..data.model_card import TRAINED_IMAGES
from ..data.visit import Visit
from .volumes import content_sha256, read_volume

DIGITS = 16  # two different images have the same one in one of 10^13 pairs of lists of 1,000


def fingerprint(visit: Visit, volume: str) -> str:
    """Compute the fingerprint of an image of a visit.

    Args:
        visit: a visit that has the volume.
        volume: its name, e.g. `t1w`.

    Returns:
        16 hexadecimal digits.

    Raises:
        BadInput: the file cannot be used.
    """
    return content_sha256(read_volume(visit.files[volume], what=volume))[:DIGITS]


def training_images(
    cohort: Cohort,
    volume: str,
    before: Mapping[str, Sequence[str]] | None = None,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> dict[str, list[str]]:
    """List the images that a model was trained on.

    Args:
        cohort: training visits.
        volume: an input of the model.
        before: images that the initial model was trained on.
        tell: called with the number of visits read so far and of all visits.

    Returns:
        {volume: sorted fingerprints}.
    """
    own = []
    for index, visit in enumerate(cohort.visits):
        tell(index, len(cohort))
        own.append(fingerprint(visit, volume))
    return joined([before or {}, {volume: own}])


def joined(lists: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Join lists of training images, as of the members of an ensemble.

    Args:
        lists: {volume: fingerprints} of each model.

    Returns:
        {volume: sorted fingerprints}.
    """
    volumes = sorted({volume for images in lists for volume in images})
    return {volume: sorted({mark for images in lists for mark in images.get(volume, ())}) for volume in volumes}


def images_of_bundle(description: Mapping[str, Any]) -> dict[str, list[str]]:
    """Read the training images of a bundle.

    Args:
        description: content of bundle.json.

    Returns:
        {volume: fingerprints}; empty if the model was trained on simulated people or by an earlier version.
    """
    images: dict[str, list[str]] = description.get(TRAINED_IMAGES, {})
    return images


def people_with_images(cohort: Cohort, images: Mapping[str, Sequence[str]]) -> set[str]:
    """Find the people of a cohort of whom a model has seen an image.

    Args:
        cohort: any visits.
        images: what the model was trained on, {volume: fingerprints}.

    Returns:
        Labels without `sub-`.
    """
    known = {volume: set(marks) for volume, marks in images.items() if marks}
    return {
        visit.person
        for visit in cohort.visits
        for volume in known
        if volume in visit.files and fingerprint(visit, volume) in known[volume]
    }
