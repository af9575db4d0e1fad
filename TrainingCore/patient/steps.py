"""From a patient's images to the files of a Result, one step after the other."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.bundle import Bundle
from ..evaluation.calibration import expected_error, spread_by_label
from ..evaluation.conformal import interval_of, intervals_of_bundle
from ..evaluation.lesions import demyelination_limit, lesion_table
from ..evaluation.plausibility import Finding, plausibility
from ..imaging.aligned import AlignedPatient
from ..imaging.brain_mask import Brain
from ..imaging.checks import dvr_on_grid, lesions_on_grid
from ..imaging.label_maps import tissues_from_label_map
from ..imaging.labelling import label_lesions
from ..imaging.regions import Places, align_to_atlas, find_places, lesion_regions
from ..imaging.registration import Registration
from ..imaging.sides import check_side
from ..imaging.tissues import normal_appearing_white_matter, segment_tissues
from ..imaging.volumes import Volume, resample, same_grid
from ..imaging.working_grid import mask_on_own_grid
from ..prediction.completion import complete, in_words
from ..prediction.model import TrainedModel
from ..prediction.uncertainty import fitted_errors
from ..prediction.volume import Prediction, predict_patient
from ..runtime.cli import Progress
from ..runtime.errors import MyelinSynthError
from .inputs import Patient
from .options import SynthesisOptions
from .outputs import write_result
from .own_grid import OwnGrid
from .preparation import align_patient, lesions_where_drawn

ALIGNED = {"brain": 0.08, "register": 0.18, "bias": 0.42}  # share of the whole when a step begins
NO_FLAIR = Registration(np.eye(4), "no FLAIR was given", 0.0, 0.0)


@dataclass
class Findings:
    """What was found about one patient. All volumes but those of `patient` lie on the T1w's grid.

    t1w, flair: bias-corrected; brain and how it was found; registration; dvr: synthetic, unitless, 0 outside the brain;
    uncertainty: its SD over variants of the inputs, or the error to be expected of that, or None; lesions, measured: as
    given, on this grid, or None; tissues: masks; labels, rows: see evaluation.lesions; limit: DVR below which a voxel
    counts as demyelinated; way: how the network was run, predictions: how often; seconds: by step; own: what is written
    on the T1w's own grid where that is finer than 0.67 mm: the volumes here then lie on a grid of about 1 mm;
    plausibility: the map beside published findings.
    """

    patient: Patient
    bundle: Bundle
    t1w: Volume
    flair: Volume | None
    brain: Brain
    registration: Registration
    dvr: np.ndarray
    uncertainty: np.ndarray | None
    lesions: Volume | None
    measured: Volume | None
    tissues: dict[str, np.ndarray]
    labels: np.ndarray
    rows: list[dict[str, Any]]
    limit: float | None
    way: str
    flips: bool
    predictions: int
    seconds: dict[str, float] = field(default_factory=dict)
    own: OwnGrid | None = None
    plausibility: list[Finding] = field(default_factory=list)


class Clock:
    """Reports each step and remembers how long it took."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}
        self._step, self._since = "", time.monotonic()

    def step(self, name: str, fraction: float, message: str) -> None:
        """Begin a step, ending the one before."""
        self.stop()
        self._step = name
        self.progress.report(name, fraction, message)

    def stop(self) -> None:
        """End the step under way."""
        if self._step:
            self.seconds[self._step] = round(time.monotonic() - self._since, 2)
        self._step, self._since = "", time.monotonic()


