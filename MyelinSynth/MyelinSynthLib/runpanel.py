"""What happens on the one button: the run panel, its progress and its log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import qt
import slicer

from .childprocess import Step
from .errors import SynthesisError
from .results import Outputs
from .synthesis import Synthesis
from .words import _

PUMP_MILLISECONDS = 100


class RunPanel:
    """The one button, its progress and its log. `begin` makes the Synthesis, `finished` gets its nodes."""

    def __init__(self, ui: Any, begin: Callable[..., Synthesis], finished: Callable[[Outputs], None]) -> None:
        self.ui, self._begin, self._finished = ui, begin, finished
        self.synthesis: Synthesis | None = None
        self._startedAt = 0.0
        self._timer = qt.QTimer()
        self._timer.setInterval(PUMP_MILLISECONDS)
        self._timer.connect("timeout()", self.onTimer)
        ui.synthesizeButton.connect("clicked(bool)", self.onButton)
        self._show(False)

    @property
    def running(self) -> bool:
        """Whether a synthesis is under way."""
        return self.synthesis is not None

    def onButton(self, _checked: bool = False) -> None:
        """Synthesize, or cancel what is under way."""
        if self.synthesis is not None:
            self.ui.stepLabel.text = _("Cancelling")
            self.ui.synthesizeButton.enabled = False
            self.synthesis.cancel()
            return
        self.ui.log.clear()
        with slicer.util.tryWithErrorDisplay(_("The myelin map could not be made."), waitCursor=False):
            try:
                synthesis = self._begin(onStep=self.onStep, onLog=self.ui.log.appendPlainText)
                synthesis.start()
            except SynthesisError as error:
                self._say(error)
                return
            logging.info("MyelinSynth: synthesis started")
            self.synthesis, self._startedAt = synthesis, time.monotonic()
            self._show(True)
            self._timer.start()

    def onStep(self, step: Step) -> None:
        """Show a line of progress."""
        self.ui.log.appendPlainText(step.message)
        if step.fraction is None:
            return
        self.ui.progressBar.value = int(100 * step.fraction)
        spent = time.monotonic() - self._startedAt
        if step.fraction > 0.05:
            left = spent * (1 - step.fraction) / step.fraction
            self.ui.stepLabel.text = _("{step}, about {seconds} s left").format(step=step.message, seconds=int(left))
        else:
            self.ui.stepLabel.text = step.message

    def onTimer(self) -> None:
        """Listen to the child; at its end show the map, or say why there is none."""
        if self.synthesis is None:
            self._timer.stop()
            return
        synthesis = self.synthesis
        try:
            if synthesis.pump():
                return
        except SynthesisError as error:
            self._end(_("Failed"))
            self._say(error)
            return
        if synthesis.outputs is None:
            self._end(_("Cancelled"))
            return
        self._end(_("Done"))
        logging.info("MyelinSynth: synthesis done")
        self._finished(synthesis.outputs)

    def stop(self) -> None:
        """End what is under way and wait for it: the scene, the module or the application closes."""
        if self.synthesis is not None:
            self.synthesis.stop()
            self._end(_("Cancelled"))

    def _say(self, error: SynthesisError) -> None:
        self.ui.log.appendPlainText(str(error))
        slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))

    def _end(self, word: str) -> None:
        self._timer.stop()
        self.synthesis = None
        self._show(False)
        self.ui.stepLabel.text = word

    def _show(self, running: bool) -> None:
        self.ui.synthesizeButton.text = _("Cancel") if running else _("Synthesize myelin map")
        self.ui.synthesizeButton.enabled = True
        self.ui.progressBar.visible = running
        self.ui.progressBar.value = 0
        self.ui.stepLabel.text = _("Writing files") if running else ""
