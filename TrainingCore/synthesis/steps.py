"""From a patient's images to the files of a Result, one step after the other."""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from ..bundle import Bundle
from ..cli import Progress
from ..errors import BadInput, MyelinSynthError
from ..evaluation.lesions import demyelination_limit, label_lesions, lesion_table
from ..imaging.brain_mask import Brain
from ..imaging.checks import dvr_on_grid, lesions_on_grid
from ..imaging.grid import Grid, brain_grid
from ..imaging.patient_preparation import align_patient
from ..imaging.preparation import prepare_case
from ..imaging.regions import align_to_atlas, find_places, lesion_regions
from ..imaging.registration import Registration
from ..imaging.tissues import normal_appearing_white_matter, segment_tissues
from ..imaging.volumes import Volume, resample, same_grid
from .inference import predict_maps
from .outputs import write_result
from .patient import Patient
from .uncertainty import spread_by_label, variants

ALIGNED = {"brain": 0.08, "register": 0.18, "bias": 0.42}  # share of the whole when a step begins


@dataclass
class Findings:
    """What was found about one patient. All volumes but `patient.flair` lie on the T1w's grid.

    t1w, flair: bias-corrected; brain and how it was found; registration; dvr: synthetic, unitless, 0 outside the brain;
    uncertainty: its SD over variants of the inputs, or None; lesions, measured: as given, on this grid, or None;
    tissues: masks; labels, rows: see evaluation.lesions; limit: DVR below which a voxel counts as demyelinated; way:
    how the network was run, predictions: how often; seconds: by step.
    """

    patient: Patient
    bundle: Bundle
    t1w: Volume
    flair: Volume
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


class Clock:
    """Reports each step and remembers how long it took."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.seconds = progress, {}
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
    patient: Patient, bundle: Bundle, options: argparse.Namespace, folder: Path, progress: Progress
) -> Findings:
    """Do every step and write the Result's files into `folder`."""
    from ..training.processes import choose_device

    clock = Clock(progress)
    clock.step("model", 0.03, "Loading the model")
    device = choose_device(options.device)
    systems = {device: bundle.load_system(device)}

    given = {} if patient.flair_to_t1 is None else {"flair": patient.flair_to_t1}
    images = {"t1w": patient.t1w, "flair": patient.flair}
    aligned = align_patient(
        images, patient.brain, given, lambda step, message: clock.step(step, ALIGNED[step], message)
    )
    for sentence in aligned.warnings:
        _warn(patient, progress, sentence)
    brain, registration = aligned.brain, aligned.registrations["flair"]
    t1w, flair = aligned.images["t1w"], aligned.images["flair"]
    lesions, measured = _on_t1w_grid(patient, brain, progress)

    clock.step("predict", 0.5, "Synthesizing the myelin map")
    said: list[str] = []

    def load(where: Any) -> Any:
        return systems[where] if where in systems else bundle.load_system(where)

    maps, members, way = _predict(t1w, flair, brain, registration, bundle, load, device, options, said)
    for sentence in said:
        _warn(patient, progress, sentence)
    asked = slice(0, members * (2 if options.flips else 1))  # the map is of the head as it is, and as in a mirror
    dvr = np.mean(maps[asked], axis=0)

    clock.step("lesions", 0.75, "Measuring lesions")
    flair_here = _on_grid_of(t1w, flair, registration.matrix)
    tissues = _tissues(t1w, flair_here, brain, lesions, patient, progress)
    labels, rows, limit = _lesion_rows(dvr, lesions, measured, tissues, t1w)
    if len(maps) > 2 and rows:
        spread = spread_by_label(maps, labels)
        rows = [row | {"uncertainty": float(spread[row["id"]])} for row in rows]
    rows = _with_regions(rows, labels, t1w, brain, tissues, patient, progress)
    findings = Findings(
        patient=patient,
        bundle=bundle,
        t1w=t1w,
        flair=flair_here,
        brain=brain,
        registration=registration,
        dvr=dvr,
        uncertainty=np.std(maps, axis=0, ddof=1) if len(maps) > 2 else None,
        lesions=lesions,
        measured=measured,
        tissues=tissues,
        labels=labels,
        rows=rows,
        limit=limit,
        way=way,
        flips=options.flips,
        predictions=len(maps),
    )
    clock.step("report", 0.85, "Writing map, table and report")
    findings.seconds = clock.seconds
    write_result(folder, findings)
    clock.stop()
    return findings


def _on_grid_of(t1w: Volume, flair: Volume, matrix: np.ndarray) -> Volume:
    if same_grid(t1w, flair) and np.array_equal(matrix, np.eye(4)):
        return flair
    return Volume(resample(flair, t1w.data.shape, t1w.affine, matrix), t1w.affine, flair.name)


def _warn(patient: Patient, progress: Progress, sentence: str) -> None:
    if sentence:
        patient.warnings.append(sentence)
        progress.say(f"Warning: {sentence}")


