"""Learning curves over the fraction of training subjects and the network width, with asymptotes.

Every cell (fraction F, width C) is a cross-validation with the same folds: all people are measured at every size. For
the asymptote and when there is none see evaluation.asymptotes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..data.cohort import Cohort
from ..data.recipe import with_values
from ..evaluation.task import Row
from ..reporting.crossvalidation_report import write_crossvalidation
from ..runtime.cli import Progress
from ..runtime.errors import BadInput
from ..systems.checks import check_recipe
from .crossvalidation import Plan
from .jobs import run_jobs
from .settings import Compute, FoldSettings


def _cell_name(fraction: float, width: int) -> str:
    """Name of the recipe of one cell, e.g. `F50_C8`."""
    return f"F{100 * fraction:g}_C{width}"


def _people_at(fraction: float, cohort: Cohort, folds: int, recipe: Row) -> int:
    """Number of training subjects at a fraction of those left by the smallest other fold and by validation."""
    available = len(cohort.people) - -(-len(cohort.people) // folds) - recipe["data"]["validation_people"]
    return max(round(fraction * available), 1)


@dataclass(frozen=True)
class Sizes:
    """What is varied: fractions of the training people in (0, 1], and widths of the network under a recipe key."""

    fractions: list[float]
    widths: list[int]
    width_key: str


def run_curves(
    cohort: Cohort, recipe: Row, sizes: Sizes, out: Path, folds: FoldSettings, compute: Compute, progress: Progress
) -> tuple[Plan, list[Row]]:
    """Cross-validate every combination of fraction and width.

    Args:
        cohort: visits usable for training.
        recipe: recipe whose width and number of training people are varied.
        sizes: fractions and widths.
        out: folder of the experiment.
        folds: division of the people, the same for all sizes.
        compute: where the trainings run.
        progress: shows the finished share.

    Returns:
        The plan, and one row per cell: name, fraction, people, width, visits.

    Raises:
        BadInput: two fractions give the same number of people, a width is invalid, or the folder holds another
            experiment.
    """
    fractions = sizes.fractions
    counts = [_people_at(fraction, cohort, folds.number, recipe) for fraction in fractions]
    for first, second, people, other in zip(fractions, fractions[1:], counts, counts[1:]):
        if people == other:
            raise BadInput(
                f"The fractions {first:g} and {second:g} both give {people} training subjects. Leave one of them "
                "out of --fractions, or give a larger cohort."
            )
    cells: list[Row] = []
    for width in sizes.widths:
        for fraction in fractions:
            people = _people_at(fraction, cohort, folds.number, recipe)
            own = with_values(recipe, {sizes.width_key: width, "data.training_people": people})
            check_recipe(own)
            cells.append({"name": _cell_name(fraction, width), "fraction": fraction, "people": people, "width": width,
                          "recipe": own})  # fmt: skip
    recipes = {cell["name"]: cell.pop("recipe") for cell in cells}
    plan = Plan.begin(out / "crossvalidation", cohort, recipes, folds)
    run_jobs(plan, cohort, plan.missing(), compute, progress)
    write_crossvalidation(plan, cohort)
    for cell in cells:
        cell["visits"] = plan.pooled(cell["name"])["visits"]
    return plan, cells
