"""Backward elimination of inputs (Bone et al. 2021): drop the one that matters least, and again, until one is left.

OUT/round-1/           a cross-validation of all inputs and of all inputs but one each (see crossvalidation.py)
OUT/round-2/ ...       the same around what round 1 kept
OUT/report.html, summary.json, steps.csv

Every cross-validation is resumable, so a killed ablation goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..cli import Progress
from ..cohort import Cohort
from ..evaluation import figures
from ..evaluation.pages import write_csv
from ..evaluation.report import Report
from ..evaluation.tasks import Measure, task_of
from ..files import write_json
from ..recipe import changed
from .crossvalidation import Plan
from .jobs import run_jobs
from .pages import by_person, mean_sd, measure_row, write_crossvalidation

Row = dict[str, Any]
ALL = "all"


def eliminate(cohort: Cohort, recipe: Row, options: argparse.Namespace, progress: Progress) -> list[Row]:
    """Run every round; returns one row per round: inputs it began with, what was tried, what was dropped."""
    task = task_of(recipe)
    inputs, rounds = list(recipe["data"]["inputs"]), []
    while len(inputs) > 1:
        number = len(rounds) + 1
        tried = {without(name): changed(recipe, {"data.inputs": _but(inputs, name)}) for name in inputs}
        recipes = ({ALL: recipe} if number == 1 else {}) | tried
        plan = Plan.begin(
            options.out / f"round-{number}", cohort, recipes, options.folds, options.stratify, options.seed, task.name
        )
        run_jobs(plan, cohort, plan.missing(), options, progress)
        write_crossvalidation(plan, cohort)
        found = {name: plan.pooled(name)["visits"] for name in recipes}
        dropped = least_important(inputs, found, deciding(task.measures, found))
        rounds.append({"round": number, "inputs": inputs, "tried": found, "dropped": dropped})
        inputs = _but(inputs, dropped)
    return rounds


def without(name: str) -> str:
    """What a recipe without an input is called."""
    return f"without_{name}"


def _but(inputs: Sequence[str], name: str) -> list[str]:
    return [one for one in inputs if one != name]


def deciding(measures: Sequence[Measure], found: dict[str, list[Row]]) -> Measure:
    """The first measure that everything tried has a value of (a Dice needs controls for its threshold)."""
    able = (one for one in measures if all(_mean(visits, one) is not None for visits in found.values()))
    return next(able, measures[0])


def least_important(inputs: Sequence[str], found: dict[str, list[Row]], measure: Measure) -> str:
    """The input without which the measure stays best."""
    sign = 1.0 if measure.better == "lower" else -1.0
    return min(inputs, key=lambda name: sign * (_mean(found[without(name)], measure) or 0.0))


def _mean(visits: Sequence[Row], measure: Measure) -> float | None:
    return mean_sd(by_person(visits, measure.key))["mean"]


def write_ablation(out: Path, rounds: list[Row], recipe: Row, cohort: Cohort) -> None:
    """Write steps.csv, summary.json and report.html."""
    from .. import SIMULATED

    task = task_of(recipe)
    steps = elimination_steps(rounds)
    summaries = {
        step["inputs"]: {m.key: mean_sd(by_person(step["visits"], m.key)) for m in task.measures} for step in steps
    }
    write_csv(out / "steps.csv", [{"inputs": name, **_flat(found)} for name, found in summaries.items()])
    write_json(
        out / "summary.json",
        {
            "simulated": cohort.simulated,
            "dropped_in_order": [row["dropped"] for row in rounds],
            "steps": [{"inputs": name, "measures": found} for name, found in summaries.items()],
        },
    )
    report = Report("Backward elimination of inputs", [SIMULATED] if cohort.simulated else [])
    order = " → ".join(row["dropped"] for row in rounds)
    report.add_text(
        f"{recipe['description']}. Dropped in this order, each time the input that mattered least for "
        f"{task.measures[0].title}: {order}. Kept to the end: {steps[-1]['inputs']}. Out-of-fold, mean (SD) over "
        "people."
    )
    rows = [measure_row(measure, summaries) for measure in task.measures]
    report.add_heading("What is left after each step").add_table(rows, "", ["measure", *summaries])
    report.add_figure(
        elimination_figure(summaries, task.measures[0]), "Mean and SD over people.", "Measure against the inputs left"
    )
    for row in rounds:
        found = {name: {m.key: mean_sd(by_person(visits, m.key)) for m in task.measures}
                 for name, visits in row["tried"].items()}  # fmt: skip
        report.add_heading(f"Round {row['round']}: from {' + '.join(row['inputs'])}")
        report.add_table(
            [measure_row(measure, found) for measure in task.measures],
            f"Dropped: {row['dropped']}.",
            ["measure", *found],
        )
    report.write(out / "report.html")


def elimination_steps(rounds: Sequence[Row]) -> list[Row]:
    """{inputs (joined by +), visits} of all inputs and of what was left after each round."""
    steps = [{"inputs": " + ".join(rounds[0]["inputs"]), "visits": rounds[0]["tried"][ALL]}]
    for row in rounds:
        left = " + ".join(_but(row["inputs"], row["dropped"]))
        steps.append({"inputs": left, "visits": row["tried"][without(row["dropped"])]})
    return steps


def _flat(found: dict[str, Row]) -> Row:
    return {f"{key}_{part}": value[part] for key, value in found.items() for part in ("mean", "sd")}


def elimination_figure(summaries: dict[str, dict[str, Row]], measure: Measure) -> Any:
    """The measure with its SD against the inputs that are left."""
    figure, axes = figures.new_figure(1.6 + 1.6 * len(summaries), 3.4)
    axis = axes[0, 0]
    found = [summary[measure.key] for summary in summaries.values()]
    means = [measure.scale * (one["mean"] if one["mean"] is not None else float("nan")) for one in found]
    spread = [measure.scale * (one["sd"] or 0.0) for one in found]
    axis.errorbar(range(len(found)), means, spread, fmt="o-", color=figures.SYNTHETIC, capsize=3)
    axis.set_xticks(range(len(found)), [name.replace(" + ", "\n") for name in summaries], fontsize=8)
    axis.set_ylabel(measure.title)
    return figure
