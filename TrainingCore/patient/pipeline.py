"""Prepare one patient for a model: read the images, align them, put lesions and tissues on one grid.

    patient = read_patient({"t1w": t1, "flair": flair}, bundle)
    prepared = prepare_patient(patient, clock := Clock(progress))
    findings = synthesize_prepared(prepared, TrainedModel.load(bundle), clock)

A prepared patient can be used with several models, and a loaded model with several patients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ..data.bundle import Bundle
from ..evaluation.segmentation import lesion_threshold, smallest_lesion
from ..imaging.aligned import AlignedPatient
from ..imaging.brain_mask import Brain
from ..imaging.checks import dvr_on_grid, lesions_on_grid
from ..imaging.sides import check_side
from ..imaging.volumes import Volume
from ..imaging.working_grid import mask_on_own_grid
from ..prediction.completion import complete, describe_completion
from ..prediction.model import TrainedModel
from .clock import Clock
from .inputs import PatientImages
from .own_grid import OwnGrid
from .preparation import align_patient, lesions_where_drawn
from .tissues import TISSUES, tissue_masks

ALIGNED = {"brain": 0.08, "register": 0.18, "bias": 0.42}  # progress of the command when a step starts
GIVEN, FOUND, NONE = "given", "found", "none"  # where a lesion mask comes from


class FoundLesions(NamedTuple):
    """An automatic lesion segmentation.

    Attributes:
        mask: 0/1 on the reference grid.
        probability: float (I, J, K) on the reference grid, or None.
        about: the model, see `describe_finder`.
    """

    mask: Volume
    probability: np.ndarray | None
    about: dict[str, Any]


LesionFinder = Callable[[AlignedPatient], FoundLesions]


@dataclass
class PreparedPatient:
    """A patient ready for a model. All arrays are on the grid of the reference image (the T1w for a myelin map).

    Attributes:
        patient: input images, with warnings and facts for the provenance.
        aligned: MRI by name, brain mask, registrations.
        lesions: 0/1 mask or None.
        lesion_source: `given`, `found` (by a network) or `none`.
        lesion_probability: (I, J, K) if a network segmented the lesions, else None.
        measured: measured DVR or None.
        tissues: bool masks by name; empty masks if they cannot be computed.
        own: arrays on the original grid of the T1w, if that is finer than 0.67 mm.
    """

    patient: PatientImages
    aligned: AlignedPatient
    lesions: Volume | None = None
    lesion_source: str = NONE
    lesion_probability: np.ndarray | None = None
    measured: Volume | None = None
    tissues: dict[str, np.ndarray] = field(default_factory=dict)
    own: OwnGrid | None = None

    @property
    def brain(self) -> Brain:
        """Brain mask on the reference's grid, and how it was computed."""
        return self.aligned.brain

    @property
    def reference(self) -> Volume:
        """The reference image, bias-corrected; all arrays are on its grid."""
        return self.aligned.images[self.patient.reference]

    def image(self, name: str) -> Volume | None:
        """Return a bias-corrected MRI contrast on the reference grid.

        Args:
            name: volume name.

        Returns:
            The image, or None if the patient has no such image.
        """
        return self.aligned.on_reference_grid(name) if name in self.aligned.images else None


def prepare_patient(
    patient: PatientImages,
    clock: Clock,
    complete_with: str | None = None,
    device: str = "auto",
    find_lesions: LesionFinder | None = None,
    measures_lesions: bool = True,
) -> PreparedPatient:
    """Align the images of a patient and put lesions, measured map and tissues on one grid.

    Args:
        patient: from `read_patient`; warnings and facts are added to it.
        clock: reports steps and warnings.
        complete_with: bundle of a model that fills in a missing FLAIR or lesion mask.
        device: device of that model.
        find_lesions: segments lesions in the aligned patient if no lesion mask is given.
        measures_lesions: False skips lesions, measured map and tissues, which are not needed for an MRI contrast.

    Returns:
        The prepared patient.

    Raises:
        BadInput: an image cannot be used.
        MyelinSynthError: a step failed.
    """
    aligned = align_patient(
        patient.images,
        patient.brain,
        patient.transforms,
        lambda step, message: clock.step(step, ALIGNED[step], message),
        patient.reference,
    )
    prepared = PreparedPatient(patient, aligned)
    if measures_lesions:
        _put_masks_on_grid(prepared, clock)
        _find_lesions(prepared, clock, (complete_with, device), find_lesions)
    for sentence in aligned.warnings:
        clock.warn(patient, sentence)
    if measures_lesions:
        _add_tissues(prepared, clock)
    return prepared


