"""Synthesis in the background without a panel, for scripts in the running application."""

from __future__ import annotations

from collections.abc import Callable

import qt
import slicer

from ..errors import SynthesisError
from ..words import _
from .childprocess import State
from .results import Outputs
from .synthesis import Synthesis

PUMP_MILLISECONDS = 100


class Background:
    """Runs a Synthesis in the background, polled by a timer; the object need not be kept.

    `finished` is called with the Outputs; `failed` with the SynthesisError, also after cancelling.
    """

    _running: list[Background] = []  # noqa: RUF012 - so that a timer is not collected while its child works

    def __init__(
        self,
        synthesis: Synthesis,
        finished: Callable[[Outputs], None],
        failed: Callable[[SynthesisError], None] | None = None,
    ) -> None:
        self.synthesis, self._finished, self._failed = synthesis, finished, failed
        self._timer = qt.QTimer()
        self._timer.setInterval(PUMP_MILLISECONDS)
        self._timer.connect("timeout()", self._onTimer)
        synthesis.start()
        slicer.app.connect("aboutToQuit()", self.stop)
        self._running.append(self)
        self._timer.start()

    @property
    def running(self) -> bool:
        """Whether the synthesis is running."""
        return self in self._running

    def cancel(self) -> None:
        """Request the synthesis to stop."""
        self.synthesis.cancel()

    def _onTimer(self) -> None:
        """Poll the child process, and report its result."""
        try:
            if self.synthesis.pump():
                return
        except SynthesisError as error:
            self._end()
            self._report(error)
            return
        except BaseException:
            self._end()
            raise
        self._end()
        if self.synthesis.outputs is not None:
            self._finished(self.synthesis.outputs)
        elif self.synthesis.state is State.CANCELLED:
            self._report(SynthesisError(_("The synthesis was cancelled.")))

    def _end(self) -> None:
        self._timer.stop()
        self._running.remove(self)

    def _report(self, error: SynthesisError) -> None:
        if self._failed is None:
            raise error
        self._failed(error)

    def stop(self) -> None:
        """Stop the synthesis and wait for its end, when the application closes."""
        if self.running:
            self.synthesis.stop()
            self._end()
