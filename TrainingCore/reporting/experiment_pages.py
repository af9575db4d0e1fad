"""The report of a cross-validation: out-of-fold measures pooled, mean (sd) as the papers print them."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np

from .. import RESEARCH_USE
from ..data.case import title_of
from ..data.cohort import Cohort
from ..evaluation.summary import levels, mean_and_sd
from ..evaluation.tasks import TASKS, Measure, Task
from ..experiments.comparison import add_comparisons, against, by_person
from ..experiments.crossvalidation import Plan
from ..experiments.methods import add_methods
from ..runtime.files import read_json, write_json
from . import figures
from .document import SIMULATED_BANNER, Report
from .evaluation_pages import write_csv
from .slice_figures import load_slices

Row = dict[str, Any]
Pooled = dict[str, dict[str, list[Row]]]  # rows of visits and of lesions, by recipe
MOST_EXAMPLES, MEASURES_BY_STRATUM, MOST_COLUMNS = 3, 2, 6
REASON = (
    "The paper's figures come from its own patients, scanners and preprocessing; ours from the cohort named above. "
    "They stand side by side to show the order of magnitude and the order of the methods, and cannot be equal."
)


def write_crossvalidation(plan: Plan, cohort: Cohort) -> dict[str, Any]:
    """Write summary.json, visits.csv, lesions.csv and report.html of the finished folds; returns the summary."""
    first = next(iter(plan.recipes))
    task, folds = TASKS[plan.task], plan.finished()
    pooled = {name: plan.pooled(name, folds) for name in plan.recipes}
    pooled |= untouched_input(task, pooled[first])
    summary = {
        "note": RESEARCH_USE,
        "people": len({row["person"] for row in pooled[first]["visits"]}),
        "visits": len(pooled[first]["visits"]),
        "folds": len(plan.folds),
        "measured_folds": folds,
        "simulated": cohort.simulated,
        "recipes": {name: summarise(task, rows) for name, rows in pooled.items()},
        "against": {name: against(task, pooled[first], pooled[name]) for name in list(pooled)[1:]},
    }
    for kind in ("visits", "lesions"):
        rows = [{"recipe": name, **row} for name, found in pooled.items() for row in found[kind]]
        if rows:
            write_csv(plan.path / f"{kind}.csv", rows)
    write_json(plan.path / "summary.json", summary)
    build_report(plan, cohort, task, summary, pooled).write(plan.path / "report.html")
    return summary


def summarise(task: Task, rows: dict[str, list[Row]]) -> Row:
    """Mean, SD and number of people of each measure (visits of a person averaged first), and what is pooled."""
    found: Row = {measure.key: mean_sd(by_person(rows["visits"], measure.key)) for measure in task.measures}
    found["pooled"] = {title: function(rows["lesions"]) for title, function in task.pooled if rows["lesions"]}
    return found


def untouched_input(task: Task, rows: dict[str, list[Row]]) -> Pooled:
    """{name: rows} of an input taken for the answer, as if it were one more recipe, where the task measured it."""
    found: Pooled = {}
    for row in rows["visits"]:
        if "untouched" in row:
            name = f"untouched {title_of(row['untouched'])}"
            values = {measure.key: row[f"untouched_{measure.key}"] for measure in task.measures}
            found.setdefault(name, {"visits": [], "lesions": []})["visits"].append(row | values)
    return found


def mean_sd(values: dict[str, float]) -> Row:
    """{mean, sd (n - 1), n} over people; None where not estimable."""
    return mean_and_sd(np.array(list(values.values()), float))


def performance_of_recipe(plan: Plan, name: str) -> dict[str, str]:
    """What a model card says of a recipe's out-of-fold measures."""
    task = TASKS[plan.task]
    rows = plan.pooled(name)
    found = summarise(task, rows)
    people = len({row["person"] for row in rows["visits"]})
    told = {"measured on": f"{people} people, each by the one member that never saw them"}
    told |= {measure.title: printed(measure, found[measure.key]) for measure in task.measures}
    pooled = {"recipes": {name: found}}
    return told | {title: pooled_cell(pooled, name, title) for title, _function in task.pooled if found["pooled"]}


