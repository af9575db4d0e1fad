"""Predict a prepared visit, on its own grid or on another one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..data.case import Case, is_simulated
from ..evaluation.conformal import intervals_at, intervals_of_bundle
from ..evaluation.lesion_myelin import myelin_of_bundle
from ..evaluation.segmentation import lesion_threshold, smallest_lesion
from ..evaluation.task import HYPERINTENSITIES, SYNTHETIC, ModelImages
from ..imaging.volumes import Volume, resample
from ..runtime.errors import MyelinSynthError
from .model import TrainedModel
from .uncertainty import fitted_errors, variants

MIN_SHARE = 0.05  # smallest share of a voxel inside the resampled brain for which its value is used (ours)


def predict_case(
    model: TrainedModel, case: Case, uncertainty: bool = False, say: Callable[[str], None] = lambda message: None
) -> ModelImages:
    """Run a model on a visit that was prepared for it.

    Args:
        model: any trained model.
        case: the visit, on the grid of the model, MRI scaled by its intensity rule.
        uncertainty: also predict the augmented inputs of `uncertainty.variants`.
        say: called with a message if the volume has to be predicted in tiles for lack of memory.

    Returns:
        The predicted images on the grid of the case; with `uncertainty` also all maps of every member.

    Raises:
        MyelinSynthError: a prediction is NaN or infinite in the brain, or there is not enough memory.
    """
    description = model.bundle.description
    outputs = ModelImages(
        {},
        intervals=intervals_at(
            intervals_of_bundle(description), str(case.info.get("site") or ""), is_simulated(case.info)
        ),
        myelin=myelin_of_bundle(description),
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
            chosen = inputs_to_predict if uncertainty else itertools.islice(inputs_to_predict, 1)
            predictions, scale = model.maps(chosen, say, with_scale=uncertainty)
        except MyelinSynthError as error:
            raise MyelinSynthError(f"{case.label}: {error}") from error
        outputs.images[SYNTHETIC] = np.asarray(np.mean(predictions.maps[0], axis=0), np.float32)
        if uncertainty:
            outputs.maps = [image for members in predictions.maps for image in members]
            outputs.scale = scale
            outputs.expected_errors = fitted_errors(description, len(outputs.maps))
    if model.segments:
        outputs.images[HYPERINTENSITIES] = model.segment(inputs)
    return _checked(outputs, case)


def _checked(outputs: ModelImages, case: Case) -> ModelImages:
    brain = np.asarray(case.volumes["brain"], bool)
    if not all(np.isfinite(image[brain]).all() for image in outputs.images.values()):
        raise MyelinSynthError(f"The model predicts NaN or infinite values for {case.label}: it cannot be used.")
    return outputs


def outputs_on_grid(outputs: ModelImages, own: Case, case: Case) -> ModelImages:
    """Resample outputs from the grid of `own` to the grid of `case`.

    Args:
        outputs: what a model predicted for `own`.
        own: the visit on the grid of the model; its brain mask limits the interpolation, see `image_on_grid`.
        case: the same visit on the output grid.

    Returns:
        A copy with all images and maps on the grid of `case`.
    """
    images = {name: image_on_grid(image, own, case) for name, image in outputs.images.items()}
    maps = [image_on_grid(image, own, case) for image in outputs.maps]
    scale = None if outputs.scale is None else image_on_grid(outputs.scale, own, case)
    return replace(outputs, images=images, maps=maps, scale=scale)


def image_on_grid(image: np.ndarray, own: Case, case: Case) -> np.ndarray:
    """Resample an image from the grid of `own` to the grid of `case` by linear interpolation within the brain.

    Voxels outside the brain are excluded by resampling the masked image and the mask, and dividing the two.

    Args:
        image: prediction on the grid of `own`, (I, J, K).
        own: case that the image was predicted for; its `brain` mask is used.
        case: case with the output grid.

    Returns:
        Image on the grid of `case`, float32.
    """
    if own.shape == case.shape and np.allclose(own.affine, case.affine, atol=1e-4):
        return image
    brain = own.volumes["brain"].astype(np.float32)
    values, share = (resample(Volume(array, own.affine), case.shape, case.affine) for array in (image * brain, brain))
    usable = share > MIN_SHARE
    return np.where(usable, values / np.where(usable, share, 1), 0).astype(np.float32)
