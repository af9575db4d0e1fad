"""Trials of a search: their plan and objective, and the workers that share them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.cohort import Cohort
from ..data.recipe import with_values
from ..preprocessing.worker import VisitOutcome
from ..runtime.cli import Progress
from ..runtime.errors import BadInput, MyelinSynthError
from ..systems.checks import check_recipe
from .space import Dimension


@dataclass(frozen=True)
class TrialSettings:
    """Settings of all trials of a study, besides recipe and cohort."""

    out: Path
    stratify: list[str]
    device: str
    threads: int


def study_plan(
    stratify: list[str], recipe: dict[str, Any], dimensions: Sequence[Dimension], cohort: Cohort
) -> dict[str, Any]:
    """Collect everything that must be unchanged for a study to be resumed.

    Args:
        stratify: columns by which the validation split is stratified.
        recipe: complete recipe.
        dimensions: search space.
        cohort: visits usable for training.

    Returns:
        JSON object.
    """
    space = {
        dimension.key: {"choices": list(dimension.choices)}
        if dimension.choices
        else {"low": dimension.low, "high": dimension.high, "log": dimension.log, "step": dimension.step}
        for dimension in dimensions
    }
    data = str(cohort.path.resolve()) if cohort.path else ""
    about = {"data": data, "files": cohort.sizes(), "stratified_by": stratify}
    return about | {"recipe": recipe, "space": space}


class Course:
    """A running trial: shows its progress, reports its best score so far to Optuna, and prunes it if unpromising."""

    def __init__(self, trial: Any, scores: Sequence[float], progress: Progress) -> None:
        self.trial, self.scores, self.progress = trial, list(scores), progress
        self.share, self.part = 0.0, 0  # finished share of the training, from 0 to 1 and in whole parts

    def report(self, step: str, share: float, message: str) -> None:
        """Forward the progress of the training.

        Args:
            step: step of the training, as in `session.Report`.
            share: finished share of the step, 0 to 1.
            message: sentence for the progress line.
        """
        self.share = share if step == "train" else self.share
        self.progress.report(step, 0.0, f"trial {self.trial.number}: {message}")

    def epoch(self, entry: dict[str, Any]) -> None:
        """Record the log entry of an epoch, and prune the trial if it is behind at the end of a part.

        Args:
            entry: log entry by key; an epoch without validation has no `validation_score`.

        Raises:
            optuna.TrialPruned: the trial is behind the others.
        """
        from ..reporting.search_report import EPOCHS
        from .search import PARTS, import_optuna

        self.trial.set_user_attr(EPOCHS, entry["epoch"])
        if "validation_score" not in entry:
            return
        self.scores.append(entry["validation_score"])
        part = int(PARTS * self.share + 1e-9)
        if part == self.part:
            return
        self.part = part
        self.trial.report(min(self.scores), part)
        if self.trial.should_prune():
            raise import_optuna().TrialPruned(f"behind the others at epoch {entry['epoch']}")


def objective_of(settings: TrialSettings, recipe: dict[str, Any], cohort: Cohort, progress: Progress) -> Any:
    """Make the objective of a search: best validation score of a training with the values of a trial.

    Args:
        settings: settings of all trials.
        recipe: complete recipe.
        cohort: visits usable for training.
        progress: shows the running trial.

    Returns:
        Function of an Optuna trial and its values by recipe key; lower is better.
    """
    from ..data.run import Run
    from ..reporting.search_report import CONTINUES
    from ..training.session import new_split, split_as_before, train_split
    from .search import FOLDER

    def objective(trial: Any, values: dict[str, Any]) -> float:
        """Train with the values of a trial; its best validation score, lower is better."""
        own = with_values(recipe, values, "the search space")
        try:
            check_recipe(own)
        except BadInput as error:  # this combination of values is invalid: the trial fails, the search continues
            raise MyelinSynthError(str(error)) from error
        out = settings.out / "trials" / trial.user_attrs[FOLDER] / "run"
        run = Run.open(out) if CONTINUES in trial.user_attrs and (out / "run.json").is_file() else None
        split = split_as_before(cohort, run) if run else new_split(cohort, own, settings.stratify)
        before = [entry["validation_score"] for entry in (run.log() if run else []) if "validation_score" in entry]
        course = Course(trial, before, progress)
        how: dict[str, Any] = {"device": settings.device, "threads": settings.threads, "watch": course.epoch}
        train_split(out, own, split, course.report, run=run, **how)
        return min(course.scores)

    return objective


def reason_without_score(study: Any) -> str:
    """Return the reason given by the last trial that ended without a score.

    Args:
        study: Optuna study.
    """
    from ..reporting.search_report import REASON

    reasons = [trial.user_attrs[REASON] for trial in study.get_trials(deepcopy=False) if REASON in trial.user_attrs]
    return reasons[-1].rstrip(".") if reasons else "all fell behind"


@dataclass(frozen=True)
class WorkerTask:
    """Everything another process needs to work on the search."""

    plan: dict[str, Any]
    settings: TrialSettings
    dimensions: Sequence[Dimension]
    recipe: dict[str, Any]
    cohort: Cohort
    trials: int
    seed: int
    prune: bool


def _work_on_study(task: WorkerTask) -> str:
    """Run trials of the study until all are done.

    Args:
        task: study, settings and cohort.

    Returns:
        The error message if this worker failed, else an empty string.
    """
    from .search import open_study, run_trials

    try:
        study = open_study(task.settings.out, task.plan, task.seed, task.prune)
        objective = objective_of(task.settings, task.recipe, task.cohort, Progress("none"))
        run_trials(study, task.dimensions, objective, task.trials, out=task.settings.out)
    except Exception as error:  # the other workers run the remaining trials
        return str(error) or type(error).__name__
    return ""


@dataclass(frozen=True)
class ClusterTask:
    """Everything a worker of the cluster needs to work on the search."""

    number: int
    share: WorkerTask

    @property
    def label(self) -> str:
        """Name of the worker in messages."""
        return f"worker {self.number}"


def _work_on_cluster(task: ClusterTask) -> VisitOutcome:
    """Run `_work_on_study` on a worker of the cluster."""
    reason = _work_on_study(task.share)
    return VisitOutcome(task.label, "failed" if reason else "done", reason)


def search_on_cluster(share: WorkerTask, workers: int, scheduler: str, meanwhile: Callable[[], None]) -> None:
    """Run the study on the workers of a cluster.

    Args:
        share: task of every worker.
        workers: number of workers; `local:N` takes precedence.
        scheduler: address of the Dask cluster, or local:N.
        meanwhile: called now and then until all workers have finished.

    Raises:
        MyelinSynthError: every worker failed.
    """
    from ..preprocessing.schedulers import local_workers, on_a_cluster

    count = local_workers(scheduler) if scheduler.startswith("local:") else workers
    tasks = [ClusterTask(number, share) for number in range(1, count + 1)]
    outcomes = list(on_a_cluster(tasks, scheduler, _work_on_cluster, meanwhile))
    failed = [outcome.sentence for outcome in outcomes if outcome.state == "failed"]
    if len(failed) == len(tasks):
        raise MyelinSynthError(f"Every worker of the search failed: {failed[0]}")


@contextlib.contextmanager
def other_workers(task: WorkerTask, count: int) -> Iterator[Iterator[str]]:
    """Run additional workers during the block.

    Args:
        task: task of every worker.
        count: number of workers.

    Yields:
        Iterator over messages of workers that failed.
    """
    if count == 0:
        yield iter(())
        return
    from ..runtime.parallel import parallel_results

    with parallel_results(_work_on_study, [task] * count, count, task.settings.threads or os.cpu_count()) as results:
        yield _worker_failures(results)


def _worker_failures(results: Iterator[str]) -> Iterator[str]:
    """Wait for the other workers and yield a message for each one that failed."""
    from ..runtime.parallel import BrokenProcessPool

    try:
        for reason in filter(None, results):
            yield f"a worker of the search failed, the others ran the remaining trials: {reason}"
    except BrokenProcessPool:
        yield (
            "the operating system ended a worker of the search, most likely for lack of memory; "
            "the others ran the remaining trials."
        )
