"""Search for better hyper-parameters: python -m TrainingCore.tune --data BIDS --recipe R --out DIR."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .data.cohort import Cohort
from .data.recipe import changed, load_recipe
from .experiments.space import Dimension, own_space, read_space
from .rules import check_recipe, volumes_to_learn
from .runtime.children import Child, ended_afterwards
from .runtime.cli import (
    Progress,
    add_compute_options,
    add_progress_option,
    add_recipe_option,
    add_set_option,
    add_stratify_option,
    at_least,
    parser,
    run_command,
)
from .runtime.errors import BadInput, MyelinSynthError
from .runtime.stopping import undisturbed

EXAMPLE = """python -m TrainingCore.tune --data cohort --recipe mask_weighted_pix2pix --trials 40 --out study

what to search, as --space FILE, one line per recipe key (without --space: what comes with the recipe's system):
  optimizer.rate: {low: 1.0e-5, high: 1.0e-3, log: true}
  visits_per_step: {low: 1, high: 4}
  generator.norm: {choices: [batch, instance]}"""


def arguments() -> argparse.ArgumentParser:
    """The command's options."""
    options = parser(
        "tune",
        "Bayesian optimisation of any recipe keys for the best validation score. Trials that fall behind are pruned. A "
        "killed search goes on when it is started again; several workers, on several machines that share the folder, "
        "may work on one study.",
        EXAMPLE,
    )
    options.add_argument("--data", type=Path, required=True, help="BIDS folder or table of the cohort")
    add_recipe_option(options)
    options.add_argument(
        "--space", type=Path, metavar="FILE", help="what to search, as YAML (default: that of the recipe's system)"
    )
    options.add_argument(
        "--trials", type=at_least(1), default=20, help="trials in all (default: 20); more may be asked later"
    )
    options.add_argument("--out", type=Path, required=True, help="folder of the study; the same again goes on")
    add_set_option(options)
    add_stratify_option(options, "validation people and the others")
    options.add_argument(
        "--workers", type=at_least(1), default=1, help="processes that work on the study here (default: 1)"
    )
    options.add_argument("--no-pruning", action="store_true", help="train every trial to its end")
    options.add_argument("--seed", type=at_least(0), default=0, help="seed of the search (default: 0)")
    add_compute_options(options, "CPU threads of each training (default: all)")
    add_progress_option(options)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Open the study, work on it (with helpers where asked for), and write the best recipe and the report."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = arguments().parse_args(given)
    recipe = load_recipe(options.recipe, options.changes)
    check_recipe(recipe)
    dimensions = read_space(options.space, recipe) if options.space else own_space(recipe)
    cohort = Cohort.read(options.data, recipe["data"]["inputs"]).ready_to_learn(volumes_to_learn(recipe))
    if recipe["data"]["validation_people"] < 1:
        raise BadInput("A search compares validation scores: use --set validation_people=N with N of at least 1.")
    cohort.split(recipe["data"]["validation_people"], recipe["seed"], options.stratify)  # too few people are found now

    from .experiments.search import open_study, search
    from .reporting.search_pages import write_search

    study = open_study(options.out, plan_of(options, recipe, dimensions, cohort), options.seed, not options.no_pruning)
    with workers_beside(given, options) as helpers, Progress(options.progress, "searching") as progress:
        progress.note(cohort.left_out())

        def told(finished: int, study: Any) -> None:
            progress.report("tune", 0.98 * min(finished / options.trials, 1.0), in_words(finished, options, study))

        search(study, dimensions, objective_of(options, recipe, cohort, progress), options.trials, told)
        found = write_search(options.out, study, recipe, dimensions, cohort)
        for sentence in failures(helpers):
            progress.note(sentence)
        progress.report("done", 1.0, "searched")
    if found["best"] is None:
        where = options.out / "trials.csv"
        raise MyelinSynthError(f"No trial came to a score, there is no best recipe: {why_not(study)} (see {where}).")
    if options.progress != "json":
        print(f"Best recipe: {options.out / 'best_recipe.yaml'}, report: {options.out / 'report.html'}")
    return 0


def plan_of(
    options: argparse.Namespace, recipe: dict[str, Any], dimensions: Sequence[Dimension], cohort: Cohort
) -> dict[str, Any]:
    """What must stay the same for a study to go on."""
    space = {
        one.key: {"choices": list(one.choices)}
        if one.choices
        else {"low": one.low, "high": one.high, "log": one.log, "step": one.step}
        for one in dimensions
    }
    data = str(cohort.path.resolve()) if cohort.path else ""
    about = {"data": data, "files": cohort.sizes(), "stratified_by": options.stratify}
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
        from .experiments.search import EPOCHS, PARTS, import_optuna

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


def objective_of(options: argparse.Namespace, recipe: dict[str, Any], cohort: Cohort, progress: Progress) -> Any:
    """Objective of a search: the best validation score of a training with a trial's values."""
    from .data.run import Run
    from .experiments.search import CONTINUES, FOLDER
    from .training.session import new_split, split_as_before, train_split

    def objective(trial: Any, values: dict[str, Any]) -> float:
        own = changed(recipe, values, "the search space")
        try:
            check_recipe(own)
        except BadInput as error:  # of these values together: a bad trial, not a bad search
            raise MyelinSynthError(str(error)) from error
        out = options.out / "trials" / trial.user_attrs[FOLDER] / "run"
        run = Run.open(out) if CONTINUES in trial.user_attrs and (out / "run.json").is_file() else None
        split = split_as_before(cohort, run) if run else new_split(cohort, own, options.stratify)
        before = [entry["validation_score"] for entry in (run.log() if run else []) if "validation_score" in entry]
        course = Course(trial, before, progress)
        how = {"device": options.device, "threads": options.threads, "watch": course.epoch}
        train_split(out, own, split, course.report, run=run, **how)
        return min(course.scores)

    return objective


def why_not(study: Any) -> str:
    """What the last trial of a study said when it ended without a score."""
    from .experiments.search import REASON

    reasons = [trial.user_attrs[REASON] for trial in study.get_trials(deepcopy=False) if REASON in trial.user_attrs]
    return reasons[-1].rstrip(".") if reasons else "all fell behind"


def in_words(finished: int, options: argparse.Namespace, study: Any) -> str:
    """How the search stands."""
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.value is not None]
    best = f", best score {min(trial.value for trial in complete):.4f}" if complete else ""
    return f"{finished} of {options.trials} trials{best}"


@contextlib.contextmanager
def workers_beside(given: Sequence[str], options: argparse.Namespace) -> Iterator[list[Child]]:
    """The other workers, as processes that run this command for themselves; none of them outlives the block."""
    command = [sys.executable, "-m", "TrainingCore.tune", *given, "--workers", "1", "--progress", "none"]
    with ended_afterwards() as helpers:
        for _ in range(options.workers - 1):
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


if __name__ == "__main__":
    raise SystemExit(run_command(main))
