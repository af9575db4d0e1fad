"""Files are written whole or not at all, and nobody else's folder is ever replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from strikes import struck_after

from TrainingCore.runtime.errors import BadInput
from TrainingCore.runtime.files import (
    LOCK,
    atomic_folder,
    atomic_path,
    lock_folder,
    make_writable,
    read_json,
    remove_unfinished,
    scratch,
    write_json,
    write_text,
)


def test_a_folder_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "result"
    with pytest.raises(RuntimeError), atomic_folder(target, "done.json") as folder:  # noqa: PT012
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(target, "done.json") as folder:
        (folder / "done.json").write_text("1")
    with atomic_folder(target, "done.json") as folder:
        (folder / "done.json").write_text("2")
        assert (target / "done.json").read_text() == "1"
    assert (target / "done.json").read_text() == "2"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("command", ["synthesize", "evaluate", "export"])
def test_no_command_replaces_a_folder_of_somebody_elses(command: str, tmp_path: Path, ball_cohort: Path) -> None:
    import importlib

    from TrainingCore.data.run import Run

    theirs = tmp_path / "thesis"
    theirs.mkdir()
    (theirs / "chapter1.txt").write_text("years of work")
    run = Run.create(tmp_path / "run", {"system": "curricular"}, {})
    image = next(ball_cohort.rglob("*_T1w.nii.gz"))
    flair = next(ball_cohort.rglob("*_FLAIR.nii.gz"))
    options = {
        "synthesize": ["--t1", image, "--flair", flair],
        "export": ["--run", run.path],
        "evaluate": ["--run", run.path, "--data", ball_cohort],
    }[command]
    main = importlib.import_module(f"TrainingCore.{command}").main
    with pytest.raises(BadInput, match="holds other files"):
        main([*map(str, options), "--out", str(theirs)])
    assert (theirs / "chapter1.txt").read_text() == "years of work"


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    with atomic_folder(tmp_path, "done.json") as folder:
        (folder / "done.json").write_text("1")
    assert (tmp_path / "done.json").is_file()


def test_a_failed_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_missing_and_broken_json_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        read_json(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(BadInput, match=r"broken\.json is not readable JSON"):
        read_json(tmp_path / "broken.json")


def test_a_file_is_the_old_or_the_new_one_wherever_the_writing_is_struck(tmp_path: Path) -> None:
    path = tmp_path / "numbers.nii.gz"
    struck = 0
    while True:
        path.write_text("old")
        if not struck_after(struck, lambda: write_text(path, "new")):
            break
        assert list(tmp_path.iterdir()) == [path], struck
        assert path.read_text() in ("old", "new")
        struck += 1
    assert struck > 10
    assert path.read_text() == "new"


def test_a_folder_is_the_old_or_the_new_one_wherever_the_writing_is_struck(tmp_path: Path) -> None:
    def write(text: str) -> None:
        with atomic_folder(target, "done.json") as folder:
            (folder / "done.json").write_text(text)
            (folder / "text").write_text(text)

    target = tmp_path / "result"
    struck = 0
    while True:
        write("old")
        if not struck_after(struck, lambda: write("new")):
            break
        assert not list(tmp_path.glob("*.partial"))
        texts = {(target / name).read_text() for name in ("done.json", "text")}
        assert texts in ({"old"}, {"new"}), struck
        struck += 1
    assert struck > 20
    assert (target / "text").read_text() == "new"


def test_what_is_struck_while_it_cleans_up_after_a_failure_is_removed_in_the_end(tmp_path: Path) -> None:
    def fail_in_a_file() -> None:
        with pytest.raises(RuntimeError), atomic_path(tmp_path / "text") as temporary:  # noqa: PT012
            temporary.write_text("half")
            raise RuntimeError

    def fail_in_a_folder() -> None:
        with pytest.raises(RuntimeError), atomic_folder(tmp_path / "result", "text") as folder:  # noqa: PT012
            (folder / "text").write_text("half")
            raise RuntimeError

    def fail_in_a_scratch() -> None:
        with pytest.raises(RuntimeError), scratch(tmp_path, "images") as folder:  # noqa: PT012
            (folder / "image").write_text("half")
            raise RuntimeError

    for work in (fail_in_a_file, fail_in_a_folder, fail_in_a_scratch, lambda: make_writable(tmp_path)):
        struck = 0
        while struck_after(struck, work):
            remove_unfinished()
            assert list(tmp_path.iterdir()) == [], (work, struck)
            struck += 1
        assert struck > 4
        assert list(tmp_path.iterdir()) == []


def test_an_older_folder_is_put_back_when_nothing_else_did_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "result"
    with atomic_folder(target, "text") as folder:
        (folder / "text").write_text("old")
    with monkeypatch.context() as struck:
        struck.setattr("TrainingCore.runtime.files._put_back", _fail)  # as when a signal arrives just there
        with pytest.raises(InterruptedError), atomic_folder(target, "text") as folder:
            folder.rmdir()  # so that it cannot be renamed, once the older one is out of the way
    assert not target.exists()
    remove_unfinished()
    assert (target / "text").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def _fail(*_: object) -> None:
    raise InterruptedError


def test_a_folder_in_which_another_process_is_at_work_is_never_removed(tmp_path: Path) -> None:
    folder, refused = tmp_path / "fold", pytest.raises(BadInput, match="Another process is working")
    with lock_folder(folder):
        with refused, lock_folder(folder):
            pass
        assert folder.is_dir()
    struck = 0
    while struck_after(struck, lambda: _work_in(tmp_path / "new")):
        assert {path.name for path in (tmp_path / "new").glob("*")} <= {LOCK}, struck
        struck += 1
    assert struck > 4


def _work_in(folder: Path) -> None:
    with lock_folder(folder):
        pass
