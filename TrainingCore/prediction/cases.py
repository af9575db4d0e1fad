"""What a model makes of a prepared visit, on the visit's grid or on another."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..data.case import Case
from ..evaluation.conformal import intervals_of_bundle
from ..evaluation.segmentation import lesion_threshold, smallest_lesion
from ..evaluation.task import HYPERINTENSITIES, SYNTHETIC, Outputs
from ..imaging.volumes import Volume, resample
from ..runtime.errors import MyelinSynthError
from .model import TrainedModel
from .uncertainty import fitted_errors, variants

MIN_SHARE = 0.05  # of a voxel inside the coarser brain, below which a resampled value is not used (ours)


def predict_case(
    model: TrainedModel, case: Case, uncertainty: bool = False, say: Callable[[str], None] = lambda message: None
) -> Outputs:
    """Run a model on a visit that was prepared for it.

    Args:
        model: any trained model.
        case: on the model's grid, MRI by its intensity rule.
        uncertainty: also predict the variants of `uncertainty.variants`.
        say: is told where memory did not suffice for the whole volume.

    Returns:
        The model's images on the case's grid, and with `uncertainty` the maps of every member for every variant.

    Raises:
        MyelinSynthError: a prediction is not finite in the brain, or memory does not suffice at all.
    """
    description = model.bundle.description
    outputs = Outputs(
        {},
        intervals=intervals_of_bundle(description),
        lesion_threshold=lesion_threshold(description),
        smallest_lesion=smallest_lesion(description),
    )
    if model.from_masks:
        outputs.images[SYNTHETIC] = model.system(model.device).predict_case(case)
        return _checked(outputs, case)
    inputs = np.stack([case.volumes[name] for name in model.inputs]).astype(np.float32)
    if model.synthesizes:
        inputs_to_predict = variants(inputs, np.asarray(case.volumes["brain"], bool), model.inputs)
        try:
            maps, _way = model.maps(inputs_to_predict if uncertainty else itertools.islice(inputs_to_predict, 1), say)
        except MyelinSynthError as error:
            raise MyelinSynthError(f"{case.label}: {error}") from error
        outputs.images[SYNTHETIC] = np.asarray(np.mean(maps[0], axis=0), np.float32)
        if uncertainty:
            outputs.maps = [image for members in maps for image in members]
            outputs.expected_errors = fitted_errors(description, len(outputs.maps))
    if model.segments:
        outputs.images[HYPERINTENSITIES] = model.segment(inputs)
    return _checked(outputs, case)


def _checked(outputs: Outputs, case: Case) -> Outputs:
    brain = np.asarray(case.volumes["brain"], bool)
    if not all(np.isfinite(image[brain]).all() for image in outputs.images.values()):
        raise MyelinSynthError(f"The model predicts NaN or infinite values for {case.label}: it cannot be used.")
    return outputs


def outputs_on_grid(outputs: Outputs, own: Case, case: Case) -> Outputs:
    """Outputs predicted on the grid of `own`, on that of `case`."""
    images = {name: image_on_grid(image, own, case) for name, image in outputs.images.items()}
    maps = [image_on_grid(image, own, case) for image in outputs.maps]
    return replace(outputs, images=images, maps=maps)


def image_on_grid(image: np.ndarray, own: Case, case: Case) -> np.ndarray:
    """An image on the grid of `own` at the voxels of `case`, float32 (I, J, K).

    Linear interpolation among the brain's voxels alone, as a prediction outside the brain means nothing: the masked
    image divided by the mask, both resampled.
    """
    if own.shape == case.shape and np.allclose(own.affine, case.affine, atol=1e-4):
        return image
    brain = own.volumes["brain"].astype(np.float32)
    values, share = (resample(Volume(array, own.affine), case.shape, case.affine) for array in (image * brain, brain))
    usable = share > MIN_SHARE
    return np.where(usable, values / np.where(usable, share, 1), 0).astype(np.float32)
