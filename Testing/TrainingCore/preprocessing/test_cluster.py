"""A Dask cluster of two worker processes, one of which is killed half-way: the cohort is complete all the same."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from TrainingCore.data.cohort import Cohort
from TrainingCore.preprocess import main
from TrainingCore.preprocessing.schedulers import on_a_cluster
from TrainingCore.preprocessing.worker import VisitOutcome
from TrainingCore.runtime.cli import run_command
from TrainingCore.runtime.errors import BadInput

SMALL = {
    "n_workers": 2,
    "threads_per_worker": 1,
    "processes": True,
    "dashboard_address": "127.0.0.1:0",
    "silence_logs": 50,
}

distributed = pytest.importorskip("distributed", reason="pip install 'dask[distributed]' to try the cluster")


def mine(cluster: Any, workers: list[str]) -> None:
    """Let some workers be killed (as by a system that is out of memory) with a visit made but not in its place.

    Not from outside: how far they are by then would be a matter of luck.
    """

    def arm() -> None:
        import TrainingCore.preprocessing.worker as worker

        worker._move_outputs = lambda *_: os.kill(os.getpid(), signal.SIGKILL)

    with distributed.Client(cluster, set_as_default=False) as client:
        client.run(arm, workers=workers)


def run_on(cluster: Any, *given: str) -> list[int]:
    """Exit code of `preprocess` on a cluster, in a thread as the cluster lives in this one; empty where it hangs."""
    codes: list[int] = []
    words = [*given, "--grid", "32", "--spacing", "6", "--progress", "none", "--scheduler", cluster.scheduler_address]
    runner = threading.Thread(target=lambda: codes.append(main(words)), daemon=True)
    runner.start()
    runner.join(900)
    return codes


def test_a_killed_worker_takes_no_visit_with_it(raw_cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with distributed.LocalCluster(**SMALL) as cluster:
        victim = next(iter(cluster.workers.values()))
        process = victim.pid
        mine(cluster, [victim.worker_address])
        assert run_on(cluster, "--data", str(raw_cohort), "--out", str(out)) == [0]
        assert victim.pid != process, "the worker was not killed"
    assert len(Cohort.read(out).usable_for_training()) == 4
    assert not (out / ".work").exists()


def test_a_visit_that_dask_gives_up_on_fails_alone(raw_cohort: Path, tmp_path: Path) -> None:
    import dask

    out = tmp_path / "out"
    given = ("--data", str(raw_cohort), "--out", str(out), "--people", "P0", "P1")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(**SMALL) as cluster,
    ):
        mine(cluster, [one.worker_address for one in cluster.workers.values()])
        assert run_on(cluster, *given) == [1], "the run must end, and say that a visit failed"
    assert json.loads((out / "failures.json").read_text())[0]["visit"].startswith("sub-P")


@dataclass(frozen=True)
class Question:
    """A task without work."""

    label: str


def answer(question: Question) -> VisitOutcome:
    """Which process works, whether its worker stores call stacks, and which limits of memory and threads are set."""
    worker = distributed.get_worker()
    time.sleep(0.3)  # several samples of a profiler, which takes one every 10 ms
    stored = len(worker.profile_recent["children"]) + len(worker.profile_history)
    limits = [os.environ.get(name, "none") for name in ("MALLOC_TRIM_THRESHOLD_", "OMP_NUM_THREADS")]
    return VisitOutcome(question.label, "prepared", " ".join([str(os.getpid()), str(stored), *limits]))


def test_a_single_worker_does_the_work_and_stores_no_profile(monkeypatch) -> None:
    """Call stacks that workers store grow by about 1 MB a visit; with one worker, joblib would work in this process.

    Dask's limit for returning memory to the system makes every large array a new one: twice the CPU time of a visit.
    """
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    outcomes = list(on_a_cluster([Question("a"), Question("b")], "local:1", answer))
    assert sorted(outcome.label for outcome in outcomes) == ["a", "b"]
    for outcome in outcomes:
        process, stored, returned, threads = outcome.sentence.split()
        assert int(process) != os.getpid()
        assert stored == "0"
        assert (returned, threads) == ("none", "1")


def test_a_scheduler_that_is_not_there_is_named(raw_cohort: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("TrainingCore.preprocessing.schedulers.CONNECT_SECONDS", 1)
    given = ["--data", str(raw_cohort), "--out", str(tmp_path / "out"), "--progress", "none"]
    assert run_command(main, [*given, "--scheduler", "tcp://127.0.0.1:9"]) == BadInput.exit_code
    assert "tcp://127.0.0.1:9" in capsys.readouterr().err
    assert run_command(main, [*given, "--scheduler", "local:none"]) == BadInput.exit_code
    assert run_command(main, [*given, "--scheduler", "nonsense"]) == BadInput.exit_code
    assert "--scheduler nonsense: give the address" in capsys.readouterr().err
