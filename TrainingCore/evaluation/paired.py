"""Models on the same people: means by person, paired differences and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..data.case import title_of
from .lesions import PAPER_MINIMUM_MM3
from .statistics import ClusterBootstrap, clusters
from .summary import lesion_differences, mean_and_sd
from .task import Measure, Pooled, Row, Rows, Task

MIN_PEOPLE_TO_TEST = 6  # with five the smallest p that Wilcoxon's signed-rank test can give is 0.0625


def by_person(visits: Sequence[Row], key: str) -> dict[str, float]:
    """Average one measure over the visits of each person.

    Args:
        visits: rows of visits.
        key: key of the measure.

    Returns:
        Mean by person; people without a finite value are left out.
    """
    values: dict[str, list[float]] = {}
    for row in visits:
        if row.get(key) is not None and np.isfinite(row[key]):
            values.setdefault(row["person"], []).append(float(row[key]))
    return {person: float(np.mean(result)) for person, result in values.items()}


def paired_differences(
    task: Task,
    first: Mapping[str, Sequence[Row]],
    other: Mapping[str, Sequence[Row]],
    seed: int = 0,
    minimum_mm3: float = PAPER_MINIMUM_MM3,
) -> Row:
    """Compute each measure of `other` minus that of `first`, paired by person.

    Measures over all lesions together are compared if both models have the same lesions.

    Args:
        task: measures.
        first: {visits, lesions}, rows.
        other: {visits, lesions}, rows.
        seed: of the bootstrap.
        minimum_mm3: smallest lesion of the measures over all lesions.

    Returns:
        Key or title -> difference, see `paired_gap`.
    """
    result = {measure.key: paired_gap(first["visits"], other["visits"], measure, seed) for measure in task.measures}
    return result | _pooled_gaps(task, first["lesions"], other["lesions"], seed, minimum_mm3)


def _pooled_gaps(task: Task, first: Sequence[Row], other: Sequence[Row], seed: int, minimum_mm3: float) -> Row:
    if not (task.pooled and first and other):
        return {}
    try:
        result = lesion_differences(first, other, seed, minimum_mm3)
    except ValueError:  # recipes of different grids see different lesions
        return {}
    return {title: result[title.split()[0]] for title, _function in task.pooled}


def paired_gap(first: Sequence[Row], other: Sequence[Row], measure: Measure, seed: int = 0) -> Row:
    """Compute the mean of `other` minus `first` over the people that both have.

    Args:
        first: visits of one model.
        other: visits of the other model.
        measure: measure to compare.
        seed: of the bootstrap.

    Returns:
        {difference, low, high, p, n}. low, high: 95 % interval, bootstrap of people (None for fewer than five). p:
        Wilcoxon's signed-rank test, two-sided (None for fewer than six).
    """
    from scipy.stats import wilcoxon

    first_values, other_values = by_person(first, measure.key), by_person(other, measure.key)
    people = sorted(set(first_values) & set(other_values))
    gaps = np.array([other_values[person] - first_values[person] for person in people])
    units = dict(zip((row["person"] for row in first), clusters(first)))
    own = np.array([units[person] for person in people])
    tested = np.array([gaps[own == unit].mean() for unit in dict.fromkeys(own.tolist())])
    p = float(wilcoxon(tested).pvalue) if len(tested) >= MIN_PEOPLE_TO_TEST and np.any(tested != 0) else None
    low, high = None, None
    if people:
        draws = ClusterBootstrap(own, seed=seed)
        low, high = draws.interval(draws.means(gaps))
    mean = float(gaps.mean()) if people else None
    return {"difference": mean, "low": low, "high": high, "p": p, "n": len(people)}


def mean_over_people(visits: Sequence[Row], key: str) -> Row:
    """Compute mean and SD of one measure over people; the visits of a person are averaged first.

    Args:
        visits: rows of visits.
        key: key of the measure.

    Returns:
        {mean, sd (n - 1), n}; None: not estimable.
    """
    return mean_and_sd(np.array(list(by_person(visits, key).values()), float))


def summarise_measures(task: Task, rows: Rows, seed: int = 0, minimum_mm3: float = PAPER_MINIMUM_MM3) -> Row:
    """Summarise the measures of one model.

    Args:
        task: measures.
        rows: its visits and lesions.
        seed: of the bootstrap.
        minimum_mm3: smallest lesion of the measures over all lesions.

    Returns:
        {mean, sd, n} of each measure, and under `pooled` the measures over all lesions together.
    """
    measured: Row = {measure.key: mean_over_people(rows["visits"], measure.key) for measure in task.measures}
    measured["pooled"] = {
        title: function(rows["lesions"], seed, minimum_mm3) for title, function in task.pooled if rows["lesions"]
    }
    return measured


def untouched_input(task: Task, rows: Rows) -> Pooled:
    """Create the rows of an unchanged input that is compared with the target, as if it were one more model.

    Args:
        task: measures.
        rows: visits that may hold `untouched_*` measures.

    Returns:
        Name of the input -> rows; empty if the task does not measure an input.
    """
    pooled: Pooled = {}
    for row in rows["visits"]:
        if "untouched" in row:
            values = {measure.key: row[f"untouched_{measure.key}"] for measure in task.measures}
            name = f"untouched {title_of(row['untouched'])}"
            pooled.setdefault(name, {"visits": [], "lesions": []})["visits"].append(row | values)
    return pooled
