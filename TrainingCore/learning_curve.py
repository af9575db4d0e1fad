"""What more people or a wider network would bring: python -m TrainingCore.learning_curve --data BIDS --recipe R .."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .crossvalidate import add_protocol_options, open_cohort, open_recipes
from .data.recipe import full_key
from .runtime.cli import Progress, parser, run_command
from .runtime.errors import BadInput
from .runtime.files import check_replaceable


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    options = parser(
        "learning_curve",
        "Cross-validate a recipe at several fractions of the training people and several network widths, and fit the "
        "asymptote. A killed command goes on when it is started again.",
        "python -m TrainingCore.learning_curve --data cohort --recipe contrast_enhancement --fractions 0.25 0.5 0.75 1 "
        "--widths 8 16 32 --out curves",
    )
    add_protocol_options(options)
    options.add_argument(
        "--fractions",
        type=float,
        nargs="+",
        default=[0.25, 0.5, 0.75, 1.0],
        help="of the training people, above 0 to 1 (default: 0.25 0.5 0.75 1)",
    )
    options.add_argument("--widths", type=int, nargs="+", default=[], help="network widths (default: the recipe's own)")
    options.add_argument(
        "--width-key",
        default="width",
        metavar="KEY",
        help="recipe key of the width (default: width, e.g. generator.width)",
    )
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run every cell and write the report."""
    options = arguments().parse_args(argv)
    recipes = open_recipes([options.recipe], options.changes)
    (recipe,) = recipes.values()
    if not all(0 < fraction <= 1 for fraction in options.fractions):
        raise BadInput("--fractions must be above 0 and at most 1, for example 0.25 0.5 0.75 1.")
    options.fractions = sorted(set(options.fractions))
    key = full_key(recipe, options.width_key, "--width-key")

    from .data.recipe import value_of

    options.widths = sorted(set(options.widths)) or [value_of(recipe, key)]
    cohort = open_cohort(options.data, recipes)
    check_replaceable(options.out, "crossvalidation/plan.json")

    from .experiments.learning_curves import run_curves, write_curves

    with Progress(options.progress, "learning curves") as progress:
        progress.note(cohort.left_out())
        _plan, cells = run_curves(cohort, recipe, key, options, progress)
        write_curves(options.out, cells, recipe, cohort, options.seed)
        progress.report("done", 1.0, "measured")
    if options.progress != "json":
        print(f"Learning curves: {options.out / 'report.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_command(main))
