"""The main job: T1w and FLAIR of one patient in, myelin map, lesion table and report out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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

    A model trained for it synthesizes one MRI contrast from others instead. Research use only, not for diagnosis.

    Args:
        out: result folder; replaced when the new result is complete.
        t1: T1w in any orientation: NIfTI, NRRD, MetaImage or a DICOM folder (the same one for all images), or
            FOLDER#NUMBER for one of its series.
        flair: FLAIR of the same session.
        lesions: lesion mask or segmentation, in T1w space; none to go without lesions (default: the lesion finder
            finds them, to be reviewed).
        dvr: measured DVR in T1w space, to compare with.
        label_map: tissues from FreeSurfer's aseg or SynthSeg (default: computed).
        brain_mask: brain mask in T1w space (default: computed).
        flair_to_t1: skip registration; identity, or an ITK transform file that resamples the FLAIR into T1w space.
        task: what to synthesize (default: what the model makes); an error if the model makes something else.
        complete_with: model that fills in a missing FLAIR or lesion mask; outputs are flagged.
        model: bundle folder, .zip or name.
        lesion_finder: model that finds the lesions where no mask is given.
        device: auto (a GPU if there is one), cpu or cuda:N.
        flips: average with the left-right mirrored prediction.
        uncertainty: also write the SD over six augmented predictions or, with a calibrated model, the expected error
            of map and lesions.
        viewer: also write viewer.html, one page to review the map in a browser without Slicer, offline.
        dicom: also write map, lesions and table as DICOM, derived from the T1w's series, with the patient's identity.
        dicom_reference: DICOM series that the T1w was converted from, where the T1w is not DICOM; implies --dicom.
        progress: how to show progress; bar is on stderr, json on stdout.
        images: other contrasts by name (t2, mtr, fa, ...), for models that need them; see MORE_IMAGES.

    Returns:
        The Result of a myelin map; the folder, for a model that makes an MRI contrast.

    Raises:
        BadInput: a file is missing or cannot be used, or the model needs another.

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


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def synthesize_visit(
    options: SynthesisOptions, out: Path, progress: ProgressMode = "bar", viewer: bool = False
) -> Result | Path:
    """Read and check, register, mask, predict, measure lesions, and put the whole Result in place at once."""
    from .patient.clock import Clock
    from .patient.inputs import read_patient
    from .patient.leftovers import claim, remove_leftovers

    bundle = Bundle.open(options.model)
    check_task(options, bundle)
    myelin = bundle.description["output"] == "dvr"
    reference = None
    if options.dicom:
        from .reporting.dicom import visit

        reference = visit.reference_of_visit(options.images.get("t1w"), options.dicom_reference)
    with Progress(progress, "MyelinSynth") as reporter:
        clock = Clock(reporter)
        remove_leftovers(out)
        with atomic_folder(out, PROVENANCE) as folder, claim(folder):
            reporter.report("read", 0.01, "Reading and checking the images")
            completed = options.complete_with is not None
            patient = read_patient(options.files, bundle, options.transforms, completed)
            world = visit.world_of_visit(patient, reference) if reference else None
            for warning in patient.warnings:
                reporter.say(f"Warning: {warning}")
            model, prepared = _prepare(options, bundle, patient, clock, myelin)
            if myelin:
                findings = _write_myelin_map(folder, prepared, model, options, clock)
                if reference is not None and world is not None:
                    _write_dicom(folder, findings, reference, world, reporter)
                if viewer:
                    _write_viewer(folder, findings, reporter)
            else:
                _write_contrast(folder, prepared, model, options, clock)
        reporter.report("done", 1.0, f"Done: {out}")
    return Result.open(out) if myelin else out


def _prepare(
    options: SynthesisOptions, bundle: Bundle, patient: PatientImages, clock: Clock, myelin: bool
) -> tuple[TrainedModel, PreparedPatient]:
    """The loaded model, and the patient brought into one space with lesions and tissues."""
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
        clock.warn(patient, "No lesion mask was given and no lesion finder is installed: there is no lesion table.")
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
    from .reporting.dicom.visit import write_visit

    reporter.report("dicom", 0.97, "Writing DICOM")
    written = write_visit(folder / DICOM, Result.open(folder), findings, reference, world)
    for note in written.notes:
        reporter.note(note)


def _write_contrast(
    folder: Path, prepared: PreparedPatient, model: TrainedModel, options: SynthesisOptions, clock: Clock
) -> None:
    from .patient.translation import translate_prepared, write_translation

    prediction = translate_prepared(prepared, model, clock, options.flips, options.uncertainty)
    clock.step("report", 0.85, "Writing image and report")
    write_translation(folder, prepared, model, prediction, clock, options.flips)


def check_task(options: SynthesisOptions, bundle: Bundle) -> None:
    """Raise BadInput where the model does not make what --task asks for, or --complete-with cannot be used."""
    made = bundle.description["output"]
    if options.task is not None and made != TASKS[options.task]:
        able = next((task for task, output in TASKS.items() if output == made), made)
        raise BadInput(
            f"The model {bundle.description['name']} is for --task {able}, not {options.task}. Give another --model."
        )

    if options.dicom and made != "dvr":
        raise BadInput("--dicom is for myelin maps: leave it out.")

    from .prediction.completion import check_completing, makes_no_image

    if makes_no_image(bundle):
        raise BadInput(f"The model {bundle.path} finds hyperintensities and makes no image. Give another --model.")
    if options.complete_with is None:
        return
    if made != "dvr":
        raise BadInput("--complete-with is for myelin maps: leave it out.")
    check_completing(Bundle.open(options.complete_with))


main = command(synthesize, keywords=MORE_IMAGES)

if __name__ == "__main__":
    raise SystemExit(run_command(main))
