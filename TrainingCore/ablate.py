"""Which inputs matter: python -m TrainingCore.ablate --data BIDS --recipe R --out DIR."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .crossvalidate import add_protocol_options, open_cohort, open_recipes
from .runtime.cli import Progress, parser, run_command
from .runtime.errors import BadInput
from .runtime.files import check_replaceable


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    options = parser(
        "ablate",
        "Backward elimination: cross-validate with all inputs and without each of them, drop the one that matters "
        "least, and so on until one is left. A killed command goes on when it is started again.",
        "python -m TrainingCore.ablate --data cohort --recipe contrast_enhancement --folds 5 --out ablation",
    )
    add_protocol_options(options)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run every round and write the report."""
    options = arguments().parse_args(argv)
    recipes = open_recipes([options.recipe], options.changes)
    (recipe,) = recipes.values()
    if len(recipe["data"]["inputs"]) < 2:
        raise BadInput(f"{options.recipe} has one input: there is nothing to leave out.")
    cohort = open_cohort(options.data, recipes)
    check_replaceable(options.out, "round-1/plan.json")

    from .experiments.ablation import eliminate, write_ablation

    with Progress(options.progress, "eliminating") as progress:
        progress.note(cohort.left_out())
        rounds = eliminate(cohort, recipe, options, progress)
        write_ablation(options.out, rounds, recipe, cohort)
        progress.report("done", 1.0, "eliminated")
    if options.progress != "json":
        print(f"Ablation: {options.out / 'report.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
