"""Search for better hyperparameters: python -m TrainingCore.tune --data BIDS --recipe R --out DIR."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from .data.cohort import Cohort
from .data.recipe import load_recipe, with_values
from .experiments.space import Dimension, default_space, read_space
from .preprocessing.worker import VisitOutcome
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput, MyelinSynthError
from .runtime.signature import AtLeast, Option, ProgressMode, command
from .systems.checks import check_recipe, volumes_to_learn


def tune(
    data: Path,
    recipe: str,
    out: Path,
    *,
    space: Annotated[Path | None, Option("FILE")] = None,
    trials: Annotated[int, AtLeast(1)] = 20,
    changes: Annotated[Sequence[str], Option("key=value", flag="--set")] = (),
    stratify: Annotated[Sequence[str], Option("COLUMN")] = (),
    workers: Annotated[int, AtLeast(1)] = 1,
    scheduler: Annotated[str | None, Option("ADDRESS")] = None,
    no_pruning: bool = False,
    seed: Annotated[int, AtLeast(0)] = 0,
    device: str = "auto",
    threads: Annotated[int, AtLeast(0)] = 0,
    progress: ProgressMode = "bar",
) -> Path:
    """Tune any recipe keys by Bayesian optimisation of the validation score.

    Unpromising trials are pruned. Run the same command again to resume after an interruption. Several workers, also on
    several machines that share the folder, can work on the same study.

    Args:
        data: BIDS folder or table of the cohort.
        recipe: name of a recipe (python -m TrainingCore.describe lists them) or a .yaml file.
        out: folder of the study; reuse it to resume.
        space: search space as YAML (default: that of the recipe's system).
        trials: total number of trials; resume with a larger number to add more.
        changes: recipe values to change, e.g. --set size=64 epochs=20.
        stratify: columns of participants.tsv to stratify the validation split by, e.g. group site.
        workers: parallel workers, on this machine or on the cluster.
        scheduler: Dask cluster, tcp://HOST:8786 (with --workers), or local:N for N local workers; all workers must see
            the same disk.
        no_pruning: train every trial to the end.
        seed: seed of the search.
        device: auto (a GPU if there is one), cpu or cuda:N.
        threads: CPU threads of each training (default: all).
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        Path of the best recipe, best_recipe.yaml in the folder of the study.

    Raises:
        BadInput: recipe, search space or cohort cannot be used.
        MyelinSynthError: no trial finished with a score.

    Example:
        python -m TrainingCore.tune --data cohort --recipe mask_weighted_pix2pix --trials 40 --out study

        the search space as --space FILE, one line per recipe key:
        optimizer.rate: {low: 1.0e-5, high: 1.0e-3, log: true}
        visits_per_step: {low: 1, high: 4}
        generator.norm: {choices: [batch, instance]}
    """
    settings = load_recipe(recipe, changes)
    check_recipe(settings)
    dimensions = read_space(Path(space), settings) if space else default_space(settings)
    stratify = list(stratify)
    cohort = _open_training_visits(Path(data).absolute() if scheduler else Path(data), settings, stratify)

    from .experiments.search import finished_trials, open_study, run_trials
    from .reporting.search_report import write_search

    out = Path(out).absolute() if scheduler else Path(out)
    trial_settings = TrialSettings(out, stratify, device, threads)
    plan = _plan_of(stratify, settings, dimensions, cohort)
    study = open_study(out, plan, seed, not no_pruning)
    task = WorkerTask(plan, trial_settings, dimensions, settings, cohort, trials, seed, not no_pruning)
    with _other_workers(task, 0 if scheduler else workers - 1) as failed, Progress(progress, "searching") as reporter:
        reporter.note(cohort.left_out())

        def report(finished: int, study: Any) -> None:
            reporter.report("tune", 0.98 * min(finished / trials, 1.0), _describe_search(finished, trials, study))

        if scheduler:
            _search_on_cluster(task, workers, scheduler, lambda: report(finished_trials(study), study))
        else:
            run_trials(
                study, dimensions, _objective_of(trial_settings, settings, cohort, reporter), trials, report, out
            )
        best = write_search(out, study, settings, dimensions, cohort)["best"]
        for sentence in failed:
            reporter.note(sentence)
        reporter.report("done", 1.0, "searched")
    if best is None:
        where = out / "trials.csv"
        raise MyelinSynthError(
            f"There is no best recipe, because no trial finished with a score: {_reason_without_score(study)} "
            f"(see {where})."
        )
    return out / "best_recipe.yaml"


def _open_training_visits(data: Path, recipe: dict[str, Any], stratify: list[str]) -> Cohort:
    """Open the visits usable for training.

    Args:
        data: BIDS folder or table.
        recipe: complete recipe.
        stratify: columns of participants.tsv to stratify the validation split by.

    Returns:
        The cohort.

    Raises:
        BadInput: there are too few people for a training and a validation set, or the recipe sets none aside.
    """
    if recipe["data"]["validation_people"] < 1:
        raise BadInput("tune needs a validation set. Use --set validation_people=N with N of at least 1.")
    cohort = Cohort.read(data, recipe["data"]["inputs"]).ready_to_learn(volumes_to_learn(recipe))
    cohort.split(recipe["data"]["validation_people"], recipe["seed"], stratify)
    return cohort


@dataclass(frozen=True)
class TrialSettings:
    """Settings of all trials of a study, besides recipe and cohort."""

    out: Path
    stratify: list[str]
    device: str
    threads: int


def _plan_of(
    stratify: list[str], recipe: dict[str, Any], dimensions: Sequence[Dimension], cohort: Cohort
) -> dict[str, Any]:
    """Everything that must be unchanged for a study to be resumed, as JSON."""
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
        from .experiments.search import PARTS, import_optuna
        from .reporting.search_report import EPOCHS

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


def _objective_of(settings: TrialSettings, recipe: dict[str, Any], cohort: Cohort, progress: Progress) -> Any:
    """Objective of a search: best validation score of a training with the values of a trial (lower is better)."""
    from .data.run import Run
    from .experiments.search import FOLDER
    from .reporting.search_report import CONTINUES
    from .training.session import new_split, split_as_before, train_split

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


def _reason_without_score(study: Any) -> str:
    """Reason given by the last trial that ended without a score."""
    from .reporting.search_report import REASON

    reasons = [trial.user_attrs[REASON] for trial in study.get_trials(deepcopy=False) if REASON in trial.user_attrs]
    return reasons[-1].rstrip(".") if reasons else "all fell behind"


def _describe_search(finished: int, trials: int, study: Any) -> str:
    """State of the search, e.g. `3 of 20 trials, best score 0.1234`."""
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.value is not None]
    best = f", best score {min(trial.value for trial in complete):.4f}" if complete else ""
    return f"{finished} of {trials} trials{best}"


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
    from .experiments.search import open_study, run_trials

    try:
        study = open_study(task.settings.out, task.plan, task.seed, task.prune)
        objective = _objective_of(task.settings, task.recipe, task.cohort, Progress("none"))
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


def _search_on_cluster(share: WorkerTask, workers: int, scheduler: str, meanwhile: Callable[[], None]) -> None:
    """Run the study on the workers of a cluster. Raises MyelinSynthError if all of them failed."""
    from .preprocessing.schedulers import local_workers, on_a_cluster

    count = local_workers(scheduler) if scheduler.startswith("local:") else workers
    tasks = [ClusterTask(number, share) for number in range(1, count + 1)]
    outcomes = list(on_a_cluster(tasks, scheduler, _work_on_cluster, meanwhile))
    failed = [outcome.sentence for outcome in outcomes if outcome.state == "failed"]
    if len(failed) == len(tasks):
        raise MyelinSynthError(f"Every worker of the search failed: {failed[0]}")


@contextlib.contextmanager
def _other_workers(task: WorkerTask, count: int) -> Iterator[Iterator[str]]:
    """Run `count` additional workers during the block; yields an iterator over messages of those that failed."""
    if count == 0:
        yield iter(())
        return
    from .runtime.parallel import parallel_results

    with parallel_results(_work_on_study, [task] * count, count, task.settings.threads or os.cpu_count()) as results:
        yield _worker_failures(results)


def _worker_failures(results: Iterator[str]) -> Iterator[str]:
    """Wait for the other workers and yield a message for each one that failed."""
    from .runtime.parallel import BrokenProcessPool

    try:
        for reason in filter(None, results):
            yield f"a worker of the search failed, the others ran the remaining trials: {reason}"
    except BrokenProcessPool:
        yield (
            "the operating system ended a worker of the search, most likely for lack of memory; "
            "the others ran the remaining trials."
        )


main = command(tune, done=lambda best: f"Best recipe: {best}, report: {best.parent / 'report.html'}")

if __name__ == "__main__":
    raise SystemExit(run_command(main))
