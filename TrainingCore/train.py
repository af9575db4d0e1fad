"""Train a system on a BIDS cohort: python -m TrainingCore.train --data BIDS --recipe curricular --out RUN."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .data.bundle import Bundle
from .data.cohort import Cohort
from .data.recipe import load_recipe
from .data.run import Run, check_not_begun
from .rules import check_recipe, volumes_to_learn
from .runtime.cli import (
    Progress,
    add_compute_options,
    add_progress_option,
    add_recipe_option,
    add_set_option,
    add_stratify_option,
    parser,
    run_command,
)
from .runtime.errors import BadInput
from .runtime.files import only_one


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    options = parser(
        "train",
        "Train a model on the visits of a cohort that have what its recipe needs: its inputs and its target in one "
        "space, a brain mask and, for most recipes, a lesion mask (what `preprocess` and `simulate` write).",
        "python -m TrainingCore.train --data cohortA --recipe curricular --out runs/first --set epochs=20",
    )
    options.add_argument("--data", type=Path, help="BIDS folder or table (needed unless --resume finds it in the run)")
    add_recipe_option(options, "curricular")
    options.add_argument("--out", type=Path, required=True, help="folder of the run")
    add_set_option(options)
    add_stratify_option(options, "validation people and the others")
    options.add_argument(
        "--resume", action="store_true", help="go on with the run in --out (start it where there is none)"
    )
    options.add_argument("--start-from", metavar="BUNDLE", help="start from a trained model instead of random weights")
    add_compute_options(options, "CPU threads (default: all); a resumed run needs the same number")
    add_progress_option(options)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the run, train it, write its bundles."""
    options = arguments().parse_args(argv)
    resume = options.resume and (options.out / "run.json").is_file()
    run = Run.open(options.out) if resume else None
    recipe = run.recipe if run else load_recipe(options.recipe, options.changes)
    if run is not None and options.changes and load_recipe(options.recipe, options.changes) != recipe:
        raise BadInput(
            "A resumed run keeps its recipe, and --recipe and --set ask for another. Leave them out, or start a new "
            "run with another --out."
        )
    check_recipe(recipe)
    data = options.data or (Path(run.facts["data"]) if run else None)
    if data is None:
        raise BadInput("Say which cohort to train on: --data BIDS_FOLDER.")
    needed = volumes_to_learn(recipe)
    cohort = Cohort.read(data, recipe["data"]["inputs"]).ready_to_learn(needed)
    if run is None:
        check_not_begun(options.out)
    start = options.start_from or (run.facts.get("started_from", {}).get("path") if run else None)
    train(cohort, recipe, run, Bundle.open(start) if start else None, options)

    from .runtime.processes import leave_processes

    leave_processes()  # only now: networks that share gradients must be gone before the connection is
    return 0


def train(
    cohort: Cohort, recipe: dict[str, Any], run: Run | None, start: Bundle | None, options: argparse.Namespace
) -> None:
    """Everything that needs torch."""
    from .training.session import new_split, split_as_before, train_split

    split = new_split(cohort, recipe, options.stratify) if run is None else split_as_before(cohort, run)
    first = os.environ.get("RANK", "0") == "0"  # of torchrun's processes only one speaks
    with Progress(options.progress if first else "none", "training") as progress:
        progress.note(cohort.left_out())
        how = {"run": run, "start": start, "device": options.device, "threads": options.threads}
        with only_one(options.out) if first else contextlib.nullcontext():
            run = train_split(options.out, recipe, split, progress.report, **how)
        progress.report("train", 1.0, "trained")
    if first and options.progress != "json":
        print(f"Trained: {run.path / 'bundles' / 'best'}")


if __name__ == "__main__":
    raise SystemExit(run_command(main))
