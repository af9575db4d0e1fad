"""What finds lesions beside the lesion finder, and the measures of one mask."""

from __future__ import annotations

from typing import Any

import numpy as np

from TrainingCore.evaluation.lesion_detection import detection_measures, without_small
from TrainingCore.evaluation.segmentation import lesion_threshold, segmentation_measures
from TrainingCore.imaging.grid import brain_grid
from TrainingCore.imaging.intensities import apply_rule
from TrainingCore.imaging.preparation import on_grid
from TrainingCore.prediction.model import TrainedModel
from TrainingCore.prediction.volume import maps_to_t1w

from .people import Person

MULTIPLES = tuple(1.5 + 0.5 * step for step in range(9))  # of the SD, 1.5 to 5.5


def above_threshold(person: Person, multiple: float, smallest: float) -> np.ndarray:
    """Voxels brighter in FLAIR than mean + k SD of white matter, without small ones; bool (I, J, K)."""
    flair = person.aligned.on_reference_grid("flair").data
    inside = flair[person.white]
    mask = (flair > inside.mean() + multiple * inside.std()) & person.brain
    return without_small(mask, person.voxel, smallest)


def best_multiple(people: list[Person], smallest: float) -> float:
    """k with the highest mean Dice over the people who have lesions."""
    ill = [person for person in people if person.truth is not None and person.truth.any()]

    def mean_dice(multiple: float) -> float:
        return float(np.mean([measured(each, "", above_threshold(each, multiple, smallest))["dsc"] for each in ill]))

    return max(MULTIPLES, key=mean_dice)


def classified(model: TrainedModel, person: Person, smallest: float) -> np.ndarray:
    """Voxels that the classifier of Orbes-Arteaga et al. calls hyperintense, without small ones; bool (I, J, K)."""
    about, mask = model.bundle.description, person.aligned.brain.mask
    grid = brain_grid(person.brain, mask.affine, tuple(about["grid"]["shape"]), about["grid"]["spacing_mm"])
    inside = on_grid(mask, grid, mask=True)
    images = [
        apply_rule(on_grid(person.aligned.images[name], grid, person.aligned.matrix(name)), inside, about["intensity"])
        for name in model.inputs
    ]
    (probability,) = maps_to_t1w([model.segment(np.stack(images).astype(np.float32))], inside, grid, mask)
    return without_small(probability > lesion_threshold(about), person.voxel, smallest)


def measured(person: Person, method: str, mask: np.ndarray) -> dict[str, Any]:
    """Measures of one mask; the agreement is empty where nothing is known or there is nothing to find."""
    row: dict[str, Any] = {"person": person.name, "method": method, "found_ml": float(mask.sum()) * person.voxel / 1000}
    if person.truth is None:
        return row
    row["given_ml"] = float(person.truth.sum()) * person.voxel / 1000
    overlap = segmentation_measures(person.truth, mask, person.brain)
    return row | overlap | detection_measures(person.truth, mask, person.voxel)
