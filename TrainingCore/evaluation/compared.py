"""Comparison of models on the same visits: results of each, and differences from the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .lesions import PAPER_MINIMUM_MM3
from .paired import paired_differences, summarise_measures, untouched_input
from .task import Pooled, Row, Task


@dataclass(frozen=True)
class ComparedModels:
    """Results of several models for a report.

    Attributes:
        task: measures.
        target: volume that the models predict.
        rows: visits and lesions by model; the others are compared with the first.
        summaries: by model, {measures, pooled, people, visits} and the task's own entries.
        gaps: by model except the first, see `paired.paired_differences` and Task.differences.
        minimum_mm3: smallest lesion at lesion level.
        ceilings: ceilings of a simulated cohort (see data.ceilings), or None.
    """

    task: Task
    target: str
    rows: Pooled
    summaries: dict[str, Row]
    gaps: dict[str, Row]
    minimum_mm3: float = PAPER_MINIMUM_MM3
    ceilings: dict[str, Any] | None = None

    @property
    def first(self) -> str:
        """The model that the others are compared with."""
        return next(iter(self.rows))


def compare_models(
    task: Task,
    target: str,
    rows: Pooled,
    seed: int = 0,
    minimum_mm3: float = PAPER_MINIMUM_MM3,
    ceilings: dict[str, Any] | None = None,
) -> ComparedModels:
    """Summarise every model and compare it with the first; the unchanged input counts as one more model.

    Args:
        task: measures.
        target: volume that the models predict.
        rows: visits and lesions by model.
        seed: of the bootstrap.
        minimum_mm3: smallest lesion at lesion level.
        ceilings: ceilings of a simulated cohort, or None.
    """
    first = next(iter(rows))
    rows = rows | untouched_input(task, rows[first])
    summaries = {name: _summarise_model(task, own, seed, minimum_mm3) for name, own in rows.items()}
    gaps = {}
    for name in list(rows)[1:]:
        gaps[name] = paired_differences(task, rows[first], rows[name], seed, minimum_mm3)
        if task.differences is not None:
            try:
                gaps[name] |= task.differences(rows[first]["lesions"], rows[name]["lesions"], seed, minimum_mm3)
            except ValueError:  # models of different grids see different lesions
                continue
    return ComparedModels(task, target, rows, summaries, gaps, minimum_mm3, ceilings)


def _summarise_model(task: Task, rows: dict[str, list[Row]], seed: int, minimum_mm3: float) -> Row:
    """Return {task, people, visits, measures, pooled} of one model and the task's own entries."""
    measures = summarise_measures(task, rows, seed, minimum_mm3)
    pooled = measures.pop("pooled")
    summary = {
        "task": task.name,
        "people": len({row["person"] for row in rows["visits"]}),
        "visits": len(rows["visits"]),
        "measures": measures,
        "pooled": pooled,
    }
    return summary | (task.summarise(rows["visits"], rows["lesions"], seed, minimum_mm3) if task.summarise else {})
