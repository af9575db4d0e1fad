"""A command of TrainingCore as a child process, which is ended together with all processes it started.

A crash, lack of memory or cancelling ends the child, never Slicer. Nothing here needs Qt: the owner calls `pump()` from
a timer, or `wait()` if it may block.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import IO, Any

from ..errors import SynthesisError
from ..words import _

LONGEST_LINE = 1 << 16  # bytes; the rest of a longer line is dropped, so that garbage cannot fill the memory (ours)
LONGEST_SHOWN = 2000  # characters of a line that is not progress (ours)
KEPT_LINES = 400  # of the output of the child (ours)
WAITING_LINES = 10_000  # read but not delivered; with more, the child has to wait (ours)
MISSING_PACKAGE = re.compile(r"\b(?:ModuleNotFoundError|ImportError): (.+?)(?:\. This is a fault of MyelinSynth.*)?$")
UNEXPECTED = re.compile(r"^error: unexpected (.+?)(?:\. This is a fault of MyelinSynth.*)?$")
# Message of the launcher PythonSlicer when a signal ended its Python; its own exit code is then 1
LAUNCHER_CRASH = re.compile(r"^error: \[.*\] exit abnormally")
GRACE_SECONDS = 5.0  # to clean up after being asked to stop, before it is killed (ours)
LAST_WORDS_SECONDS = 2.0  # to read the last output of a child that ended (ours)
WINDOWS_CRASHES = {0xC0000005, 0xC0000409, 0xC00000FD, 0xC000001D}  # access violation, stack, illegal instruction


class State(Enum):
    """State of a child process."""

    READY = "ready"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


CRASHES = ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT", "SIGSYS")
ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)


@dataclass(frozen=True)
class Step:
    """One line of progress.

    Attributes:
        step: name of the step.
        fraction: progress of the whole command in [0, 1]; None for a note or warning.
        message: text for the user.
    """

    step: str
    fraction: float | None
    message: str


def trainingCoreFolder() -> Path:
    """Return the folder that holds TrainingCore: next to the module when installed, above it in a source tree.

    Raises:
        SynthesisError: the extension is incomplete.
    """
    module = Path(__file__).resolve().parents[2]
    for folder in (module, module.parent):
        if (folder / "TrainingCore" / "synthesize.py").is_file():
            return folder
    raise SynthesisError(_("This installation of MyelinSynth has no TrainingCore. Reinstall the extension."))


def importTrainingCore() -> None:
    """Make `import TrainingCore` work in this process."""
    folder = str(trainingCoreFolder())
    if folder not in sys.path:
        sys.path.append(folder)


def pythonExecutable() -> str:
    """Return the Python that runs commands: PythonSlicer, or this interpreter outside Slicer.

    In the application `sys.executable` may be Slicer itself, which would open a second Slicer.

    Raises:
        SynthesisError: there is none.
    """
    this = Path(sys.executable) if sys.executable else Path()
    suffix = ".exe" if os.name == "nt" else ""
    candidates = [shutil.which("PythonSlicer"), this.with_name(f"PythonSlicer{suffix}") if this.name else None]
    if "python" in this.name.lower():
        candidates.append(this)
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return str(candidate)
    raise SynthesisError(_("Slicer's Python (PythonSlicer) was not found. Reinstall 3D Slicer."))


def trainingCommand(name: str, arguments: Sequence[str], python: str | None = None) -> list[str]:
    """Return the command line of a command of TrainingCore.

    Args:
        name: module, such as "synthesize".
        arguments: its command line arguments.
        python: interpreter; None for `pythonExecutable`.
    """
    return [python or pythonExecutable(), "-m", f"TrainingCore.{name}", *map(str, arguments)]


def parseLine(line: str) -> Step | None:
    """Parse a line that a command wrote to stdout.

    Args:
        line: text without the line break.

    Returns:
        The Step; None for any other output, since libraries write to stdout, too.
    """
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or not isinstance(content.get("step"), str):
        return None
    fraction, message = content.get("fraction"), content.get("message", "")
    if fraction is not None and (isinstance(fraction, bool) or not isinstance(fraction, (int, float))):
        return None
    if fraction is not None and not 0 <= fraction <= 1:
        return None
    return Step(content["step"], None if fraction is None else float(fraction), str(message))


def explain(exitCode: int, errorLines: Sequence[str]) -> str:
    """Explain to the user why a command failed and what to do.

    Args:
        exitCode: exit code; negative for a signal, as in `subprocess`.
        errorLines: lines written to stderr.

    Returns:
        One or two sentences.
    """
    crashed = [line for line in errorLines if LAUNCHER_CRASH.match(line)]
    errorLines = [line for line in errorLines if line not in crashed]
    for line in reversed(errorLines):
        match = MISSING_PACKAGE.search(line)
        if match:
            return _("A Python package is missing or broken ({cause}). Install the requirements and try again.").format(
                cause=match[1]
            )
        match = UNEXPECTED.match(line)
        if match:
            return _("MyelinSynth itself failed ({cause}). Please report it, with the log.").format(cause=match[1])
        if line.startswith("error: "):
            return line[len("error: ") :].strip()
    if exitCode in (-9, 137):
        return _(
            "The system ended the computation, most likely because memory ran out. Close other programs and try again, "
            "or choose the CPU as the device."
        )
    if (exitCode < 0 and _signalName(-exitCode) in CRASHES) or exitCode & 0xFFFFFFFF in WINDOWS_CRASHES:
        name = hex(exitCode & 0xFFFFFFFF) if exitCode & 0xFFFFFFFF in WINDOWS_CRASHES else _signalName(-exitCode)
        return _(
            "The computation crashed ({name}). Try again with the CPU as the device; if it crashes again, install the "
            "requirements again and keep the log."
        ).format(name=name)
    if crashed:
        return _(
            "The computation crashed, or the system ended it because memory ran out. Close other programs and try "
            "again, or choose the CPU as the device. If it crashes again, install the requirements again and keep the "
            "log."
        )
    if exitCode in (-15, 143):
        return _("The computation was terminated by another program. Press the button to start it again.")
    last = next((line.strip() for line in reversed(errorLines) if line.strip()), _("no output"))
    return _("The computation stopped unexpectedly (exit code {code}; last output: {last}). See the log.").format(
        code=exitCode, last=last
    )


def _signalName(number: int) -> str:
    """Return a name such as `SIGSEGV`; the number if the system has no name for it."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


