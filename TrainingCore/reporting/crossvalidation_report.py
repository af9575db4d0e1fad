"""The report of a cross-validation: out-of-fold measures pooled, mean (sd) as the papers print them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import RESEARCH_USE
from ..data.ceilings import read_ceilings
from ..data.cohort import Cohort
from ..evaluation.compared import ComparedModels, compare_models
from ..evaluation.paired import by_person, summarise_measures
from ..evaluation.summary import mean_and_sd
from ..evaluation.task import Pooled, Row, Task
from ..evaluation.tasks import TASKS
from ..runtime.files import read_json, write_json
from ..runtime.tables import write_csv
from . import figures
from .document import SIMULATED_BANNER, Report
from .evaluation_report import add_results
from .methods import add_methods
from .result_tables import add_by_person, comparison_rows, measure_row, printed
from .slice_figures import load_slices
from .task_pages import PAGES

if TYPE_CHECKING:
    from ..experiments.crossvalidation import Plan

MAX_EXAMPLES, MEASURES_BY_STRATUM = 3, 2


def write_crossvalidation(plan: Plan, cohort: Cohort) -> dict[str, Any]:
    """Write summary.json, visits.csv, lesions.csv and report.html of the finished folds; returns the summary."""
    first = next(iter(plan.recipes))
    task, folds = TASKS[plan.task], plan.finished()
    target = plan.recipes[first]["data"]["target"]
    rows_of_all = {name: plan.pooled(name, folds) for name in plan.recipes}
    compared = compare_models(task, target, rows_of_all, ceilings=read_ceilings(cohort.path))
    last = None
    if plan.last_epochs_differ(folds):
        last = compare_models(task, target, {name: plan.pooled(name, folds, True) for name in plan.recipes})
    summary = {
        "note": RESEARCH_USE,
        "people": compared.summaries[first]["people"],
        "visits": compared.summaries[first]["visits"],
        "folds": len(plan.folds),
        "measured_folds": folds,
        "simulated": cohort.simulated,
        "recipes": {name: _recipe_summary(summary) for name, summary in compared.summaries.items()},
        "against": compared.gaps,
    }
    if last is not None:
        recipes = {name: _recipe_summary(one) for name, one in last.summaries.items()}
        summary["last_epoch"] = {"recipes": recipes, "against": last.gaps}
    for kind in ("visits", "lesions"):
        rows = [{"recipe": name, **row} for name, result in compared.rows.items() for row in result[kind]]
        if rows:
            write_csv(plan.path / f"{kind}.csv", rows)
    write_json(plan.path / "summary.json", summary)
    crossvalidation_report(plan, cohort, compared, folds, last).write(plan.path / "report.html")
    return summary


def _recipe_summary(summary: Row) -> Row:
    """The measures on top, as summary.json of a cross-validation has always had them."""
    return {**summary["measures"], **{key: value for key, value in summary.items() if key != "measures"}}


def performance_of_recipe(plan: Plan, name: str) -> dict[str, str]:
    """What a model card says of a recipe's out-of-fold measures."""
    task = TASKS[plan.task]
    rows = plan.pooled(name)
    summary = summarise_measures(task, rows)
    people = len({row["person"] for row in rows["visits"]})
    performance = {"measured on": f"{people} people, each by the one member that never saw them"}
    performance |= {measure.title: printed(measure, summary[measure.key]) for measure in task.measures}
    return performance | {title: correlation_text(result) for title, result in summary["pooled"].items()}


def correlation_text(result: Row) -> str:
    """r with its interval and number of points."""
    if result["r"] is None:
        return "–"
    return f"{figures.with_interval(result['r'], result['r_low'], result['r_high'])}, n = {result['n']}"


def crossvalidation_report(
    plan: Plan, cohort: Cohort, compared: ComparedModels, folds: Sequence[int], last: ComparedModels | None = None
) -> Report:
    """The report as a self-contained page.

    folds: the finished ones, which alone are reported; compared, last: the best and the last epochs' models.
    """
    report = Report("Cross-validation", [SIMULATED_BANNER] if cohort.simulated else [])
    about = compared.summaries[compared.first]
    which = ", ".join(map(str, folds))
    partly = f", of which fold {which} alone is reported here" if len(folds) < len(plan.folds) else ""
    report.add_text(
        f"{len(plan.folds)} folds by person of the {len(cohort.people)} people of {cohort.name}{partly}: "
        f"measured on {about['people']} people ({about['visits']} visits), each by a model that had never seen "
        "them. Mean (SD) over people."
    )
    add_results(report, compared)
    if last is not None:
        add_last_epochs(report, last)
    add_strata(report, plan, cohort, compared.task, compared.rows)
    add_examples(report, plan, compared.task)
    add_by_person(report, compared.task, compared.rows)
    add_folds(report, plan, cohort, compared.first)
    add_methods(report, plan.recipes, plan.seed)
    return report


def add_last_epochs(report: Report, last: ComparedModels) -> None:
    """The same measures of the last epochs' models."""
    report.add_heading("Last epochs")
    report.add_text(
        "Validation people chose the epochs above, and may end a schedule of losses or patches anywhere. These are "
        "the models after the last epoch, where every schedule is complete; a difference should hold for both."
    )
    rows = [
        measure_row(measure, {name: summary["measures"] for name, summary in last.summaries.items()})
        for measure in last.task.measures
    ]
    report.add_table(rows, "Mean (SD) over people.", missing="–")
    for other, gaps in last.gaps.items():
        rows = comparison_rows(last.task, gaps, last.first, other)
        report.add_table(rows, f"{other} minus {last.first}, last epochs.", missing="–")


def add_strata(report: Report, plan: Plan, cohort: Cohort, task: Task, pooled: Pooled) -> None:
    """The first measures again, by what the folds were stratified by: a mean over all hides whom a recipe serves."""
    for column in plan.stratified_by:
        stratum, rows = cohort.strata([column]), []
        for value in sorted(set(stratum.values())):
            own = []
            for measure in task.measures:
                result = {}
                for name, of in pooled.items():
                    values = by_person(of["visits"], measure.key)
                    result[name] = {person: values[person] for person in values if stratum[person] == value}
                people = max(map(len, result.values()))
                if measure.better and people:  # what controls have no lesions for is left out
                    row = measure_row(
                        measure,
                        {
                            name: {measure.key: mean_and_sd(np.array(list(example.values()), float))}
                            for name, example in result.items()
                        },
                    )
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


def add_examples(report: Report, plan: Plan, task: Task) -> None:
    """Slices of people left out, every recipe's image of each beside the measured one; nothing where there are none."""
    folds = [f for f in range(1, len(plan.folds) + 1) if all(plan.example(n, f).is_file() for n in plan.recipes)]
    examples = {name: [load_slices(plan.example(name, fold)) for fold in folds[:MAX_EXAMPLES]] for name in plan.recipes}
    if not folds or len({tuple(example.outline.shape for example in result) for result in examples.values()}) > 1:
        return  # recipes of different grids cannot be laid side by side
    report.add_heading("Examples")
    report.add_figure(
        PAGES[task.name].examples(examples),
        "Of the people left out of a fold, the one with the largest lesions; the slice with most of them. Patient's "
        "right on the left.",
        "Axial slices of people left out: inputs, measured image and what every recipe makes of them",
    )
