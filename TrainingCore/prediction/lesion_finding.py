"""Segment the lesions of an aligned patient with a lesion finder."""

from __future__ import annotations

import numpy as np

from ..evaluation.lesion_outlines import lesion_outlines
from ..evaluation.segmentation import lesion_threshold, smallest_lesion
from ..imaging.aligned import AlignedPatient
from ..imaging.grid import brain_grid
from ..imaging.intensities import apply_rule, background_of
from ..imaging.preparation import on_grid
from ..imaging.volumes import Volume
from ..runtime.errors import BadInput
from .model import TrainedModel
from .volume import maps_to_t1w


def find_lesions(model: TrainedModel, patient: AlignedPatient) -> tuple[Volume, np.ndarray]:
    """Segment the lesions of a patient.

    Args:
        model: model whose output is `lesions`. Inputs that the patient lacks are left blank.
        patient: aligned, bias-corrected images.

    Returns:
        0/1 mask on the grid of the brain mask (evaluation.lesion_outlines); probability, float32 (I, J, K), 0 outside
        the brain.

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
    flair = patient.on_reference_grid("flair").data if "flair" in patient.images else None
    limits = (lesion_threshold(about), smallest_lesion(about))
    lesional = lesion_outlines(on_t1w, mask.data > 0.5, flair, tuple(mask.spacing), *limits)
    return Volume(lesional.astype(np.float32), mask.affine, "lesions found automatically"), on_t1w
