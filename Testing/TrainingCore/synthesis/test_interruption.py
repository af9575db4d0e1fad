"""Stopped at any moment, a run leaves nothing half-written, and the next one clears what a killed one could not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from strikes import struck_command

from TrainingCore.data.result import Result
from TrainingCore.imaging.volumes import read_volume
from TrainingCore.patient.leftovers import claim, remove_leftovers
from TrainingCore.runtime.cli import STOPPED
from TrainingCore.runtime.files import PARTIAL_SUFFIX

ROOT = Path(__file__).resolve().parents[3]


def _given(patient, bundle, out: Path) -> list[str]:
    words = ["--t1", patient["t1w"], "--flair", patient["flair"], "--model", bundle, "--progress", "none", "--out", out]
    return [str(word) for word in words]


def _stop_at(step: str, number: int, given: list[str]) -> tuple[int, str]:
    words = struck_command("synthesize", f"^{step}:", number, *given)
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900, preexec_fn=_hear_ctrl_c)
    return done.returncode, done.stderr


def _hear_ctrl_c() -> None:
    # a shell script ignores SIGINT for what it runs in the background, and children inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"])
def test_a_stopped_run_leaves_nothing_behind(patient, bundle, tmp_path, number, code):
    out = tmp_path / "result"
    ended, errors = _stop_at("bias", number, _given(patient, bundle, out))
    assert ended == code
    assert errors.strip() == STOPPED
    assert list(tmp_path.iterdir()) == []


def test_after_kill_9_there_is_no_result_and_the_next_run_makes_the_same_map_and_cleans_up(patient, bundle, tmp_path):
    out, undisturbed = tmp_path / "result", tmp_path / "undisturbed"
    ended, _ = _stop_at("lesions", signal.SIGKILL, _given(patient, bundle, out))
    assert ended == -signal.SIGKILL
    assert not out.exists()
    assert [path for path in tmp_path.iterdir() if path.name.endswith(PARTIAL_SUFFIX)]
    words = [sys.executable, "-m", "TrainingCore.synthesize"]
    runs = [subprocess.Popen([*words, *_given(patient, bundle, folder)], cwd=ROOT) for folder in (out, undisturbed)]
    assert [run.wait(timeout=900) for run in runs] == [0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result", "undisturbed"]
    maps = [read_volume(Result.open(folder).path / "dvr.nii.gz").data for folder in (out, undisturbed)]
    assert np.array_equal(*maps)
    for name in ("dvr.nii.gz", "lesions.csv", "flair_to_t1.tfm", "report.html"):
        assert (out / name).read_bytes() == (undisturbed / name).read_bytes(), name


def test_the_folder_of_a_living_run_is_left_alone(tmp_path):
    living = tmp_path / f".result.abc{PARTIAL_SUFFIX}"
    living.mkdir()
    with claim(living):
        remove_leftovers(tmp_path / "result")
        assert living.is_dir()


def test_the_folder_of_a_dead_run_is_removed_and_strangers_are_not(tmp_path):
    dead, other = tmp_path / f".result.abc{PARTIAL_SUFFIX}", tmp_path / f".other.abc{PARTIAL_SUFFIX}"
    for folder in (dead, other):
        folder.mkdir()
        (folder / ".claim").touch()
    remove_leftovers(tmp_path / "result")
    assert not dead.exists()
    assert other.is_dir()


def test_a_folder_without_a_claim_is_removed_only_when_it_is_old(tmp_path):
    folder = tmp_path / f".result.abc{PARTIAL_SUFFIX}"
    folder.mkdir()
    remove_leftovers(tmp_path / "result")
    assert folder.is_dir()
    os.utime(folder, (time.time() - 3600,) * 2)
    remove_leftovers(tmp_path / "result")
    assert not folder.exists()
