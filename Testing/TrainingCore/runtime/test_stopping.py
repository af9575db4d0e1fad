"""Asked to stop at any moment, a command ends with one sentence and the exit code a shell expects."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from strikes import send_sigterm, struck_after

from TrainingCore.runtime.cli import STOPPED, Progress, run_command
from TrainingCore.runtime.files import write_text
from TrainingCore.runtime.stopping import REPEAT_SECONDS, SIGNALS, Stopped, defer_signals, listen, stop_listening

ROOT = Path(__file__).resolve().parents[3]
Main = Callable[[Sequence[str] | None], int | None]


@pytest.fixture(autouse=True)
def _handlers_as_before() -> Iterator[None]:
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    kept = {number: signal.getsignal(number) for number in numbers}
    hook = sys.unraisablehook
    for number in numbers:  # under nohup, or in the background of a script, pytest itself was told to ignore some
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook


def test_wherever_a_command_is_struck_it_says_so_and_leaves_the_old_file_or_the_new(tmp_path: Path, capsys) -> None:
    path = tmp_path / "text"

    def command(_argv: Sequence[str] | None) -> int:
        write_text(path, "new")
        return 0

    def run() -> None:
        codes.append(run_command(command))

    signal.signal(signal.SIGTERM, lambda *_: None)  # before and after the command somebody else listens
    struck = ended_well = 0
    while True:
        codes: list[int] = []
        path.write_text("old")
        if not struck_after(struck, run, send_sigterm):
            break
        said = capsys.readouterr().err.strip()
        assert (codes, said) in (([143], STOPPED), ([0], "")), struck
        ended_well += codes == [0]
        assert list(tmp_path.iterdir()) == [path], struck
        assert path.read_text() == ("new" if codes == [0] else path.read_text())
        struck += 1
    assert struck - ended_well > 20
    assert codes == [0]


@pytest.mark.parametrize("name", [name for name in SIGNALS if hasattr(signal, name)])
def test_every_signal_has_its_exit_code(name: str, capsys) -> None:
    number = getattr(signal, name)
    assert run_command(lambda _argv: signal.raise_signal(number)) == 128 + number
    assert capsys.readouterr().err.strip() == STOPPED


def test_a_second_signal_does_not_break_off_the_cleaning_up() -> None:
    cleaned = []

    def command(_argv: Sequence[str] | None) -> None:
        try:
            send_sigterm()
        finally:
            signal.raise_signal(signal.SIGINT)
            try:
                raise FileNotFoundError
            except FileNotFoundError:
                send_sigterm()
            cleaned.append(True)

    assert run_command(command) == 143
    assert cleaned


def test_a_stop_that_a_library_makes_an_error_of_is_still_a_stop(capsys) -> None:
    def command(_argv: Sequence[str] | None) -> None:
        try:
            send_sigterm()
        except BaseException as error:
            raise RuntimeError("the callback failed") from error

    assert run_command(command) == 143
    assert capsys.readouterr().err.strip() == STOPPED


def test_a_stop_that_a_library_swallows_comes_back_with_the_next_progress() -> None:
    def command(_argv: Sequence[str] | None) -> None:
        with contextlib.suppress(BaseException):
            send_sigterm()
        Progress("none").report("step", 0.5, "goes on")

    assert run_command(command) == 143


def test_a_stop_that_a_destructor_swallows_comes_back_a_moment_later(capsys) -> None:
    class Destroyed:
        def __del__(self) -> None:
            send_sigterm()

    def command(_argv: Sequence[str] | None) -> None:
        Destroyed()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.01)

    assert run_command(command) == 143
    assert capsys.readouterr().err.strip() == STOPPED


def test_what_must_not_be_separated_is_done_to_its_end() -> None:
    done = []

    def command(_argv: Sequence[str] | None) -> None:
        with defer_signals():
            send_sigterm()
            done.append("started")
        done.append("not this")

    assert run_command(command) == 143
    assert done == ["started"]


@pytest.mark.skipif(os.name == "nt", reason="process groups are tried on POSIX")
def test_ctrl_c_in_a_terminal_is_left_to_the_process_that_started_the_others(capfd) -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('goes on', flush=True)"

    def command(_argv: Sequence[str] | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        listen()
        with defer_signals(children_ignore_sigint=True):
            child = subprocess.Popen([sys.executable, "-c", program])
        assert child.wait() == 0
        signal.raise_signal(signal.SIGINT)

    assert run_command(command) == 130
    said = capfd.readouterr()
    assert (said.out.strip(), said.err.strip()) == ("goes on", STOPPED)


def test_what_is_ignored_stays_ignored_as_nohup_wants_it() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert run_command(lambda _argv: signal.raise_signal(signal.SIGINT)) == 0


def test_afterwards_the_handlers_of_the_caller_are_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    assert run_command(lambda _argv: 0) == 0
    assert signal.getsignal(signal.SIGINT) is before
    listen()
    assert signal.getsignal(signal.SIGINT) is not before
    stop_listening(for_good=False)
    assert signal.getsignal(signal.SIGINT) is before


def test_who_asks_again_after_the_command_has_ended_asks_nobody() -> None:
    class Destroyed:
        def __del__(self) -> None:
            send_sigterm()

    def command(_argv: Sequence[str] | None) -> int:
        Destroyed()
        return 0

    heard = []
    signal.signal(signal.SIGTERM, lambda *_: heard.append(True))
    assert run_command(command) in (0, 143)
    listen()
    time.sleep(4 * REPEAT_SECONDS)
    stop_listening(for_good=False)
    assert not heard


def test_a_signal_when_all_is_done_changes_nothing_any_more() -> None:
    program = (
        "import atexit, os, signal\n"
        "from TrainingCore.runtime.cli import run_command\n"
        "class Last:\n"
        "    def __del__(self, kill=os.kill, own=os.getpid(), number=signal.SIGTERM):\n"
        "        kill(own, number)\n"
        "last = Last()  # gone when the interpreter has given up its handlers\n"
        "def main(argv):\n"
        "    atexit.register(os.kill, os.getpid(), signal.SIGTERM)\n"
        "raise SystemExit(run_command(main))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stderr) == (0, "")


def test_stopped_ends_a_process_that_nobody_told_what_to_do_with_it() -> None:
    assert Stopped(signal.SIGTERM).code == 143
    assert os.name == "nt" or Stopped(signal.SIGHUP).code == 129
