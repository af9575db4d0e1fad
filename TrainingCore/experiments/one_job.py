"""One training of a plan in a process of its own: `python -m TrainingCore.experiments.one_job '{"plan": ..}'`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ..data.cohort import Cohort
from ..runtime.cli import run_command
from .crossvalidation import CROSSVALIDATION, Plan, run_fold
from .plan_file import read_plan


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job that the one argument describes."""
    told = json.loads((argv or sys.argv[1:])[0])
    plan = Plan.open(Path(told["plan"]))
    begun = read_plan(plan.path, CROSSVALIDATION, ["data", "files"])
    every = Cohort.read(begun["data"], plan.recipes[told["name"]]["data"]["inputs"])
    cohort = Cohort([visit for visit in every if visit.label in begun["files"]], every.path)
    run_fold(plan, cohort, told["name"], told["fold"], _quiet, told["device"], told["threads"])
    return 0


def _quiet(_step: str, _share: float, _message: str) -> None:
    """The parent process shows the progress."""


if __name__ == "__main__":
    raise SystemExit(run_command(main))
