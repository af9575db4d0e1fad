"""Breaking work off at every moment in turn, as a signal does that arrives during a call into the system."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType


class Blow(BaseException):
    """As a signal's handler raises it: anywhere."""


def deal_a_blow() -> None:
    """The plainest way to break something off."""
    raise Blow


def send_sigterm() -> None:
    """What the system does when somebody asks this process to stop."""
    signal.raise_signal(signal.SIGTERM)


def struck_after(calls: int, work: Callable[[], object], strike: Callable[[], None] = deal_a_blow) -> bool:
    """Do some work and strike when its n-th call into C returns; returns whether it made that many."""
    left = calls
    struck = False

    def watch(_frame: FrameType, event: str, called: object) -> None:
        nonlocal left, struck
        if event == "c_return" and called is not sys.setprofile:
            left -= 1
            if left < 0:
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
