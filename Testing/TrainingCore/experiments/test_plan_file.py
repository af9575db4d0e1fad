"""plan.json: any number of jobs may start a folder; only those with the same settings resume it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from TrainingCore.experiments.plan_file import PLAN, read_plan, start_or_resume
from TrainingCore.runtime.errors import BadInput
from TrainingCore.runtime.files import lock_folder

WANTED = {"seed": 0, "files": {"sub-A_ses-1": 10, "sub-B_ses-1": 20}}


def test_jobs_that_begin_a_folder_at_the_same_moment_agree(tmp_path: Path) -> None:
    jobs = 8
    for attempt in range(20):
        start = threading.Barrier(jobs)

        def begin(_job: int, folder: Path = tmp_path / str(attempt), start: threading.Barrier = start) -> None:
            start.wait()
            start_or_resume(folder, WANTED, "search")
            (folder / "trials").mkdir(exist_ok=True)

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(begin, range(jobs)))
        assert read_plan(tmp_path / str(attempt), "search", list(WANTED)) == {"kind": "search", **WANTED}


def test_changed_data_and_options_are_named(tmp_path: Path) -> None:
    start_or_resume(tmp_path / "out", WANTED, "search")
    with pytest.raises(BadInput, match=r"files \(sub-B_ses-1\) differ"):
        start_or_resume(tmp_path / "out", {**WANTED, "files": {"sub-A_ses-1": 10}}, "search")
    with pytest.raises(BadInput, match="seed differ"):
        start_or_resume(tmp_path / "out", {**WANTED, "seed": 1}, "search")


@pytest.mark.parametrize(
    ("content", "says"),
    [("[]", "damaged"), ("{}", "damaged"), ('{"see', "not readable JSON"), ('{"kind": "search"}', "holds a search")],
)
def test_a_plan_of_something_else_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / PLAN).write_text(content)
    with pytest.raises(BadInput, match=says):
        start_or_resume(tmp_path, WANTED, "cross-validation")
    with pytest.raises(BadInput, match=says):
        read_plan(tmp_path, "cross-validation", list(WANTED))


def test_what_a_killed_job_left_is_no_hindrance_but_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".x.partial.json").touch()
    start_or_resume(tmp_path / "out", WANTED, "search")
    (tmp_path / "notes.txt").touch()
    for place in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "below"):
        with pytest.raises(BadInput, match="a file of that name"):
            start_or_resume(place, WANTED, "search")


def test_a_folder_is_worked_in_by_one_at_a_time(tmp_path: Path) -> None:
    folder, refused = tmp_path / "fold", pytest.raises(BadInput, match="Another process is working")
    (folder / "run" / ".best.x.partial").mkdir(parents=True)
    (folder / "run" / ".x.partial.jsonl").touch()
    with lock_folder(folder), refused, lock_folder(folder):
        pass
    assert not list((folder / "run").iterdir())  # what a killed process had left
    with lock_folder(folder):
        pass
