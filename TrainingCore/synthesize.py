"""Synthesize a myelin map with lesion table and report from T1w and FLAIR MRI of a patient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from .data.bundle import DEMONSTRATION, LESION_FINDER, Bundle
from .data.inputs import INPUTS, further_options
from .data.result import DICOM, PROVENANCE, VIEWER, Result
from .patient.options import SynthesisOptions
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput
from .runtime.files import atomic_folder
from .runtime.signature import Option, ProgressMode, command

if TYPE_CHECKING:
    import numpy as np

    from .patient.clock import Clock
    from .patient.inputs import PatientImages
    from .patient.pipeline import LesionFinder, PreparedPatient
    from .patient.synthesis import Findings
    from .prediction.model import TrainedModel
    from .reporting.dicom.reference import Reference

NO_MASK = "none"  # --lesions none: no lesion table
TASKS = {"myelin": "dvr", "flair": "flair", "t1": "t1w", "t1ce": "t1ce"}
MORE_IMAGES = further_options()
Value = TypeVar("Value")
File = Annotated[Path | None, Option("FILE")]


def synthesize(
    out: Annotated[Path, Option("DIR")],
    *,
    t1: File = None,
    flair: File = None,
    lesions: Annotated[str | Path | None, Option("FILE|none")] = None,
    dvr: File = None,
    label_map: File = None,
    brain_mask: File = None,
    flair_to_t1: Annotated[str | None, Option("identity|FILE")] = None,
    task: Literal["myelin", "flair", "t1", "t1ce"] | None = None,
    complete_with: Annotated[str | None, Option("BUNDLE")] = None,
    model: Annotated[str, Option("BUNDLE")] = DEMONSTRATION,
    lesion_finder: Annotated[str, Option("BUNDLE")] = LESION_FINDER,
    device: str = "auto",
    flips: bool = False,
    uncertainty: bool = False,
    viewer: bool = False,
    dicom: bool = False,
    dicom_reference: Annotated[Path | None, Option("FOLDER")] = None,
    progress: ProgressMode = "bar",
    **images: File,
) -> Result | Path:
    """Synthesize a [11C]PiB DVR myelin map from T1w and FLAIR MRI of one patient, with a lesion table and a report.

    Other models synthesize an MRI contrast instead, see --task. Research use only, not for diagnosis.

    Args:
        out: result folder; an earlier result in it is replaced once the new one is complete.
        t1: T1w in any orientation: NIfTI, NRRD, MetaImage, a DICOM folder (which may also hold the other images), or
            FOLDER#NUMBER for one of its series.
        flair: FLAIR of the same session.
        lesions: lesion mask or segmentation in T1w space; none for no lesion table (default: lesions are segmented
            automatically and should be reviewed).
        dvr: measured DVR in T1w space, for comparison.
        label_map: tissue labels from FreeSurfer's aseg or SynthSeg (default: computed).
        brain_mask: brain mask in T1w space (default: computed).
        flair_to_t1: skip registration; identity, or an ITK transform file that resamples the FLAIR into T1w space.
        task: image to synthesize (default: the model's output); an error if the model's output differs.
        complete_with: model that fills in a missing FLAIR or lesion mask; outputs are flagged.
        model: bundle folder, .zip or name.
        lesion_finder: model that segments lesions if --lesions is not given.
        device: auto (a GPU if there is one), cpu or cuda:N.
        flips: average the prediction with that of the left-right mirrored images.
        uncertainty: also write the SD over six augmented predictions or, with a calibrated model, the expected error
            of map and lesions.
        viewer: also write viewer.html, to review the map offline in a browser without Slicer.
        dicom: also write map, lesions and table as DICOM, derived from the T1w series, with the patient's identity.
        dicom_reference: DICOM series from which a non-DICOM T1w was converted; implies --dicom.
        progress: how to show progress; bar is on stderr, json on stdout.
        images: other contrasts by name (t2, mtr, fa, ...), for models that need them; see MORE_IMAGES.

    Returns:
        The Result of a myelin map, or the output folder for a model that synthesizes an MRI contrast.

    Raises:
        BadInput: a file is missing or unusable, or the model needs another input.

    Example:
        python -m TrainingCore.synthesize --t1 T1w.nii.gz --flair FLAIR.nii.gz --lesions lesions.nii.gz --out result
    """
    unknown = sorted(set(images) - set(MORE_IMAGES))
    if unknown:
        raise TypeError(f"synthesize has no input {unknown[0]!r}; it takes t1, flair, {', '.join(MORE_IMAGES)}.")
    images_given = {"t1": t1, "flair": flair} | images
    options = SynthesisOptions(
        {row.name: Path(path) for row in INPUTS if (path := images_given.get(row.option)) is not None},
        lesions=None if str(lesions) == NO_MASK else _path(lesions),
        dvr=_path(dvr),
        brain=_path(brain_mask),
        label_map=_path(label_map),
        flair_to_t1=flair_to_t1,
        task=task,
        complete_with=complete_with,
        lesion_finder=None if str(lesions) == NO_MASK else str(lesion_finder),
        model=str(model),
        device=device,
        flips=flips,
        uncertainty=uncertainty,
        dicom=dicom or dicom_reference is not None,
        dicom_reference=_path(dicom_reference),
    )
    return synthesize_visit(options, Path(out), progress, viewer)


def _path(file: str | Path | None) -> Path | None:
    return None if file is None else Path(file)


def synthesize_visit(
    options: SynthesisOptions,
    out: Path,
    progress: ProgressMode = "bar",
    viewer: bool = False,
    without_dicom: Callable[[str], None] | None = None,
) -> Result | Path:
    """Run the whole pipeline for one visit: read, register, segment, predict, measure lesions, write the Result.

    Args:
        options: input files, model and settings.
        out: result folder, replaced atomically.
        progress: how to show progress.
        viewer: whether to write viewer.html as well.
        without_dicom: receives the reason if DICOM cannot be written, and the Result is written without it; None to
            raise BadInput instead.

    Returns:
        The Result of a myelin map, or `out` for a model that synthesizes an MRI contrast.

    Raises:
        BadInput: a file is missing or unusable, or the model cannot be used for the task.
    """
    from .patient.clock import Clock
    from .patient.inputs import read_patient
    from .patient.leftovers import claim, remove_leftovers

    bundle = Bundle.open(options.model)
    _check_task(options, bundle)
    myelin = bundle.description["output"] == "dvr"
    reference = None
    if options.dicom:
        from .reporting.dicom import visit

        series = options.images.get("t1w"), options.dicom_reference
        reference = _or_report(without_dicom, lambda: visit.reference_of_visit(*series))
    with Progress(progress, "MyelinSynth") as reporter:
        clock = Clock(reporter)
        remove_leftovers(out)
        with atomic_folder(out, PROVENANCE) as folder, claim(folder):
            reporter.report("read", 0.01, "Reading and checking the images")
            completed = options.complete_with is not None
            patient = read_patient(options.files, bundle, options.transforms, completed)
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
    from .patient.pipeline import prepare_patient
    from .prediction.model import TrainedModel

    clock.step("model", 0.03, "Loading the model")
    model = TrainedModel.load(bundle, options.device)
    finder = _finder(options, clock, patient) if myelin and options.lesions is None else None
    return model, prepare_patient(patient, clock, options.complete_with, options.device, finder, myelin)


def _write_viewer(folder: Path, findings: Findings, reporter: Progress) -> None:
    from .reporting.viewer_page import viewer_of

    reporter.report("viewer", 0.98, "Writing the viewer")
    viewer_of(folder / VIEWER, findings)


def _finder(options: SynthesisOptions, clock: Clock, patient: PatientImages) -> LesionFinder | None:
    from .patient.lesion_finding import finder_of, open_finder

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
    from .patient.outputs import write_result
    from .patient.synthesis import synthesize_prepared

    findings = synthesize_prepared(prepared, model, clock, options.flips, options.uncertainty)
    clock.step("report", 0.85, "Writing map, table and report")
    findings.seconds = clock.seconds
    write_result(folder, findings)
    clock.stop()
    return findings


def _write_dicom(folder: Path, findings: Findings, reference: Reference, world: np.ndarray, reporter: Progress) -> None:
    from .reporting.dicom.visit import write_dicom_visit

    reporter.report("dicom", 0.97, "Writing DICOM")
    written = write_dicom_visit(folder / DICOM, Result.open(folder), findings, reference, world)
    for note in written.notes:
        reporter.note(note)


def _write_contrast(
    folder: Path, prepared: PreparedPatient, model: TrainedModel, options: SynthesisOptions, clock: Clock
) -> None:
    from .patient.translation import translate_prepared, write_translation

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

    from .prediction.completion import check_completing, makes_no_image

    if makes_no_image(bundle):
        raise BadInput(
            f"The model {bundle.path} segments hyperintensities and synthesizes no image. Give another --model."
        )
    if options.complete_with is None:
        return
    if output != "dvr":
        raise BadInput("--complete-with applies to myelin maps only. Leave it out.")
    check_completing(Bundle.open(options.complete_with))


main = command(synthesize, keywords=MORE_IMAGES)

if __name__ == "__main__":
    raise SystemExit(run_command(main))