class ChildProcess:
    """A command in its own process group.

    >>> child = ChildProcess(trainingCommand("synthesize", arguments), onStep=print)       # doctest: +SKIP
    >>> child.start(); child.wait(); child.state, child.reason                             # doctest: +SKIP

    onStep is called with every Step, onLog with every other line, both from `pump`, in the thread that calls it.

    Attributes:
        state: State of the process.
        reason: why it failed, as a sentence.
        log: the last lines of output.
    """

    def __init__(
        self,
        command: Sequence[str],
        onStep: Callable[[Step], None] = lambda step: None,
        onLog: Callable[[str], None] = lambda line: None,
        graceSeconds: float = GRACE_SECONDS,
    ) -> None:
        self.command = list(command)
        self.state = State.READY
        self.reason = ""
        self.log: deque[str] = deque(maxlen=KEPT_LINES)
        self._onStep, self._onLog, self._graceSeconds = onStep, onLog, graceSeconds
        self._errors: deque[str] = deque(maxlen=KEPT_LINES)
        self._lines: queue.Queue[tuple[str, str]] = queue.Queue(WAITING_LINES)
        self._readers: list[threading.Thread] = []
        self._started: subprocess.Popen[bytes] | None = None
        self._killAt = float("inf")

    @property
    def pid(self) -> int | None:
        """Process id, also that of the group; None before the start."""
        return self._started.pid if self._started else None

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        assert self._started is not None, "the child has not been started"
        return self._started

    def start(self) -> None:
        """Start the command.

        Raises:
            RuntimeError: it was started before.
            SynthesisError: the system cannot start it.
        """
        if self.state is not State.READY:
            raise RuntimeError("a ChildProcess is started once")
        own: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            own = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        try:
            self._started = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=trainingCoreFolder(),  # `python -m` looks here first, whatever the launcher does to PYTHONPATH
                env=_environment(),
                **own,
            )
        except OSError as error:
            self.state, self.reason = State.FAILED, str(error)
            raise SynthesisError(
                _("{program} could not be started ({cause}).").format(program=self.command[0], cause=error.strerror)
            ) from error
        self.state = State.RUNNING
        for name, stream in (("out", self._process.stdout), ("err", self._process.stderr)):
            reader = threading.Thread(target=self._read, args=(name, stream), daemon=True)
            reader.start()
            self._readers.append(reader)

    def pump(self) -> bool:
        """Pass on new output and detect the end, without blocking; return True while the child runs."""
        if self.state is State.READY or self.state in ENDED:
            return False
        time.sleep(0.001)  # an idle Slicer holds Python's lock: let the reader threads have it
        self._deliver()
        if self._process.poll() is None or self._isCleaningUp():
            if time.monotonic() >= self._killAt:
                self._kill()
            return True
        self._kill()  # processes that the child started and left running
        limit = time.monotonic() + LAST_WORDS_SECONDS
        while any(reader.is_alive() for reader in self._readers) and time.monotonic() < limit:
            self._deliver()
            self._readers[0].join(0.01)
            self._readers[1].join(0.01)
        self._deliver()
        self._finish(self._process.returncode)
        return False

    def wait(self, seconds: float = float("inf"), interval: float = 0.05) -> bool:
        """Pump until the child ends.

        Args:
            seconds: time limit.
            interval: pause between two polls, s.

        Returns:
            True if the child ended, False at the time limit.
        """
        limit = time.monotonic() + seconds
        while self.pump():
            if time.monotonic() >= limit:
                return False
            time.sleep(interval)
        return True

    def cancel(self) -> None:
        """Ask the whole process group to stop; `pump` kills what still runs after the grace period."""
        if self.state is not State.RUNNING:
            return
        self.state = State.CANCELLING
        self._killAt = time.monotonic() + self._graceSeconds
        if os.name == "nt":
            self._kill()  # Windows cannot ask a process without a window to stop
        else:
            _signalGroup(self._process.pid, signal.SIGTERM)

    def stop(self) -> None:
        """Cancel and wait for the end, when the scene, module or application closes."""
        self.cancel()
        self.wait(self._graceSeconds + 10.0, interval=0.02)

    def _isCleaningUp(self) -> bool:
        """Return whether a process that was asked to stop still holds a pipe within the grace period.

        PythonSlicer is a launcher that ends at once, while its Python still removes its temporary files.
        """
        waiting = self.state is State.CANCELLING and os.name != "nt" and time.monotonic() < self._killAt
        return waiting and any(reader.is_alive() for reader in self._readers)

    def _finish(self, exitCode: int) -> None:
        if self.state is State.CANCELLING:
            self.state = State.CANCELLED
        elif exitCode == 0:
            self.state = State.SUCCEEDED
        else:
            self.reason = explain(exitCode, list(self._errors))
            self.state = State.FAILED

    def _kill(self) -> None:
        if sys.platform == "win32":
            if self._process.poll() is None:
                command = ["taskkill", "/T", "/F", "/PID", str(self._process.pid)]
                # without the flag a console window flashes up over Slicer
                subprocess.run(command, capture_output=True, check=False, creationflags=subprocess.CREATE_NO_WINDOW)
        else:
            _signalGroup(self._process.pid, signal.SIGKILL)

    def _read(self, name: str, stream: IO[bytes]) -> None:
        """Read a pipe in a separate thread: a full pipe would block the child."""
        with stream:
            inside = False  # whether the last line was too long and continues
            while line := stream.readline(LONGEST_LINE):
                if not inside:
                    self._lines.put((name, line.decode("utf-8", errors="replace").rstrip("\r\n")))
                inside = not line.endswith(b"\n")

    def _deliver(self) -> None:
        for _turn in range(10 * KEPT_LINES):  # a child that floods its stdout must not freeze the GUI
            try:
                name, line = self._lines.get_nowait()
            except queue.Empty:
                return
            step = parseLine(line) if name == "out" else None
            line = line.replace("\0", "") if len(line) <= LONGEST_SHOWN else f"{line[:LONGEST_SHOWN]} ..."
            if name == "err":
                self._errors.append(line)
            self.log.append(step.message if step else line)
            if step:
                self._onStep(step)
            else:
                self._onLog(line)


def _environment() -> dict[str, str]:
    folder = str(trainingCoreFolder())
    paths = [folder, os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    return os.environ | own


def _signalGroup(group: int, signum: int) -> None:
    try:
        os.killpg(group, signum)
    except ProcessLookupError:
        return  # the whole group has ended
    except PermissionError:  # macOS answers so for a group of zombies
        return
