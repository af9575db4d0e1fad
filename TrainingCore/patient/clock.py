"""How long each step of a visit takes."""

from __future__ import annotations

import time

from ..runtime.cli import Progress
from .inputs import Patient


class Clock:
    """Reports each step and remembers how long it took."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}
        self._step, self._since = "", time.monotonic()

    def step(self, name: str, fraction: float, message: str) -> None:
        """Begin a step, ending the one before."""
        self.stop()
        self._step = name
        self.progress.report(name, fraction, message)

    def warn(self, patient: Patient, *sentences: str) -> None:
        """Show warnings, and keep them for the report; empty sentences say nothing."""
        for sentence in sentences:
            if sentence:
                patient.warnings.append(sentence)
                self.progress.say(f"Warning: {sentence}")

    def stop(self) -> None:
        """End the step under way."""
        if self._step:
            self.seconds[self._step] = round(time.monotonic() - self._since, 2)
        self._step, self._since = "", time.monotonic()
