"""Search for better hyper-parameters: python -m TrainingCore.tune --data BIDS --recipe R --out DIR."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from .data.cohort import Cohort
from .data.recipe import changed, load_recipe
from .experiments.space import Dimension, own_space, read_space
from .runtime.children import Child, ended_afterwards
from .runtime.cli import Progress, run_command
from .runtime.errors import BadInput, MyelinSynthError
from .runtime.signature import AtLeast, ProgressMode, Shown, command
from .runtime.stopping import undisturbed
from .systems.checks import check_recipe, volumes_to_learn


def tune(
    data: Path,
    recipe: str,
    out: Path,
    *,
    space: Annotated[Path | None, Shown("FILE")] = None,
    trials: Annotated[int, AtLeast(1)] = 20,
    changes: Annotated[Sequence[str], Shown("key=value", flag="--set")] = (),
    stratify: Annotated[Sequence[str], Shown("COLUMN")] = (),
    workers: Annotated[int, AtLeast(1)] = 1,
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
        workers: processes that work on the study on this machine.
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
    cohort = Cohort.read(Path(data), settings["data"]["inputs"]).ready_to_learn(volumes_to_learn(settings))
    if settings["data"]["validation_people"] < 1:
        raise BadInput("A search compares validation scores: use --set validation_people=N with N of at least 1.")
    stratify = list(stratify)
    cohort.split(settings["data"]["validation_people"], settings["seed"], stratify)  # too few people: an error now

    from .experiments.search import open_study, search
    from .reporting.search_report import write_search

    out, trial_settings = Path(out), TrialSettings(Path(out), stratify, device, threads)
    study = open_study(out, plan_of(stratify, settings, dimensions, cohort), seed, not no_pruning)
    given = worker_options(locals())
    with workers_beside(given, workers) as helpers, Progress(progress, "searching") as shown:
        shown.note(cohort.left_out())

        def report(finished: int, study: Any) -> None:
            shown.report("tune", 0.98 * min(finished / trials, 1.0), in_words(finished, trials, study))

        search(study, dimensions, objective_of(trial_settings, settings, cohort, shown), trials, report)
        best = write_search(out, study, settings, dimensions, cohort)["best"]
        for sentence in failures(helpers):
            shown.note(sentence)
        shown.report("done", 1.0, "searched")
    if best is None:
        where = out / "trials.csv"
        raise MyelinSynthError(f"No trial reached a score, there is no best recipe: {why_not(study)} (see {where}).")
    return out / "best_recipe.yaml"


@dataclass(frozen=True)
class TrialSettings:
    """What all trials of a study share besides recipe and cohort."""

    out: Path
    stratify: list[str]
    device: str
    threads: int


def worker_options(values: dict[str, Any]) -> list[str]:
    """The command line that makes another process work on the same study; values: the parameters of `tune`."""
    pairs = [("--data", [values["data"]]), ("--recipe", [values["recipe"]]), ("--out", [values["out"]])]
    pairs += [("--space", [values["space"]] if values["space"] else []), ("--set", values["changes"])]
    pairs += [("--stratify", values["stratify"]), ("--trials", [values["trials"]]), ("--seed", [values["seed"]])]
    pairs += [("--device", [values["device"]]), ("--threads", [values["threads"]])]
    words = [text for flag, items in pairs if items for text in (flag, *map(str, items))]
    return [*words, "--no-pruning"] if values["no_pruning"] else words


def plan_of(
    stratify: list[str], recipe: dict[str, Any], dimensions: Sequence[Dimension], cohort: Cohort
) -> dict[str, Any]:
    """What must stay the same for a study to go on."""
    space = {
        one.key: {"choices": list(one.choices)}
        if one.choices
        else {"low": one.low, "high": one.high, "log": one.log, "step": one.step}
        for one in dimensions
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


def in_words(finished: int, trials: int, study: Any) -> str:
    """How the search stands."""
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.value is not None]
    best = f", best score {min(trial.value for trial in complete):.4f}" if complete else ""
    return f"{finished} of {trials} trials{best}"


@contextlib.contextmanager
def workers_beside(given: Sequence[str], workers: int) -> Iterator[list[Child]]:
    """Start the other workers as processes of this command; none of them outlives the block."""
    command = [sys.executable, "-m", "TrainingCore.tune", *given, "--workers", "1", "--progress", "none"]
    with ended_afterwards() as helpers:
        for _ in range(workers - 1):
            with undisturbed():
                said = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the worker runs
                helpers.append(Child(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said), said))
        yield helpers


def failures(helpers: Sequence[Child]) -> Iterator[str]:
    """A sentence for each of the other workers that failed; waits for them."""
    for helper in helpers:
        if helper.process.wait():
            helper.said.seek(0)
            lines = helper.said.read().decode("utf-8", "replace").strip().splitlines()
            reason = lines[-1].removeprefix("error: ") if lines else f"exit code {helper.process.returncode}"
            yield f"a worker of the search failed, the others did its share: {reason}"


main = command(tune, done=lambda best: f"Best recipe: {best}, report: {best.parent / 'report.html'}")

if __name__ == "__main__":
    raise SystemExit(run_command(main))
