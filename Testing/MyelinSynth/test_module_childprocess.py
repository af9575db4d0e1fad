"""A command as a child process: what it says is heard, garbage does no harm, and cancelling leaves nothing running."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.run import childprocess
from MyelinSynthLib.run.childprocess import ChildProcess, State, Step, explain, parseLine, trainingCommand

PATIENCE = 120.0  # seconds for what takes less than one, as the machine may be busy with something else
posix = pytest.mark.skipif(os.name == "nt", reason="process groups are tried on POSIX")


def child(code: str, **options: object) -> tuple[ChildProcess, list[Step], list[str]]:
    """A started child that runs `code`, and the lists in which its steps and other lines arrive."""
    steps: list[Step] = []
    lines: list[str] = []
    process = ChildProcess([sys.executable, "-c", code], steps.append, lines.append, **options)
    process.start()
    return process, steps, lines


def alive(pid: int) -> bool:
    """Whether a process exists that is not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z")


def gone(pid: int) -> bool:
    limit = time.monotonic() + PATIENCE
    while alive(pid) and time.monotonic() < limit:
        time.sleep(0.02)
    return not alive(pid)


def test_progress_is_heard_among_garbage() -> None:
    process, steps, lines = child(
        "import sys, json\n"
        "print('some library says hello')\n"
        "print(json.dumps({'step': 'read', 'fraction': 0.25, 'message': 'Lësions'}))\n"
        "sys.stdout.flush(); sys.stdout.buffer.write(b'\\xff\\xfe\\x00 [1, 2]\\n' + b'x' * 300000 + b'\\n')\n"
        "print('{\"step\": 3}'); print('[' * 5000); print('NaN'); print('{}')\n"
        "print(json.dumps({'step': 'note', 'fraction': None, 'message': 'careful'}))\n"
        "print(json.dumps({'step': 'done', 'fraction': 1.0, 'message': 'Done'}), end='')\n"
    )
    assert process.wait(PATIENCE)
    assert process.state is State.SUCCEEDED
    wanted = [Step("read", 0.25, "Lësions"), Step("note", None, "careful"), Step("done", 1.0, "Done")]
    assert steps == wanted
    assert "some library says hello" in lines
    assert max(map(len, lines)) <= childprocess.LONGEST_SHOWN + 4
    assert not any("\0" in line for line in lines)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_megabytes_without_a_line_end_become_one_short_line(stream: str) -> None:
    process, steps, lines = child(
        f"import sys, json; out = sys.{stream}.buffer\n"
        "for _ in range(64): out.write(bytes(range(128, 256)) * 8192)\n"
        "out.write(b'\\n'); out.flush()\n"
        "print(json.dumps({'step': 'done', 'fraction': 1.0, 'message': 'Done'}))\n"
    )
    assert process.wait(PATIENCE)
    assert process.state is State.SUCCEEDED
    assert [step.step for step in steps] == ["done"]
    assert len(lines) == 1
    assert len(lines[0]) <= childprocess.LONGEST_SHOWN + 4


@posix
def test_an_endless_flood_is_cancelled_and_never_piles_up() -> None:
    process, _steps, _lines = child("while True: print('garbage' * 20)", graceSeconds=0.5)
    for _turn in range(10):
        process.pump()
        time.sleep(0.05)
    assert process._lines.qsize() <= childprocess.WAITING_LINES
    process.cancel()
    assert process.wait(PATIENCE)
    assert process.state is State.CANCELLED


@pytest.mark.parametrize(
    "line",
    ["", "null", "7", '"step"', '{"step": "a", "fraction": 1.5}', '{"step": "a", "fraction": true}']
    + ['{"fraction": 0.1}', '{"step": "a", "fraction": NaN}', '{"step": "a", "fraction": "half"}'],
)
def test_a_line_that_is_not_progress_is_not_taken_for_it(line: str) -> None:
    assert parseLine(line) is None


def test_a_flood_on_both_pipes_does_not_block_the_child_or_the_caller() -> None:
    process, _steps, _lines = child(
        "import sys\nfor i in range(60000):\n    print('out' * 10)\n    print('err' * 10, file=sys.stderr)\n"
    )
    turns = 0
    while process.pump():
        turns += 1
        time.sleep(0.01)
    assert turns > 1, "it was waited for in one go"
    assert process.state is State.SUCCEEDED
    assert len(process.log) == childprocess.KEPT_LINES


def test_the_sentence_of_the_command_is_the_reason() -> None:
    process, _steps, _lines = child(
        "import sys; print('Traceback: noise', file=sys.stderr)\n"
        "print('error: The T1w x.nii is empty. Give another.', file=sys.stderr); print('later', file=sys.stderr)\n"
        "sys.exit(2)"
    )
    assert process.wait(PATIENCE)
    assert (process.state, process.reason) == (State.FAILED, "The T1w x.nii is empty. Give another.")


def test_every_failure_has_a_cause_and_a_remedy() -> None:
    missing = explain(
        1, ["error: unexpected ModuleNotFoundError: No module named 'torch'. This is a fault of MyelinSynth, not."]
    )
    assert "No module named 'torch'" in missing
    assert "Install" in missing
    assert "fault of MyelinSynth" not in missing
    unexpected = explain(1, ["error: unexpected KeyError: 'x'. This is a fault of MyelinSynth, not of the files."])
    assert "KeyError: 'x'" in unexpected
    assert "report" in unexpected
    assert "fault of MyelinSynth" not in unexpected
    assert "memory" in explain(-9, [])
    assert "memory" in explain(137, [])
    assert "SIGSEGV" in explain(-11, ["Fatal: oops", ""])
    assert "0xc0000005" in explain(3221225477, [])
    assert "0xc0000005" in explain(-1073741819, []), "as some Pythons on Windows count it"
    assert "terminated by another program" in explain(-15, ["stopped: nothing half-written was left behind"])
    launcher = "error: [/opt/Slicer/bin/python-real] exit abnormally - Report the problem."
    assert "memory ran out" in explain(1, ["Loading", launcher]), "PythonSlicer hides the signal of its Python"
    assert "python-real" not in explain(1, [launcher])
    assert explain(1, ["error: The disk is full.", launcher]) == "The disk is full."
    assert "exit code 3" in explain(3, ["Fatal: oops", ""])
    assert "Fatal: oops" in explain(3, ["Fatal: oops", ""])


