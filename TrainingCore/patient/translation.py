"""One MRI contrast from others: FLAIR from T1w (with the lesions it shows), T1w before contrast from after, T1ce."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import RESEARCH_USE, SIMULATED
from ..data.bundle import Bundle
from ..data.case import title_of
from ..data.result import BRAIN, PROVENANCE, REPORT, UNCERTAINTY
from ..data.run import versions
from ..evaluation.image_quality import translation_quality
from ..evaluation.segmentation import HYPERINTENSE
from ..evaluation.tasks import NEAR_ENHANCED
from ..imaging.aligned import AlignedPatient
from ..imaging.bias import box_around
from ..imaging.intensities import SPANS, apply_rule, background_of
from ..imaging.volumes import Volume, resample, write_volume
from ..prediction.completion import UNITS, as_image
from ..prediction.model import TrainedModel
from ..prediction.volume import Prediction, predict_patient
from ..reporting.document import Report
from ..reporting.figures import new_figure
from ..runtime.cli import Progress
from ..runtime.errors import BadInput
from ..runtime.files import write_json
from .inputs import Patient
from .options import SynthesisOptions
from .steps import Clock, align, here, warn

FOUND_LESIONS = "found_lesions.nii.gz"
COLUMNS, SPACING_MM = 5, 1.0
SPREAD = "uncertainty (SD)"
MUCH_COARSER = 1.1  # a model's voxels to the patient's, above which the report says so (ours)
SWAPPED = 0.0  # skewness of the uptake below which T1w and T1w after a low dose are taken for swapped (ours)


def translate(
    patient: Patient, bundle: Bundle, options: SynthesisOptions, folder: Path, progress: Progress
) -> dict[str, Any]:
    """Write `<target>.nii.gz` and what belongs to it into `folder`; returns the provenance.

    The image lies on the grid of the T1w (of the first input where there is none), in arbitrary units from 0, exactly 0
    outside the brain. Where the patient has the real contrast, too, it is compared with. Raises BadInput.
    """
    target = bundle.description["output"]
    clock = Clock(progress)
    clock.step("model", 0.03, "Loading the model")
    model = TrainedModel.load(bundle, options.device)
    aligned = align(patient, clock)
    for sentence in (*aligned.warnings, check_doses(aligned, bundle.description["inputs"])):
        warn(patient, progress, sentence)
    clock.step("predict", 0.5, f"Synthesizing the {title_of(target)}")
    said: list[str] = []
    found = predict_patient(model, aligned, options.flips, options.uncertainty, said.append)
    for sentence in said:
        warn(patient, progress, sentence)
    clock.step("report", 0.85, "Writing image and report")
    facts = write_translation(folder, patient, model, aligned, found, options.flips)
    clock.stop()
    facts["seconds"] = clock.seconds
    write_json(folder / PROVENANCE, facts)
    return facts


def check_doses(aligned: AlignedPatient, inputs: Sequence[str]) -> str:
    """A warning where T1w before and after the low dose look swapped, else an empty string.

    An agent brightens little of the brain by much: vessels, tumours. The difference of the two images, each in SDs of
    the brain, has a tail on one side alone. Its skewness was 3.1 to 7.3 in 16 digital gliomas after a quarter of the
    dose, and 2.6 to 5.4 in three real patients after the whole. Raises BadInput where both are the same image.
    """
    if not {"t1w", "t1ce_low"} <= set(inputs):
        return ""
    inside = aligned.brain.mask.data > 0.5
    before, after = (here(aligned, name).data[inside].astype(float) for name in ("t1w", "t1ce_low"))
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
    folder: Path, patient: Patient, model: TrainedModel, aligned: AlignedPatient, found: Prediction, flips: bool
) -> dict[str, Any]:
    """Write the images and the report; returns the provenance, which comes last."""
    about, mask = model.bundle.description, aligned.brain.mask
    target, inside = about["output"], mask.data > 0.5
    made = found.mean(flips)
    image = as_image(made, inside, background_of(about["intensity"]))
    words = f"synthetic {title_of(target)}, research use only"
    words += ", simulated training" if model.bundle.simulated else ""
    write_volume(folder / f"{target}.nii.gz", image, mask.affine, words, mask.forms)
    write_volume(folder / BRAIN, inside, mask.affine, "brain mask", mask.forms)
    spread = None
    if found.has_spread:
        spread = UNITS * np.std(found.maps, axis=0, ddof=1)
        write_volume(folder / UNCERTAINTY, spread, mask.affine, "SD of " + words, mask.forms)
    lesions = None if found.lesions is None else found.lesions > HYPERINTENSE
    if lesions is not None:
        write_volume(
            folder / FOUND_LESIONS, lesions, mask.affine, "lesions found by a network, not checked", mask.forms
        )
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
            name: {"how": one.how, "moved_mm": round(one.moved_mm, 3), "matrix": np.round(one.matrix, 9).tolist()}
            for name, one in aligned.registrations.items()
        },
        "network": {"run_on": found.way, "flip_averaging": flips, "predictions": len(found.maps)},
        "compared_with_the_real_one": compare(aligned, made, about),
        "warnings": patient.anonymous_warnings(),
    }
    if lesions is not None:
        facts["found_lesions_ml"] = round(float(lesions.sum()) * mask.voxel_volume / 1000, 3)
    translation_report(patient, model, aligned, (image, lesions, spread), facts).write(folder / REPORT)
    return facts


def compare(aligned: AlignedPatient, made: np.ndarray, about: dict[str, Any]) -> dict[str, float | None] | None:
    """SSIM and MAE of the brain against the real contrast, in the network's units, of the image and, with the prefix
    `untouched_`, of the input nearest to it; None where the patient has no real one."""
    target = about["output"]
    if target not in aligned.images:
        return None
    inside, rule = aligned.brain.mask.data > 0.5, about["intensity"]
    truth, source = (apply_rule(here(aligned, name).data, inside, rule) for name in (target, nearest_input(about)))
    nothing = np.zeros(inside.shape, bool)
    found: dict[str, float | None] = {}
    for prefix, one in (("", np.where(inside, made, truth)), ("untouched_", source)):
        quality = translation_quality(truth, one, inside, nothing, SPANS[rule["rule"]])
        found |= {f"{prefix}{key}": value for key, value in quality.items() if key.endswith("_brain")}
    return found


def nearest_input(about: Mapping[str, Any]) -> str:
    """The input that a reader would take for the target."""
    near = NEAR_ENHANCED if about["output"] == "t1ce" else ()
    return next((name for name in near if name in about["inputs"]), about["inputs"][0])


def translation_report(
    patient: Patient,
    model: TrainedModel,
    aligned: AlignedPatient,
    made: tuple[np.ndarray, np.ndarray | None, np.ndarray | None],
    facts: dict[str, Any],
) -> Report:
    """The report as a self-contained page. made: image, lesions, spread."""
    about, (image, lesions, spread) = model.bundle.description, made
    name = title_of(about["output"])
    banners = [f"{SIMULATED}: the model has never seen a person."] if model.bundle.simulated else []
    if patient.simulated:
        banners.append("Simulated patient: these images were made by a phantom, not by a scanner.")
    report = Report(f"Synthetic {name}", banners)
    for warning in patient.anonymous_warnings():
        report.add_text(f"Warning: {warning}")
    compared, source = facts["compared_with_the_real_one"], nearest_input(about)
    if compared is not None:
        report.add_text(
            f"Against the real {name}: SSIM in the brain {compared['ssim_brain']:.3f}; the "
            f"{title_of(source)} taken for it has {compared['untouched_ssim_brain']:.3f}."
        )
    coarse, fine = about["grid"]["spacing_mm"], float(min(aligned.brain.mask.spacing))
    if coarse > MUCH_COARSER * fine:
        report.add_text(
            f"The model sees voxels of {coarse:g} mm, these images have {fine:.2g} mm: the synthetic image is as "
            "blurred as that, whatever it shows" + (", and its SSIM is lower for it." if compared is not None else ".")
        )
    if lesions is not None:
        report.add_text(
            f"The network marks {facts['found_lesions_ml']:.1f} ml as lesion ({FOUND_LESIONS}). Nobody has checked it."
        )
    if spread is not None:
        inside = aligned.brain.mask.data > 0.5
        share = 100 * spread[inside].mean() / max(float(image[inside].mean()), 1e-6)
        report.add_text(
            f"Uncertainty ({UNCERTAINTY}): SD over {facts['network']['predictions']} predictions, on average "
            f"{share:.1f} % of the brain's brightness. It is not calibrated: the error may be many times larger, and "
            "what no input shows a model may leave out firmly."
        )
    report.add_figure(
        slices_figure(aligned, image, lesions, about, spread),
        "Axial slices, patient's right on the left. A synthetic image shows what the network expects of a patient with "
        "these inputs: a finding in it that no input shows is no finding.",
        "Axial slices of the inputs and the synthetic image",
    )
    report.add_heading("How it was made").add_text(
        f"Model: {about['name']} ({about['system']}), trained on {about['training_data']}; run on "
        f"{facts['network']['run_on']}. Brain: {aligned.brain.how}. Weights SHA-256 {model.bundle.sha256}.\n\n"
        f"{about['intended_use']}"
    )
    return report


def slices_figure(
    aligned: AlignedPatient,
    image: np.ndarray,
    lesions: np.ndarray | None,
    about: dict[str, Any],
    spread: np.ndarray | None = None,
) -> Any:
    """Rows: inputs, synthetic image (and the real one, and the spread); columns: axial levels, evenly spread."""
    mask = aligned.brain.mask
    shape, affine = box_around(mask, SPACING_MM, 5.0)

    def cut(data: np.ndarray, interpolation: str = "linear") -> np.ndarray:
        return resample(Volume(np.asarray(data, np.float32), mask.affine), shape, affine, interpolation=interpolation)

    inside, target = cut(mask.data) > 0.5, about["output"]
    rows = [(title_of(name), cut(here(aligned, name).data)) for name in about["inputs"]]
    rows.append((f"synthetic {title_of(target)}", cut(image)))
    if target in aligned.images:
        rows.append((f"real {title_of(target)}", cut(here(aligned, target).data)))
    if spread is not None:
        rows.append((SPREAD, cut(spread)))
    marked = None if lesions is None else cut(lesions, "nearest") > 0.5
    occupied = np.flatnonzero(inside.any(axis=(0, 1)))
    levels = np.linspace(occupied[0], occupied[-1], COLUMNS + 2)[1:-1].astype(int)
    height = 9.6 * len(rows) / COLUMNS * shape[1] / shape[0]
    figure, axes = new_figure(11.0, height + 0.4, nrows=len(rows), ncols=COLUMNS)
    for row, (title, data) in enumerate(rows):
        low, high = np.percentile(data[inside], [0.5, 99.5])
        colours = "inferno" if title == SPREAD else "gray"
        for axis, level in zip(axes[row], levels):
            axis.imshow(data[::-1, :, level].T, origin="lower", cmap=colours, vmin=min(low, 0), vmax=max(high, 1e-6))
            if marked is not None and marked[:, :, level].any():
                axis.contour(marked[::-1, :, level].T, levels=[0.5], colors="#ff3df2", linewidths=0.7)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        axes[row, 0].set_ylabel(title, fontsize=10)
    return figure
