"""Learning curves over training fraction and network width, with the asymptote that more people would approach.

Error against number of training people n is fitted by a + b n^-c (Cortes et al. 1994), the measure's own mean at
each n; a is the asymptote. Its interval resamples people (bootstrap), all of whom are measured at every n.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

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
from .pages import by_person, mean_sd, write_crossvalidation

Row = dict[str, Any]
EXPONENTS = np.linspace(0.1, 2.0, 96)
REPLICATES = 1000
FEWEST_SIZES = 3  # a curve of three parameters through fewer points says nothing


def cell_name(fraction: float, width: int) -> str:
    """What the recipe of one cell is called."""
    return f"F{round(100 * fraction)}_C{width}"


def people_at(fraction: float, cohort: Cohort, folds: int, recipe: Row) -> int:
    """People to train on at a fraction: of those that neither the smallest other fold nor validation takes."""
    available = len(cohort.people) - -(-len(cohort.people) // folds) - recipe["data"]["validation_people"]
    return max(round(fraction * available), 1)


def run_curves(
    cohort: Cohort, recipe: Row, width_key: str, options: argparse.Namespace, progress: Progress
) -> tuple[Plan, list[Row]]:
    """Cross-validate every cell; returns the plan and one row per cell: name, fraction, people, width, visits."""
    cells = []
    for width in options.widths:
        for fraction in options.fractions:
            people = people_at(fraction, cohort, options.folds, recipe)
            own = changed(recipe, {width_key: width, "data.training_people": people})
            cells.append({"name": cell_name(fraction, width), "fraction": fraction, "people": people, "width": width,
                          "recipe": own})  # fmt: skip
    recipes = {cell["name"]: cell.pop("recipe") for cell in cells}
    plan = Plan.begin(options.out / "crossvalidation", cohort, recipes, options.folds, options.stratify, options.seed)
    run_jobs(plan, cohort, plan.missing(), options, progress)
    write_crossvalidation(plan, cohort)
    for cell in cells:
        cell["visits"] = plan.pooled(cell["name"])["visits"]
    return plan, cells


def fit_asymptote(sizes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Least-squares a + b n^-c for many curves at once.

    sizes: (k,) people; values: (m, k) means. For every exponent of a fine grid the other two are a linear problem; the
    best exponent wins. Returns a, b, c, each (m,).
    """
    best = np.full(len(values), np.inf)
    a, b, c = (np.full(len(values), np.nan) for _ in range(3))
    for exponent in EXPONENTS:
        design = np.stack([np.ones(len(sizes)), sizes.astype(float) ** -exponent], axis=1)
        solved, *_ = np.linalg.lstsq(design, values.T, rcond=None)
        error = ((design @ solved - values.T) ** 2).sum(axis=0)
        better = error < best
        best[better], c[better] = error[better], exponent
        a[better], b[better] = solved[0][better], solved[1][better]
    return a, b, c


def asymptote(cells: Sequence[Row], measure: Measure, seed: int = 0) -> Row:
    """Asymptote of one width with a 95 % interval by person: {a, b, c, low, high, people}; None: not estimable."""
    sizes = np.array([cell["people"] for cell in cells])
    tables = [by_person(cell["visits"], measure.key) for cell in cells]
    people = sorted(set.intersection(*map(set, tables)))
    nothing = {"a": None, "b": None, "c": None, "low": None, "high": None, "people": len(people)}
    if len(set(sizes.tolist())) < FEWEST_SIZES or len(people) < 3:
        return nothing
    values = np.array([[table[person] for table in tables] for person in people])
    rng = np.random.default_rng([seed, 1994])
    drawn = rng.integers(len(people), size=(REPLICATES, len(people)))
    a, b, c = fit_asymptote(sizes, np.concatenate([values.mean(axis=0)[None], values[drawn].mean(axis=1)]))
    low, high = np.percentile(a[1:], [2.5, 97.5])
    return {"a": float(a[0]), "b": float(b[0]), "c": float(c[0]), "low": float(low), "high": float(high)} | {
        "people": len(people)
    }


def write_curves(out: Path, cells: Sequence[Row], recipe: Row, cohort: Cohort, seed: int) -> Row:
    """Write cells.csv, summary.json and report.html; returns the summary."""
    from .. import SIMULATED

    task = task_of(recipe)
    widths = sorted({cell["width"] for cell in cells})
    fits = {
        measure.key: {
            width: asymptote([one for one in cells if one["width"] == width], measure, seed) for width in widths
        }
        for measure in task.measures
    }
    table = [_cell_row(cell, task.measures) for cell in cells]
    write_csv(out / "cells.csv", table)
    summary = {"simulated": cohort.simulated, "cells": table, "asymptotes": fits}
    write_json(out / "summary.json", summary)
    report = Report("Learning curves", [SIMULATED] if cohort.simulated else [])
    report.add_text(
        f"{recipe['description']}. Out-of-fold, mean over {len(cohort.people)} people. Fit: a + b n^-c, n people to "
        "train on; a is what more people of this kind would approach if the curve went on like this. With few sizes "
        "the interval is wide and the fit no more than a hint."
    )
    for measure in task.measures:
        report.add_heading(measure.title)
        report.add_figure(curve_figure(cells, measure, fits[measure.key]), "Mean and standard error over people; line: "
                          "fit; dashed: asymptote.", f"{measure.title} against people to train on")  # fmt: skip
        report.add_table([_fit_row(width, fits[measure.key][width], measure) for width in widths], "Asymptotes.")
    report.write(out / "report.html")
    return summary


def _cell_row(cell: Row, measures: Sequence[Measure]) -> Row:
    row = {key: cell[key] for key in ("name", "fraction", "people", "width")}
    for measure in measures:
        found = mean_sd(by_person(cell["visits"], measure.key))
        row |= {f"{measure.key}_mean": found["mean"], f"{measure.key}_sd": found["sd"]}
    return row


def _fit_row(width: int, fit: Row, measure: Measure) -> Row:
    if fit["a"] is None:
        return {"width": width, "asymptote": "not estimable", "95 %": "–"}
    low, high = (measure.form.format(measure.scale * fit[end]) for end in ("low", "high"))
    return {"width": width, "asymptote": measure.form.format(measure.scale * fit["a"]), "95 %": f"{low} to {high}"}


def curve_figure(cells: Sequence[Row], measure: Measure, fits: dict[int, Row]) -> Any:
    """The measure against people to train on, one line per width."""
    figure, axes = figures.new_figure(6.4, 3.8)
    axis = axes[0, 0]
    for (width, fit), colour in zip(
        fits.items(), (figures.MEASURED, figures.SYNTHETIC, figures.TRUTH, figures.INK) * 9
    ):
        own = [cell for cell in cells if cell["width"] == width]
        found = [mean_sd(by_person(cell["visits"], measure.key)) for cell in own]
        sizes = np.array([cell["people"] for cell in own])
        means = measure.scale * np.array([np.nan if one["mean"] is None else one["mean"] for one in found])
        errors = measure.scale * np.array([(one["sd"] or 0.0) / max(one["n"], 1) ** 0.5 for one in found])
        axis.errorbar(sizes, means, errors, fmt="o", color=colour, capsize=3, label=f"width {width}")
        if fit["a"] is not None:
            line = np.linspace(sizes.min(), sizes.max(), 100)
            axis.plot(line, measure.scale * (fit["a"] + fit["b"] * line ** -fit["c"]), color=colour)
            axis.axhline(measure.scale * fit["a"], color=colour, linestyle="--", linewidth=0.8)
    axis.set(xlabel="people to train on", ylabel=measure.title)
    axis.legend(fontsize=9)
    return figure
