"""Synthesize a myelin map with lesion table and report from T1w and FLAIR MRI of a patient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from .data.bundle import DEMONSTRATION, LESION_FINDER
from .data.inputs import INPUTS, further_options
from .data.result import Result
from .data.review import REVIEW
from .patient.options import SynthesisOptions
from .patient.visit import synthesize_visit
from .runtime.cli import run_command
from .runtime.errors import BadInput
from .runtime.signature import Option, ProgressMode, command

NO_MASK = "none"  # --lesions none: no lesion table
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
        uncertainty: also write the SD over six augmented predictions of each network or, with a calibrated model, the
            expected error of map and lesions.
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
    if (Path(out) / REVIEW).is_file():
        raise BadInput(
            f"{out} holds a review ({REVIEW}), which would be lost. Give another --out, or move this folder."
        )
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


main = command(synthesize, keywords=MORE_IMAGES)

if __name__ == "__main__":
    raise SystemExit(run_command(main))
