"""The steps of a visit, as they are shown and timed."""

from __future__ import annotations

from ..runtime.cli import Progress
from ..runtime.stopwatch import Stopwatch
from .inputs import PatientImages


class Clock:
    """Reports each step and its warnings, and times it."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._stopwatch = Stopwatch()

    @property
    def seconds(self) -> dict[str, float]:
        """Wall seconds of every step that has ended."""
        return {step: round(wall, 2) for step, (wall, _cpu) in self._stopwatch.seconds.items()}

    def step(self, name: str, fraction: float, message: str) -> None:
        """Begin a step, ending the one before."""
        self._stopwatch.start(name)
        self.progress.report(name, fraction, message)

    def warn(self, patient: PatientImages, *sentences: str) -> None:
        """Show warnings, and keep them for the report; empty sentences are left out."""
        for sentence in filter(None, sentences):
            patient.warnings.append(sentence)
            self.progress.say(f"Warning: {sentence}")

    def stop(self) -> None:
        """End the step under way."""
        self._stopwatch.stop()
