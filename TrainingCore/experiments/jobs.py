"""Running the trainings of a plan: one after the other here, or several at a time as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.cohort import Cohort
from ..runtime.children import Child, ended_afterwards
from ..runtime.cli import Progress
from ..runtime.errors import MyelinSynthError
from ..runtime.stopping import undisturbed
from .crossvalidation import Plan, run_fold
from .settings import Compute

Job = tuple[str, int]


def run_jobs(plan: Plan, cohort: Cohort, jobs: Sequence[Job], compute: Compute, progress: Progress) -> None:
    """Run jobs of a plan, `compute.jobs` at a time, on its device and threads; stopping this stops them all."""
    if compute.jobs > 1 and len(jobs) > 1:
        _run_side_by_side(plan, jobs, compute, progress)
        return
    for done, job in enumerate(jobs):

        def report(_step: str, share: float, message: str, done: int = done, job: Job = job) -> None:
            progress.report("crossvalidate", 0.98 * (done + share) / len(jobs), f"{job[0]}, fold {job[1]}: {message}")

        run_fold(plan, cohort, *job, report, compute.device, compute.threads)


@dataclass(frozen=True)
class _Training(Child):
    job: Job
    path: Path


def _run_side_by_side(plan: Plan, jobs: Sequence[Job], compute: Compute, progress: Progress) -> None:
    waiting, done = list(jobs), 0
    threads = compute.threads or max((os.cpu_count() or 1) // compute.jobs, 1)
    with ended_afterwards() as running:
        while waiting or running:
            while waiting and len(running) < compute.jobs:
                with undisturbed():
                    running.append(_start(plan, waiting.pop(0), compute.device, threads))
            time.sleep(0.2)
            with undisturbed():
                ended = [one for one in running if one.process.poll() is not None]
            for child in ended:
                running.remove(child)
                child.said.close()
                done += 1
                _check(child)
            names = ", ".join(f"{name} fold {fold}" for name, fold in (child.job for child in running))
            progress.report("crossvalidate", 0.98 * done / len(jobs), f"{done} of {len(jobs)} trained; {names}")


def _start(plan: Plan, job: Job, device: str, threads: int) -> _Training:
    name, fold = job
    folder = plan.folder(name, fold)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "job.log"
    log = open(path, "w", encoding="utf-8")  # noqa: SIM115 - open as long as the child runs
    told = json.dumps({"plan": str(plan.path), "name": name, "fold": fold, "device": device, "threads": threads})
    command = [sys.executable, "-m", "TrainingCore.experiments.one_job", told]
    package = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        command, stdout=log, stderr=subprocess.STDOUT, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    return _Training(process, log, job, path)


def _check(child: _Training) -> None:
    if child.process.returncode == 0:
        return
    lines = child.path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    said = lines[-1].removeprefix("error: ") if lines else f"exit code {child.process.returncode}"
    name, fold = child.job
    raise MyelinSynthError(f"The training of {name}, fold {fold} failed: {said} (more in {child.path}).")
