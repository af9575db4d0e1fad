"""Synthesis in the background without a panel, for scripts in the running application."""

from __future__ import annotations

from collections.abc import Callable

import slicer

from ..errors import SynthesisError
from ..words import _
from .childprocess import State
from .results import Outputs
from .runner import JobRunner
from .synthesis import Synthesis


class Background:
    """Runs a Synthesis in the background; the object need not be kept.

    `finished` is called with the Outputs; `failed` with the SynthesisError, also after cancelling.
    """

    _running: list[Background] = []  # noqa: RUF012 - so that a timer is not collected while its child works

    def __init__(
        self,
        synthesis: Synthesis,
        finished: Callable[[Outputs], None],
        failed: Callable[[SynthesisError], None] | None = None,
    ) -> None:
        self.synthesis, self._failed = synthesis, failed
        self._runner = JobRunner(finished, self._report, ended=self._onEnded)
        self._closing = False
        self._runner.start(synthesis)
        slicer.app.connect("aboutToQuit()", self.stop)
        self._running.append(self)

    @property
    def running(self) -> bool:
        """Whether the synthesis is running."""
        return self._runner.running

    def cancel(self) -> None:
        """Request the synthesis to stop."""
        self._runner.cancel()

    def _onEnded(self, state: State) -> None:
        if self in self._running:
            self._running.remove(self)
        if state is State.CANCELLED and not self._closing:
            self._report(SynthesisError(_("The synthesis was cancelled.")))

    def _report(self, error: SynthesisError) -> None:
        if self._failed is None:
            raise error
        self._failed(error)

    def stop(self) -> None:
        """Stop the synthesis and wait for its end, when the application closes."""
        self._closing = True
        self._runner.stop()
