"""Fingerprints of images: a model carries those of its training and calibration images, to recognise these people.

A fingerprint is the start of a SHA-256 of voxel values and position. It holds nothing of the image; only who has the
same image can find it in a list. Copies, other names and other compression are recognised, other visits are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..data.cohort import Cohort
from ..data.model_card import FITTED_IMAGES, TRAINED_IMAGES
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


def images_of_cohort(
    cohort: Cohort,
    volume: str,
    before: Mapping[str, Sequence[str]] | None = None,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> dict[str, list[str]]:
    """List the images of a cohort that a model is trained on or measured with.

    Args:
        cohort: its visits; those without the volume are left out.
        volume: an input of the model.
        before: further images, as those that the initial model was trained on.
        tell: called with the number of visits read so far and of all visits.

    Returns:
        {volume: sorted fingerprints}.
    """
    own = []
    for index, visit in enumerate(cohort.visits):
        tell(index, len(cohort))
        if volume in visit.files:
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


def images_fitted_to(description: Mapping[str, Any]) -> dict[str, list[str]]:
    """Read the images of the people to whose errors the intervals and the estimate of myelin loss were fitted.

    Args:
        description: content of bundle.json.

    Returns:
        {volume: fingerprints}; empty if nothing was fitted or an earlier version exported the bundle.
    """
    return joined(list(description.get(FITTED_IMAGES, {}).values()))


def people_with_images(cohort: Cohort, images: Mapping[str, Sequence[str]]) -> set[str]:
    """Find the people of a cohort of whom there is an image in a list.

    Args:
        cohort: any visits.
        images: {volume: fingerprints}, as of the training of a model.

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
