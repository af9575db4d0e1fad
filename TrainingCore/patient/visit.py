"""One visit from files to a Result: read, register, segment, predict, measure lesions, write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from ..data.bundle import Bundle
from ..data.result import DICOM, PROVENANCE, VIEWER, Result
from ..runtime.cli import Progress
from ..runtime.errors import BadInput
from ..runtime.files import atomic_folder
from ..runtime.signature import ProgressMode
from .options import SynthesisOptions

if TYPE_CHECKING:
    import numpy as np

    from ..prediction.model import TrainedModel
    from ..reporting.dicom.reference import Reference
    from .clock import Clock
    from .inputs import PatientImages
    from .pipeline import LesionFinder, PreparedPatient
    from .synthesis import Findings

TASKS = {"myelin": "dvr", "flair": "flair", "t1": "t1w", "t1ce": "t1ce"}
Value = TypeVar("Value")


def synthesize_visit(
    options: SynthesisOptions,
    out: Path,
    progress: ProgressMode | Literal["silent"] = "bar",
    viewer: bool = False,
    without_dicom: Callable[[str], None] | None = None,
) -> Result | Path:
    """Run the whole pipeline for one visit: read, register, segment, predict, measure lesions, write the Result.

    Args:
        options: input files, model and settings.
        out: result folder, replaced atomically.
        progress: how to show progress; silent shows no warnings either (they are in the provenance).
        viewer: whether to write viewer.html as well.
        without_dicom: receives the reason if DICOM cannot be written, and the Result is written without it; None to
            raise BadInput instead.

    Returns:
        The Result of a myelin map, or `out` for a model that synthesizes an MRI contrast.

    Raises:
        BadInput: a file is missing or unusable, or the model cannot be used for the task.
    """
    from .clock import Clock
    from .inputs import read_patient
    from .leftovers import claim, remove_leftovers

    bundle = Bundle.open(options.model)
    _check_task(options, bundle)
    myelin = bundle.description["output"] == "dvr"
    reference = None
    if options.dicom:
        from ..reporting.dicom import visit

        series = options.images.get("t1w"), options.dicom_reference
        reference = _or_report(without_dicom, lambda: visit.reference_of_visit(*series))
    with Progress(progress, "MyelinSynth") as reporter:
        clock = Clock(reporter)
        remove_leftovers(out)
        with atomic_folder(out, PROVENANCE) as folder, claim(folder):
            reporter.report("read", 0.01, "Reading and checking the images")
            completed = options.complete_with is not None
            patient = read_patient(options.files, bundle, options.transforms, completed, options.lesion_space)
            world = None
            if reference is not None:
                pair = patient, reference
                world = _or_report(without_dicom, lambda: visit.world_of_visit(*pair))
            for warning in patient.warnings:
                reporter.say(f"Warning: {warning}")
            model, prepared = _prepare(options, bundle, patient, clock, myelin)
            if myelin:
                findings = _write_myelin_map(folder, prepared, model, options, clock)
                if reference is not None and world is not None:
                    dicom = folder, findings, reference, world, reporter
                    _or_report(without_dicom, lambda: _write_dicom(*dicom))
                if viewer:
                    _write_viewer(folder, findings, reporter)
            else:
                _write_contrast(folder, prepared, model, options, clock)
        reporter.report("done", 1.0, f"Done: {out}")
    return Result.open(out) if myelin else out


def _or_report(report: Callable[[str], None] | None, step: Callable[[], Value]) -> Value | None:
    """Value of a step, or None if it raises BadInput and `report` takes the sentence."""
    try:
        return step()
    except BadInput as error:
        if report is None:
            raise
        report(str(error))
        return None


def _prepare(
    options: SynthesisOptions, bundle: Bundle, patient: PatientImages, clock: Clock, myelin: bool
) -> tuple[TrainedModel, PreparedPatient]:
    """Load the model and prepare the patient: images in one space, lesions and tissues."""
    from ..prediction.model import TrainedModel
    from .pipeline import prepare_patient

    clock.step("model", 0.03, "Loading the model")
    model = TrainedModel.load(bundle, options.device)
    finder = _finder(options, clock, patient) if myelin and options.lesions is None else None
    return model, prepare_patient(patient, clock, options.complete_with, options.device, finder, myelin)


def _finder(options: SynthesisOptions, clock: Clock, patient: PatientImages) -> LesionFinder | None:
    from .lesion_finding import finder_of, open_finder

    if options.lesion_finder is None:
        return None
    bundle = open_finder(options.lesion_finder)
    if bundle is None:
        clock.warn(patient, "There is no lesion table: no lesion mask was given and no lesion finder is installed.")
        return None
    return finder_of(bundle, options.device)


def _write_myelin_map(
    folder: Path, prepared: PreparedPatient, model: TrainedModel, options: SynthesisOptions, clock: Clock
) -> Findings:
    from .outputs import write_result
    from .synthesis import synthesize_prepared

    findings = synthesize_prepared(prepared, model, clock, options.flips, options.uncertainty)
    clock.step("report", 0.85, "Writing map, table and report")
    findings.seconds = clock.seconds
    write_result(folder, findings)
    clock.stop()
    return findings


def _write_viewer(folder: Path, findings: Findings, reporter: Progress) -> None:
    from ..reporting.viewer_page import viewer_of

    reporter.report("viewer", 0.98, "Writing the viewer")
    viewer_of(folder / VIEWER, findings)


def _write_dicom(folder: Path, findings: Findings, reference: Reference, world: np.ndarray, reporter: Progress) -> None:
    from ..reporting.dicom.visit import write_dicom_visit

    reporter.report("dicom", 0.97, "Writing DICOM")
    written = write_dicom_visit(folder / DICOM, Result.open(folder), findings, reference, world)
    for note in written.notes:
        reporter.note(note)


def _write_contrast(
    folder: Path, prepared: PreparedPatient, model: TrainedModel, options: SynthesisOptions, clock: Clock
) -> None:
    from .translation import translate_prepared, write_translation

    prediction = translate_prepared(prepared, model, clock, options.flips, options.uncertainty)
    clock.step("report", 0.85, "Writing image and report")
    write_translation(folder, prepared, model, prediction, clock, options.flips)


def _check_task(options: SynthesisOptions, bundle: Bundle) -> None:
    """Raise BadInput if the model's output is not that of --task, or an option does not apply to it."""
    output = bundle.description["output"]
    if options.task is not None and output != TASKS[options.task]:
        task = next((task for task, name in TASKS.items() if name == output), output)
        raise BadInput(
            f"The model {bundle.description['name']} is for --task {task}, not {options.task}. Give another --model."
        )

    if options.dicom and output != "dvr":
        raise BadInput("--dicom applies to myelin maps only. Leave it out.")

    from ..prediction.completion import check_completing, makes_no_image

    if makes_no_image(bundle):
        raise BadInput(
            f"The model {bundle.path} segments hyperintensities and synthesizes no image. Give another --model."
        )
    if options.complete_with is None:
        return
    if output != "dvr":
        raise BadInput("--complete-with applies to myelin maps only. Leave it out.")
    check_completing(Bundle.open(options.complete_with))
