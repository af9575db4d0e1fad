"""Recipes beside each other on the same people: paired differences, how sure they are, who is ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluation.statistics import ClusterBootstrap
from ..evaluation.summary import differences
from ..evaluation.tasks import Measure, Task
from ..reporting import figures
from ..reporting.document import Report

Row = dict[str, Any]
Pooled = Mapping[str, Mapping[str, Sequence[Row]]]
ALPHA = 0.05  # the usual one: below it two recipes, or two inputs, count as told apart
FEWEST_TO_TEST = 6  # people: with five the smallest p that Wilcoxon's signed-rank test can give is 0.0625
HOW = (
    "{other} minus {first}, mean over people [95 % interval, bootstrap of people]. p: Wilcoxon's signed-rank test, "
    "two-sided, paired by person, not corrected for the number of comparisons."
)
HOW_POOLED = " p of r: bootstrap of people."


def by_person(visits: Sequence[Row], key: str) -> dict[str, float]:
    """Mean of one measure over the visits of each person, people without a value left out."""
    values: dict[str, list[float]] = {}
    for row in visits:
        if row.get(key) is not None and np.isfinite(row[key]):
            values.setdefault(row["person"], []).append(float(row[key]))
    return {person: float(np.mean(found)) for person, found in values.items()}


def against(task: Task, first: Mapping[str, Sequence[Row]], other: Mapping[str, Sequence[Row]]) -> Row:
    """Each measure of `other` minus that of `first`, paired by person, and of what is pooled where both have the same
    lesions: {key or title: see `paired_gap`}. first, other: {visits, lesions}, rows."""
    found = {one.key: paired_gap(first["visits"], other["visits"], one) for one in task.measures}
    return found | _pooled_gaps(task, first["lesions"], other["lesions"])


def _pooled_gaps(task: Task, first: Sequence[Row], other: Sequence[Row]) -> Row:
    if not (task.pooled and first and other):
        return {}
    try:
        found = differences(first, other)
    except ValueError:  # recipes of different grids see different lesions
        return {}
    return {title: found[title.split()[0]] for title, _function in task.pooled}


def paired_gap(first: Sequence[Row], other: Sequence[Row], measure: Measure) -> Row:
    """Mean of `other` minus `first` over the people that both have: {difference, low, high, p, n}.

    low, high: 95 % interval, people drawn with replacement (None of fewer than five). p: Wilcoxon's signed-rank test,
    two-sided (None of fewer than six).
    """
    from scipy.stats import wilcoxon

    one, two = by_person(first, measure.key), by_person(other, measure.key)
    people = sorted(set(one) & set(two))
    gaps = np.array([two[person] - one[person] for person in people])
    p = float(wilcoxon(gaps).pvalue) if len(people) >= FEWEST_TO_TEST and np.any(gaps != 0) else None
    low, high = None, None
    if people:
        draws = ClusterBootstrap(people)
        low, high = draws.interval(draws.means(gaps))
    mean = float(gaps.mean()) if people else None
    return {"difference": mean, "low": low, "high": high, "p": p, "n": len(people)}


def add_comparisons(report: Report, task: Task, found: Mapping[str, Row], first: str) -> None:
    """One table for every other recipe: the differences to the first, how sure they are, which of the two is ahead.

    found: {other recipe: of `against`}.
    """
    for other, gaps in found.items():
        report.add_heading(f"{other} beside {first}")
        rows = comparison_rows(task, gaps, first, other)
        if rows:
            how = HOW.format(other=other, first=first) + (HOW_POOLED if task.pooled else "")
            report.add_table(rows, how, missing="–")
        else:
            report.add_text("Nothing to compare: they make different things.")


def comparison_rows(task: Task, gaps: Mapping[str, Row], first: str, other: str) -> list[Row]:
    """One row per measure that has a better side and that both have; p and who is ahead in words."""
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
                "difference": told_difference(measure, gap),
                "p": p_cell(gap["p"]),
                "n": gap["n"],
                "better": ahead(measure, gap, first, other),
            }
        )
    return rows


def ahead(measure: Measure, gap: Row, first: str, other: str) -> str:
    """Which of two recipes does better, or that this cannot be told."""
    if gap["difference"] == 0:
        return "no difference"
    if gap["p"] is None:
        return "too few people to tell"
    if gap["p"] >= ALPHA:
        return "not told apart"
    return other if (gap["difference"] > 0) == (measure.better == "higher") else first


def told_difference(measure: Measure, gap: Row) -> str:
    """`+0.014 [+0.002, +0.025]`, in the measure's unit, with as many digits as tell the difference from 0."""
    value, low, high = (None if gap[key] is None else measure.scale * gap[key] for key in ("difference", "low", "high"))
    return figures.with_interval(value, low, high, fine_enough(measure.form.replace("{:", "{:+"), value or 0.0))


def fine_enough(form: str, value: float) -> str:
    """The format, or one of two digits that count where it would print a value that is not 0 as 0."""
    rounded_away = value != 0 and float(form.format(value)) == 0
    return "{:+.1e}" if rounded_away and "+" in form else "{:.1e}" if rounded_away else form


def p_cell(p: float | None) -> str | None:
    """p for a column of its own."""
    return None if p is None else figures.p_value(p).removeprefix("p = ").removeprefix("p ")


def told_gap(measure: Measure, gap: Row) -> str:
    """A paired difference without its sign and how sure it is: `0.014 (p = 0.001, n = 16)`; gap: of `paired_gap`."""
    size = abs(gap["difference"]) * measure.scale
    sure = "too few people to test" if gap["p"] is None else figures.p_value(gap["p"])
    return f"{fine_enough(measure.form, size).format(size)} ({sure}, n = {gap['n']})"
