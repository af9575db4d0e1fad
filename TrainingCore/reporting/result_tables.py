"""Tables that all model reports share: measures beside those of the paper, and comparisons with the first model."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from ..evaluation.paired import by_person
from ..evaluation.task import Measure, Pooled, Row, Task
from ..systems.registry import reported_for
from . import figures
from .document import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_COLUMNS = 7  # with more measures, the table has one row per measure instead of one per model
ALPHA = 0.05  # significance level for differences between models or inputs
REASON = (
    "The paper's results are from its own patients, scanners and preprocessing, ours from the cohort named above. "
    "They are shown side by side to compare the order of magnitude and the ranking of methods; they cannot be equal."
)
HOW = (
    "{other} minus {first}, mean over people [95 % interval, bootstrap of people]. p: Wilcoxon's signed-rank test, "
    "two-sided, paired by person, not corrected for the number of comparisons."
)
HOW_POOLED = " p of r: bootstrap of people."


def add_measures(report: Report, task: Task, recipes: dict[str, Row], target: str) -> None:
    """Add mean (SD) of every recipe and of the paper, one row per recipe, or per measure if there are many.

    Args:
        report: report to extend.
        task: task of the models.
        recipes: statistics of each measure, by recipe.
        target: target contrast, which selects the results of the paper.
    """
    paper = {measure.key: reported_for(task.name).of_measure(measure.key, target) for measure in task.measures}
    papers = dict.fromkeys(name for values in paper.values() for name in values)
    caption = "Mean (SD)." + (f" {REASON}" if papers else "")
    if len(task.measures) > MAX_COLUMNS:
        rows = [measure_row(measure, recipes, paper[measure.key]) for measure in task.measures]
        report.add_table(rows, caption, ["measure", *recipes, *(["paper"] if papers else [])], missing="–")
        return
    titles = {measure.key: _arrowed(measure) for measure in task.measures}
    lines: list[Row] = [
        {"recipe": name} | {m.key: printed(m, result[m.key]) for m in task.measures} for name, result in recipes.items()
    ]
    for name in papers:
        lines.append({"recipe": f"paper: {name}"} | {key: values.get(name, "–") for key, values in paper.items()})
    report.add_table(lines, caption, titles=titles, missing="–")


def _arrowed(measure: Measure) -> str:
    """Title of a measure with an arrow in the direction of improvement."""
    arrow = {"higher": "\N{NO-BREAK SPACE}↑", "lower": "\N{NO-BREAK SPACE}↓"}.get(measure.better, "")
    return f"{measure.title}{arrow}"


def measure_row(measure: Measure, recipes: dict[str, Row], paper: Mapping[str, str] | None = None) -> Row:
    """Make the table row of a measure.

    Args:
        measure: the measure.
        recipes: summary of the measures by name of the recipe or model.
        paper: the paper's values by its name for a model, or None.

    Returns:
        `measure`, mean (SD) of every recipe, and `paper` if it has values.
    """
    row: Row = {"measure": _arrowed(measure)}
    for name, result in recipes.items():
        row[name] = printed(measure, result[measure.key])
    if paper:
        row["paper"] = "; ".join(f"{name} {value}" for name, value in paper.items())
    return row


def printed(measure: Measure, result: Row) -> str:
    """Format mean and SD of a measure as `mean (sd)` in the paper's unit.

    Args:
        measure: the measure, with its scale and format.
        result: {mean, sd} in our unit; each may be None.

    Returns:
        The text; a dash without a mean.
    """
    if result["mean"] is None:
        return "–"
    mean = _unsigned_zero(figures.number_text(measure.scale * result["mean"], measure.form))
    return mean if result["sd"] is None else f"{mean} ({measure.form.format(measure.scale * result['sd'])})"


def _unsigned_zero(number: str) -> str:
    """`0.00` for `-0.00`."""
    return number if any(digit in number for digit in "123456789") else number.lstrip("-\N{MINUS SIGN}")


def add_by_person(report: Report, task: Task, pooled: Pooled) -> None:
    """Add a figure of the first measure of every person by recipe.

    Args:
        report: report to extend.
        task: task whose first measure is shown.
        pooled: rows by recipe or model.
    """
    report.add_heading("By person")
    report.add_figure(
        measure_by_person_figure(task.measures[0], pooled),
        f"{task.measures[0].title}: one point per person, line at the mean.",
        "Strip plot of the first measure of every recipe by person",
    )


def measure_by_person_figure(measure: Measure, pooled: Pooled) -> Figure:
    """Plot a measure of every person for each recipe; lines connect the values of a person.

    Args:
        measure: the measure.
        pooled: rows by recipe or model; those without values are left out.

    Returns:
        The figure.
    """
    values_of = {name: by_person(result["visits"], measure.key) for name, result in pooled.items()}
    names = [name for name, result in values_of.items() if result] or list(pooled)
    series = [values_of[name] for name in names]
    figure, axes = figures.new_figure(2.2 + 1.4 * len(names), 3.6)
    axis = axes[0, 0]
    for person in sorted(set.union(*map(set, series))):
        values = [measure.scale * result.get(person, np.nan) for result in series]
        axis.plot(range(len(series)), values, "o-", color=figures.SYNTHETIC, alpha=0.4, linewidth=0.8, markersize=4)
    for index, result in enumerate(series):
        if result:
            mean = measure.scale * float(np.mean(list(result.values())))
            axis.hlines(mean, index - 0.25, index + 0.25, color=figures.INK, linewidth=2)
    axis.set_xticks(range(len(series)), [fill(name.replace("_", " "), 14) for name in names])
    axis.set_xlim(-0.5, len(series) - 0.5)
    axis.set_ylabel(measure.title)
    return figure


def add_comparisons(report: Report, task: Task, result: Mapping[str, Row], first: str) -> None:
    """Add a table for every other recipe: differences to the first, p values, and the better recipe.

    Args:
        report: report to extend.
        task: task of the models.
        result: differences of every other recipe, as returned by `against`.
        first: name of the first recipe.
    """
    for other, gaps in result.items():
        report.add_heading(f"{other} beside {first}")
        rows = comparison_rows(task, gaps, first, other)
        if rows:
            how = HOW.format(other=other, first=first) + (HOW_POOLED if task.pooled else "")
            report.add_table(rows, how, missing="–")
        else:
            report.add_text("Nothing to compare, because their outputs differ.")


def comparison_rows(task: Task, gaps: Mapping[str, Row], first: str, other: str) -> list[Row]:
    """Make the table of differences between two recipes.

    Args:
        task: task whose measures with a direction are compared.
        gaps: paired difference by key of the measure.
        first: name of the first recipe.
        other: name of the other recipe.

    Returns:
        One row per measure that both recipes have: difference, p, n and the better recipe.
    """
    measures = [measure for measure in task.measures if measure.better]
    measures += [Measure(title, title, "higher", form="{:.2f}") for title, _function in task.pooled]
    rows = []
    for measure in measures:
        gap = gaps.get(measure.key)
        if gap is None or gap["difference"] is None:
            continue
        rows.append(
            {
                "measure": measure.title,
                "difference": difference_text(measure, gap),
                "p": p_cell(gap["p"]),
                "n": gap["n"],
                "better": _ahead(measure, gap, first, other),
            }
        )
    return rows


def _ahead(measure: Measure, gap: Row, first: str, other: str) -> str:
    """Name of the better recipe, or a note that no difference is detectable."""
    if gap["difference"] == 0:
        return "no difference"
    if gap["p"] is None:
        return "too few people to test"
    if gap["p"] >= ALPHA:
        return "no detectable difference"
    return other if (gap["difference"] > 0) == (measure.better == "higher") else first


def difference_text(measure: Measure, gap: Row) -> str:
    """Format a difference with its interval: `+0.014 [+0.002, +0.025]`, in the measure's unit.

    Args:
        measure: the measure, with its scale and format.
        gap: {difference, low, high}; each may be None.

    Returns:
        The text.
    """
    value, low, high = (None if gap[key] is None else measure.scale * gap[key] for key in ("difference", "low", "high"))
    return figures.with_interval(value, low, high, _fine_enough(measure.form.replace("{:", "{:+"), value or 0.0))


def _fine_enough(form: str, value: float) -> str:
    """Return the format, or one with two significant digits if it would print a nonzero value as 0."""
    rounded_away = value != 0 and float(form.format(value)) == 0
    return "{:+.1e}" if rounded_away and "+" in form else "{:.1e}" if rounded_away else form


def p_cell(p: float | None) -> str | None:
    """Format a p value for a table cell.

    Args:
        p: p value, or None.

    Returns:
        As `figures.p_value`, without `p = `; None: not estimable.
    """
    return None if p is None else figures.p_value(p).removeprefix("p = ").removeprefix("p ")


def gap_text(measure: Measure, gap: Row) -> str:
    """Format an absolute paired difference with its p value: `0.014 (p = 0.001, n = 16)`.

    Args:
        measure: the measure, with its scale and format.
        gap: result of `paired_gap`.

    Returns:
        The text.
    """
    size = abs(gap["difference"]) * measure.scale
    sure = "too few people to test" if gap["p"] is None else figures.p_value(gap["p"])
    return f"{_fine_enough(measure.form, size).format(size)} ({sure}, n = {gap['n']})"