@posix
def test_a_crash_of_the_child_is_a_failure_with_words() -> None:
    process, _steps, _lines = child("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert process.wait(PATIENCE)
    assert process.state is State.FAILED
    assert "crashed (SIGSEGV)" in process.reason
    assert "CPU" in process.reason


LAUNCHED = """import pathlib, signal, sys, time
def stop(*_given):
    time.sleep(0.5)
    pathlib.Path(sys.argv[1]).write_text("clean")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
time.sleep(600)
"""


@posix
def test_a_python_behind_a_launcher_that_ends_at_once_may_clean_up(tmp_path: Path) -> None:
    """PythonSlicer is such a launcher."""
    cleaned = tmp_path / "cleaned"
    launcher = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {LAUNCHED!r}, {str(cleaned)!r}])"
    process, _steps, lines = child(launcher)
    limit = time.monotonic() + PATIENCE
    while "ready" not in lines and time.monotonic() < limit:
        process.pump()
        time.sleep(0.02)
    process.cancel()
    assert process.wait(PATIENCE)
    assert process.state is State.CANCELLED
    assert cleaned.is_file()


FAMILY = (
    "import subprocess, sys, time, signal, json\n"
    "{deaf}\n"
    "grandchild = subprocess.Popen([sys.executable, '-c', {grandchild!r}])\n"
    "print(json.dumps({{'step': 'pid', 'fraction': 0.1, 'message': str(grandchild.pid)}}), flush=True)\n"
    "time.sleep(600)\n"
)
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@posix
@pytest.mark.parametrize("deaf", [False, True], ids=["listens", "ignores SIGTERM"])
def test_cancelling_ends_the_whole_process_tree(deaf: bool) -> None:
    grandchild = (DEAF if deaf else "") + "\nimport time; time.sleep(600)"
    code = FAMILY.format(deaf=DEAF if deaf else "", grandchild=grandchild)
    process, steps, _lines = child(code, graceSeconds=0.5)
    limit = time.monotonic() + PATIENCE
    while not steps and time.monotonic() < limit:
        process.pump()
        time.sleep(0.02)
    family = [process.pid, int(steps[0].message)]
    assert all(alive(pid) for pid in family)
    process.cancel()
    assert process.state is State.CANCELLING
    assert process.wait(PATIENCE)
    assert process.state is State.CANCELLED
    assert all(gone(pid) for pid in family)


@posix
def test_a_grandchild_that_outlives_the_command_is_ended_too() -> None:
    code = (
        "import subprocess, sys, json\n"
        "late = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], stdout=subprocess.DEVNULL,"
        " stderr=subprocess.DEVNULL)\n"
        "print(json.dumps({'step': 'pid', 'fraction': 0.1, 'message': str(late.pid)}), flush=True)\n"
    )
    process, steps, _lines = child(code)
    assert process.wait(PATIENCE)
    assert process.state is State.SUCCEEDED
    assert gone(int(steps[0].message))


@posix
def test_a_child_killed_from_outside_is_noticed() -> None:
    process, _steps, _lines = child("import time; time.sleep(600)")
    os.kill(process.pid, 9)
    assert process.wait(PATIENCE)
    assert process.state is State.FAILED
    assert "memory" in process.reason


def test_cancelling_before_the_start_or_after_the_end_does_nothing() -> None:
    process = ChildProcess([sys.executable, "-c", "pass"])
    process.cancel()
    assert process.state is State.READY
    process.start()
    process.wait(PATIENCE)
    process.cancel()
    process.stop()
    assert process.state is State.SUCCEEDED


def test_a_program_that_cannot_start_is_an_error_in_words(tmp_path: Path) -> None:
    process = ChildProcess([str(tmp_path / "no such python"), "-c", "pass"])
    with pytest.raises(SynthesisError, match="could not be started"):
        process.start()
    assert process.state is State.FAILED


def test_the_command_runs_the_real_training_core() -> None:
    options = ["--t1", "nowhere.nii", "--flair", "nö.nii", "--out", "x", "--progress", "json"]
    process = ChildProcess(trainingCommand("synthesize", options))
    process.start()
    assert process.wait(PATIENCE)
    assert process.state is State.FAILED
    assert "nowhere.nii" in process.reason


def test_slicers_own_python_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "PythonSlicer"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert childprocess.pythonExecutable() == str(python)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "SlicerApp-real"))
    assert childprocess.pythonExecutable() == str(python)
    python.unlink()
    with pytest.raises(SynthesisError, match="PythonSlicer"):
        childprocess.pythonExecutable()


def test_steps_are_json_that_the_command_line_writes(capsys: pytest.CaptureFixture[str]) -> None:
    from TrainingCore.runtime.cli import Progress

    Progress("json").report("register", 0.31, "Registering FLAIR → T1w")
    line = capsys.readouterr().out.strip()
    assert json.loads(line)["fraction"] == 0.31
    assert parseLine(line) == Step("register", 0.31, "Registering FLAIR → T1w")
