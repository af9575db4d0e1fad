"""Being asked to stop (Ctrl-C, SIGTERM, SIGHUP): an exception where the program is, so that every `finally` cleans up.

Such an exception may be raised between any two steps. What it must not separate (starting a process and noting that it
was started) is done `undisturbed`; where a library swallows it (a destructor, `except:`), the next `check_stopped`
raises it again; while it is on its way, further signals change nothing.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
AGAIN_SECONDS = 0.05


class Stopped(SystemExit):
    """Raised in the main thread when somebody asks the program to stop; `code` is 128 + signal, as shells have it."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


@dataclass
class _State:
    asked: int = 0  # the first signal that asked
    held: int = 0  # how many `undisturbed` blocks are under way
    over: bool = False  # the program ends: there is nothing left to stop
    before: dict[int, Any] = field(default_factory=dict)  # the handlers that were there
    turn: int = 0  # how often listening has begun or ended: who asks again asks those who listened then


_state = _State()


def listen() -> None:
    """From now on raise Stopped where somebody asks this process to stop.

    Does nothing outside the main thread, where Python allows no handlers. A signal that is ignored stays so: `nohup`
    and a shell's background jobs are to go on.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _state.asked, _state.held, _state.over, _state.turn = 0, 0, False, _state.turn + 1
    for name in SIGNALS:
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        before = None if number is None else signal.getsignal(number)
        if number is not None and before not in (None, signal.SIG_IGN, _stop):
            _state.before[number] = before
            signal.signal(number, _stop)
    sys.unraisablehook = _unraisable


def _stop(signum: int, _frame: object) -> None:
    if _state.over:
        return
    _state.asked = _state.asked or signum
    if not _state.held and not _on_its_way():
        raise Stopped(_state.asked)


def _on_its_way() -> bool:
    """Whether the code that runs now is what a Stopped started: a `finally`, an `except`, what they call."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, Stopped):
            return True
        error = error.__context__
    return False


def _unraisable(what: Any) -> None:
    """Say what a destructor could not raise, as Python does; where that was Stopped, ask again a moment later."""
    if not isinstance(what.exc_value, Stopped):
        sys.__unraisablehook__(what)
        return
    again = threading.Timer(AGAIN_SECONDS, _ask_again, (what.exc_value.signum, _state.turn))
    again.daemon = True
    again.start()


def _ask_again(signum: int, turn: int) -> None:
    if turn != _state.turn:
        return  # those who were asked have ended meanwhile
    if sys.platform == "win32":
        signal.raise_signal(signum)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signum)


def stop_listening(for_good: bool) -> None:
    """Let nothing raise Stopped any more. for_good: the process ends, undisturbed; otherwise the handlers go back."""
    if threading.current_thread() is not threading.main_thread():
        return
    _state.over, _state.turn = True, _state.turn + 1
    for number, handler in _state.before.items():
        signal.signal(number, signal.SIG_IGN if for_good else handler)
    _state.before.clear()


def asked() -> int:
    """The signal that has asked this process to stop, or 0."""
    return _state.asked


def check_stopped() -> None:
    """Raise Stopped where somebody has asked for it and a library has swallowed that."""
    if _state.asked and not _state.over and not _state.held and not _on_its_way():
        raise Stopped(_state.asked)


@contextlib.contextmanager
def undisturbed(deaf_children: bool = False) -> Iterator[None]:
    """Do a few quick steps that must not be separated; who asks to stop meanwhile is heard at the end.

    deaf_children: processes started here never hear Ctrl-C, which a terminal sends to all of them at once and which
    would make each say where it was; whoever starts them ends them. (Nor does this process, for that moment.)
    """
    _state.held += 1
    try:
        with _ctrl_c_ignored() if deaf_children else contextlib.nullcontext():
            yield
    finally:
        _state.held -= 1
    check_stopped()


@contextlib.contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
