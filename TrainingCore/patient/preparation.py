"""Alignment of one patient's images: brain extraction, registration to the T1w, bias correction.

`synthesize` and `preprocess` share these steps, so that new patients are processed in the same way as training data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..data.case import DIFFUSION, QUANTITATIVE, word_of
from ..imaging.aligned import AlignedPatient
from ..imaging.bias import correct_bias
from ..imaging.brain_mask import find_brain
from ..imaging.checks import check_contrasts, check_lesion_load, check_t1w, refuse_misplaced_lesions
from ..imaging.placement import lost_header_hint, place
from ..imaging.registration import Registration, brain_points, inside_share, mean_distance, register
from ..imaging.volumes import Volume, same_grid
from ..runtime.errors import BadInput

MIN_COVERED, WELL_COVERED = 0.05, 0.9
KEPT_AS_THEY_ARE = (*QUANTITATIVE, "dvr", "dvr_clean")

Tell = Callable[[str, str], None]


def align_patient(
    images: Mapping[str, Volume],
    brain: Volume | None = None,
    transforms: Mapping[str, np.ndarray] | None = None,
    tell: Tell = lambda step, message: None,
    reference: str = "t1w",
) -> AlignedPatient:
    """Extract the brain, correct bias fields, register all images to the reference, and check the contrasts.

    Args:
        images: images by volume name, as read.
        brain: given brain mask in world coordinates, or None to compute it.
        transforms: 4x4 RAS mm, reference world -> world of the image, for images that need no registration.
        tell: called with `(step, message)` when a step starts (`brain`, `register`, `bias`).
        reference: name of the image to register to.

    Returns:
        The aligned patient, with warnings.

    Raises:
        BadInput: an image cannot be used.
        MyelinSynthError: a step failed.
    """
    t1w = images[reference]
    tell("brain", "Finding the brain")
    brain_found = find_brain(t1w, brain)
    patient = AlignedPatient(dict(images), brain_found, {}, [brain_found.warning] if brain_found.warning else [])
    moving = [name for name in images if name != reference]
    tell("register", f"Registering {', '.join(word_of(name) for name in moving) or 'nothing'} to {word_of(reference)}")
    corrected = patient.images[reference] = correct_bias(t1w, brain_found.mask)
    known_transforms = transforms or {}
    for name in moving:
        patient.registrations[name] = _register(patient, reference, images, name, known_transforms.get(name), corrected)
    tell("bias", "Removing the bias field")
    for name in moving:
        if name not in KEPT_AS_THEY_ARE:
            patient.images[name] = correct_bias(images[name], brain_found.mask, patient.matrix(name))
    if reference == "t1w" and "flair" in images:
        swapped = check_contrasts(corrected, patient.images["flair"], brain_found.mask, patient.matrix("flair"))
        patient.warnings += [swapped] if swapped else []
    elif reference == "t1w":
        wrong = check_t1w(corrected, brain_found.mask)
        patient.warnings += [wrong] if wrong else []
    return patient


def lesions_where_drawn(
    mask: Volume, patient: AlignedPatient, images: Mapping[str, Volume], reference: str, space: str | None = None
) -> tuple[Volume, list[str]]:
    """Move a lesion mask to reference space together with the image it was drawn on.

    Args:
        mask: lesion mask, as read.
        patient: aligned images.
        images: images by name, as read.
        reference: name of the reference image.
        space: BIDS `space` entity of the mask, or None to take it from the file name.

    Returns:
        The mask with its affine in reference world coordinates, and notes about the decision and its volume.

    Raises:
        BadInput: the image that the mask belongs to is ambiguous, or the mask cannot be one of lesions in this brain.
    """
    placed = place(mask, "lesion mask", images, reference, space)
    moved = mask if placed.follows == reference else _moved_with(mask, patient.matrix(placed.follows))
    brain, fixed = patient.brain.mask, f"{word_of(reference)} {images[reference].name}"
    doubt = check_lesion_load(moved, brain)  # first: a tissue mask or an inverted one lies outside the brain too
    refuse_misplaced_lesions(moved, brain, fixed, lost_header_hint(mask, images))
    return moved, [sentence for sentence in (placed.note, doubt) if sentence]


def _moved_with(mask: Volume, matrix: np.ndarray) -> Volume:
    """Move a volume from the world of an image to T1w world; matrix: T1w world -> world of that image, RAS mm."""
    return Volume(mask.data, np.linalg.inv(matrix) @ mask.affine, mask.name, mask.notes)


def _register(
    patient: AlignedPatient,
    reference: str,
    images: Mapping[str, Volume],
    name: str,
    transform: np.ndarray | None,
    corrected: Volume,
) -> Registration:
    image, fixed, mask = images[name], images[reference], patient.brain.mask
    word, words = word_of(name), word_of(reference)
    sibling = None if transform is not None else _same_acquisition(name, image, patient, images)
    if transform is not None:
        points = brain_points(mask)
        covered = inside_share(points, image, transform)
        registration = Registration(transform, "given", mean_distance(points, transform, np.eye(4)), covered)
    elif sibling is not None:
        registration = patient.registrations[sibling]
    else:
        shaded = name not in KEPT_AS_THEY_ARE
        registration = register(fixed, image, mask, corrected, contrast=word, reference=words, moving_bias=shaded)
        patient.warnings += [registration.warning] if registration.warning else []
    if registration.covered < MIN_COVERED:
        raise BadInput(
            f"The {word} {image.name} does not overlap with the brain in the {words} {fixed.name}. Check both files, "
            "and the transform between them if one was given."
        )
    if registration.covered < WELL_COVERED and sibling is None:
        share = 100 * registration.covered
        patient.warnings.append(f"The {word} covers only {share:.0f} % of the brain; results are unreliable elsewhere.")
    return registration


def _same_acquisition(name: str, image: Volume, patient: AlignedPatient, images: Mapping[str, Volume]) -> str | None:
    """Find a registered image of the same acquisition (diffusion maps; DVR and its noise-free truth) and grid."""
    for group in (DIFFUSION, ("dvr", "dvr_clean")):
        for other in group if name in group else ():
            if other in patient.registrations and same_grid(image, images[other]):
                return other
    return None
