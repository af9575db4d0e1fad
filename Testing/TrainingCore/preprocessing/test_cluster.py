"""A Dask cluster of two worker processes, one of which is killed half-way: the cohort is complete all the same."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from TrainingCore.cli import run_command
from TrainingCore.cohort import Cohort
from TrainingCore.errors import BadInput
from TrainingCore.preprocess import main

distributed = pytest.importorskip("distributed", reason="pip install 'dask[distributed]' to try the cluster")


def test_a_killed_worker_takes_no_visit_with_it(raw_cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ["--data", str(raw_cohort), "--out", str(out), "--grid", "32", "--spacing", "6", "--progress", "none"]
    codes = []
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        victim = next(iter(cluster.workers.values())).pid
        scheduler = ["--scheduler", cluster.scheduler_address]
        runner = threading.Thread(target=lambda: codes.append(main([*given, *scheduler])), daemon=True)
        runner.start()
        deadline = time.monotonic() + 240
        while not any(out.rglob("*_record.json")) and time.monotonic() < deadline:
            time.sleep(0.1)
        made = len(list(out.rglob("*_record.json")))
        os.kill(victim, signal.SIGKILL)
        runner.join(240)
    assert 1 <= made < 4, "the worker was not killed half-way"
    assert codes == [0]
    assert len(Cohort.read(out).ready_to_learn()) == 4
    assert not (out / ".work").exists()


def test_a_visit_that_dask_gives_up_on_fails_alone(raw_cohort: Path, tmp_path: Path) -> None:
    import dask

    out = tmp_path / "out"
    given = ["--data", str(raw_cohort), "--out", str(out), "--grid", "32", "--spacing", "6", "--progress", "none"]
    codes = []
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
    ):
        more = ["--people", "P0", "P1", "--scheduler", cluster.scheduler_address]
        runner = threading.Thread(target=lambda: codes.append(main([*given, *more])), daemon=True)
        runner.start()
        deadline = time.monotonic() + 240
        while not any(out.glob(".work/*")) and time.monotonic() < deadline:
            time.sleep(0.1)
        for worker in list(cluster.workers.values()):
            os.kill(worker.pid, signal.SIGKILL)
        runner.join(240)
    assert codes == [1], "the run must end, and say that a visit failed"
    assert json.loads((out / "failures.json").read_text())[0]["visit"].startswith("sub-P")


def test_a_scheduler_that_is_not_there_is_named(raw_cohort: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("TrainingCore.preprocessing.schedulers.CONNECT_SECONDS", 1)
    given = ["--data", str(raw_cohort), "--out", str(tmp_path / "out"), "--progress", "none"]
    assert run_command(main, [*given, "--scheduler", "tcp://127.0.0.1:9"]) == BadInput.exit_code
    assert "tcp://127.0.0.1:9" in capsys.readouterr().err
    assert run_command(main, [*given, "--scheduler", "local:none"]) == BadInput.exit_code
