"""Cross-validate recipes on a cohort: python -m TrainingCore.crossvalidate --data BIDS --recipe R --out DIR."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from .experiments.recipes import name_recipes_without_key, open_cohort, open_recipes
from .experiments.settings import Compute, Experiment, FoldSettings
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput
from .runtime.signature import AtLeast, Option, ProgressMode, command


def crossvalidate(
    data: Path,
    recipe: str,
    out: Path,
    *,
    compare: Annotated[Sequence[str], Option("[NAME=]RECIPE")] = (),
    changes: Annotated[Sequence[str], Option("key=value", flag="--set")] = (),
    folds: Annotated[int, AtLeast(2)] = 5,
    fold: Annotated[Sequence[Annotated[int, AtLeast(1)]], Option("K")] = (),
    stratify: Annotated[Sequence[str], Option("COLUMN")] = (),
    report: bool = False,
    seed: Annotated[int, AtLeast(0)] = 0,
    jobs: Annotated[int, AtLeast(1)] = 1,
    scheduler: Annotated[str | None, Option("ADDRESS")] = None,
    device: str = "auto",
    threads: Annotated[int, AtLeast(0)] = 0,
    progress: ProgressMode = "bar",
) -> Experiment | None:
    """Cross-validate one or more recipes on the same folds of a cohort.

    Each model is trained without the people of one fold and evaluated on them. Run the same command again to resume
    after an interruption. --fold runs single folds, for example as separate cluster jobs.

    Args:
        data: BIDS folder or table of the cohort.
        recipe: name of a recipe (python -m TrainingCore.describe lists them) or a .yaml file.
        out: output folder; reuse it to resume.
        compare: more recipes on the same folds, tested against the first.
        changes: recipe values to change, in every recipe that has the key, e.g. --set size=64 epochs=20.
        folds: number of folds; all visits of a person are in the same fold.
        fold: run only these folds, counted from 1.
        stratify: columns of participants.tsv to stratify folds and validation sets by, e.g. group site.
        report: write the report of the finished folds even if others are missing.
        seed: seed of the folds (default: 0).
        jobs: trainings to run in parallel.
        scheduler: Dask cluster, tcp://HOST:8786, or local:N for N local workers; all workers must see the same disk.
        device: auto (a GPU if there is one), cpu or cuda:N.
        threads: CPU threads of each training (default: all).
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The finished experiment, or None while folds are still missing.

    Raises:
        BadInput: the recipes, the cohort and the folds are not compatible.

    Example:
        python -m TrainingCore.crossvalidate --data cohort --recipe sketcher_refiner --compare sketcher_only linear \
            --folds 3 --stratify group --out results

        one split into training, validation and test set (64, 16, 20 % of 100 people), stratified by three columns:
        python -m TrainingCore.crossvalidate --data glioma --recipe mask_weighted_pix2pix --folds 5 --fold 1 \
            --stratify subtype grade enhancement --report --set validation_people=16 --out one_split
    """
    recipes = open_recipes([recipe, *compare], changes)
    cohort = open_cohort(Path(data).absolute() if scheduler else Path(data), recipes)
    unknown = [number for number in fold if not 1 <= number <= folds]
    if unknown:
        raise BadInput(f"There is no fold {unknown[0]}: --fold must be 1 to {folds}.")

    from .experiments.crossvalidation import Plan
    from .experiments.jobs import run_jobs
    from .reporting.crossvalidation_report import write_crossvalidation

    plan = Plan.begin(Path(out), cohort, recipes, FoldSettings(folds, list(stratify), seed))
    waiting = [job for job in plan.missing() if not fold or job[1] in fold]
    with Progress(progress, "cross-validating") as reporter:
        reporter.note(cohort.left_out())
        reporter.note(name_recipes_without_key(recipes, changes))
        run_jobs(plan, cohort, waiting, Compute(jobs, device, threads, scheduler=scheduler), reporter)
        missing = plan.missing()
        if missing and not (report and plan.finished()):
            reporter.say(f"{len(missing)} trainings of other folds are missing; the last one will write the report.")
            return None
        write_crossvalidation(plan, cohort)
        reporter.report("done", 1.0, "cross-validated")
    return Experiment(plan.path)


main = command(crossvalidate, done=lambda result: f"Cross-validated: {result.report}" if result else None)

if __name__ == "__main__":
    raise SystemExit(run_command(main))
