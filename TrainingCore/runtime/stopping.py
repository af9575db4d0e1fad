"""Signals that ask a command to stop (Ctrl-C, SIGTERM, SIGHUP) raise Stopped, so that every `finally` cleans up.

The exception may come between any two steps. Steps that belong together (start a process, note that it was started) run
inside `defer_signals`. Where a library swallows the exception (a destructor, `except:`), the next `check_stopped`
raises it again. While it unwinds the stack, further signals change nothing.
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
REPEAT_SECONDS = 0.05


class Stopped(SystemExit):
    """Raised in the main thread when the program is asked to stop; `code` is 128 + signal, as in shells."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


@dataclass
class _State:
    received: int = 0  # the first signal received, 0: none
    deferred: int = 0  # nested `defer_signals` blocks
    over: bool = False  # the program ends: there is nothing left to stop
    before: dict[int, Any] = field(default_factory=dict)  # the caller's handlers
    turn: int = 0  # how often listening began or ended: a repeated signal is for the turn it was first sent in


_state = _State()


def listen() -> None:
    """Raise Stopped from now on when this process is asked to stop.

    Does nothing outside the main thread, where Python allows no handlers. A signal that is ignored (by `nohup`, or in a
    shell's background job) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _state.received, _state.deferred, _state.over, _state.turn = 0, 0, False, _state.turn + 1
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
    _state.received = _state.received or signum
    if not _state.deferred and not _unwinding():
        raise Stopped(_state.received)


def _unwinding() -> bool:
    """Check whether the running code cleans up after a Stopped: a `finally`, an `except`, or what they call."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, Stopped):
            return True
        error = error.__context__
    return False


def _unraisable(what: Any) -> None:
    """Print an error raised in a destructor, as Python does; if it was Stopped, send the signal again soon."""
    if not isinstance(what.exc_value, Stopped):
        sys.__unraisablehook__(what)
        return
    timer = threading.Timer(REPEAT_SECONDS, _repeat, (what.exc_value.signum, _state.turn))
    timer.daemon = True
    timer.start()


def _repeat(signum: int, turn: int) -> None:
    if turn != _state.turn:
        return  # that command has ended meanwhile
    if sys.platform == "win32":
        signal.raise_signal(signum)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signum)


def stop_listening(for_good: bool) -> None:
    """Stop raising Stopped.

    Args:
        for_good: the process ends and ignores signals; otherwise the caller's handlers return.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    _state.over, _state.turn = True, _state.turn + 1
    for number, handler in _state.before.items():
        signal.signal(number, signal.SIG_IGN if for_good else handler)
    _state.before.clear()


def received_signal() -> int:
    """The signal that asked this process to stop, or 0."""
    return _state.received


def check_stopped() -> None:
    """Raise Stopped again where a library swallowed it."""
    if _state.received and not _state.over and not _state.deferred and not _unwinding():
        raise Stopped(_state.received)


@contextlib.contextmanager
def defer_signals(children_ignore_sigint: bool = False) -> Iterator[None]:
    """Run a few quick steps that belong together; a signal that arrives meanwhile raises Stopped at their end.

    (It ignores Ctrl-C itself inside the block.)

    Args:
        children_ignore_sigint: processes started inside ignore Ctrl-C, which a terminal sends to all of them at once
            and which would make each print a traceback; this process ends them.
    """
    before = signal.getsignal(signal.SIGINT)
    on_main_thread = threading.current_thread() is threading.main_thread()
    ignore = children_ignore_sigint and before is not None and on_main_thread
    _state.deferred += 1
    try:
        if ignore:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        yield
    finally:
        if ignore:
            signal.signal(signal.SIGINT, before)
        _state.deferred -= 1
    check_stopped()
