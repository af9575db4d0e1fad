"""Running a model on one aligned patient: onto the model's grid, through the network, back onto the patient's grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..imaging.aligned import AlignedPatient
from ..imaging.grid import Grid, brain_grid
from ..imaging.intensities import apply_rule
from ..imaging.preparation import on_grid
from ..imaging.volumes import Volume, resample
from ..runtime.errors import BadInput
from .model import TrainedModel
from .uncertainty import variants


@dataclass
class Prediction:
    """maps: float32 (I, J, K) on the patient's grid, 0 outside the brain; of every member of the model for the head as
    it is, then of every member for each variant; members: their number; way: how they were made; lesions: probability
    (I, J, K) where the model finds lesions, else None."""

    maps: list[np.ndarray]
    members: int
    way: str
    lesions: np.ndarray | None = None

    def mean(self, flips: bool) -> np.ndarray:
        """Mean over the members, of the head as it is and, with flips, as in a mirror."""
        return np.mean(self.maps[: self.members * (2 if flips else 1)], axis=0)

    @property
    def has_spread(self) -> bool:
        """Whether there are enough maps to say how far they are apart; two mirrored ones are not."""
        return len(self.maps) > 2


def predict_patient(
    model: TrainedModel, patient: AlignedPatient, flips: bool, uncertainty: bool, say: Callable[[str], None]
) -> Prediction:
    """Run a model on an aligned patient. Raises BadInput where the images cannot be prepared for it.

    flips: also as in a mirror; uncertainty: all variants of `uncertainty.variants`; say: told what was done about
    missing memory.
    """
    about, mask = model.bundle.description, patient.brain.mask
    try:
        grid = brain_grid(mask.data > 0.5, mask.affine, tuple(about["grid"]["shape"]), about["grid"]["spacing_mm"])
        inside = on_grid(mask, grid, mask=True)
        images = [
            apply_rule(on_grid(patient.images[name], grid, patient.matrix(name)), inside, about["intensity"])
            for name in model.inputs
        ]
    except ValueError as error:
        names = " and ".join(patient.images[name].name for name in model.inputs)
        raise BadInput(f"{names} cannot be prepared for the model: {error}.") from error
    inputs = np.stack(images).astype(np.float32)
    count = None if uncertainty else 2 if flips else 1
    result, way = model.maps(itertools.islice(variants(inputs, inside, model.inputs), count), say)
    maps = maps_to_t1w([prediction for members in result for prediction in members], inside, grid, mask)
    lesions = None
    if model.segments:
        (lesions,) = maps_to_t1w([model.segment(inputs)], inside, grid, mask)
    return Prediction(maps, len(result[0]), way, lesions)


def maps_to_t1w(result: list[np.ndarray], inside: np.ndarray, grid: Grid, brain: Volume) -> list[np.ndarray]:
    """Maps of the model's grid on the T1w's own grid, float32, exactly 0 outside the brain.

    found, inside: (I, J, K) predictions and brain mask on `grid`; brain: mask on the T1w's grid. What a network says
    outside the brain means nothing, so the brain's edge is extended outwards before the linear interpolation.
    """
    nearest = tuple(ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True))
    maps = []
    for predictions in result:
        extended = Volume(predictions[nearest], grid.affine)
        if grid.same_as(brain.data.shape, brain.affine):
            values = extended.data
        else:
            values = resample(extended, brain.data.shape, brain.affine)
        maps.append(np.where(brain.data > 0.5, values, 0).astype(np.float32))
    return maps
