"""Models measured on the same visits: what each reaches, and what the others have more than the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .lesions import PAPER_MINIMUM_MM3
from .paired import paired_differences, summarise_measures, untouched_input
from .task import Pooled, Row, Task


@dataclass(frozen=True)
class ComparedModels:
    """What a report shows.

    Attributes:
        task: what was measured, and the volume the models make.
        target: what was measured, and the volume the models make.
        rows: visits and lesions by model, the first one being what the others are compared with.
        summaries: by model, {measures, pooled, people, visits} and what the task adds.
        gaps: by model but the first, see `paired.paired_differences` and Task.differences.
        minimum_mm3: of a lesion at lesion level.
        ceilings: what `simulate` wrote of the cohort (see data.ceilings), or None.
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
    """Summarise every model and compare it with the first; an input taken for the target counts as one more model."""
    first = next(iter(rows))
    rows = rows | untouched_input(task, rows[first])
    summaries = {name: summarise_model(task, own, seed, minimum_mm3) for name, own in rows.items()}
    gaps = {}
    for name in list(rows)[1:]:
        gaps[name] = paired_differences(task, rows[first], rows[name])
        if task.differences is not None:
            try:
                gaps[name] |= task.differences(rows[first]["lesions"], rows[name]["lesions"], seed, minimum_mm3)
            except ValueError:  # models of different grids see different lesions
                continue
    return ComparedModels(task, target, rows, summaries, gaps, minimum_mm3, ceilings)


def summarise_model(task: Task, rows: dict[str, list[Row]], seed: int, minimum_mm3: float) -> Row:
    """What one model reaches: {task, people, visits, measures, pooled} and the task's own entries."""
    measures = summarise_measures(task, rows)
    pooled = measures.pop("pooled")
    summary = {
        "task": task.name,
        "people": len({row["person"] for row in rows["visits"]}),
        "visits": len(rows["visits"]),
        "measures": measures,
        "pooled": pooled,
    }
    return summary | (task.summarise(rows["visits"], rows["lesions"], seed, minimum_mm3) if task.summarise else {})
