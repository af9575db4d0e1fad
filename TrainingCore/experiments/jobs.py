"""Run the trainings of a plan: sequentially in this process, in parallel processes, or on a Dask cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..data.cohort import Cohort
from ..preprocessing.schedulers import on_a_cluster
from ..preprocessing.worker import VisitOutcome, attempt
from ..runtime.cli import Progress
from ..runtime.errors import MyelinSynthError
from ..runtime.parallel import explain_broken_pool, parallel_results
from .crossvalidation import Plan, run_fold
from .plan_file import PLAN
from .settings import Compute

Job = tuple[str, int]


def run_jobs(plan: Plan, cohort: Cohort, jobs: Sequence[Job], compute: Compute, progress: Progress) -> None:
    """Run trainings of a plan; if this process is stopped, all of them are.

    Args:
        plan: plan of the cross-validation.
        cohort: all visits of the plan.
        jobs: (name of the recipe, fold from 1) of each training.
        compute: number of parallel trainings, device, threads, and the cluster if there is one.
        progress: shows the finished share.

    Raises:
        BadInput: an image cannot be used, or another process works on one of the folds.
        MyelinSynthError: a training failed.
    """
    if compute.scheduler:
        _run_on_cluster(plan, cohort, jobs, compute, progress)
        return
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

    @property
    def label(self) -> str:
        """Name of the training in messages."""
        return f"{self.name}, fold {self.fold}"


def _train_fold(task: FoldTask) -> None:
    """Train and measure one recipe on one fold; the command that started this process shows the progress."""
    try:
        run_fold(task.plan, task.cohort, task.name, task.fold, lambda *_: None, task.device, task.threads)
    except MyelinSynthError as error:
        raise MyelinSynthError(f"The training of {task.name}, fold {task.fold} failed: {error}") from error


def _run_in_parallel(plan: Plan, cohort: Cohort, jobs: Sequence[Job], compute: Compute, progress: Progress) -> None:
    threads = compute.threads or max((os.cpu_count() or 1) // compute.jobs, 1)
    tasks = [FoldTask(plan, cohort, name, fold, compute.device, threads) for name, fold in jobs]
    progress.report("crossvalidate", 0.0, f"0 of {len(jobs)} trained")
    with (
        explain_broken_pool("a training", "Resume with the same command and fewer --jobs."),
        parallel_results(_train_fold, tasks, min(compute.jobs, len(jobs)), threads) as results,
    ):
        for done, _ in enumerate(results, start=1):
            progress.report("crossvalidate", 0.98 * done / len(jobs), f"{done} of {len(jobs)} trained")


def _fold_outcome(task: FoldTask) -> VisitOutcome:
    """Run `_train_fold` on a worker of a cluster; failures are returned in the outcome, not raised."""

    def work() -> tuple[str, list[str]]:
        """Train the fold; what `attempt` wants is a word for the outcome and its warnings."""
        if not (task.plan.path / PLAN).is_file():
            raise MyelinSynthError(
                f"The worker does not see {task.plan.path}. It must lie on a disk all workers share."
            )
        _train_fold(task)
        return "trained", []

    return attempt(task.label, str(task.plan.path), work, "Use a smaller network or image.")


def _run_on_cluster(plan: Plan, cohort: Cohort, jobs: Sequence[Job], compute: Compute, progress: Progress) -> None:
    """Run all trainings on a Dask cluster; a failure does not stop the others and is raised at the end."""
    plan = replace(plan, path=plan.path.absolute())
    tasks = [FoldTask(plan, cohort, name, fold, compute.device, compute.threads) for name, fold in jobs]
    outcomes = on_a_cluster(tasks, str(compute.scheduler), _fold_outcome) if tasks else iter(())
    failed = []
    for done, outcome in enumerate(outcomes, start=1):
        if outcome.state == "failed":
            failed.append(outcome.sentence)
            progress.say(outcome.sentence)
        progress.report("crossvalidate", 0.98 * done / len(tasks), f"{done} of {len(tasks)} trained; {outcome.label}")
    if failed:
        raise MyelinSynthError(failed[0])
