"""Processes that a command starts beside itself, none of which outlives it."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

from .stopping import undisturbed


@dataclass(frozen=True)
class Child:
    """A process; what it says goes to a file, as a pipe that nobody reads would stop it when full."""

    process: subprocess.Popen[Any]
    said: IO[Any]


@contextlib.contextmanager
def ended_afterwards() -> Iterator[list[Any]]:
    """A list of children, empty at first; who is in it at the end of the block is ended, wherever a stop strikes.

    Start each and add it to the list within one `undisturbed`: a child that nobody knows of would go on.
    """
    children: list[Any] = []
    try:
        yield children
    finally:
        try:
            with undisturbed():  # Popen's lock would stay closed
                _end(children)
        except BaseException:  # a stop may come just before that; while it is on its way, no other one does
            _end(children)
            raise


def _end(children: Sequence[Child]) -> None:
    for child in children:
        child.process.terminate()
    for child in children:
        child.process.wait()
        child.said.close()
