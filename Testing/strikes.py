"""Breaking work off at every moment in turn, as a signal does that arrives during a call into the system."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType


class Blow(BaseException):
    """As a signal's handler raises it: anywhere."""


def deal_a_blow() -> None:
    """The plainest way to break something off."""
    raise Blow


def send_sigterm() -> None:
    """What the system does when somebody asks this process to stop."""
    signal.raise_signal(signal.SIGTERM)


def in_filelock(frame: FrameType | None) -> bool:
    """Whether a function of filelock is at work: struck there, it keeps a lock that no other thread ever gets."""
    while frame is not None:
        if str(frame.f_globals.get("__name__")).startswith("filelock."):
            return True
        frame = frame.f_back
    return False


def struck_after(calls: int, work: Callable[[], object], strike: Callable[[], None] = deal_a_blow) -> bool:
    """Do some work and strike when its n-th call into C returns; returns whether it made that many.

    A blow that would fall within filelock, whose state the tests after this one need, falls as soon as it has ended.
    """
    left = calls
    struck = False

    def watch(frame: FrameType, event: str, called: object) -> None:
        nonlocal left, struck
        if event == "c_return" and called is not sys.setprofile:
            left -= 1
            if left < 0 and not in_filelock(frame):
                struck = True
                sys.setprofile(None)
                strike()

    sys.setprofile(watch)
    try:
        work()
    except (Blow, OSError):  # Python 3.11's rmtree closes a file twice where it is struck, and says so
        pass
    finally:
        sys.setprofile(None)
    return struck


STRUCK = """
import importlib, os, re, sys, time
from TrainingCore.runtime import cli
module, moment, deed, *given = sys.argv[1:]
report = cli.Progress.report
def watched(self, step, fraction, message):
    report(self, step, fraction, message)
    if re.search(moment, f"{step}: {message}"):
        if deed.isdigit():
            os.kill(os.getpid(), int(deed))
        while not deed.isdigit() and not os.path.exists(deed):
            time.sleep(0.05)
cli.Progress.report = watched
sys.argv = [module, *given]
raise SystemExit(cli.run_command(importlib.import_module(f"TrainingCore.{module}").main, given))
"""


def struck_command(module: str, moment: str, number: int, *given: object) -> list[str]:
    """Words that run a command which sends itself a signal when its progress first says `moment`, a pattern.

    What happens then does not depend on how fast this machine or who watches is.
    """
    return [sys.executable, "-c", STRUCK, module, moment, str(int(number)), *map(str, given)]


def waiting_command(module: str, moment: str, until: Path, *given: object) -> list[str]:
    """Words that run a command which waits when its progress says `moment`, a pattern, until a path is there."""
    return [sys.executable, "-c", STRUCK, module, moment, str(until), *map(str, given)]
