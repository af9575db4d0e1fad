"""Files are written whole or not at all, and nobody else's folder is ever replaced."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

from TrainingCore.errors import BadInput
from TrainingCore.files import atomic_folder, atomic_path, read_json, write_json, write_text


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

    from TrainingCore.run import Run

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
    with pytest.raises(BadInput, match="holds something else"):
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


class Blow(BaseException):
    """As a signal's handler raises it: anywhere."""


def struck_after(calls: int, work: Callable[[], None]) -> bool:
    """Do some work and break it off when its n-th call into C returns, as a signal during a system call does."""
    left = calls

    def strike(_frame: FrameType, event: str, called: object) -> None:
        nonlocal left
        if event == "c_return" and called is not sys.setprofile:
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise Blow

    sys.setprofile(strike)
    try:
        work()
    except (Blow, OSError):  # Python 3.11's rmtree closes a file twice where it is struck, and says so
        return True
    finally:
        sys.setprofile(None)
    return False


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
