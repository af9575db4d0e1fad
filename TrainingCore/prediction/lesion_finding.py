"""Segment the lesions of an aligned patient with a lesion finder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..evaluation.lesion_detection import without_small
from ..evaluation.segmentation import lesion_threshold, smallest_lesion
from ..imaging.aligned import AlignedPatient
from ..imaging.distances import distance_to
from ..imaging.grid import brain_grid
from ..imaging.intensities import apply_rule, background_of
from ..imaging.labelling import label_lesions
from ..imaging.preparation import on_grid
from ..imaging.volumes import Volume
from ..runtime.errors import BadInput
from .model import TrainedModel
from .volume import maps_to_t1w

# A lesion counts as hyperintense if its brightest fifth in FLAIR is this many robust SD of the brain above the median
# of the brain (ours, chosen on simulated people; a limit of 2 discarded most small lesions, see docs/lesion_finder.md).
HYPERINTENSE_SD = 0.5
# A lesion extends into neighbouring voxels that are more likely lesional than not. The threshold of the model, which
# decides whether there is a lesion, is so high that it outlines half of its volume (ours, docs/lesion_finder.md).
EXTENT_PROBABILITY, EXTENT_MM = 0.5, 1.0
BRIGHTEST = 0.8  # quantile where the brightest fifth of a lesion begins


def find_lesions(model: TrainedModel, patient: AlignedPatient) -> tuple[Volume, np.ndarray]:
    """Segment the lesions of a patient.

    Args:
        model: model whose output is `lesions`. Inputs that the patient lacks are left blank.
        patient: aligned, bias-corrected images.

    Returns:
        0/1 mask on the grid of the brain mask: voxels above the model's threshold, without lesions that are too small
        or, if there is a FLAIR, not hyperintense in it, then extended (`extended`); probability, float32 (I, J, K), 0
        outside the brain.

    Raises:
        BadInput: the patient has none of the model's inputs, or an image has no contrast.
    """
    about, mask = model.bundle.description, patient.brain.mask
    if not set(model.inputs) & set(patient.images):
        raise BadInput(f"The model {about['name']} segments lesions in {' or '.join(model.inputs)}. Give one of them.")
    shape, spacing = tuple(about["grid"]["shape"]), about["grid"]["spacing_mm"]
    grid = brain_grid(mask.data > 0.5, mask.affine, shape, spacing)
    inside = on_grid(mask, grid, mask=True)
    blank = np.full(grid.shape, background_of(about["intensity"]), np.float32)
    inputs = []
    for name in model.inputs:
        if name not in patient.images:
            inputs.append(blank)
            continue
        try:
            image = on_grid(patient.images[name], grid, patient.matrix(name))
            inputs.append(apply_rule(image, inside, about["intensity"]))
        except ValueError as error:
            raise BadInput(f"Lesions cannot be segmented in {patient.images[name].name}: {error}.") from error
    probability = model.segment(np.stack(inputs).astype(np.float32))
    (on_t1w,) = maps_to_t1w([probability], inside, grid, mask)
    voxel = float(abs(np.linalg.det(mask.affine[:3, :3])))
    lesional = without_small(on_t1w > lesion_threshold(about), voxel, smallest_lesion(about))
    if "flair" in patient.images:
        lesional = hyperintense_part(lesional, patient.on_reference_grid("flair").data, mask.data > 0.5)
    spacing = np.linalg.norm(mask.affine[:3, :3], axis=0)
    lesional = extended(lesional, on_t1w > EXTENT_PROBABILITY, spacing)
    return Volume(lesional.astype(np.float32), mask.affine, "lesions found automatically"), on_t1w


def extended(lesions: np.ndarray, probable: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Extend lesions to their borders.

    Args:
        lesions: lesion mask, bool (I, J, K).
        probable: voxels that may be added, bool (I, J, K).
        spacing: size of a voxel along each axis, mm.

    Returns:
        The mask with the probable voxels within `EXTENT_MM` of a lesion (one voxel, if all its edges are longer).
    """
    reach = max(EXTENT_MM, min(spacing)) + 1e-3  # spacings such as 1.0000001 mm are as good as 1 mm
    return lesions | (probable & np.isfinite(distance_to(lesions, reach, spacing)))


def hyperintense_part(lesions: np.ndarray, flair: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Keep only lesions that are hyperintense in FLAIR.

    Args:
        lesions: lesion mask, bool (I, J, K).
        flair: FLAIR, (I, J, K), arbitrary units.
        brain: brain mask, bool (I, J, K).

    Returns:
        The mask without lesions whose `BRIGHTEST` quantile of FLAIR is below the median of the brain plus
        `HYPERINTENSE_SD` robust SD (1.4826 median absolute deviations).
    """
    labels, volumes = label_lesions(lesions, 1.0)
    median = float(np.median(flair[brain]))
    limit = median + HYPERINTENSE_SD * 1.4826 * float(np.median(np.abs(flair[brain] - median)))
    kept = np.zeros(len(volumes) + 1, bool)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        kept[number] = np.quantile(flair[box][labels[box] == number], BRIGHTEST) >= limit
    return kept[labels]
