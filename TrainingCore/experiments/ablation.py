"""Backward elimination of inputs (Bone et al. 2021): drop the one that matters least, and again, until one is left.

OUT/round-1/           a cross-validation of all inputs and of all inputs but one each (see crossvalidation.py)
OUT/round-2/ ...       the same around what round 1 kept
OUT/report.html, summary.json, steps.csv

Every cross-validation is resumable, so a killed ablation goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.case import title_of
from ..data.cohort import Cohort
from ..data.recipe import changed
from ..evaluation.tasks import Measure, Task, task_of
from ..reporting import figures
from ..reporting.document import SIMULATED_BANNER, Report
from ..reporting.evaluation_pages import write_csv
from ..reporting.experiment_pages import (
    REASON,
    cohort_name,
    mean_sd,
    measure_row,
    printed,
    told_length,
    write_crossvalidation,
)
from ..runtime.cli import Progress
from ..runtime.files import write_json
from .comparison import ALPHA, by_person, paired_gap, told_gap
from .crossvalidation import Plan
from .jobs import run_jobs
from .methods import add_methods
from .settings import Compute, FoldSettings

Row = dict[str, Any]
ALL = "all"
PAPERS = "paper"


def eliminate(
    cohort: Cohort, recipe: Row, out: Path, folds: FoldSettings, compute: Compute, progress: Progress
) -> list[Row]:
    """Run every round; returns one row per round: inputs it began with, visits of what was tried, dropped, by what."""
    task = task_of(recipe)
    inputs = list(recipe["data"]["inputs"])
    ends = round_ends(len(inputs))
    rounds: list[Row] = []
    while len(inputs) > 1:
        number = len(rounds) + 1
        tried = {without(name): changed(recipe, {"data.inputs": _but(inputs, name)}) for name in inputs}
        recipes = ({ALL: recipe} if number == 1 else {}) | tried
        plan = Plan.begin(out / f"round-{number}", cohort, recipes, folds, task.name)
        run_jobs(plan, cohort, plan.missing(), compute, RoundProgress(progress, number, *ends[number - 1 : number + 1]))
        write_crossvalidation(plan, cohort)
        found = {name: plan.pooled(name)["visits"] for name in recipes}
        by = deciding(task.measures, found)
        dropped = least_important(inputs, found, by)
        rounds.append({"round": number, "inputs": inputs, "tried": found, "dropped": dropped, "by": by})
        inputs = _but(inputs, dropped)
    return rounds


def round_ends(inputs: int) -> list[float]:
    """Share of all trainings that is done when round 1, 2, ... begins, and 1 at the end."""
    tried = [inputs + 1, *range(inputs - 1, 1, -1)]
    return [sum(tried[:number]) / sum(tried) for number in range(len(tried) + 1)]


class RoundProgress(Progress):
    """The progress of one round as part of the whole: from share `first` to share `last`."""

    def __init__(self, whole: Progress, number: int, first: float, last: float) -> None:
        super().__init__("none")
        self.whole, self.number, self.first, self.last = whole, number, first, last

    def report(self, step: str, fraction: float, message: str) -> None:
        """As Progress.report, of this round."""
        self.whole.report(step, self.first + (self.last - self.first) * fraction, f"round {self.number}: {message}")

    def say(self, message: str) -> None:
        """As Progress.say."""
        self.whole.say(message)


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
    from .. import RESEARCH_USE

    task = task_of(recipe)
    steps = elimination_steps(rounds)
    summaries = {step["inputs"]: _means(step["visits"], task.measures) for step in steps}
    margins = [margin(row, row["by"]) for row in rounds]
    write_csv(out / "steps.csv", [{"inputs": name, **_flat(found)} for name, found in summaries.items()])
    write_json(
        out / "summary.json",
        {
            "note": RESEARCH_USE,
            "simulated": cohort.simulated,
            "dropped_in_order": [row["dropped"] for row in rounds],
            "margins": margins,
            "steps": [{"inputs": name, "measures": found} for name, found in summaries.items()],
        },
    )
    build_report(rounds, summaries, margins, recipe, cohort).write(out / "report.html")


def build_report(
    rounds: Sequence[Row], summaries: dict[str, dict[str, Row]], margins: Sequence[Row], recipe: Row, cohort: Cohort
) -> Report:
    """The order of elimination, the paper's table with ours, and how sure each step is."""
    task = task_of(recipe)
    report = Report("Backward elimination of inputs", [SIMULATED_BANNER] if cohort.simulated else [])
    order = " → ".join(title_of(row["dropped"]) for row in rounds)
    kept = list(summaries)[-1]
    report.add_text(
        f"{recipe['description']}. {len(cohort.people)} people of {cohort_name(cohort)}, each measured by a model that "
        f"had never seen them; {told_length(recipe)}. "
        f"Dropped in this order, each time the input that mattered least for {rounds[0]['by'].title}: {order}. Kept to "
        f"the end: {title_of(kept)}." + (f" The paper: {task.paper_order}." if task.paper_order else "")
    )
    report.add_heading("All that was tried")
    inputs, rows = rounds[0]["inputs"], tried_rows(rounds, task)
    told = "✓ an input that was there. Mean (SD); best: of its round."
    if any(row["round"] == PAPERS for row in rows):
        report.add_text(REASON)
        told += " Below a combination that the paper has too: what it reports."
    report.add_table(rows, told, titles={name: title_of(name) for name in inputs}, missing="–")
    report.add_heading("How sure each step is").add_text(
        "p is of Wilcoxon's signed-rank test, two-sided, paired by person. Each combination was trained once per fold: "
        "what differs between two trainings by chance "
        "counts here as a difference between inputs, so that even a small p may mislead where two rows are close."
    )
    for row, found in zip(rounds, margins):
        report.add_text(f"Round {row['round']}: {told_margin(row, found)}")
    report.add_heading("What is left after each step")
    heads = {name: " + ".join(title_of(one) for one in name.split(" + ")) for name in summaries}
    rows = [measure_row(measure, summaries) for measure in task.measures]
    report.add_table(rows, "", ["measure", *summaries], titles=heads)
    report.add_figure(
        elimination_figure(summaries, rounds[0]["by"]), "Mean and SD over people.", "Measure against the inputs left"
    )
    add_methods(report, {recipe["system"]: recipe})
    return report


