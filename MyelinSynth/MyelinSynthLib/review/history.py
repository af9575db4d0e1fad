"""Undo history of a review: decisions, and lesions that were added, merged or split."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class UndoStep:
    """One step that can be undone.

    Attributes:
        lesion: lesion to show after undoing.
        lesions: all lesions that the step changed.
        undo: undoes the step.
    """

    lesion: int
    lesions: frozenset[int]
    undo: Callable[[], None]


class History:
    """The steps of one review; the last one is undone first."""

    def __init__(self) -> None:
        self._steps: list[UndoStep] = []

    def __bool__(self) -> bool:
        return bool(self._steps)

    def add(self, lesion: int, lesions: Iterable[int], undo: Callable[[], None]) -> None:
        """Add a step.

        Args:
            lesion: lesion to show after undoing.
            lesions: all lesions that the step changed.
            undo: undoes the step; called at most once.
        """
        self._steps.append(UndoStep(lesion, frozenset(lesions), undo))

    def undo(self) -> int:
        """Undo the last step.

        Returns:
            Number of the lesion to show.

        Raises:
            IndexError: there is no step to undo.
        """
        step = self._steps.pop()
        step.undo()
        return step.lesion

    def forget(self, lesions: Iterable[int]) -> None:
        """Drop the steps that changed any of these lesions.

        Args:
            lesions: lesions redrawn elsewhere (Segment Editor), so that undoing older steps would discard that work.
        """
        redrawn = set(lesions)
        self._steps = [step for step in self._steps if not step.lesions & redrawn]