def build_report(plan: Plan, cohort: Cohort, task: Task, summary: Row, pooled: Pooled) -> Report:
    """The report as a self-contained page."""
    report = Report("Cross-validation", [SIMULATED_BANNER] if cohort.simulated else [])
    names = list(pooled)
    folds = ", ".join(map(str, summary["measured_folds"]))
    partly = (
        f", of which fold {folds} alone is reported here" if len(summary["measured_folds"]) < len(plan.folds) else ""
    )
    report.add_text(
        f"{len(plan.folds)} folds by person of the {len(cohort.people)} people of {cohort_name(cohort)}{partly}: "
        f"measured on {summary['people']} people ({summary['visits']} visits), each by a model that had never seen "
        "them. Mean (SD) over people."
    )
    report.add_heading("Measures")
    add_measures(report, task, summary["recipes"], plan.recipes[names[0]]["data"]["target"])
    if summary["recipes"][names[0]]["pooled"]:
        add_pooled(report, task, summary, pooled)
    if task.section:
        task.section(report, {one: found["visits"] for one, found in pooled.items()})
    add_comparisons(report, task, summary["against"], names[0])
    add_strata(report, plan, cohort, task, pooled)
    add_examples(report, plan, task)
    add_by_person(report, task, pooled)
    add_folds(report, plan, cohort, names[0])
    add_methods(report, plan.recipes, plan.seed)
    return report


def add_by_person(report: Report, task: Task, pooled: Pooled) -> None:
    """The first measure of every person, recipe by recipe."""
    report.add_heading("By person")
    report.add_figure(
        people_figure(task.measures[0], pooled),
        f"{task.measures[0].title}: one point per person, line at the mean.",
        "Strip plot of the first measure of every recipe by person",
    )


def add_measures(report: Report, task: Task, recipes: dict[str, Row], target: str) -> None:
    """Mean (SD) of every recipe and what the paper reports: a line per recipe, as in the papers' tables, or per measure
    where there are too many measures for that."""
    papers = dict.fromkeys(name for measure in task.measures for name in measure.reported(target))
    caption = "Mean (SD)." + (f" {REASON}" if papers else "")
    if len(task.measures) > MOST_COLUMNS:
        rows = [measure_row(measure, recipes, target) for measure in task.measures]
        report.add_table(rows, caption, ["measure", *recipes, *(["paper"] if papers else [])], missing="–")
        return
    titles = {measure.key: arrowed(measure) for measure in task.measures}
    lines: list[Row] = [
        {"recipe": name} | {m.key: printed(m, found[m.key]) for m in task.measures} for name, found in recipes.items()
    ]
    for paper in papers:
        lines.append({"recipe": f"paper: {paper}"} | {m.key: m.reported(target).get(paper, "–") for m in task.measures})
    report.add_table(lines, caption, titles=titles, missing="–")


def cohort_name(cohort: Cohort) -> str:
    """The cohort's folder or table, without where it lies."""
    return cohort.path.resolve().name if cohort.path else "the cohort"


def told_length(recipe: Row) -> str:
    """How long every model was trained, in words."""
    steps, epochs = recipe["iterations"], recipe["epochs"]
    return f"each trained for {plural(steps, 'step')}" if steps else f"each trained for {plural(epochs, 'epoch')}"


def plural(count: int, noun: str) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def add_strata(report: Report, plan: Plan, cohort: Cohort, task: Task, pooled: Pooled) -> None:
    """The first measures again, by what the folds were stratified by: a mean over all hides whom a recipe serves."""
    for column in plan.stratified_by:
        stratum, rows = cohort.strata([column]), []
        for value in sorted(set(stratum.values())):
            own = []
            for measure in task.measures:
                found = {}
                for name, of in pooled.items():
                    values = by_person(of["visits"], measure.key)
                    found[name] = {person: one for person, one in values.items() if stratum[person] == value}
                people = max(map(len, found.values()))
                if measure.better and people:  # what controls have no lesions for is left out
                    row = measure_row(measure, {name: {measure.key: mean_sd(one)} for name, one in found.items()})
                    own.append({column: value, "people": people, "measure": row.pop("measure")} | row)
            rows += own[:MEASURES_BY_STRATUM]
        report.add_heading(f"By {column.replace('_', ' ')}")
        report.add_table(rows, "Mean (SD).", [column, "people", "measure", *pooled], missing="–")


def add_folds(report: Report, plan: Plan, cohort: Cohort, recipe: str) -> None:
    """Who was measured in which fold and, where it was stratified, how many of each stratum were in which part."""
    report.add_heading("Folds")
    sizes = [{"fold": index + 1, "people left out": ", ".join(part)} for index, part in enumerate(plan.folds)]
    report.add_table(sizes, "Who was measured in which fold.")
    if not plan.stratified_by:
        return
    stratum = cohort.strata(plan.stratified_by)
    counts: dict[str, Row] = {
        name: {" / ".join(plan.stratified_by): name} for name in (*sorted(set(stratum.values())), "all")
    }
    for fold in plan.finished():
        learnt = read_json(plan.folder(recipe, fold) / "run" / "run.json")["people"]
        parts = (learnt["training"], learnt["validation"], plan.folds[fold - 1])
        for name, row in counts.items():
            of = [sum(name in ("all", stratum[person]) for person in part) for part in parts]
            row[f"fold {fold}"] = " / ".join(map(str, of))
    report.add_table(list(counts.values()), "People to train / to validate / left out and measured, by stratum.")


