"""Search for better hyper-parameters: python -m TrainingCore.tune --data BIDS --recipe R --out DIR."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from .data.cohort import Cohort
from .data.recipe import changed, load_recipe
from .experiments.space import Dimension, own_space, read_space
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
    """Search for better values of any recipe keys, by Bayesian optimisation of the validation score.

    Trials that fall behind are pruned. Run the same command again to resume after a kill; several workers, also on
    several machines that share the folder, can work on one study.

    Args:
        data: BIDS folder or table of the cohort.
        recipe: name of a recipe (python -m TrainingCore.describe lists them) or a .yaml file.
        out: folder of the study; reuse it to resume.
        space: what to search, as YAML (default: the space of the recipe's system).
        trials: number of trials in all; a later call can ask for more.
        changes: recipe values to change, e.g. --set size=64 epochs=20.
        stratify: columns of participants.tsv to balance between training and validation people, e.g. group site.
        workers: processes that work on the study, on this machine or on the cluster.
        scheduler: Dask cluster, tcp://HOST:8786 (with --workers), or local:N to try it, whose workers share the disk.
        no_pruning: train every trial to its end.
        seed: seed of the search.
        device: auto (a GPU if there is one), cpu or cuda:N.
        threads: CPU threads of each training (default: all).
        progress: how to show progress; bar is on stderr, json on stdout.

    Returns:
        The best recipe, best_recipe.yaml in the folder of the study.

    Raises:
        BadInput: recipe, space and cohort do not fit together.
        MyelinSynthError: no trial reached a score.

    Example:
        python -m TrainingCore.tune --data cohort --recipe mask_weighted_pix2pix --trials 40 --out study

        the search space as --space FILE, one line per recipe key:
        optimizer.rate: {low: 1.0e-5, high: 1.0e-3, log: true}
        visits_per_step: {low: 1, high: 4}
        generator.norm: {choices: [batch, instance]}
    """
    settings = load_recipe(recipe, changes)
    check_recipe(settings)
    dimensions = read_space(Path(space), settings) if space else own_space(settings)
    stratify = list(stratify)
    cohort = open_cohort(Path(data).absolute() if scheduler else Path(data), settings, stratify)

    from .experiments.search import finished_trials, open_study, search
    from .reporting.search_report import write_search

    out = Path(out).absolute() if scheduler else Path(out)
    trial_settings = TrialSettings(out, stratify, device, threads)
    plan = plan_of(stratify, settings, dimensions, cohort)
    study = open_study(out, plan, seed, not no_pruning)
    task = WorkerTask(plan, trial_settings, dimensions, settings, cohort, trials, seed, not no_pruning)
    with other_workers(task, 0 if scheduler else workers - 1) as failed, Progress(progress, "searching") as reporter:
        reporter.note(cohort.left_out())

        def report(finished: int, study: Any) -> None:
            reporter.report("tune", 0.98 * min(finished / trials, 1.0), describe_search(finished, trials, study))

        if scheduler:
            _search_on_cluster(task, workers, scheduler, lambda: report(finished_trials(study), study))
        else:
            search(study, dimensions, objective_of(trial_settings, settings, cohort, reporter), trials, report, out)
        best = write_search(out, study, settings, dimensions, cohort)["best"]
        for sentence in failed:
            reporter.note(sentence)
        reporter.report("done", 1.0, "searched")
    if best is None:
        where = out / "trials.csv"
        raise MyelinSynthError(f"No trial reached a score, there is no best recipe: {why_not(study)} (see {where}).")
    return out / "best_recipe.yaml"


def open_cohort(data: Path, recipe: dict[str, Any], stratify: list[str]) -> Cohort:
    """The visits usable for training; raises BadInput where they are too few to be split into two groups."""
    if recipe["data"]["validation_people"] < 1:
        raise BadInput("A search compares validation scores: use --set validation_people=N with N of at least 1.")
    cohort = Cohort.read(data, recipe["data"]["inputs"]).ready_to_learn(volumes_to_learn(recipe))
    cohort.split(recipe["data"]["validation_people"], recipe["seed"], stratify)
    return cohort


@dataclass(frozen=True)
class TrialSettings:
    """What all trials of a study share besides recipe and cohort."""

    out: Path
    stratify: list[str]
    device: str
    threads: int


def plan_of(
    stratify: list[str], recipe: dict[str, Any], dimensions: Sequence[Dimension], cohort: Cohort
) -> dict[str, Any]:
    """What must stay the same for a study to go on."""
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
    """A trial as it trains: shows its progress, tells Optuna its best score so far, ends it where it falls behind."""

    def __init__(self, trial: Any, scores: Sequence[float], progress: Progress) -> None:
        self.trial, self.scores, self.progress = trial, list(scores), progress
        self.share, self.part = 0.0, 0  # of the training that is done, from 0 to 1 and in parts

    def report(self, step: str, share: float, message: str) -> None:
        """What a training says of itself."""
        self.share = share if step == "train" else self.share
        self.progress.report(step, 0.0, f"trial {self.trial.number}: {message}")

    def epoch(self, entry: dict[str, Any]) -> None:
        """The log entry of an epoch; raises optuna.TrialPruned at the end of a part in which the trial fell behind."""
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


def objective_of(settings: TrialSettings, recipe: dict[str, Any], cohort: Cohort, progress: Progress) -> Any:
    """Objective of a search: the best validation score of a training with a trial's values."""
    from .data.run import Run
    from .experiments.search import FOLDER
    from .reporting.search_report import CONTINUES
    from .training.session import new_split, split_as_before, train_split

    def objective(trial: Any, values: dict[str, Any]) -> float:
        own = changed(recipe, values, "the search space")
        try:
            check_recipe(own)
        except BadInput as error:  # of these values together: a bad trial, not a bad search
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


def why_not(study: Any) -> str:
    """What the last trial of a study said when it ended without a score."""
    from .reporting.search_report import REASON

    reasons = [trial.user_attrs[REASON] for trial in study.get_trials(deepcopy=False) if REASON in trial.user_attrs]
    return reasons[-1].rstrip(".") if reasons else "all fell behind"


def describe_search(finished: int, trials: int, study: Any) -> str:
    """How the search stands."""
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.value is not None]
    best = f", best score {min(trial.value for trial in complete):.4f}" if complete else ""
    return f"{finished} of {trials} trials{best}"


