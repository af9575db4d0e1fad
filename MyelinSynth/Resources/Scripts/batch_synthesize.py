"""Synthesizes myelin maps of many patients, in Slicer without its window.

Slicer --no-main-window --python-script batch_synthesize.py DATASET OUT [--model M] [--device D] [--average-mirrored]
       [--only-given-lesions] [--again] [--scenes] [--install]

DATASET is a BIDS folder (sub-<label>[_ses-<label>]_T1w.nii.gz and _FLAIR.nii.gz, lesion masks in derivatives) or a .csv
table of files. A patient who fails does not stop the others; OUT/batch_status.tsv lists the outcome of each. The exit
code is 0 if every patient has a result, 1 if one failed, 2 if the batch could not start.
Research use only, not for diagnosis.
"""

import argparse
import sys
from pathlib import Path

import slicer


def main(arguments: list[str]) -> int:
    """Run the batch.

    Args:
        arguments: command line arguments without the name of the script.

    Returns:
        Exit code: 0 if every patient has a result, 1 if one failed, 2 if the batch could not start.
    """
    parser = argparse.ArgumentParser("batch_synthesize.py", description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path, help="BIDS folder or .csv / .tsv table")
    parser.add_argument("out", type=Path, help="folder for the results")
    parser.add_argument("--model", default="demonstration", help="bundle: name, folder or .zip")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--average-mirrored", action="store_true", help="average with the mirrored prediction")
    parser.add_argument("--uncertainty", action="store_true", help="also estimate the uncertainty of each map")
    parser.add_argument("--only-given-lesions", action="store_true", help="do not segment lesions if no mask is given")
    parser.add_argument("--again", action="store_true", help="also synthesize patients that have a result")
    parser.add_argument("--scenes", action="store_true", help="save a scene for each patient, to review it in Slicer")
    parser.add_argument("--install", action="store_true", help="install missing Python packages into Slicer first")
    options = parser.parse_args(arguments)

    from MyelinSynthLib.errors import SynthesisError
    from MyelinSynthLib.run.batch import runBatch
    from MyelinSynthLib.run.install import installMissing

    from MyelinSynth import MyelinSynthLogic

    try:
        if options.install:
            installMissing()
        outcomes = runBatch(
            options.dataset,
            options.out,
            MyelinSynthLogic().synthesize,
            again=options.again,
            scenes=options.scenes,
            model=options.model,
            device=options.device,
            flips=options.average_mirrored,
            uncertainty=options.uncertainty,
            findLesions=not options.only_given_lesions,
        )
    except SynthesisError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    done = sum(outcome.done for outcome in outcomes)
    print(f"{done} of {len(outcomes)} patients have a result in {options.out}")
    return 0 if done == len(outcomes) else 1


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except SystemExit as wrong:  # raised by argparse; it would not end Slicer
        code = int(wrong.code or 0)
    slicer.util.exit(code)
