"""One MRI contrast from others: FLAIR from T1w (with the lesions it shows), T1w before contrast from after, T1ce."""

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

SWAPPED = 0.0  # skewness of the uptake below which T1w and T1w after a low dose are taken for swapped (ours)


def translate_prepared(
    prepared: PreparedPatient, model: TrainedModel, clock: Clock, flips: bool = False, uncertainty: bool = False
) -> Prediction:
    """Predict an MRI contrast of a prepared patient.

    The image lies on the grid of the T1w (of the first input if there is none). Raises BadInput.
    """
    clock.warn(prepared.patient, check_doses(prepared.aligned, model.bundle.description["inputs"]))
    title = title_of(model.bundle.description["output"])
    return predict_prepared(prepared, model, clock, title, flips, uncertainty)


def check_doses(aligned: AlignedPatient, inputs: Sequence[str]) -> str:
    """A warning where T1w before and after the low dose look swapped, else an empty string.

    An agent brightens little of the brain by much: vessels, tumours. The difference of the two images, each in SDs of
    the brain, has a tail on one side alone. Its skewness was 3.1 to 7.3 in 16 digital gliomas after a quarter of the
    dose, and 2.6 to 5.4 in three real patients after the whole.

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
        "What differs between T1w and T1w after a low dose is darker after it, where an agent makes it brighter: check "
        "that --t1 and --t1ce-low are not swapped."
    )


def _standardised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / max(float(values.std()), 1e-12)


def write_translation(
    folder: Path, prepared: PreparedPatient, model: TrainedModel, prediction: Prediction, clock: Clock, flips: bool
) -> dict[str, Any]:
    """Write `<target>.nii.gz` (arbitrary units from 0, exactly 0 outside the brain), what belongs to it, the report.

    Where the patient has the real contrast, too, it is compared with.

    Returns:
        The provenance, written last.
    """
    patient, aligned, about = prepared.patient, prepared.aligned, model.bundle.description
    mask, target, inside = aligned.brain.mask, about["output"], aligned.brain.mask.data > 0.5
    predicted = prediction.mean(flips)
    image = as_image(predicted, inside, background_of(about["intensity"]))
    words = f"synthetic {title_of(target)}, research use only"
    words += ", simulated training" if model.bundle.simulated else ""
    write_volume(folder / f"{target}.nii.gz", image, mask.affine, words, mask.forms)
    write_volume(folder / BRAIN, inside, mask.affine, "brain mask", mask.forms)
    for name in aligned.registrations:
        write_transform(folder / transform_file(name, patient.reference), aligned.matrix(name))
    spread = None
    if prediction.has_spread:
        spread = UNITS * np.std(prediction.maps, axis=0, ddof=1)
        write_volume(folder / UNCERTAINTY, spread, mask.affine, "SD of " + words, mask.forms)
    lesions = None if prediction.lesions is None else prediction.lesions > lesion_threshold(about)
    if lesions is not None:
        lesion_words = "lesions found by a network, not checked"
        write_volume(folder / FOUND_LESIONS, lesions, mask.affine, lesion_words, mask.forms)
    facts = {
        "note": RESEARCH_USE + (f" {SIMULATED}." if model.bundle.simulated else ""),
        "software": versions(),
        "model": {
            key: about[key] for key in ("name", "system", "weights_sha256", "simulated_training_data", "training_data")
        },
        "made": target,
        "inputs": patient.facts,
        "simulated_patient": patient.simulated,
        "brain_mask": aligned.brain.how,
        "registrations": {
            name: describe_registration(registration) for name, registration in aligned.registrations.items()
        },
        "network": {"run_on": prediction.way, "flip_averaging": flips, "predictions": len(prediction.maps)},
        "compared_with_the_real_one": compare_with_real(aligned, predicted, about),
        "warnings": patient.anonymous_warnings(),
    }
    if lesions is not None:
        facts["found_lesions_ml"] = round(float(lesions.sum()) * mask.voxel_volume / 1000, 3)
    translation_report(patient, model, aligned, (image, lesions, spread), facts).write(folder / REPORT)
    clock.stop()
    facts["seconds"] = clock.seconds
    write_json(folder / PROVENANCE, facts)
    return facts


def compare_with_real(
    aligned: AlignedPatient, made: np.ndarray, about: dict[str, Any]
) -> dict[str, float | None] | None:
    """SSIM and MAE of the brain against the real contrast, in the network's units, of the image and, with the prefix
    `untouched_`, of the input nearest to it; None if the patient has no real one."""
    target = about["output"]
    if target not in aligned.images:
        return None
    inside, rule = aligned.brain.mask.data > 0.5, about["intensity"]
    names = (target, nearest_input(about))
    truth, source = (apply_rule(aligned.on_reference_grid(name).data, inside, rule) for name in names)
    nothing = np.zeros(inside.shape, bool)
    measures: dict[str, float | None] = {}
    for prefix, image in (("", np.where(inside, made, truth)), ("untouched_", source)):
        quality = translation_quality(truth, image, inside, nothing, SPANS[rule["rule"]])
        measures |= {f"{prefix}{key}": value for key, value in quality.items() if key.endswith("_brain")}
    return measures
