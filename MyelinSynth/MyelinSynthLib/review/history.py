"""What can be taken back in a review: decisions about lesions, and lesions that were added, merged or split."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class UndoStep:
    """lesion: the one to look at once it is undone; lesions: all that it changed; undo: undoes it."""

    lesion: int
    lesions: frozenset[int]
    undo: Callable[[], None]


class History:
    """The steps of one review, the last one first to go."""

    def __init__(self) -> None:
        self._steps: list[UndoStep] = []

    def __bool__(self) -> bool:
        return bool(self._steps)

    def add(self, lesion: int, lesions: Iterable[int], undo: Callable[[], None]) -> None:
        """Remember a step."""
        self._steps.append(UndoStep(lesion, frozenset(lesions), undo))

    def undo(self) -> int:
        """Take the last step back; returns the lesion to look at. Raises IndexError where there is none."""
        step = self._steps.pop()
        step.undo()
        return step.lesion

    def forget(self, lesions: Iterable[int]) -> None:
        """These lesions were drawn anew elsewhere: what was done to them before cannot be taken back any more."""
        gone = set(lesions)
        self._steps = [step for step in self._steps if not step.lesions & gone]