def _on_t1w_grid(patient: Patient, brain: Brain, progress: Progress) -> tuple[Volume | None, Volume | None]:
    lesions, measured = patient.lesions, patient.dvr
    if lesions is not None:
        lesions, warnings = lesions_on_grid(lesions, patient.t1w, brain.mask)
        for warning in warnings:
            _warn(patient, progress, warning)
    if measured is not None:
        measured, warnings = dvr_on_grid(measured, patient.t1w, brain.mask)
        for warning in warnings:
            _warn(patient, progress, warning)
    return lesions, measured


def _predict(
    t1w: Volume,
    flair: Volume,
    brain: Brain,
    registration: Registration,
    bundle: Bundle,
    load: Any,
    device: Any,
    options: argparse.Namespace,
    said: list[str],
) -> tuple[list[np.ndarray], int, str]:
    """Maps on the T1w's grid, of every member of the model: of the head as it is, then of the variants that flips and
    uncertainty ask for; the number of members; how they were made."""
    about = bundle.description
    inside = brain.mask.data > 0.5
    try:
        grid = brain_grid(inside, brain.mask.affine, tuple(about["grid"]["shape"]), about["grid"]["spacing_mm"])
        case = prepare_case(t1w, flair, brain.mask, grid, about["intensity"], registration.matrix)
    except ValueError as error:
        raise BadInput(f"{t1w.name} and {flair.name} cannot be prepared for the model: {error}.") from error
    inputs = np.stack([case.volumes[name] for name in about["inputs"]]).astype(np.float32)
    inside = case.volumes["brain"]
    wanted = None if options.uncertainty else 2 if options.flips else 1
    given = itertools.islice(variants(inputs, inside), wanted)
    found, way = predict_maps(load, given, device, said.append)
    maps = [one for members in found for one in members]
    return maps_to_t1w(maps, inside, grid, brain.mask), len(found[0]), way


def maps_to_t1w(found: list[np.ndarray], inside: np.ndarray, grid: Grid, brain: Volume) -> list[np.ndarray]:
    """Maps of the model's grid on the T1w's own grid, float32, exactly 0 outside the brain.

    found, inside: (I, J, K) predictions and brain mask on `grid`; brain: mask on the T1w's grid. What a network says
    outside the brain means nothing, so the brain's edge is extended outwards before the linear interpolation.
    """
    nearest = tuple(ndimage.distance_transform_edt(~inside, return_distances=False, return_indices=True))
    maps = []
    for one in found:
        extended = Volume(one[nearest], grid.affine)
        if grid.same_as(brain.data.shape, brain.affine):
            values = extended.data
        else:
            values = resample(extended, brain.data.shape, brain.affine)
        maps.append(np.where(brain.data > 0.5, values, 0).astype(np.float32))
    return maps


def _tissues(
    t1w: Volume, flair: Volume, brain: Brain, lesions: Volume | None, patient: Patient, progress: Progress
) -> dict[str, np.ndarray]:
    marked, spacing = None if lesions is None else lesions.data > 0.5, tuple(t1w.spacing)
    try:
        tissues = segment_tissues(t1w.data, flair.data, brain.mask.data > 0.5, marked, spacing)
        return tissues | {"nawm": normal_appearing_white_matter(tissues["white_matter"], marked, spacing)}
    except ValueError as error:
        _warn(patient, progress, f"Tissues could not be found ({error}); ratios to NAWM are missing.")
        return {name: np.zeros(t1w.data.shape, bool) for name in ("white_matter", "grey_matter", "csf", "nawm")}


def _with_regions(
    rows: list[dict[str, Any]],
    labels: np.ndarray,
    t1w: Volume,
    brain: Brain,
    tissues: dict[str, np.ndarray],
    patient: Patient,
    progress: Progress,
) -> list[dict[str, Any]]:
    if not rows:
        return rows
    try:
        places = find_places(t1w, brain.mask, tissues, align_to_atlas(t1w, brain.mask))
    except MyelinSynthError:
        _warn(patient, progress, "The brain does not fit the atlas, so the regions of the lesions are missing.")
        return rows
    regions = lesion_regions(labels, places, tuple(t1w.spacing))
    return [row | {"region": regions[row["id"] - 1]} for row in rows]


def _lesion_rows(
    dvr: np.ndarray, lesions: Volume | None, measured: Volume | None, tissues: dict[str, np.ndarray], t1w: Volume
) -> tuple[np.ndarray, list[dict[str, Any]], float | None]:
    nawm = tissues["nawm"]
    limit = demyelination_limit(dvr, nawm)
    if lesions is None:
        return np.zeros(dvr.shape, np.int32), [], limit
    labels, _ = label_lesions(lesions.data, t1w.voxel_volume)
    return labels, lesion_table(labels, dvr, nawm, t1w.affine, None if measured is None else measured.data), limit
