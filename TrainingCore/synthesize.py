"""The main job: T1w and FLAIR of one patient in, myelin map, lesion table and report out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .data.bundle import DEMONSTRATION, Bundle
from .data.result import PROVENANCE
from .runtime.cli import Progress, add_progress_option, parser, run_command
from .runtime.errors import BadInput
from .runtime.files import atomic_folder

EXAMPLE = "python -m TrainingCore.synthesize --t1 T1w.nii.gz --flair FLAIR.nii.gz --lesions lesions.nii.gz --out result"

TASKS = {"myelin": "dvr", "flair": "flair", "t1": "t1w", "t1ce": "t1ce"}
MORE_IMAGES = {
    "--t2": "T2w",
    "--t1ce": "T1w after contrast agent",
    "--t1ce-low": "T1w after a low dose of contrast agent",
    "--mtr": "magnetisation transfer ratio",
    "--fa": "fractional anisotropy",
    "--rd": "radial diffusivity",
    "--ad": "axial diffusivity",
    "--adc": "apparent diffusion coefficient",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Read and check, register, mask, predict, measure lesions, and put the whole Result in place at once."""
    options = arguments().parse_args(argv)

    from .patient.inputs import read_patient
    from .patient.leftovers import claim, remove_leftovers

    bundle = Bundle.open(options.model)
    check_task(options, bundle)
    with Progress(options.progress, "MyelinSynth") as progress:
        remove_leftovers(options.out)
        with atomic_folder(options.out, PROVENANCE) as folder, claim(folder):
            progress.report("read", 0.01, "Reading and checking the images")
            patient = read_patient(options, bundle)
            for warning in patient.warnings:
                progress.say(f"Warning: {warning}")

            if bundle.description["output"] == "dvr":
                from .patient.steps import synthesize

                synthesize(patient, bundle, options, folder, progress)
            else:
                from .patient.translation import translate

                translate(patient, bundle, options, folder, progress)
        progress.report("done", 1.0, f"Done: {options.out}")
    return 0


def check_task(options: argparse.Namespace, bundle: Bundle) -> None:
    """Raise BadInput where the model does not make what --task asks for, or --complete-with cannot be used."""
    made = bundle.description["output"]
    if options.task is not None and made != TASKS[options.task]:
        able = next((task for task, output in TASKS.items() if output == made), made)
        raise BadInput(
            f"The model {bundle.description['name']} is for --task {able}, not {options.task}. Give another --model."
        )

    from .prediction.completion import check_completing, makes_no_image

    if makes_no_image(bundle):
        raise BadInput(f"The model {bundle.path} finds hyperintensities and makes no image. Give another --model.")
    if options.complete_with is None:
        return
    if made != "dvr":
        raise BadInput("--complete-with is for myelin maps: leave it out.")
    check_completing(Bundle.open(options.complete_with))


def arguments() -> argparse.ArgumentParser:
    """The options of the command."""
    given = parser(
        "synthesize",
        "Synthesize a [11C]PiB DVR myelin map from T1w and FLAIR MRI of one patient, with a lesion table and a report; "
        "or, with a model made for it, one MRI contrast from others. Research use only, not for diagnosis.",
        EXAMPLE,
    )
    image = "NIfTI, NRRD, MetaImage, or a DICOM folder: the same one for both, or FOLDER#NUMBER of a series"
    given.add_argument("--t1", type=Path, metavar="FILE", help=f"T1w, any orientation ({image})")
    given.add_argument("--flair", type=Path, metavar="FILE", help="FLAIR of the same session")
    for option, name in MORE_IMAGES.items():
        given.add_argument(option, type=Path, metavar="FILE", help=f"{name}, for models that need it")
    given.add_argument("--lesions", type=Path, metavar="FILE", help="lesion mask or segmentation, in T1w space")
    given.add_argument("--dvr", type=Path, metavar="FILE", help="measured DVR in T1w space, to compare with")
    given.add_argument(
        "--label-map", type=Path, metavar="FILE", help="tissues from FreeSurfer's aseg or SynthSeg (default: found)"
    )
    given.add_argument("--brain-mask", type=Path, metavar="FILE", help="brain mask in T1w space (default: found)")
    given.add_argument(
        "--flair-to-t1",
        metavar="identity|FILE",
        help="skip registration: `identity`, or an ITK transform file that resamples the FLAIR into T1w space",
    )
    given.add_argument(
        "--task", choices=tuple(TASKS), help="what to make (default: what the model makes); refused by other models"
    )
    given.add_argument(
        "--complete-with",
        metavar="BUNDLE",
        help="a model that makes FLAIR from T1w and finds lesions: makes what is missing first, and marks it so",
    )
    given.add_argument(
        "--model",
        default=DEMONSTRATION,
        metavar="BUNDLE",
        help=f"bundle folder, .zip or name (default: {DEMONSTRATION})",
    )
    given.add_argument("--device", default="auto", help="auto (a GPU where there is one; default), cpu or cuda:N")
    given.add_argument("--flips", action="store_true", help="average with the left-right mirrored prediction")
    given.add_argument(
        "--uncertainty",
        action="store_true",
        help="also write how far predictions of mirrored and contrast-shifted inputs are apart (six, not one) or, with "
        "a calibrated model, the error to be expected of map and lesions",
    )
    add_progress_option(given)
    given.add_argument("--out", type=Path, required=True, metavar="DIR", help="result folder; replaced when complete")
    return given


if __name__ == "__main__":
    raise SystemExit(run_command(main))
