"""The script for a machine with a GPU, tried on a CPU: training stops in time and resumes, results are readable."""

from __future__ import annotations

from pathlib import Path

from Testing.benchmarks.gpu import CONTENDERS, PEER, QUICK_TRAINING, as_markdown, measure, train_for
from TrainingCore.data.recipe import load_recipe
from TrainingCore.systems.checks import check_recipe


def test_a_training_that_ran_out_of_time_is_resumed_by_the_next_call(ball_cohort: Path, tmp_path: Path) -> None:
    changes = [*QUICK_TRAINING, "validation_people=1", "pictures_every=0"]
    early = train_for(tmp_path, ball_cohort, "cpu", changes, 1.0)
    assert not early["finished"]
    late = train_for(tmp_path, ball_cohort, "cpu", changes, 300.0)
    assert late["finished"], (tmp_path / "training.log").read_text()
    assert late["epochs_done"] == late["epochs"] == 2
    assert late["seconds_per_epoch"] > 0
    again = train_for(tmp_path, ball_cohort, "cpu", changes, 300.0)
    assert again["finished"]
    assert again["last"] == late["last"]


def test_every_contender_is_a_recipe_and_the_table_says_what_failed() -> None:
    for changes in CONTENDERS.values():
        check_recipe(load_recipe("curricular", changes))
    rows = [
        {"contender": PEER, "step_s": 2.0, "peak_gb": 10.0},
        {"contender": "ours, float32", "step_s": 1.0, "peak_gb": 5.0},
        {"contender": "ours, bfloat16, compiled", "failed": "no compiler"},
    ]
    text = as_markdown({"device": "a GPU", "benchmark": {"size": 128, "rows": rows}})
    assert "| ours, float32 | 1.000 | 0.50 | 5.00 |" in text
    assert "no compiler" in text


def test_a_step_is_measured_on_the_device() -> None:
    row = measure("ours, float32", "cpu", 16, 1)
    assert row["step_s"] > 0
    assert row["parameters"] == 16_471_077 + 4_653_441


def test_a_training_that_does_not_stop_when_asked_is_killed_and_the_results_are_kept() -> None:
    import subprocess
    import sys

    from Testing.benchmarks.gpu import stop

    deaf = "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stop(process, 0.2)
        assert process.returncode == -9
