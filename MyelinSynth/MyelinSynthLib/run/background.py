"""Synthesis in the background, without a panel, for scripts in the running application."""

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
    """Pumps a Synthesis by a timer.

    finished gets the Outputs; failed gets the SynthesisError, also where it was cancelled. `running` says whether it is
    under way, `cancel` ends it. The object need not be kept.
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
        self._timer.connect("timeout()", self.onTimer)
        synthesis.start()
        slicer.app.connect("aboutToQuit()", self.stop)
        self._running.append(self)
        self._timer.start()

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self in self._running

    def cancel(self) -> None:
        """Ask it to stop."""
        self.synthesis.cancel()

    def onTimer(self) -> None:
        """Poll the child process, and report its result."""
        try:
            if self.synthesis.pump():
                return
        except SynthesisError as error:
            self._end()
            self._tell(error)
            return
        except BaseException:
            self._end()
            raise
        self._end()
        if self.synthesis.outputs is not None:
            self._finished(self.synthesis.outputs)
        elif self.synthesis.state is State.CANCELLED:
            self._tell(SynthesisError(_("The synthesis was cancelled.")))

    def _end(self) -> None:
        self._timer.stop()
        self._running.remove(self)

    def _tell(self, error: SynthesisError) -> None:
        if self._failed is None:
            raise error
        self._failed(error)

    def stop(self) -> None:
        """End it and wait: the application closes."""
        if self.running:
            self.synthesis.stop()
            self._end()
