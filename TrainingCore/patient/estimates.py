"""Contrasts and estimated myelin loss of a patient's lesions, measured on the model's grid as `evaluate` does."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.bundle import Bundle
from ..evaluation.lesion_geometry import FEATURES, GEOMETRY, lesion_geometry
from ..evaluation.lesion_myelin import CONTRASTS, estimated_loss, lesion_contrasts, myelin_of_bundle
from ..imaging.grid import brain_grid
from ..imaging.partial_volumes import partial_volumes_of_labels
from ..imaging.preparation import on_grid
from ..imaging.tissues import normal_appearing_white_matter
from ..imaging.volumes import Volume
from .pipeline import PreparedPatient

Row = dict[str, Any]


def with_estimates(prepared: PreparedPatient, bundle: Bundle, labels: np.ndarray, rows: list[Row]) -> list[Row]:
    """Add the contrasts in T1w and FLAIR, and the estimated myelin loss, to a lesion table.

    Args:
        prepared: the patient.
        bundle: model of DVR maps, for its grid and its regression.
        labels: int (I, J, K) on the grid of `prepared`, the numbers of the rows.
        rows: lesion table with corrected_ratio.

    Returns:
        The rows with t1w_contrast, flair_contrast, estimated_loss, estimated_loss_low and estimated_loss_high. None:
        unknown; a FLAIR that was itself synthesized tells nothing of a lesion.
    """
    if not rows:
        return rows
    about, mask = bundle.description, prepared.brain.mask
    grid = brain_grid(mask.data > 0.5, mask.affine, tuple(about["grid"]["shape"]), about["grid"]["spacing_mm"])
    brain = on_grid(mask, grid, mask=True)
    own = partial_volumes_of_labels(labels, mask.affine, grid.shape, grid.affine).labels()
    white, grey = (
        on_grid(Volume(prepared.tissues[name].astype(np.float32), mask.affine), grid, mask=True) & brain & (own == 0)
        for name in ("white_matter", "grey_matter")
    )
    aligned, generated = prepared.aligned, prepared.patient.generated
    images = {
        name: on_grid(aligned.images[name], grid, aligned.matrix(name))
        for name in CONTRASTS
        if name in aligned.images and name not in generated
    }
    spacing = (about["grid"]["spacing_mm"],) * 3
    nawm = normal_appearing_white_matter(white, own > 0, spacing)
    contrasts = lesion_contrasts(own, images, {"nawm": nawm, "grey_matter": grey, "brain": brain}, grid.affine)
    fitted = myelin_of_bundle(about)
    geometry = None if fitted is None else lesion_geometry(own, brain, white, grey, grid.affine)
    return [row | _estimates(row, contrasts, geometry, fitted) for row in rows]


def _estimates(row: Row, contrasts: dict[str, np.ndarray], geometry: np.ndarray | None, fitted: Any) -> Row:
    number = int(row["id"])
    seen: Row = {name: _known(values, number) for name, values in contrasts.items()}
    if geometry is None or number > len(geometry):
        return seen | estimated_loss(None, row)
    shape = {f"{GEOMETRY}{name}": value for name, value in zip(FEATURES, geometry[number - 1], strict=True)}
    return seen | estimated_loss(fitted, row | seen | shape)


def _known(values: np.ndarray, number: int) -> float | None:
    return float(values[number]) if number < len(values) and np.isfinite(values[number]) else None
