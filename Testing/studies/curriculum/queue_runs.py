"""The trainings of the study as processes of their own, some at a time, each on one thread."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from TrainingCore.runtime.children import Child, ended_afterwards

from TrainingCore.runtime.cli import Progress
from TrainingCore.runtime.errors import MyelinSynthError
from TrainingCore.runtime.stopping import undisturbed

from .one_run import run_folder

ROOT = Path(__file__).resolve().parents[3]
Job = tuple[str, int]  # arm, seed


@dataclass(frozen=True)
class _Training(Child):
    job: Job
    log: Path


def run_jobs(study: Path, jobs: Sequence[Job], cohort: str, at_a_time: int, progress: Progress) -> None:
    """Run trainings, `at_a_time` side by side; stopping this stops them all, and each resumes when it is run again.

    Raises MyelinSynthError where one fails.
    """
    waiting, done = list(jobs), 0
    with ended_afterwards() as running:
        while waiting or running:
            while waiting and len(running) < at_a_time:
                with undisturbed():
                    running.append(_start(study, waiting.pop(0), cohort))
            time.sleep(0.2)
            with undisturbed():
                finished = [one for one in running if one.process.poll() is not None]
            for child in finished:
                running.remove(child)
                child.said.close()
                done += 1
                _check(child)
            names = ", ".join(f"{arm} seed {seed}" for arm, seed in (child.job for child in running))
            progress.report("train", 0.95 * done / len(jobs), f"{done} of {len(jobs)} trained; {names}")


def _start(study: Path, job: Job, cohort: str) -> _Training:
    arm, seed = job
    folder = run_folder(study, arm, seed)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "job.log"
    stream = open(path, "w", encoding="utf-8")  # noqa: SIM115 - open as long as the child runs
    words = [sys.executable, "-m", "Testing.studies.curriculum.one_run", str(study.resolve()), arm, str(seed), cohort]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    process = subprocess.Popen(
        words, stdout=stream, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env={**os.environ, **threads}
    )
    return _Training(process, stream, job, path)


def _check(child: _Training) -> None:
    if child.process.returncode == 0:
        return
    lines = child.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    reason = lines[-1].removeprefix("error: ") if lines else f"exit code {child.process.returncode}"
    arm, seed = child.job
    raise MyelinSynthError(f"The training of {arm}, seed {seed} failed: {reason} (more in {child.log}).")
