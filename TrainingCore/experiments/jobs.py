"""Running the trainings of a plan: one after the other in this process, or several at a time in parallel processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from ..data.cohort import Cohort
from ..runtime.cli import Progress
from ..runtime.errors import MyelinSynthError
from ..runtime.parallel import BrokenProcessPool, parallel_results
from .crossvalidation import Plan, run_fold
from .settings import Compute

Job = tuple[str, int]


def run_jobs(plan: Plan, cohort: Cohort, jobs: Sequence[Job], compute: Compute, progress: Progress) -> None:
    """Run jobs of a plan, `compute.jobs` at a time, on its device and threads; stopping this stops them all."""
    if compute.jobs > 1 and len(jobs) > 1:
        _run_in_parallel(plan, cohort, jobs, compute, progress)
        return
    for done, job in enumerate(jobs):

        def report(_step: str, share: float, message: str, done: int = done, job: Job = job) -> None:
            progress.report("crossvalidate", 0.98 * (done + share) / len(jobs), f"{job[0]}, fold {job[1]}: {message}")

        run_fold(plan, cohort, *job, report, compute.device, compute.threads)


@dataclass(frozen=True)
class FoldTask:
    """One training of a plan, as it is sent to another process."""

    plan: Plan
    cohort: Cohort
    name: str
    fold: int
    device: str
    threads: int


def train_fold(task: FoldTask) -> None:
    """Train and measure one recipe on one fold; the command that started this process shows the progress."""
    try:
        run_fold(task.plan, task.cohort, task.name, task.fold, lambda *_: None, task.device, task.threads)
    except MyelinSynthError as error:
        raise MyelinSynthError(f"The training of {task.name}, fold {task.fold} failed: {error}") from error


def _run_in_parallel(plan: Plan, cohort: Cohort, jobs: Sequence[Job], compute: Compute, progress: Progress) -> None:
    threads = compute.threads or max((os.cpu_count() or 1) // compute.jobs, 1)
    tasks = [FoldTask(plan, cohort, name, fold, compute.device, threads) for name, fold in jobs]
    progress.report("crossvalidate", 0.0, f"0 of {len(jobs)} trained")
    try:
        with parallel_results(train_fold, tasks, min(compute.jobs, len(jobs)), threads) as results:
            for done, _ in enumerate(results, start=1):
                progress.report("crossvalidate", 0.98 * done / len(jobs), f"{done} of {len(jobs)} trained")
    except BrokenProcessPool as error:
        raise MyelinSynthError(
            "The system ended a training, most likely for memory. Resume with the same command and fewer --jobs."
        ) from error