def tried_rows(rounds: Sequence[Row], task: Task) -> list[Row]:
    """One row per combination, as the paper's table 1: a tick per input, its measures; below it what the paper has.

    All measures where the task's paper has no such table.
    """
    first, rows = rounds[0]["inputs"], []
    shown = [measure for measure in task.measures if measure.paper or not task.papers_row]
    for row in rounds:
        means = {name: _means(visits, task.measures) for name, visits in row["tried"].items()}
        best = {m.key: _best(m, {name: one[m.key]["mean"] for name, one in means.items()}) for m in shown}
        for name, found in means.items():
            left = row["inputs"] if name == ALL else _but(row["inputs"], name.removeprefix(without("")))
            papers = task.papers_row(left) if task.papers_row else {}
            cells: Row = {
                "round": str(row["round"]) if name != ALL else "all",
                **{i: "✓" if i in left else "✗" for i in first},
            }
            cells["dropped"] = title_of(row["dropped"]) if name == without(row["dropped"]) else ""
            for measure in shown:
                mark = " best" if name == best[measure.key] else ""
                cells[measure.title] = printed(measure, found[measure.key]) + mark
            rows.append(cells)
            if papers:
                blank = dict.fromkeys((*first, "dropped"), "")
                rows.append({"round": PAPERS} | blank | {one.title: papers[one.key] for one in shown})
    return rows


def _best(measure: Measure, means: dict[str, float | None]) -> str | None:
    known = {name: value for name, value in means.items() if value is not None}
    if len(known) < 2:
        return None
    return (min if measure.better == "lower" else max)(known, key=lambda name: known[name])


def margin(row: Row, measure: Measure) -> Row:
    """How much worse it would have been to drop the runner-up, paired by person: {runner_up, difference, p, n}."""
    others = _but(row["inputs"], row["dropped"])
    runner_up = least_important(others, row["tried"], measure)
    found = paired_gap(row["tried"][without(row["dropped"])], row["tried"][without(runner_up)], measure)
    return {"dropped": row["dropped"], "measure": measure.key, "runner_up": runner_up, **found}


def told_margin(row: Row, found: Row) -> str:
    """The margin in words; says so where the two cannot be told apart."""
    measure = row["by"]
    names = [title_of(one) for one in (found["dropped"], found["runner_up"])]
    if found["difference"] is None:
        return f"{names[0]} was dropped."
    told = f"{names[0]} was dropped; without {names[1]} instead, {measure.title} would have been worse by "
    told += f"{told_gap(measure, found)}."
    if found["p"] is None or found["p"] >= ALPHA:
        told += " The two cannot be told apart: with other people or another seed the order may be the other."
    return told


def elimination_steps(rounds: Sequence[Row]) -> list[Row]:
    """{inputs (joined by +), visits} of all inputs and of what was left after each round."""
    steps = [{"inputs": " + ".join(rounds[0]["inputs"]), "visits": rounds[0]["tried"][ALL]}]
    for row in rounds:
        left = " + ".join(_but(row["inputs"], row["dropped"]))
        steps.append({"inputs": left, "visits": row["tried"][without(row["dropped"])]})
    return steps


def _means(visits: Sequence[Row], measures: Sequence[Measure]) -> dict[str, Row]:
    return {measure.key: mean_sd(by_person(visits, measure.key)) for measure in measures}


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
    axis.set_xticks(
        range(len(found)),
        ["\n".join(title_of(one) for one in name.split(" + ")) for name in summaries],
        fontsize=8,
    )
    axis.set_ylabel(measure.title)
    return figure
