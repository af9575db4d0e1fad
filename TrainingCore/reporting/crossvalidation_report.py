"""Report of a cross-validation: pooled out-of-fold measures, mean (SD) as in the papers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import RESEARCH_USE
from ..data.ceilings import read_ceilings
from ..data.cohort import Cohort
from ..evaluation.compared import ComparedModels, compare_models
from ..evaluation.paired import by_person
from ..evaluation.summary import mean_and_sd
from ..evaluation.task import Pooled, Row, Task
from ..evaluation.tasks import TASKS
from ..runtime.files import read_json, write_json
from ..runtime.tables import write_csv
from . import figures
from .card import performance_in_lesions
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
    """Write summary.json, visits.csv, lesions.csv and report.html of the finished folds.

    Args:
        plan: plan of the cross-validation.
        cohort: training data.

    Returns:
        Content of summary.json.
    """
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
        recipes = {name: _recipe_summary(model_summary) for name, model_summary in last.summaries.items()}
        summary["last_epoch"] = {"recipes": recipes, "against": last.gaps}
    for kind in ("visits", "lesions"):
        rows = [{"recipe": name, **row} for name, result in compared.rows.items() for row in result[kind]]
        if rows:
            write_csv(plan.path / f"{kind}.csv", rows)
    write_json(plan.path / "summary.json", summary)
    crossvalidation_report(plan, cohort, compared, folds, last).write(plan.path / "report.html")
    return summary


def _recipe_summary(summary: Row) -> Row:
    """Move the measures to the top level, the layout of summary.json of a cross-validation."""
    return {**summary["measures"], **{key: value for key, value in summary.items() if key != "measures"}}


def performance_of_recipe(plan: Plan, name: str) -> dict[str, str]:
    """Summarise the out-of-fold performance of a recipe for a model card.

    Args:
        plan: finished cross-validation.
        name: name of the recipe.

    Returns:
        Text by title.
    """
    task = TASKS[plan.task]
    rows = plan.pooled(name)
    summary = compare_models(task, plan.recipes[name]["data"]["target"], {name: rows}).summaries[name]
    who = f"{summary['people']} people, out-of-fold (each by the one member not trained on them)"
    images = {measure.title: printed(measure, summary["measures"][measure.key]) for measure in task.measures}
    pooled = {title: _correlation_text(result) for title, result in summary["pooled"].items()}
    return {"measured on": who, **performance_in_lesions(summary), **images, **pooled}


def _correlation_text(result: Row) -> str:
    """r with its interval and number of points."""
    if result["r"] is None:
        return "–"
    return f"{figures.with_interval(result['r'], result['r_low'], result['r_high'])}, n = {result['n']}"


def crossvalidation_report(
    plan: Plan, cohort: Cohort, compared: ComparedModels, folds: Sequence[int], last: ComparedModels | None = None
) -> Report:
    """Build the report.

    Args:
        plan: plan of the cross-validation.
        cohort: training data.
        compared: results of the models of the best epochs.
        folds: finished folds; only these are reported.
        last: results of the models of the last epochs, or None if they do not differ.

    Returns:
        The report, to be written as HTML.
    """
    report = Report("Cross-validation", [SIMULATED_BANNER] if cohort.simulated else [])
    about = compared.summaries[compared.first]
    which = ", ".join(map(str, folds))
    partly = f", of which only fold {which} is reported here" if len(folds) < len(plan.folds) else ""
    report.add_text(
        f"{len(cohort.people)} people of {cohort.name} in {len(plan.folds)} folds by person{partly}. Out-of-fold "
        f"results of {about['people']} people ({about['visits']} visits), mean (SD) over people."
    )
    add_results(report, compared)
    if last is not None:
        _add_last_epochs(report, last)
    _add_strata(report, plan, cohort, compared.task, compared.rows)
    _add_examples(report, plan, compared.task)
    add_by_person(report, compared.task, compared.rows)
    _add_folds(report, plan, cohort, compared.first)
    add_methods(report, plan.recipes, plan.seed)
    return report


def _add_last_epochs(report: Report, last: ComparedModels) -> None:
    """Add the measures of the models of the last epochs."""
    report.add_heading("Last epochs")
    report.add_text(
        "The epochs above were selected on the validation set, possibly before a schedule of losses or patches was "
        "complete. These are the models of the last epoch, after all schedules; a difference should hold for both."
    )
    rows = [
        measure_row(measure, {name: summary["measures"] for name, summary in last.summaries.items()})
        for measure in last.task.measures
    ]
    report.add_table(rows, "Mean (SD) over people.", missing="–")
    for other, gaps in last.gaps.items():
        rows = comparison_rows(last.task, gaps, last.first, other)
        report.add_table(rows, f"{other} minus {last.first}, last epochs.", missing="–")


def _add_strata(report: Report, plan: Plan, cohort: Cohort, task: Task, pooled: Pooled) -> None:
    """Add the first measures by stratum, because an overall mean can hide differences between strata."""
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
                if measure.better and people:  # skips lesion measures in controls
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


def _add_folds(report: Report, plan: Plan, cohort: Cohort, recipe: str) -> None:
    """Add the people of each fold and, if stratified, the number of people per stratum and part."""
    report.add_heading("Folds")
    sizes = [{"fold": index + 1, "people left out": ", ".join(part)} for index, part in enumerate(plan.folds)]
    report.add_table(sizes, "People evaluated in each fold.")
    if not plan.stratified_by:
        return
    stratum = cohort.strata(plan.stratified_by)
    counts: dict[str, Row] = {
        name: {" / ".join(plan.stratified_by): name} for name in (*sorted(set(stratum.values())), "all")
    }
    for fold in plan.finished():
        people = read_json(plan.folder(recipe, fold) / "run" / "run.json")["people"]
        parts = (people["training"], people["validation"], plan.folds[fold - 1])
        for name, row in counts.items():
            of = [sum(name in ("all", stratum[person]) for person in part) for part in parts]
            row[f"fold {fold}"] = " / ".join(map(str, of))
    report.add_table(list(counts.values()), "People for training / validation / test, by stratum.")


def _add_examples(report: Report, plan: Plan, task: Task) -> None:
    """Add example slices of test people: the image of every recipe beside the measured image."""
    folds = [f for f in range(1, len(plan.folds) + 1) if all(plan.example(n, f).is_file() for n in plan.recipes)]
    examples = {name: [load_slices(plan.example(name, fold)) for fold in folds[:MAX_EXAMPLES]] for name in plan.recipes}
    if not folds or len({tuple(example.outline.shape for example in result) for result in examples.values()}) > 1:
        return  # recipes of different grids cannot be shown side by side
    report.add_heading("Examples")
    report.add_figure(
        PAGES[task.name].examples(examples),
        "From each fold, the test person with the highest lesion load, slice with the most lesion. Patient's right on "
        "the left.",
        "Axial slices of test people: inputs, measured image and synthetic image of every recipe",
    )
