"""Measure which inputs matter: python -m TrainingCore.ablate --data BIDS --recipe R --out DIR."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from .experiments.recipes import open_cohort, open_recipes
from .experiments.settings import Compute, Experiment, FoldSettings
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput
from .runtime.files import check_replaceable
from .runtime.signature import AtLeast, Option, ProgressMode, command


def ablate(
    data: Path,
    recipe: str,
    out: Path,
    *,
    changes: Annotated[Sequence[str], Option("key=value", flag="--set")] = (),
    folds: Annotated[int, AtLeast(2)] = 5,
    stratify: Annotated[Sequence[str], Option("COLUMN")] = (),
    seed: Annotated[int, AtLeast(0)] = 0,
    jobs: Annotated[int, AtLeast(1)] = 1,
    device: str = "auto",
    threads: Annotated[int, AtLeast(0)] = 0,
    progress: ProgressMode = "bar",
) -> Experiment:
    """Measure which inputs matter, by backward elimination.

    Cross-validates with all inputs and without each of them, drops the input that matters least, and repeats until
    one input is left. Run the same command again to resume after an interruption.

    Args:
        data: BIDS folder or table of the cohort.
        recipe: name of a recipe with two or more inputs, or a .yaml file.
        out: output folder; reuse it to resume.
        changes: recipe values to change, e.g. --set size=64 epochs=20.
        folds: number of folds; all visits of a person are in the same fold.
        stratify: columns of participants.tsv to stratify folds and validation sets by, e.g. group site.
        seed: seed of the folds (default: 0).
        jobs: trainings to run in parallel.
        device: auto (a GPU if there is one), cpu or cuda:N.
        threads: CPU threads of each training (default: all).
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The finished experiment; its summary holds the order of elimination.

    Raises:
        BadInput: the recipe has only one input, or the cohort lacks a volume that the recipe needs.

    Example:
        python -m TrainingCore.ablate --data cohort --recipe contrast_enhancement --folds 5 --out ablation
    """
    recipes = open_recipes([recipe], changes)
    (settings,) = recipes.values()
    if len(settings["data"]["inputs"]) < 2:
        raise BadInput(f"{recipe} has only one input, so there is no input to leave out. Choose another recipe.")
    cohort = open_cohort(Path(data), recipes)
    out = Path(out)
    check_replaceable(out, "round-1/plan.json")

    from .experiments.ablation import eliminate
    from .reporting.ablation_report import write_ablation

    with Progress(progress, "eliminating") as reporter:
        reporter.note(cohort.left_out())
        division = FoldSettings(folds, list(stratify), seed)
        rounds = eliminate(cohort, settings, out, division, Compute(jobs, device, threads), reporter)
        write_ablation(out, rounds, settings, cohort)
        reporter.report("done", 1.0, "eliminated")
    return Experiment(out)


main = command(ablate, done=lambda result: f"Ablation: {result.report}")

if __name__ == "__main__":
    raise SystemExit(run_command(main))
