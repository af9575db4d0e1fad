"""One training of a plan in a process of its own: `python -m TrainingCore.protocols.one_job '{"plan": ..}'`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..cli import run_command
from ..cohort import Cohort
from ..files import read_json
from .crossvalidation import Plan, run_fold
from .plan_file import PLAN


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job that the one argument describes."""
    told = json.loads((argv or sys.argv[1:])[0])
    plan = Plan.open(Path(told["plan"]))
    data = read_json(plan.path / PLAN)["data"]
    inputs = plan.recipes[told["name"]]["data"]["inputs"]
    people = {person for fold in plan.folds for person in fold}
    cohort = Cohort.read(data, inputs).of(people)
    run_fold(plan, cohort, told["name"], told["fold"], _quiet, told["device"], told["threads"])
    return 0


def _quiet(_step: str, _share: float, _message: str) -> None:
    """The parent process shows the progress."""


if __name__ == "__main__":
    raise SystemExit(run_command(main))