def add_pooled(report: Report, task: Task, summary: Row, pooled: Pooled) -> None:
    """What is pooled over all people: the table, the paper's numbers beside ours, and a scatter of every recipe."""
    titles = [title for title, _function in task.pooled]
    rows: list[Row] = [
        {"recipe": one, **{title: pooled_cell(summary, one, title) for title in titles}} for one in pooled
    ]
    for paper in dict.fromkeys(name for values in task.paper.values() for name in values):
        rows.append({"recipe": f"paper: {paper}", **{one: task.paper[one].get(paper) for one in task.paper}})
    caption = "Pooled over all people; 95 % interval by person." + (f" {REASON}" if task.paper else "")
    report.add_table(rows, caption, ["recipe", *titles], missing="–")
    for name, found in pooled.items():
        values = summary["recipes"][name]["pooled"]
        report.add_figure(
            figures.agreement_figure(
                levels(found["lesions"]), {level: values[f"{level} level r"] for level in ("lesion", "patient")}
            ),
            f"{name}: synthetic against measured mean DVR, lesions left and patients right.",
            f"Scatter plots of synthetic against measured mean DVR, {name}",
        )


def add_examples(report: Report, plan: Plan, task: Task) -> None:
    """Slices of people left out, every recipe's image of each beside the measured one; nothing where there are none."""
    folds = [f for f in range(1, len(plan.folds) + 1) if all(plan.example(n, f).is_file() for n in plan.recipes)]
    examples = {
        name: [load_slices(plan.example(name, fold)) for fold in folds[:MOST_EXAMPLES]] for name in plan.recipes
    }
    if not folds or len({tuple(one.outline.shape for one in found) for found in examples.values()}) > 1:
        return  # recipes of different grids cannot be laid side by side
    report.add_heading("Examples")
    report.add_figure(
        task.examples(examples),
        "Of the people left out of a fold, the one with the largest lesions; the slice with most of them. Patient's "
        "right on the left.",
        "Axial slices of people left out: inputs, measured image and what every recipe makes of them",
    )


def arrowed(measure: Measure) -> str:
    """A measure's title with an arrow that says which way is better."""
    arrow = {"higher": "\N{NO-BREAK SPACE}↑", "lower": "\N{NO-BREAK SPACE}↓"}.get(measure.better, "")
    return f"{measure.title}{arrow}"


def measure_row(measure: Measure, recipes: dict[str, Row], target: str = "") -> Row:
    """One line of a table: mean (SD) of every recipe, and the paper's of models that make the target."""
    row: Row = {"measure": arrowed(measure)}
    for name, found in recipes.items():
        row[name] = printed(measure, found[measure.key])
    papers = measure.reported(target)
    if papers:
        row["paper"] = "; ".join(f"{name} {value}" for name, value in papers.items())
    return row


def printed(measure: Measure, found: Row) -> str:
    """`mean (sd)` in the paper's unit."""
    if found["mean"] is None:
        return "–"
    mean = _unsigned_zero(figures.number(measure.scale * found["mean"], measure.form))
    return mean if found["sd"] is None else f"{mean} ({measure.form.format(measure.scale * found['sd'])})"


def _unsigned_zero(number: str) -> str:
    """`0.00` for `-0.00`."""
    return number if any(digit in number for digit in "123456789") else number.lstrip("-\N{MINUS SIGN}")


def pooled_cell(summary: Row, name: str, title: str) -> str:
    """r with its interval and number of points."""
    found = summary["recipes"][name]["pooled"].get(title)
    if not found or found["r"] is None:
        return "–"
    return f"{figures.with_interval(found['r'], found['r_low'], found['r_high'])}, n = {found['n']}"


def people_figure(measure: Measure, pooled: Pooled) -> Any:
    """Every person's value of one measure under each recipe that has it, people joined by lines."""
    values_of = {name: by_person(found["visits"], measure.key) for name, found in pooled.items()}
    names = [name for name, found in values_of.items() if found] or list(pooled)
    series = [values_of[name] for name in names]
    figure, axes = figures.new_figure(2.2 + 1.4 * len(names), 3.6)
    axis = axes[0, 0]
    for person in sorted(set.union(*map(set, series))):
        values = [measure.scale * found.get(person, np.nan) for found in series]
        axis.plot(range(len(series)), values, "o-", color=figures.SYNTHETIC, alpha=0.4, linewidth=0.8, markersize=4)
    for place, found in enumerate(series):
        if found:
            mean = measure.scale * float(np.mean(list(found.values())))
            axis.hlines(mean, place - 0.25, place + 0.25, color=figures.INK, linewidth=2)
    axis.set_xticks(range(len(series)), [fill(name.replace("_", " "), 14) for name in names])
    axis.set_xlim(-0.5, len(series) - 0.5)
    axis.set_ylabel(measure.title)
    return figure