def _put_masks_on_grid(prepared: PreparedPatient, clock: Clock) -> None:
    """Put the given lesion mask and measured map on the reference grid, and on the original grid if it is finer."""
    patient, aligned, drawn = prepared.patient, prepared.aligned, None
    t1w, brain = patient.own_grids[patient.reference], aligned.brain.mask
    fine = patient.grids.get(patient.reference) is not None
    if fine:
        brain = mask_on_own_grid(brain.data > 0.5, brain.affine, t1w)
    if patient.lesions is not None:
        drawn, notes = lesions_where_drawn(
            patient.lesions, aligned, patient.own_grids, patient.reference, patient.lesion_space
        )
        prepared.lesions, warnings = lesions_on_grid(drawn, t1w, brain)
        prepared.lesion_source = GIVEN
        clock.warn(patient, *notes, *warnings)
    if patient.dvr is not None:
        prepared.measured, warnings = dvr_on_grid(patient.dvr, t1w, brain)
        clock.warn(patient, *warnings)
    if fine:
        prepared.own = OwnGrid(brain, prepared.lesions, prepared.measured)
        prepared.lesions, prepared.measured = prepared.own.on_working_grid(patient.images[patient.reference])
    if prepared.lesions is not None and "flair" in aligned.images:
        flair = aligned.images["flair"]
        clock.warn(patient, check_side(prepared.lesions, flair, aligned.brain.mask, aligned.matrix("flair"), drawn))


def _find_lesions(
    prepared: PreparedPatient, clock: Clock, completing: tuple[str | None, str], find_lesions: LesionFinder | None
) -> None:
    """Segment lesions automatically if no mask was given, with the completing model or else the lesion finder."""
    patient, aligned = prepared.patient, prepared.aligned
    automatic = None
    complete_with, device = completing
    if complete_with is not None:
        clock.step("complete", 0.46, "Filling in missing inputs")
        automatic = _fill_gaps(prepared, clock, TrainedModel.load(Bundle.open(complete_with), device))
    if prepared.lesions is None and automatic is None and find_lesions is not None:
        clock.step("find_lesions", 0.47, "Finding lesions")
        automatic = find_lesions(aligned)
        patient.generated.append("lesions")
        patient.facts["lesions_found_by"] = automatic.about
        clock.warn(patient, f"Lesions were segmented automatically ({automatic.about['name']}). Review them.")
    if prepared.lesions is not None or automatic is None:
        return
    prepared.lesions, prepared.lesion_probability, prepared.lesion_source = automatic.mask, automatic.probability, FOUND
    if prepared.own is not None:
        mask = prepared.lesions
        prepared.own.lesions = mask_on_own_grid(mask.data > 0.5, mask.affine, prepared.own.brain)


def describe_finder(bundle: Bundle) -> dict[str, Any]:
    """Describe a model that segments lesions for the provenance.

    Args:
        bundle: the model.

    Returns:
        JSON: name, hash, performance, and the threshold at which lesions that are added later are grown.
    """
    description = bundle.description
    return {
        "name": description["name"],
        "weights_sha256": bundle.sha256,
        "simulated_training_data": bundle.simulated,
        "performance": description["performance"],
        "lesion_threshold": lesion_threshold(description),
        "smallest_lesion_mm3": smallest_lesion(description),
    }


def _fill_gaps(prepared: PreparedPatient, clock: Clock, model: TrainedModel) -> FoundLesions | None:
    patient = prepared.patient
    filled_in, mask, probability = complete(
        model, prepared.aligned, prepared.lesions is None, lambda message: clock.warn(patient, message)
    )
    patient.generated += filled_in
    about = describe_finder(model.bundle)
    if filled_in:
        patient.facts["completed_with"] = about
    clock.warn(patient, describe_completion(filled_in, model.bundle))
    return None if mask is None else FoundLesions(mask, probability, about)


def _add_tissues(prepared: PreparedPatient, clock: Clock) -> None:
    patient, shape = prepared.patient, prepared.reference.data.shape
    marked = None if prepared.lesions is None else prepared.lesions.data > 0.5
    clock.step("tissues", 0.48, "Segmenting tissues")
    try:
        prepared.tissues = tissue_masks(prepared.aligned, patient.reference, marked, patient.label_map)
    except ValueError as error:
        clock.warn(patient, f"Tissues could not be segmented ({error}); ratios to NAWM are missing.")
        prepared.tissues = {name: np.zeros(shape, bool) for name in (*TISSUES, "nawm")}
