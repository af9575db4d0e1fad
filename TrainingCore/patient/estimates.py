"""What a patient's contrasts and estimated myelin loss are measured from, on the model's grid as in `evaluate`."""

from __future__ import annotations

import numpy as np

from ..data.bundle import Bundle
from ..evaluation.lesion_context import GREY, OTHER, OUTSIDE, WHITE, LesionContext
from ..evaluation.lesion_myelin import CONTRASTS
from ..imaging.grid import brain_grid
from ..imaging.preparation import on_grid
from ..imaging.volumes import Volume
from .pipeline import PreparedPatient


def lesion_context(prepared: PreparedPatient, bundle: Bundle) -> LesionContext:
    """Put MRI and tissues of a patient on the grid of a model.

    Args:
        prepared: the patient.
        bundle: model of DVR maps, for its grid.

    Returns:
        MRI without bias field, except for a FLAIR that was itself synthesized and tells nothing of a lesion, and
        tissues.
    """
    about, mask = bundle.description, prepared.brain.mask
    grid = brain_grid(mask.data > 0.5, mask.affine, tuple(about["grid"]["shape"]), about["grid"]["spacing_mm"])
    tissue = np.where(on_grid(mask, grid, mask=True), OTHER, OUTSIDE).astype(np.uint8)
    for kind, name in ((WHITE, "white_matter"), (GREY, "grey_matter")):
        part = Volume(prepared.tissues[name].astype(np.float32), mask.affine)
        tissue[on_grid(part, grid, mask=True) & (tissue == OTHER)] = kind
    aligned, generated = prepared.aligned, prepared.patient.generated
    images = {
        name: on_grid(aligned.images[name], grid, aligned.matrix(name))
        for name in CONTRASTS
        if name in aligned.images and name not in generated
    }
    return LesionContext(images, tissue, grid.affine)
