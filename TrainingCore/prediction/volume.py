"""Run a model on an aligned patient: resample to the model's grid, predict, resample back to the patient's grid."""

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
    """Predictions for one patient.

    Attributes:
        maps: float32 (I, J, K) on the patient's grid, 0 outside the brain: of every member for the original inputs,
            then of every member for each augmentation.
        members: number of members of the model.
        run_on: device and use of tiles.
        scale: SD of the error that the network itself predicts, (I, J, K); None if it does not or was not asked.
        lesions: probability of a lesion, (I, J, K), if the model segments lesions, else None.
    """

    maps: list[np.ndarray]
    members: int
    run_on: str
    scale: np.ndarray | None = None
    lesions: np.ndarray | None = None

    def mean(self, flips: bool) -> np.ndarray:
        """Average the maps over the members of the model.

        Args:
            flips: also include the predictions for the mirrored inputs.

        Returns:
            Map, float32 (I, J, K) on the patient's grid, 0 outside the brain.
        """
        return np.mean(self.maps[: self.members * (2 if flips else 1)], axis=0)

    @property
    def has_spread(self) -> bool:
        """Whether there are enough maps to estimate an SD: three members, or more than the mirrored predictions."""
        return self.members > 2 or len(self.maps) > 2 * self.members


def predict_patient(
    model: TrainedModel, patient: AlignedPatient, flips: bool, uncertainty: bool, say: Callable[[str], None]
) -> Prediction:
    """Run a model on an aligned patient.

    Args:
        model: the model.
        patient: aligned, bias-corrected images.
        flips: whether to predict the mirrored inputs as well.
        uncertainty: whether to predict all augmented inputs of `uncertainty.variants`.
        say: called with a message if memory did not suffice.

    Returns:
        All predictions on the patient's grid.

    Raises:
        BadInput: the images cannot be prepared for the model.
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
    chosen = itertools.islice(variants(inputs, inside, model.inputs), count)
    predictions, expected = model.maps(chosen, say, with_scale=uncertainty)
    maps = maps_to_t1w([values for members in predictions.maps for values in members], inside, grid, mask)
    scale = lesions = None
    if expected is not None:
        (scale,) = maps_to_t1w([expected], inside, grid, mask)
    if model.segments:
        (lesions,) = maps_to_t1w([model.segment(inputs)], inside, grid, mask)
    return Prediction(maps, len(predictions.maps[0]), predictions.run_on, scale, lesions)


def maps_to_t1w(result: list[np.ndarray], inside: np.ndarray, grid: Grid, brain: Volume) -> list[np.ndarray]:
    """Resample maps from the model's grid to the T1w grid.

    Predictions outside the brain are meaningless, so values at the edge of the brain are extended outwards before the
    linear interpolation.

    Args:
        result: predictions on `grid`, (I, J, K) each.
        inside: brain mask on `grid`.
        grid: grid of the model.
        brain: brain mask on the T1w grid.

    Returns:
        Maps on the T1w grid, float32, exactly 0 outside the brain.
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