def synthesize(
    patient: Patient, bundle: Bundle, options: SynthesisOptions, folder: Path, progress: Progress
) -> Findings:
    """Do every step and write the Result's files into `folder`."""

    clock = Clock(progress)
    clock.step("model", 0.03, "Loading the model")
    model = TrainedModel.load(bundle, options.device)
    aligned = align(patient, clock)
    lesions, measured = _on_t1w_grid(patient, aligned, progress)
    own = _own_grid(patient, aligned, lesions, measured)
    if own is not None:
        lesions, measured = own.on_working_grid(patient.images["t1w"])
    if lesions is not None and "flair" in aligned.images:
        warn(
            patient, progress, check_side(lesions, aligned.images["flair"], aligned.brain.mask, aligned.matrix("flair"))
        )
    if options.complete_with is not None:
        clock.step("complete", 0.46, "Making what is missing")
        completing = TrainedModel.load(Bundle.open(options.complete_with), options.device)
        lesions = fill_gaps(patient, aligned, lesions, completing, progress)
        if own is not None and own.lesions is None and lesions is not None:
            own.lesions = mask_on_own_grid(lesions.data > 0.5, lesions.affine, own.brain)
    for sentence in aligned.warnings:
        warn(patient, progress, sentence)
    brain, registration = aligned.brain, aligned.registrations.get("flair", NO_FLAIR)

    clock.step("predict", 0.5, "Synthesizing the myelin map")
    said: list[str] = []
    found = predict_patient(model, aligned, options.flips, options.uncertainty, said.append)
    for sentence in said:
        warn(patient, progress, sentence)
    dvr = found.mean(options.flips)

    clock.step("lesions", 0.75, "Measuring lesions")
    t1w = aligned.images["t1w"]
    flair = here(aligned, "flair") if "flair" in aligned.images else None
    tissues = _tissues(t1w, flair, brain, lesions, patient, progress)
    labels, rows, limit = _lesion_rows(dvr, lesions, measured, tissues, t1w)
    fitted = fitted_errors(bundle.description, len(found.maps)) or {}
    uncertainty = _voxel_uncertainty(found, brain, fitted.get("voxels")) if found.has_spread else None
    if own is not None:
        rows, labels, limit = own.finish(brain.mask, dvr, uncertainty, tissues["nawm"])
    if found.has_spread and rows:
        expected = expected_error(spread_by_label(found.maps, labels), fitted.get("lesions"))
        rows = [row | {"uncertainty": float(expected[row["id"]])} for row in rows]
    intervals = intervals_of_bundle(bundle.description)
    rows = [row | interval_of(intervals, row["volume_mm3"], row["mean_dvr"]) for row in rows]
    places = _places(t1w, brain, tissues, patient, progress) if rows else None
    if places is not None:
        regions = lesion_regions(labels, places, tuple(t1w.spacing))
        rows = [row | {"region": regions[row["id"] - 1]} for row in rows]
    ventricles = None if places is None else places.ventricles
    findings = Findings(
        patient=patient,
        bundle=bundle,
        t1w=t1w,
        flair=flair,
        brain=brain,
        registration=registration,
        dvr=dvr,
        uncertainty=uncertainty,
        lesions=lesions,
        measured=measured,
        tissues=tissues,
        labels=labels,
        rows=rows,
        limit=limit,
        way=found.way,
        flips=options.flips,
        predictions=len(found.maps),
        own=own,
        plausibility=plausibility(dvr, labels, tissues, t1w.affine, t1w.data, ventricles),
    )
    clock.step("report", 0.85, "Writing map, table and report")
    findings.seconds = clock.seconds
    write_result(folder, findings)
    clock.stop()
    return findings


def _voxel_uncertainty(found: Prediction, brain: Brain, fitted: dict[str, float] | None) -> np.ndarray:
    spread = np.std(found.maps, axis=0, ddof=1)
    return np.where(brain.mask.data > 0.5, expected_error(spread, fitted), 0).astype(np.float32)


def align(patient: Patient, clock: Clock) -> AlignedPatient:
    """Bring the patient's images together, reporting each step."""
    return align_patient(
        patient.images,
        patient.brain,
        patient.transforms,
        lambda step, message: clock.step(step, ALIGNED[step], message),
        patient.reference,
    )


def fill_gaps(
    patient: Patient,
    aligned: AlignedPatient,
    lesions: Volume | None,
    model: TrainedModel,
    progress: Progress,
) -> Volume | None:
    """Let a model fill in what is missing, with a warning; returns the lesion mask there is now."""
    made, found = complete(model, aligned, lesions is None, lambda words: warn(patient, progress, words))
    patient.made += made
    if made:
        patient.facts["completed_with"] = {
            "name": model.bundle.description["name"],
            "weights_sha256": model.bundle.sha256,
            "simulated_training_data": model.bundle.simulated,
            "performance": model.bundle.description["performance"],
        }
    warn(patient, progress, in_words(made, model.bundle))
    return lesions if lesions is not None else found


