"""Progress and timing of the steps of a visit."""

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
        """Wall-clock seconds of every finished step."""
        return {step: round(wall, 2) for step, (wall, _cpu) in self._stopwatch.seconds.items()}

    def step(self, name: str, fraction: float, message: str) -> None:
        """Start a step and end the previous one.

        Args:
            name: identifier of the step.
            fraction: progress of the command, 0 to 1.
            message: text to show.
        """
        self._stopwatch.start(name)
        self.progress.report(name, fraction, message)

    def warn(self, patient: PatientImages, *sentences: str) -> None:
        """Show warnings and keep them for the report.

        Args:
            patient: receives the warnings.
            sentences: empty ones are ignored.
        """
        for sentence in filter(None, sentences):
            patient.warnings.append(sentence)
            self.progress.say(f"Warning: {sentence}")

    def stop(self) -> None:
        """End the current step."""
        self._stopwatch.stop()
