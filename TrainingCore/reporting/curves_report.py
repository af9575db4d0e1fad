"""Report of learning curves: figure and values of each measure, and asymptotes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import RESEARCH_USE
from ..data.cohort import Cohort
from ..evaluation.asymptotes import FARTHER, Asymptote, asymptote
from ..evaluation.paired import by_person, mean_over_people
from ..evaluation.task import Measure, Row
from ..evaluation.tasks import task_of
from ..runtime.files import write_json
from ..runtime.tables import write_csv
from ..systems.registry import reported_for
from . import figures
from .document import SIMULATED_BANNER, Report
from .methods import add_methods, length_text
from .result_tables import REASON, printed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Fits = dict[int, Asymptote]
COLOURS = (figures.MEASURED, figures.SYNTHETIC, figures.TRUTH, figures.INK)


def fit_width(cells: Sequence[Row], measure: Measure, width: int, seed: int = 0) -> Asymptote:
    """Fit the asymptote of one width over the people who have a value at every size.

    Args:
        cells: results by fraction and width.
        measure: measure to fit.
        width: network width.
        seed: seed of the bootstrap.

    Returns:
        The fit with its intervals.
    """
    own = [cell for cell in cells if cell["width"] == width]
    tables = [by_person(cell["visits"], measure.key) for cell in own]
    people = sorted(set.intersection(*map(set, tables)))
    values = np.array([[table[person] for table in tables] for person in people]).reshape(len(people), len(own))
    return asymptote(np.array([cell["people"] for cell in own]), values, measure.better, measure.limit, seed)


def write_curves(out: Path, cells: Sequence[Row], recipe: Row, cohort: Cohort, seed: int) -> Row:
    """Write cells.csv, summary.json and report.html.

    Args:
        out: output folder.
        cells: results by fraction and width.
        recipe: recipe of the experiment.
        cohort: training data.
        seed: seed of the bootstrap.

    Returns:
        Content of summary.json.
    """
    task = task_of(recipe)
    widths = sorted({cell["width"] for cell in cells})
    fits = {m.key: {width: fit_width(cells, m, width, seed) for width in widths} for m in task.measures}
    table = [_cell_row(cell, task.measures) for cell in cells]
    write_csv(out / "cells.csv", table)
    text = {key: {width: fit.facts() for width, fit in result.items()} for key, result in fits.items()}
    summary = {"note": RESEARCH_USE, "simulated": cohort.simulated, "cells": table, "asymptotes": text}
    write_json(out / "summary.json", summary)
    _curves_report(cells, recipe, cohort, fits).write(out / "report.html")
    return summary


def _curves_report(cells: Sequence[Row], recipe: Row, cohort: Cohort, fits: dict[str, Fits]) -> Report:
    """Build the report: for each measure the paper's figure, its values and the asymptotes."""
    task = task_of(recipe)
    paper = reported_for(task.name).learning_curves
    report = Report("Learning curves", [SIMULATED_BANNER] if cohort.simulated else [])
    report.add_text(
        f"{recipe['description']}. Out-of-fold, mean over {len(cohort.people)} people of {cohort.name}, the "
        f"same people at every size; {length_text(recipe)}{_steps_text(recipe)}. "
        "Fit: a + b n^-c with n training subjects; the asymptote a extrapolates the curve to many more people of this "
        "kind. The intervals reflect the sampling of evaluated people only, not of training subjects nor the variation "
        f"between trainings, so they are rather too narrow.\n\n{paper} {REASON if paper else ''}"
    )
    for measure in task.measures:
        if all(fit.people == 0 for fit in fits[measure.key].values()):
            continue
        report.add_heading(measure.title)
        report.add_figure(
            _curve_figure(cells, measure, fits[measure.key]),
            "Mean and standard error over people; line: fit, dotted where extrapolated; dashed: asymptote.",
            f"{measure.title} against training subjects",
        )
        report.add_table(_size_rows(cells, measure), "Mean (SD) by training subjects and network width C.")
        rows = [_fit_row(width, fit, measure) for width, fit in fits[measure.key].items()]
        report.add_table(rows, "Fits with 95 % intervals.", titles={"why": "why not"}, missing="–")
    add_methods(report, {recipe["system"]: recipe})
    return report


def _steps_text(recipe: Row) -> str:
    return (
        ", independent of the number of training subjects"
        if recipe["iterations"]
        else (", so that fewer training subjects mean fewer steps")
    )


def _size_rows(cells: Sequence[Row], measure: Measure) -> list[Row]:
    """Table of mean (SD), one row per size and one column per width."""
    rows: dict[float, Row] = {}
    for cell in cells:
        start = {"F": f"{100 * cell['fraction']:.0f} %", "people": cell["people"]}
        result = mean_over_people(cell["visits"], measure.key)
        rows.setdefault(cell["fraction"], start)[f"C = {cell['width']}"] = printed(measure, result)
    return [rows[fraction] for fraction in sorted(rows)]


def _cell_row(cell: Row, measures: Sequence[Measure]) -> Row:
    row = {key: cell[key] for key in ("name", "fraction", "people", "width")}
    for measure in measures:
        result = mean_over_people(cell["visits"], measure.key)
        row |= {f"{measure.key}_mean": result["mean"], f"{measure.key}_sd": result["sd"]}
    return row


def _fit_row(width: int, fit: Asymptote, measure: Measure) -> Row:
    twice = f"at {FARTHER:g} times the people"

    def text(*result: float | None) -> str:
        value, low, high = (None if each is None else measure.scale * each for each in result)
        return figures.with_interval(value, low, high, measure.form)

    ahead = None if fit.farther is None else text(fit.farther, fit.farther_low, fit.farther_high)
    return {"width C": width, "asymptote": text(fit.a, fit.low, fit.high), twice: ahead, "why": fit.why or None}


def _curve_figure(cells: Sequence[Row], measure: Measure, fits: Fits) -> Figure:
    """Plot the measure against training subjects, one line per width."""
    figure, axes = figures.new_figure(6.4, 3.8)
    axis = axes[0, 0]
    for index, (width, fit) in enumerate(fits.items()):
        own = [cell for cell in cells if cell["width"] == width]
        result = [mean_over_people(cell["visits"], measure.key) for cell in own]
        sizes = np.array([cell["people"] for cell in own])
        means = measure.scale * np.array([np.nan if each["mean"] is None else each["mean"] for each in result])
        errors = measure.scale * np.array([(each["sd"] or 0.0) / max(each["n"], 1) ** 0.5 for each in result])
        colour, aside = COLOURS[index % len(COLOURS)], 1 + 0.012 * (index - (len(fits) - 1) / 2)
        style = "o" if fit.a is not None else "o:"  # without a fit, a dotted line connects the points of a width
        axis.errorbar(sizes * aside, means, errors, fmt=style, color=colour, capsize=3, label=f"C = {width}")
        if fit.a is not None and fit.b is not None and fit.c is not None:
            for low, high, kind in ((sizes.min(), sizes.max(), "-"), (sizes.max(), FARTHER * sizes.max(), ":")):
                line = np.linspace(low, high, 100)
                axis.plot(line, measure.scale * (fit.a + fit.b * line**-fit.c), kind, color=colour)
            axis.axhline(measure.scale * fit.a, color=colour, linestyle="--", linewidth=0.8)
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="training subjects", ylabel=measure.title)
    axis.legend(fontsize=9)
    return figure
