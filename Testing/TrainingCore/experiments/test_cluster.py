"""Trainings on a Dask cluster: a fold, and a trial, whose worker is killed is taken up again where it stopped."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from ball_cohort import write_ball_cohort

from TrainingCore.crossvalidate import main

distributed = pytest.importorskip("distributed", reason="pip install 'dask[distributed]' to try the cluster")
SMALL = ["--set", "size=32", "width=4", "levels=2", "validation_people=1", "epochs=15", "pictures_every=0"]


def test_a_fold_whose_worker_is_killed_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    cohort, out = write_ball_cohort(tmp_path / "balls", people=4, visits=1, size=32), tmp_path / "cv"
    settings = {"threads_per_worker": 1, "processes": True, "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    codes: list[int] = []
    with distributed.LocalCluster(n_workers=1, **settings) as cluster:
        place = ["--data", cohort, "--out", out, "--scheduler", cluster.scheduler_address, "--progress", "none"]
        words = [*place, "--recipe", "l1_only", "--folds", 2, "--fold", 1, "--threads", 1, *SMALL]
        runner = threading.Thread(target=lambda: codes.append(main([str(word) for word in words])), daemon=True)
        runner.start()
        log = out / "l1_only" / "fold-1" / "run" / "log.jsonl"
        until = time.monotonic() + 600
        while not log.is_file():
            assert time.monotonic() < until, "no fold has begun"
            assert runner.is_alive(), "it ended before a fold had begun"
            time.sleep(0.05)
        [worker] = cluster.workers.values()
        os.kill(worker.pid, signal.SIGKILL)
        runner.join(600)
    assert codes == [0]
    epochs = [json.loads(line)["epoch"] for line in log.read_text().splitlines()]
    assert epochs == list(range(1, 16))
    assert len(json.loads((out / "l1_only" / "fold-1" / "rows.json").read_text())["visits"]) == 2


def test_a_worker_elsewhere_counts_as_dead_once_it_shows_no_sign_of_life(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="the search needs Optuna: pip install optuna")
    from TrainingCore.experiments import search

    study = search.open_study(tmp_path, {"recipe": {}}, 0)
    study.enqueue_trial({"rate": 0.1})
    trial = study.ask()
    trial.suggest_float("rate", 0.0, 1.0)
    trial.set_user_attr(search.WORKER, "elsewhere:7:9")
    sign = tmp_path / "workers" / "elsewhere_7_9.alive"
    assert search.requeue_dead_trials(study, tmp_path) == 0, "without a heartbeat it counts as running"
    sign.touch()
    assert search.requeue_dead_trials(study, tmp_path) == 0
    earlier = time.time() - 2 * search.DEAD_AFTER_S
    os.utime(sign, (earlier, earlier))
    assert search.requeue_dead_trials(study, tmp_path) == 1
    assert study.get_trials()[-1].system_attrs["fixed_params"] == {"rate": 0.1}


def test_a_running_search_touches_its_heartbeat(tmp_path: Path) -> None:
    from TrainingCore.experiments.search import heartbeat, worker_name

    (tmp_path / "workers").mkdir()
    with heartbeat(tmp_path):
        time.sleep(0.2)
        assert (tmp_path / "workers" / f"{worker_name().replace(':', '_')}.alive").is_file()
