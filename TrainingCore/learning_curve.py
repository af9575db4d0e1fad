"""Measure the gain from more people or a wider network: python -m TrainingCore.learning_curve --data BIDS ..."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from .data.recipe import full_key
from .experiments.recipes import open_cohort, open_recipes
from .experiments.settings import Compute, Experiment, FoldSettings
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput
from .runtime.files import check_replaceable
from .runtime.signature import AtLeast, Option, ProgressMode, command


def learning_curve(
    data: Path,
    recipe: str,
    out: Path,
    *,
    fractions: Annotated[Sequence[float], Option("F")] = (0.25, 0.5, 0.75, 1.0),
    widths: Annotated[Sequence[int], Option("N")] = (),
    width_key: Annotated[str, Option("KEY")] = "width",
    changes: Annotated[Sequence[str], Option("key=value", flag="--set")] = (),
    folds: Annotated[int, AtLeast(2)] = 5,
    stratify: Annotated[Sequence[str], Option("COLUMN")] = (),
    seed: Annotated[int, AtLeast(0)] = 0,
    jobs: Annotated[int, AtLeast(1)] = 1,
    device: str = "auto",
    threads: Annotated[int, AtLeast(0)] = 0,
    progress: ProgressMode = "bar",
) -> Experiment:
    """Measure how much a recipe would gain from more training subjects or a wider network.

    Cross-validates the recipe at several fractions of the training subjects and several network widths, and fits the
    asymptote. Run the same command again to resume after an interruption.

    Args:
        data: BIDS folder or table of the cohort.
        recipe: name of a recipe (python -m TrainingCore.describe lists them) or a .yaml file.
        out: output folder; reuse it to resume.
        fractions: fractions of the training subjects, each above 0 and at most 1.
        widths: network widths (default: the recipe's own).
        width_key: recipe key of the width, e.g. generator.width.
        changes: recipe values to change, e.g. --set size=64 epochs=20.
        folds: number of folds; all visits of a person are in the same fold.
        stratify: columns of participants.tsv to stratify folds and validation sets by, e.g. group site.
        seed: seed of the folds (default: 0).
        jobs: trainings to run in parallel.
        device: auto (a GPU if there is one), cpu or cuda:N.
        threads: CPU threads of each training (default: all).
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The finished experiment; its summary holds every combination of fraction and width, and the asymptotes.

    Raises:
        BadInput: a fraction or width is out of range, or the recipe does not suit the cohort.

    Example:
        python -m TrainingCore.learning_curve --data cohort --recipe contrast_enhancement \
            --fractions 0.25 0.5 0.75 1 --widths 8 16 32 --out curves
    """
    recipes = open_recipes([recipe], changes)
    (settings,) = recipes.values()
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        raise BadInput("--fractions must be above 0 and at most 1, for example 0.25 0.5 0.75 1.")
    key = full_key(settings, width_key, "--width-key")

    from .data.recipe import value_of

    sizes = sorted(set(fractions)), sorted(set(widths)) or [value_of(settings, key)]
    cohort = open_cohort(Path(data), recipes)
    out = Path(out)
    check_replaceable(out, "crossvalidation/plan.json")

    from .experiments.learning_curves import Sizes, run_curves
    from .reporting.curves_report import write_curves

    with Progress(progress, "learning curves") as reporter:
        reporter.note(cohort.left_out())
        division = FoldSettings(folds, list(stratify), seed)
        compute = Compute(jobs, device, threads)
        _plan, cells = run_curves(cohort, settings, Sizes(*sizes, key), out, division, compute, reporter)
        write_curves(out, cells, settings, cohort, seed)
        reporter.report("done", 1.0, "measured")
    return Experiment(out)


main = command(learning_curve, done=lambda result: f"Learning curves: {result.report}")

if __name__ == "__main__":
    raise SystemExit(run_command(main))
