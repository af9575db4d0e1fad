"""The trainings of the study in parallel processes, each on one thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from TrainingCore.runtime.cli import Progress
from TrainingCore.runtime.errors import MyelinSynthError
from TrainingCore.runtime.parallel import explain_broken_pool, parallel_results

from .one_run import train_and_measure

Job = tuple[str, int]  # arm, seed


def train_job(task: tuple[Path, str, int, str]) -> str:
    """Train and measure one arm with one seed: (study, arm, seed, cohort); returns what it was, in words."""
    study, arm, seed, cohort = task
    try:
        train_and_measure(study, arm, seed, cohort)
    except MyelinSynthError as error:
        raise MyelinSynthError(f"The training of {arm}, seed {seed} failed: {error}") from error
    return f"{arm}, seed {seed}"


def run_jobs(
    study: Path,
    jobs: Sequence[Job],
    cohort: str,
    at_a_time: int,
    progress: Progress,
    after_each: Callable[[], None] = lambda: None,
) -> None:
    """Run trainings, `at_a_time` side by side; stopping this stops them all, and each resumes when it is run again.

    `after_each` is called whenever one is finished.

    Raises MyelinSynthError where one fails.
    """
    tasks = [(study.resolve(), arm, seed, cohort) for arm, seed in jobs]
    progress.report("train", 0.0, f"0 of {len(jobs)} trained")
    with (
        explain_broken_pool("a training", "Resume with the same command and fewer --jobs."),
        parallel_results(train_job, tasks, min(at_a_time, len(jobs)), 1) as results,
    ):
        for done, finished in enumerate(results, start=1):
            after_each()
            progress.report("train", 0.95 * done / len(jobs), f"{done} of {len(jobs)} trained; {finished}")
