"""Search for better hyperparameters: python -m TrainingCore.tune --data BIDS --recipe R --out DIR."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from .data.cohort import Cohort
from .data.recipe import load_recipe
from .experiments.space import default_space, read_space
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput, MyelinSynthError
from .runtime.signature import AtLeast, Option, ProgressMode, command
from .systems.checks import check_recipe, training_volumes


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
        seed: seed of the search (default: 0).
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
    from .experiments.trials import (
        TrialSettings,
        WorkerTask,
        objective_of,
        other_workers,
        reason_without_score,
        search_on_cluster,
        study_plan,
    )
    from .reporting.search_report import write_search

    out = Path(out).absolute() if scheduler else Path(out)
    trial_settings = TrialSettings(out, stratify, device, threads)
    plan = study_plan(stratify, settings, dimensions, cohort)
    study = open_study(out, plan, seed, not no_pruning)
    task = WorkerTask(plan, trial_settings, dimensions, settings, cohort, trials, seed, not no_pruning)
    with other_workers(task, 0 if scheduler else workers - 1) as failed, Progress(progress, "searching") as reporter:
        reporter.note(cohort.left_out())

        def report(finished: int, study: Any) -> None:
            reporter.report("tune", 0.98 * min(finished / trials, 1.0), _describe_search(finished, trials, study))

        if scheduler:
            search_on_cluster(task, workers, scheduler, lambda: report(finished_trials(study), study))
        else:
            run_trials(study, dimensions, objective_of(trial_settings, settings, cohort, reporter), trials, report, out)
        best = write_search(out, study, settings, dimensions, cohort)["best"]
        for sentence in failed:
            reporter.note(sentence)
        reporter.report("done", 1.0, "searched")
    if best is None:
        where = out / "trials.csv"
        raise MyelinSynthError(
            f"There is no best recipe, because no trial finished with a score: {reason_without_score(study)} "
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
    cohort = Cohort.read(data, recipe["data"]["inputs"]).usable_for_training(training_volumes(recipe))
    cohort.split(recipe["data"]["validation_people"], recipe["seed"], stratify)
    return cohort


def _describe_search(finished: int, trials: int, study: Any) -> str:
    """State of the search, e.g. `3 of 20 trials, best score 0.1234`."""
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.value is not None]
    best = f", best score {min(trial.value for trial in complete):.4f}" if complete else ""
    return f"{finished} of {trials} trials{best}"


main = command(tune, done=lambda best: f"Best recipe: {best}, report: {best.parent / 'report.html'}")

if __name__ == "__main__":
    raise SystemExit(run_command(main))
