"""Measure the duration of steps."""

from __future__ import annotations

import time


class Stopwatch:
    """Wall and CPU seconds of each step, in the order in which the steps began."""

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[float, float]] = {}
        self._step, self._since = "", (0.0, 0.0)

    def start(self, step: str) -> None:
        """Start a step and end the previous one.

        Args:
            step: name; the times of a repeated step are added up.
        """
        self.stop()
        self._step, self._since = step, (time.monotonic(), time.process_time())

    def stop(self) -> None:
        """End the current step."""
        if self._step:
            wall, cpu = self.seconds.get(self._step, (0.0, 0.0))
            wall, cpu = wall + time.monotonic() - self._since[0], cpu + time.process_time() - self._since[1]
            self.seconds[self._step] = round(wall, 3), round(cpu, 3)
        self._step = ""
