"""Train a system on a BIDS cohort: python -m TrainingCore.train --data BIDS --recipe curricular --out RUN."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from .data.bundle import Bundle
from .data.cohort import Cohort
from .data.recipe import load_recipe
from .data.run import Run, check_not_begun
from .experiments.settings import Compute
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput
from .runtime.files import lock_folder
from .runtime.signature import AtLeast, Option, ProgressMode, command
from .systems.checks import check_recipe, training_volumes


def train(
    out: Path,
    *,
    data: Path | None = None,
    simulate: bool = False,
    site: Annotated[str | None, Option("A|B|C|R")] = None,
    simulate_seed: Annotated[int | None, AtLeast(0), Option("S")] = None,
    lesion_masks: Annotated[Path | None, Option("FOLDER")] = None,
    recipe: str | None = None,
    changes: Annotated[Sequence[str], Option("key=value", flag="--set")] = (),
    stratify: Annotated[Sequence[str], Option("COLUMN")] = (),
    resume: bool = False,
    start_from: Annotated[str | None, Option("BUNDLE")] = None,
    device: str = "auto",
    threads: Annotated[int, AtLeast(0)] = 0,
    workers: Annotated[int | None, AtLeast(0), Option("N")] = None,
    progress: ProgressMode = "bar",
) -> Run:
    """Train a system on the visits of a cohort.

    Every visit needs the inputs and the target of the recipe in one space, a brain mask and, for most recipes, a
    lesion mask. `preprocess` and `simulate` write such visits.

    Args:
        out: folder of the run.
        data: BIDS folder or table (required, except with --simulate or when a run is resumed).
        simulate: train on people simulated on the fly instead of a cohort; the recipe's `simulated` group sets how
            many, and how often each is used.
        site: scanners and populations of simulated people; people are drawn from several letters in turn, a repeated
            letter gets more people; R draws a random MRI protocol for every person (default: R).
        simulate_seed: seed of the simulated people (default: 1).
        lesion_masks: folder of real lesion masks in MNI space (*mask.nii.gz); every second simulated person gets the
            lesions of one of them.
        recipe: name of a recipe (python -m TrainingCore.describe lists them) or a .yaml file (default: curricular).
        changes: recipe values to change, e.g. --set size=64 epochs=20.
        stratify: columns of participants.tsv to stratify the validation split by, e.g. group site.
        resume: resume the run in --out; start it if there is none.
        start_from: start from a trained model instead of random weights.
        device: auto (a GPU if there is one), cpu or cuda:N.
        threads: CPU threads (default: all); a resumed run needs the same number.
        workers: processes that simulate or augment visits in advance (default: 1 with --simulate, 4 on a GPU, else 0);
            their number does not affect the result.
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The finished run; its bundles are the trained models.

    Raises:
        BadInput: the recipe or a setting is invalid, no visit is usable for training, or the run cannot be resumed.

    Example:
        python -m TrainingCore.train --data cohortA --recipe curricular --out runs/first --set epochs=20
    """
    out = Path(out)
    run = Run.open(out) if resume and (out / "run.json").is_file() else None
    settings = run.recipe if run else load_recipe(recipe or "curricular", changes)
    if run is not None and (changes or recipe) and load_recipe(recipe or "curricular", changes) != settings:
        raise BadInput(
            "A resumed run keeps its recipe, but --recipe and --set describe another one. Leave them out, or start a "
            "new run with another --out."
        )
    check_recipe(settings)
    before = run.facts.get("on_the_fly") if run else None
    if run is not None and simulate and not before:
        raise BadInput(
            "The run was started with a cohort. Leave out --simulate, or start a new run with another --out."
        )
    cohort, simulation = None, None
    if before or simulate:
        known = before or {}
        sites = known.get("sites", "R") if site is None else site
        seed = known.get("seed", 1) if simulate_seed is None else simulate_seed
        if before:
            _check_same_simulation(before, sites, seed)
        _check_simulation(data, sites, settings)
        simulation = sites, seed, _real_masks(lesion_masks, before, settings)
    elif lesion_masks is not None:
        raise BadInput("--lesion-masks needs --simulate: a cohort has lesion masks of its own.")
    else:
        cohort = _training_cohort(data or (Path(run.facts["data"]) if run else None), settings)
    if run is None:
        check_not_begun(out)
    elif threads and run.facts.get("threads", threads) != threads:
        raise BadInput(f"{out} was started with --threads {run.facts['threads']}. Leave out --threads.")
    start = start_from if run is None else None  # a resumed run has its weights
    compute = Compute(device=device, threads=threads, workers=workers)
    began = Bundle.open(start) if start else None
    return _train(simulation or cohort, settings, out, run, began, list(stratify), compute, progress)


def _training_cohort(folder: Path | None, recipe: dict[str, Any]) -> Cohort:
    """Read the visits that can be trained on; raises BadInput if there are none."""
    if folder is None:
        raise BadInput("No training data. Give a cohort with --data BIDS_FOLDER, or use --simulate.")
    return Cohort.read(folder, recipe["data"]["inputs"]).usable_for_training(training_volumes(recipe))


def _check_simulation(data: Path | None, sites: str, recipe: dict[str, Any]) -> None:
    """Raise BadInput if the options or the recipe do not allow training on simulated people."""
    from .phantom.people import check_site
    from .phantom.template import template_folder

    if data is not None:
        raise BadInput("--data and --simulate exclude each other. Leave one of them out.")
    for letter in sites or " ":
        check_site(letter)
    if "simulated" not in recipe:
        raise BadInput("The recipe cannot be used with --simulate: it has no group `simulated`.")
    template_folder()


def _check_same_simulation(before: dict[str, Any], sites: str, seed: int) -> None:
    """Raise BadInput if a resumed run would go on with other simulated people."""
    from .phantom.edition import phantom_edition

    for option, old, new in (("--site", before["sites"], sites), ("--simulate-seed", before["seed"], seed)):
        if old != new:
            raise BadInput(
                f"The run was started with {option} {old}. Leave it out, or start a new run with another --out."
            )
    known = before.get("phantom")
    if known is not None and known != phantom_edition():
        raise BadInput(
            "The run was started with another digital patient than that of this version. Resume it with the version "
            "that started it, or start a new run with another --out."
        )


def _real_masks(folder: Path | None, before: dict[str, Any] | None, recipe: dict[str, Any]) -> tuple[Path, ...]:
    """List the real lesion masks of --lesion-masks, for a resumed run the same ones as before."""
    from .phantom.placed_masks import digest_of, list_masks
    from .systems.registry import entry_of

    known: dict[str, Any] = (before or {}).get("lesion_masks", {})
    if folder is None and not known:
        return ()
    if entry_of(recipe["system"]).disease != "ms":
        raise BadInput("--lesion-masks needs a system for MS, because the masks are of MS lesions. Leave it out.")
    masks = list_masks(folder or Path(known["folder"]))
    if before and digest_of(masks) != known.get("digest"):
        raise BadInput(
            "The lesion masks are not those with which the run was started. Give the same folder with --lesion-masks."
        )
    return tuple(path.resolve() for path in masks)


def _train(
    people: Cohort | tuple[str, int, tuple[Path, ...]] | None,
    recipe: dict[str, Any],
    out: Path,
    run: Run | None,
    start: Bundle | None,
    stratify: list[str],
    compute: Compute,
    progress: ProgressMode,
) -> Run:
    """Train, the part that imports torch; `people` is a cohort, or (sites, seed, masks) for simulated people."""
    from .training.session import new_split, split_as_before, train_split
    from .training.simulated import OnTheFly

    split: Any
    if isinstance(people, Cohort):
        split = new_split(people, recipe, stratify) if run is None else split_as_before(people, run)
    else:
        assert people is not None
        split = OnTheFly(*people)
    first = os.environ.get("RANK", "0") == "0"  # only the first of torchrun's processes shows progress
    with Progress(progress if first else "none", "training") as reporter:
        reporter.note(people.left_out() if isinstance(people, Cohort) else "")
        how: dict[str, Any] = {"run": run, "start": start, "device": compute.device, "threads": compute.threads}
        how["workers"] = compute.processes_ahead(simulated=isinstance(split, OnTheFly))
        with lock_folder(out) if first else contextlib.nullcontext():
            run = train_split(out, recipe, split, reporter.report, **how)
        reporter.report("train", 1.0, "trained")
    return run


def _show(run: Run) -> str | None:
    """Close the connection between processes; in the first process, return the path of the trained model."""
    from .runtime.processes import leave_processes

    leave_processes()  # only now: networks that share gradients must be deleted before the connection closes
    return f"Trained: {run.path / 'bundles' / 'best'}" if os.environ.get("RANK", "0") == "0" else None


main = command(train, done=_show)

if __name__ == "__main__":
    raise SystemExit(run_command(main))
