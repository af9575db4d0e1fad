"""Cross-validate recipes on a cohort: python -m TrainingCore.crossvalidate --data BIDS --recipe R --out DIR."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .data.cohort import Cohort
from .data.recipe import has_key, load_recipe
from .experiments.crossvalidation import Plan
from .rules import check_recipe, volumes_to_learn
from .runtime.cli import (
    Progress,
    add_compute_options,
    add_progress_option,
    add_recipe_option,
    add_set_option,
    add_stratify_option,
    at_least,
    parser,
    run_command,
)
from .runtime.errors import BadInput


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    options = parser(
        "crossvalidate",
        "Divide the people of a cohort into folds, train without each fold in turn and measure on the people left out. "
        "A killed command goes on where it was when it is started again; --fold runs one fold, as one cluster job.",
        "python -m TrainingCore.crossvalidate --data cohort --recipe sketcher_refiner --compare sketcher_only linear "
        "--folds 3 --stratify group --out results\n\n"
        "one split into training, validation and test set (64, 16, 20 % of 100 people), alike in three columns:\n"
        "  python -m TrainingCore.crossvalidate --data glioma --recipe mask_weighted_pix2pix --folds 5 --fold 1 "
        "--stratify subtype grade enhancement --report --set validation_people=16 --out one_split",
    )
    add_protocol_options(options)
    options.add_argument(
        "--compare",
        nargs="+",
        action="extend",
        default=[],
        metavar="[NAME=]RECIPE",
        help="more recipes on the same folds, tested against the first",
    )
    options.add_argument(
        "--fold", type=at_least(1), nargs="+", default=[], metavar="K", help="only these folds, from 1"
    )
    options.add_argument(
        "--report", action="store_true", help="write the report of the finished folds even where others are missing"
    )
    return options


def add_protocol_options(options: argparse.ArgumentParser) -> None:
    """What every protocol takes: cohort, recipe, changes, folds, how to run."""
    options.add_argument("--data", type=Path, required=True, help="BIDS folder or table of the cohort")
    add_recipe_option(options)
    options.add_argument("--out", type=Path, required=True, help="folder of the results; the same again goes on")
    add_set_option(options, ", of every recipe that has the key")
    options.add_argument(
        "--folds", type=at_least(2), default=5, help="parts that the people are divided into (default: 5)"
    )
    add_stratify_option(options, "folds, and the validation people of each,")
    options.add_argument("--seed", type=at_least(0), default=0, help="seed of the folds (default: 0)")
    options.add_argument("--jobs", type=at_least(1), default=1, help="trainings at a time (default: 1)")
    add_compute_options(options, "CPU threads of each training (default: all)")
    add_progress_option(options)


def main(argv: Sequence[str] | None = None) -> int:
    """Plan the folds, run those that are missing, and write the report once all are there."""
    options = arguments().parse_args(argv)
    recipes = open_recipes([options.recipe, *options.compare], options.changes)
    cohort = open_cohort(options.data, recipes)
    wrong = [fold for fold in options.fold if fold > options.folds]
    if wrong:
        raise BadInput(f"There is no fold {wrong[0]}: --fold takes 1 to {options.folds}.")
    plan = Plan.begin(options.out, cohort, recipes, options.folds, options.stratify, options.seed)

    from .experiments.jobs import run_jobs
    from .reporting.experiment_pages import write_crossvalidation

    jobs = [job for job in plan.missing() if not options.fold or job[1] in options.fold]
    with Progress(options.progress, "cross-validating") as progress:
        progress.note(cohort.left_out())
        progress.note(left_alone(recipes, options.changes))
        run_jobs(plan, cohort, jobs, options, progress)
        left = plan.missing()
        if left and not (options.report and plan.finished()):
            progress.say(f"{len(left)} trainings of other folds are still missing; the report comes with the last.")
            return 0
        write_crossvalidation(plan, cohort)
        progress.report("done", 1.0, "cross-validated")
    if options.progress != "json":
        print(f"Cross-validated: {options.out / 'report.html'}")
    return 0


def open_recipes(wanted: Sequence[str], changes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Recipes by the name the report gives them: NAME=RECIPE, or the recipe's own. All must make the same target.

    changes: `key=value`, made in every recipe that has the key. Raises BadInput for recipes of other targets and where
    none has the key.
    """
    entries = [(name if equals else Path(entry).stem, which if equals else entry)
               for entry in wanted for name, equals, which in [entry.partition("=")]]  # fmt: skip
    before = [load_recipe(which) for _name, which in entries]
    recipes: dict[str, dict[str, Any]] = {}
    for (name, which), own in zip(entries, before):
        mine = [one for one in changes if has_key(own, one) or not any(has_key(other, one) for other in before)]
        recipe = load_recipe(which, mine)
        check_recipe(recipe)
        if name in recipes:
            raise BadInput(f"Two recipes are called {name!r}. Write one of them as NAME=RECIPE.")
        if not name.replace("-", "").replace("_", "").isalnum():
            raise BadInput(f"--compare {name}={which}: a name is made of letters, digits, - and _ alone.")
        recipes[name] = recipe
    targets = {recipe["data"]["target"] for recipe in recipes.values()}
    if len(targets) > 1:
        raise BadInput(f"The recipes make different things ({', '.join(sorted(targets))}) and cannot be compared.")
    return recipes


def left_alone(recipes: dict[str, dict[str, Any]], changes: Sequence[str]) -> str:
    """Says which recipes have not taken which change, as they have no such key; empty where all took all."""
    missing = {key: [name for name, recipe in recipes.items() if not has_key(recipe, key)] for key in changes}
    told = [f"{', '.join(names)} without --set {key.split('=')[0]}" for key, names in missing.items() if names]
    return f"Not every recipe has every key: {'; '.join(told)}." if told else ""


def open_cohort(path: Path, recipes: dict[str, dict[str, Any]]) -> Cohort:
    """The visits that every recipe can learn from."""
    needed = dict.fromkeys(name for recipe in recipes.values() for name in volumes_to_learn(recipe))
    inputs = dict.fromkeys(name for recipe in recipes.values() for name in recipe["data"]["inputs"])
    return Cohort.read(path, list(inputs)).ready_to_learn(list(needed))


if __name__ == "__main__":
    raise SystemExit(run_command(main))