def here(aligned: AlignedPatient, name: str) -> Volume:
    """An aligned image on the grid of the reference, whose name is that of the brain mask's image."""
    image, matrix, mask = aligned.images[name], aligned.matrix(name), aligned.brain.mask
    if same_grid(mask, image) and np.array_equal(matrix, np.eye(4)):
        return image
    return Volume(resample(image, mask.data.shape, mask.affine, matrix), mask.affine, image.name)


def warn(patient: Patient, progress: Progress, sentence: str) -> None:
    """Say a warning, if there is one, and keep it for the report."""
    if sentence:
        patient.warnings.append(sentence)
        progress.say(f"Warning: {sentence}")


def _on_t1w_grid(patient: Patient, aligned: AlignedPatient, progress: Progress) -> tuple[Volume | None, Volume | None]:
    lesions, measured, brain = patient.lesions, patient.dvr, aligned.brain.mask
    t1w = patient.own_grids[patient.reference]
    if patient.grids.get(patient.reference) is not None:
        brain = mask_on_own_grid(brain.data > 0.5, brain.affine, t1w)
    if lesions is not None:
        drawn, notes = lesions_where_drawn(lesions, aligned, patient.own_grids, patient.reference)
        lesions, warnings = lesions_on_grid(drawn, t1w, brain)
        for warning in (*notes, *warnings):
            warn(patient, progress, warning)
    if measured is not None:
        measured, warnings = dvr_on_grid(measured, t1w, brain)
        for warning in warnings:
            warn(patient, progress, warning)
    return lesions, measured


def _own_grid(
    patient: Patient, aligned: AlignedPatient, lesions: Volume | None, measured: Volume | None
) -> OwnGrid | None:
    """What to write on the T1w's own grid, or None where the steps work on that."""
    grid, mask = patient.grids.get(patient.reference), aligned.brain.mask
    return None if grid is None else OwnGrid(mask_on_own_grid(mask.data > 0.5, mask.affine, grid), lesions, measured)


def _tissues(
    t1w: Volume, flair: Volume | None, brain: Brain, lesions: Volume | None, patient: Patient, progress: Progress
) -> dict[str, np.ndarray]:
    marked, spacing = None if lesions is None else lesions.data > 0.5, tuple(t1w.spacing)
    if patient.label_map is not None:
        return tissues_from_label_map(patient.label_map, t1w, marked, brain.mask.data > 0.5)
    try:
        tissues = segment_tissues(
            t1w.data, None if flair is None else flair.data, brain.mask.data > 0.5, marked, spacing
        )
        return tissues | {"nawm": normal_appearing_white_matter(tissues["white_matter"], marked, spacing)}
    except ValueError as error:
        warn(patient, progress, f"Tissues could not be found ({error}); ratios to NAWM are missing.")
        return {name: np.zeros(t1w.data.shape, bool) for name in ("white_matter", "grey_matter", "csf", "nawm")}


def _places(
    t1w: Volume, brain: Brain, tissues: dict[str, np.ndarray], patient: Patient, progress: Progress
) -> Places | None:
    """Ventricles, cortex and what lies below the tentorium, or None with a warning where the atlas does not fit."""
    try:
        return find_places(t1w, brain.mask, tissues, align_to_atlas(t1w, brain.mask))
    except MyelinSynthError:
        warn(patient, progress, "The brain does not fit the atlas, so the regions of the lesions are missing.")
        return None


def _lesion_rows(
    dvr: np.ndarray, lesions: Volume | None, measured: Volume | None, tissues: dict[str, np.ndarray], t1w: Volume
) -> tuple[np.ndarray, list[dict[str, Any]], float | None]:
    nawm = tissues["nawm"]
    limit = demyelination_limit(dvr, nawm)
    if lesions is None:
        return np.zeros(dvr.shape, np.int32), [], limit
    labels, _ = label_lesions(lesions.data, t1w.voxel_volume)
    return labels, lesion_table(labels, dvr, nawm, t1w.affine, None if measured is None else measured.data), limit
