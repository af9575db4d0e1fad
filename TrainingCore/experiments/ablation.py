"""Backward elimination of inputs (Bone et al. 2021): drop the one that matters least, and again, until one is left.

OUT/round-1/           a cross-validation of all inputs and of all inputs but one each (see crossvalidation.py)
OUT/round-2/ ...       the same around what round 1 kept
OUT/report.html, summary.json, steps.csv

Every cross-validation is resumable, so a killed ablation resumes where it stopped.
"""

from __future__ import annotations

from pathlib import Path

from ..data.cohort import Cohort
from ..data.recipe import with_values
from ..evaluation.elimination import ALL, all_but, deciding, least_important, name_without
from ..evaluation.task import Row
from ..evaluation.tasks import task_of
from ..reporting.crossvalidation_report import write_crossvalidation
from ..runtime.cli import Progress
from .crossvalidation import Plan
from .jobs import run_jobs
from .settings import Compute, FoldSettings


def eliminate(
    cohort: Cohort, recipe: Row, out: Path, folds: FoldSettings, compute: Compute, progress: Progress
) -> list[Row]:
    """Run all rounds of the elimination.

    Args:
        cohort: visits usable for training with all inputs.
        recipe: recipe with all inputs; its key data.inputs is varied.
        out: folder of the experiment; each round is a cross-validation in it.
        folds: division of the people, the same in every round.
        compute: where the trainings run.
        progress: shows the share of all rounds.

    Returns:
        One row per round: inputs at its start, visit rows of every variant, dropped input, and the deciding measure.

    Raises:
        BadInput: the folder holds another experiment, or an image cannot be used.
    """
    task = task_of(recipe)
    inputs = list(recipe["data"]["inputs"])
    ends = round_ends(len(inputs))
    rounds: list[Row] = []
    while len(inputs) > 1:
        number = len(rounds) + 1
        tried = {name_without(name): with_values(recipe, {"data.inputs": all_but(inputs, name)}) for name in inputs}
        recipes = ({ALL: recipe} if number == 1 else {}) | tried
        plan = Plan.begin(out / f"round-{number}", cohort, recipes, folds, task.name)
        run_jobs(plan, cohort, plan.missing(), compute, RoundProgress(progress, number, *ends[number - 1 : number + 1]))
        write_crossvalidation(plan, cohort)
        visits = {name: plan.pooled(name)["visits"] for name in recipes}
        by = deciding(task.measures, visits)
        dropped = least_important(inputs, visits, by)
        rounds.append({"round": number, "inputs": inputs, "tried": visits, "dropped": dropped, "by": by})
        inputs = all_but(inputs, dropped)
    return rounds


def round_ends(inputs: int) -> list[float]:
    """Share of all trainings that is done when round 1, 2, ... begins, and 1 at the end.

    Args:
        inputs: number of inputs at the start.

    Returns:
        As many shares as there are rounds, plus one; ascending from 0 to 1.
    """
    tried = [inputs + 1, *range(inputs - 1, 1, -1)]
    return [sum(tried[:number]) / sum(tried) for number in range(len(tried) + 1)]


class RoundProgress(Progress):
    """The progress of one round as part of the whole: from share `first` to share `last`."""

    def __init__(self, whole: Progress, number: int, first: float, last: float) -> None:
        super().__init__("none")
        self.whole, self.number, self.first, self.last = whole, number, first, last

    def report(self, step: str, fraction: float, message: str) -> None:
        """Forward a report as part of the whole."""
        self.whole.report(step, self.first + (self.last - self.first) * fraction, f"round {self.number}: {message}")

    def say(self, message: str) -> None:
        """Forward a message."""
        self.whole.say(message)
