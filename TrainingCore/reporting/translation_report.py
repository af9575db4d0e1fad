"""Report of a synthetic MRI contrast: figures, warnings and methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import SIMULATED
from ..data.case import title_of
from ..data.result import FOUND_LESIONS, UNCERTAINTY
from ..evaluation.tasks import NEAR_ENHANCED
from ..imaging.aligned import AlignedPatient
from ..imaging.bias import box_around
from ..imaging.volumes import Volume, resample
from .document import SIMULATED_PATIENT, Report
from .figures import new_figure

if TYPE_CHECKING:
    from ..patient.inputs import PatientImages
    from ..prediction.model import TrainedModel

COLUMNS, SPACING_MM = 5, 1.0
SPREAD = "uncertainty (SD)"
MUCH_COARSER = 1.1  # ratio of the model's voxel size to the patient's above which the report warns (ours)


def nearest_input(about: Mapping[str, Any]) -> str:
    """Choose the input that is most similar to the target, as baseline of the comparison.

    Args:
        about: description of the bundle.

    Returns:
        Name of the input.
    """
    near = NEAR_ENHANCED if about["output"] == "t1ce" else ()
    return next((name for name in near if name in about["inputs"]), about["inputs"][0])


def translation_report(
    patient: PatientImages,
    model: TrainedModel,
    aligned: AlignedPatient,
    outputs: tuple[np.ndarray, np.ndarray | None, np.ndarray | None],
    facts: dict[str, Any],
) -> Report:
    """Build the report of a synthetic MRI contrast.

    Args:
        patient: input images.
        model: model that synthesized the image.
        aligned: images aligned with the reference.
        outputs: synthetic image, lesion mask or None, SD map or None.
        facts: content of provenance.json.

    Returns:
        The report, to be written as HTML.
    """
    about, (image, lesions, spread) = model.bundle.description, outputs
    banners = [f"{SIMULATED}: the model was not trained on images of people."] if model.bundle.simulated else []
    if patient.simulated:
        banners.append(SIMULATED_PATIENT)
    report = Report(f"Synthetic {title_of(about['output'])}", banners)
    for warning in patient.anonymous_warnings():
        report.add_text(f"Warning: {warning}")
    for paragraph in _findings(about, aligned, outputs, facts):
        report.add_text(paragraph)
    report.add_figure(
        _translation_slices_figure(aligned, image, lesions, about, spread),
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


def _findings(
    about: Mapping[str, Any],
    aligned: AlignedPatient,
    outputs: tuple[np.ndarray, np.ndarray | None, np.ndarray | None],
    facts: Mapping[str, Any],
) -> Iterator[str]:
    """Paragraphs about agreement with the real contrast, resolution, lesions and uncertainty."""
    image, lesions, spread = outputs
    name, compared, source = title_of(about["output"]), facts["compared_with_the_real_one"], nearest_input(about)
    if compared is not None:
        yield (
            f"SSIM with the real {name} in the brain: {compared['ssim_brain']:.3f} for the synthetic image, "
            f"{compared['untouched_ssim_brain']:.3f} for the unchanged {title_of(source)}."
        )
    coarse, fine = about["grid"]["spacing_mm"], float(min(aligned.brain.mask.spacing))
    if coarse > MUCH_COARSER * fine:
        yield (
            f"The model works on voxels of {coarse:g} mm, these images have {fine:.2g} mm, so the synthetic image is "
            "blurred" + (" and its SSIM reduced." if compared is not None else ".")
        )
    if lesions is not None:
        yield (
            f"The network segmented {facts['found_lesions_ml']:.1f} ml as lesion ({FOUND_LESIONS}). The segmentation "
            "has not been reviewed."
        )
    if spread is not None:
        inside = aligned.brain.mask.data > 0.5
        share = 100 * spread[inside].mean() / max(float(image[inside].mean()), 1e-6)
        yield (
            f"Uncertainty ({UNCERTAINTY}): SD over {facts['network']['predictions']} predictions, on average "
            f"{share:.1f} % of the mean brain intensity. It is not calibrated: the error may be many times larger, and "
            "a model may miss structures that no input shows without a high uncertainty."
        )


def _translation_slices_figure(
    aligned: AlignedPatient,
    image: np.ndarray,
    lesions: np.ndarray | None,
    about: dict[str, Any],
    spread: np.ndarray | None = None,
) -> Any:
    """Draw inputs, synthetic image (and the real one, and the spread) in rows; columns are evenly spaced levels."""
    mask = aligned.brain.mask
    shape, affine = box_around(mask, SPACING_MM, 5.0)

    def cut(data: np.ndarray, interpolation: str = "linear") -> np.ndarray:
        return resample(Volume(np.asarray(data, np.float32), mask.affine), shape, affine, interpolation=interpolation)

    inside, target = cut(mask.data) > 0.5, about["output"]
    rows = [(title_of(name), cut(aligned.on_reference_grid(name).data)) for name in about["inputs"]]
    rows.append((f"synthetic {title_of(target)}", cut(image)))
    if target in aligned.images:
        rows.append((f"real {title_of(target)}", cut(aligned.on_reference_grid(target).data)))
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