@dataclass(frozen=True)
class WorkerTask:
    """A share of a search, as it is sent to another process."""

    plan: dict[str, Any]
    settings: TrialSettings
    dimensions: Sequence[Dimension]
    recipe: dict[str, Any]
    cohort: Cohort
    trials: int
    seed: int
    prune: bool


def work_on_study(task: WorkerTask) -> str:
    """Work on the study of a folder until its trials are done; returns why that failed, or an empty text."""
    from .experiments.search import open_study, search

    try:
        study = open_study(task.settings.out, task.plan, task.seed, task.prune)
        objective = objective_of(task.settings, task.recipe, task.cohort, Progress("none"))
        search(study, task.dimensions, objective, task.trials, out=task.settings.out)
    except Exception as error:  # the other workers do its share
        return str(error) or type(error).__name__
    return ""


@dataclass(frozen=True)
class ClusterTask:
    """A share of a search, as it is sent to a cluster's worker."""

    number: int
    share: WorkerTask

    @property
    def label(self) -> str:
        """For people."""
        return f"worker {self.number}"


def work_on_cluster(task: ClusterTask) -> VisitOutcome:
    """`work_on_study` on a cluster's worker."""
    reason = work_on_study(task.share)
    return VisitOutcome(task.label, "failed" if reason else "done", reason)


def _search_on_cluster(share: WorkerTask, workers: int, scheduler: str, meanwhile: Callable[[], None]) -> None:
    """Let a cluster's workers work on the study; raises MyelinSynthError where every one of them failed."""
    from .preprocessing.schedulers import local_workers, on_a_cluster

    count = local_workers(scheduler) if scheduler.startswith("local:") else workers
    tasks = [ClusterTask(number, share) for number in range(1, count + 1)]
    outcomes = list(on_a_cluster(tasks, scheduler, work_on_cluster, meanwhile))
    failed = [outcome.sentence for outcome in outcomes if outcome.state == "failed"]
    if len(failed) == len(tasks):
        raise MyelinSynthError(f"Every worker of the search failed: {failed[0]}")


@contextlib.contextmanager
def other_workers(task: WorkerTask, count: int) -> Iterator[Iterator[str]]:
    """Let `count` other processes work on the study during the block; yields why each of those that failed did."""
    if count == 0:
        yield iter(())
        return
    from .runtime.parallel import parallel_results

    with parallel_results(work_on_study, [task] * count, count, task.settings.threads or os.cpu_count()) as results:
        yield failures(results)


def failures(results: Iterator[str]) -> Iterator[str]:
    """A sentence for each of the other workers that failed; waits for all of them."""
    from .runtime.parallel import BrokenProcessPool

    try:
        for reason in filter(None, results):
            yield f"a worker of the search failed, the others did its share: {reason}"
    except BrokenProcessPool:
        yield "the system ended a worker of the search, most likely for memory; the others did its share."


main = command(tune, done=lambda best: f"Best recipe: {best}, report: {best.parent / 'report.html'}")

if __name__ == "__main__":
    raise SystemExit(run_command(main))
