"""Predict an MRI contrast from others: FLAIR (with lesions) from T1w, T1w from T1w + Gd, T1w + Gd from T1w."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import RESEARCH_USE, SIMULATED
from ..data.case import title_of
from ..data.result import BRAIN, FOUND_LESIONS, PROVENANCE, REPORT, UNCERTAINTY, transform_file
from ..data.run import versions
from ..evaluation.image_quality import translation_quality
from ..evaluation.segmentation import lesion_threshold
from ..imaging.aligned import AlignedPatient
from ..imaging.intensities import SPANS, apply_rule, background_of
from ..imaging.transforms import write_transform
from ..imaging.volumes import write_volume
from ..prediction.completion import UNITS, as_image
from ..prediction.model import TrainedModel
from ..prediction.volume import Prediction
from ..reporting.translation_report import nearest_input, translation_report
from ..runtime.errors import BadInput
from ..runtime.files import write_json
from .clock import Clock
from .outputs import describe_registration
from .pipeline import PreparedPatient
from .synthesis import predict_prepared

SWAPPED = 0.0  # skewness of the uptake below which T1w and T1w after a low dose look swapped (ours)


def translate_prepared(
    prepared: PreparedPatient, model: TrainedModel, clock: Clock, flips: bool = False, uncertainty: bool = False
) -> Prediction:
    """Predict an MRI contrast of a prepared patient.

    Args:
        prepared: the patient, with all inputs of the model.
        model: model of an MRI contrast.
        clock: progress and warnings.
        flips: whether to average with the left-right mirrored prediction.
        uncertainty: whether to predict several augmented versions as well.

    Returns:
        Predictions on the grid of the T1w (of the first input if there is none).

    Raises:
        BadInput: T1w before and after a low dose are the same image.
    """
    clock.warn(prepared.patient, _check_doses(prepared.aligned, model.bundle.description["inputs"]))
    title = title_of(model.bundle.description["output"])
    return predict_prepared(prepared, model, clock, title, flips, uncertainty)


def _check_doses(aligned: AlignedPatient, inputs: Sequence[str]) -> str:
    """Return a warning if T1w before and after the low dose look swapped, else an empty string.

    Contrast agent brightens a small part of the brain strongly: vessels, tumours. The difference of the two images,
    each in SDs of the brain, therefore has a tail on one side only. Its skewness was 3.1 to 7.3 in 16 simulated gliomas
    after a quarter of the dose, and 2.6 to 5.4 in three real patients after the full dose.

    Raises:
        BadInput: both are the same image.
    """
    if not {"t1w", "t1ce_low"} <= set(inputs):
        return ""
    inside = aligned.brain.mask.data > 0.5
    before, after = (aligned.on_reference_grid(name).data[inside].astype(float) for name in ("t1w", "t1ce_low"))
    if np.array_equal(before, after):
        raise BadInput("T1w (--t1) and T1w after a low dose (--t1ce-low) are the same image. Give two different ones.")
    uptake = _standardised(_standardised(after) - _standardised(before))
    if float(np.mean(uptake**3)) > SWAPPED:
        return ""
    return (
        "The T1w after a low dose is darker than the T1w where they differ, but contrast agent brightens: check that "
        "--t1 and --t1ce-low are not swapped."
    )


def _standardised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / max(float(values.std()), 1e-12)


def write_translation(
    folder: Path, prepared: PreparedPatient, model: TrainedModel, prediction: Prediction, clock: Clock, flips: bool
) -> dict[str, Any]:
    """Write the predicted contrast `<target>.nii.gz`, its masks and transforms, the report and the provenance.

    If the patient also has the real contrast, the prediction is compared with it.

    Args:
        folder: existing folder.
        prepared: the patient.
        model: model of an MRI contrast.
        prediction: its predictions.
        clock: progress and timing.
        flips: whether the mirrored prediction is averaged in.

    Returns:
        Content of provenance.json, which is written last. The image has arbitrary units from 0 and is exactly 0 outside
        the brain.
    """
    aligned, about = prepared.aligned, model.bundle.description
    predicted = prediction.mean(flips)
    image = as_image(predicted, aligned.brain.mask.data > 0.5, background_of(about["intensity"]))
    lesions = None if prediction.lesions is None else prediction.lesions > lesion_threshold(about)
    spread = UNITS * np.std(prediction.maps, axis=0, ddof=1) if prediction.has_spread else None
    _write_images(folder, prepared, model, image, lesions, spread)
    facts = _provenance(prepared, model, prediction, flips)
    facts["compared_with_the_real_one"] = _compare_with_real(aligned, predicted, about)
    facts["warnings"] = prepared.patient.anonymous_warnings()
    if lesions is not None:
        facts["found_lesions_ml"] = round(float(lesions.sum()) * aligned.brain.mask.voxel_volume / 1000, 3)
    translation_report(prepared.patient, model, aligned, (image, lesions, spread), facts).write(folder / REPORT)
    clock.stop()
    facts["seconds"] = clock.seconds
    write_json(folder / PROVENANCE, facts)
    return facts


def _write_images(
    folder: Path,
    prepared: PreparedPatient,
    model: TrainedModel,
    image: np.ndarray,
    lesions: np.ndarray | None,
    spread: np.ndarray | None,
) -> None:
    """Write the synthetic image, brain and lesion masks, SD and transforms."""
    aligned, mask, target = prepared.aligned, prepared.aligned.brain.mask, model.bundle.description["output"]
    words = f"synthetic {title_of(target)}, research use only"
    words += ", simulated training" if model.bundle.simulated else ""
    write_volume(folder / f"{target}.nii.gz", image, mask.affine, words, mask.forms)
    write_volume(folder / BRAIN, mask.data > 0.5, mask.affine, "brain mask", mask.forms)
    for name in aligned.registrations:
        write_transform(folder / transform_file(name, prepared.patient.reference), aligned.matrix(name))
    if spread is not None:
        write_volume(folder / UNCERTAINTY, spread, mask.affine, "SD of " + words, mask.forms)
    if lesions is not None:
        lesion_words = "lesions found by a network, not checked"
        write_volume(folder / FOUND_LESIONS, lesions, mask.affine, lesion_words, mask.forms)


def _provenance(prepared: PreparedPatient, model: TrainedModel, prediction: Prediction, flips: bool) -> dict[str, Any]:
    """What is known before the images are compared."""
    patient, aligned, about = prepared.patient, prepared.aligned, model.bundle.description
    return {
        "note": RESEARCH_USE + (f" {SIMULATED}." if model.bundle.simulated else ""),
        "software": versions(),
        "model": {
            key: about[key] for key in ("name", "system", "weights_sha256", "simulated_training_data", "training_data")
        },
        "made": about["output"],
        "inputs": patient.facts,
        "simulated_patient": patient.simulated,
        "brain_mask": aligned.brain.how,
        "registrations": {
            name: describe_registration(registration) for name, registration in aligned.registrations.items()
        },
        "network": {"run_on": prediction.run_on, "flip_averaging": flips, "predictions": len(prediction.maps)},
    }


def _compare_with_real(
    aligned: AlignedPatient, prediction: np.ndarray, about: dict[str, Any]
) -> dict[str, float | None] | None:
    """Return SSIM and MAE in the brain against the real contrast, in the network's units; None if the patient has none.

    Keys with the prefix `untouched_` compare the input most similar to the target instead of the prediction.
    """
    target = about["output"]
    if target not in aligned.images:
        return None
    inside, rule = aligned.brain.mask.data > 0.5, about["intensity"]
    names = (target, nearest_input(about))
    truth, source = (apply_rule(aligned.on_reference_grid(name).data, inside, rule) for name in names)
    nothing = np.zeros(inside.shape, bool)
    measures: dict[str, float | None] = {}
    for prefix, image in (("", np.where(inside, prediction, truth)), ("untouched_", source)):
        quality = translation_quality(truth, image, inside, nothing, SPANS[rule["rule"]])
        measures |= {f"{prefix}{key}": value for key, value in quality.items() if key.endswith("_brain")}
    return measures
