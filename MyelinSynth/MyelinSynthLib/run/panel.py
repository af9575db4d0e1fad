"""The Myelin map section: start and cancel button, device, progress, warnings and log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import qt
import slicer

from ..errors import SynthesisError
from ..words import _
from . import devices
from .childprocess import State, Step
from .devices import DeviceQuery
from .install import Installation, prepareInstallation
from .results import Outputs
from .runner import PUMP_MILLISECONDS, JobRunner, Runnable
from .synthesis import Synthesis

TELL_TIME_FROM = 0.05  # share of the work from which the time left is estimated (ours)


class RunPanel:
    """Runs one job at a time: an installation if something is missing, then the synthesis.

    `begin` creates the Synthesis, `finished` is called with its Outputs, `deviceChosen` with the value for `--device`.
    """

    def __init__(
        self,
        ui: Any,
        begin: Callable[..., Synthesis],
        finished: Callable[[Outputs], None],
        deviceChosen: Callable[[str], None] = lambda device: None,
    ) -> None:
        self.ui, self._begin, self._deviceChosen = ui, begin, deviceChosen
        self._runner = JobRunner(
            finished, self._say, self._onStarted, self._onEnded, self._showTimeLeft, self._askAgain
        )
        self._startedAt, self._step = 0.0, ""
        self._endsAt: float | None = None
        self._query, self._asked, self._filling = DeviceQuery(self._showDevices), False, False
        self._devices: list[str] = []
        self._timer = qt.QTimer()
        self._timer.setInterval(PUMP_MILLISECONDS)
        self._timer.connect("timeout()", self._onTimer)
        ui.synthesizeButton.connect("clicked(bool)", self._onButton)
        ui.deviceBox.connect("currentIndexChanged(int)", self._onDevice)
        slicer.app.connect("aboutToQuit()", self.stop)
        self._showDevices([])
        self._show(False)

    @property
    def running(self) -> bool:
        """Whether an installation or a synthesis is running."""
        return self._runner.running

    @property
    def job(self) -> Any:
        """The installation or synthesis that is under way, or None."""
        return self._runner.job

    def _onButton(self, _checked: bool = False) -> None:
        """Synthesize, or cancel the running job."""
        if self.running:
            self._step, self._endsAt = _("Cancelling"), None
            self._showTimeLeft()
            self.ui.synthesizeButton.enabled = False
            self._runner.cancel()
            return
        self.ui.log.clear()
        self._clearWarnings()
        with slicer.util.tryWithErrorDisplay(_("The myelin map could not be synthesized."), waitCursor=False):
            try:
                installation = prepareInstallation(self.onStep, self.onLog)
                synthesis = self._begin(onStep=self.onStep, onLog=self.onLog)
                self._runner.start(synthesis, installation)
            except SynthesisError as error:
                self._say(error)

    def onStep(self, step: Step) -> None:
        """Show a line of progress, a warning, or what is being installed.

        Args:
            step: progress of the command, or of the installer.
        """
        self.onLog(step.message)
        if isinstance(self.job, Installation) or step.step == "install":
            self.ui.stepLabel.text = step.message
        elif step.fraction is None:
            self.ui.warningLabel.text = f"{self.ui.warningLabel.text}\n{step.message}".strip()
            self.ui.warningLabel.visible = True
        else:
            self.ui.progressBar.value = int(100 * step.fraction)
            self._step, self._endsAt = step.message, None
            if TELL_TIME_FROM < step.fraction < 1:
                self._endsAt = self._startedAt + (time.monotonic() - self._startedAt) / step.fraction
            self._showTimeLeft()

    def onLog(self, line: str) -> None:
        """Append a line to the log in the panel.

        Args:
            line: text without a line break.
        """
        self.ui.log.appendPlainText(line)

    def _onTimer(self) -> None:
        """Listen to the query of devices until it has ended."""
        if not self._query.pump():
            self._timer.stop()

    def sceneCloses(self) -> None:
        """Stop the synthesis of the closing scene; an installation continues."""
        self._clearWarnings()
        self._runner.forgetFollowing()
        if not isinstance(self.job, Installation):
            self._runner.stop()  # the query of devices has nothing to do with the scene

    def stop(self) -> None:
        """Stop all jobs and wait for them, when the module or the application closes."""
        self._query.stop()
        self._runner.stop()

    def askForDevices(self) -> None:
        """Query the names of the GPUs once, in the background; without PyTorch the list stays as it is."""
        if self._asked:
            return
        self._asked = True
        try:
            self._query.start()
        except SynthesisError as error:
            logging.info(f"MyelinSynth: GPUs are not listed ({error})")
            return
        self._timer.start()

    def _askAgain(self) -> None:
        """PyTorch was installed a moment ago."""
        self._asked = False
        self.askForDevices()

    def _showDevices(self, gpus: list[str]) -> None:
        """List the devices, keeping the choice."""
        chosen = self._devices[self.ui.deviceBox.currentIndex] if self._devices else devices.AUTOMATIC
        deviceChoices = devices.choices(gpus)
        self._filling = True
        self._devices = [device for device, _words in deviceChoices]
        self.ui.deviceBox.clear()
        self.ui.deviceBox.addItems([words for _device, words in deviceChoices])
        self._filling = False
        self.chooseDevice(chosen)

    def chooseDevice(self, device: str) -> None:
        """Show a device as chosen, without reporting a choice.

        Args:
            device: as for `--device`; Automatic is shown if this computer does not have it.
        """
        self._filling = True
        self.ui.deviceBox.setCurrentIndex(self._devices.index(device) if device in self._devices else 0)
        self._filling = False

    def _onDevice(self, index: int) -> None:
        """Report the device that the user chose."""
        if not self._filling and 0 <= index < len(self._devices):
            self._deviceChosen(self._devices[index])

    def _onStarted(self, job: Runnable) -> None:
        self._startedAt = time.monotonic()
        self._show(True, busy=isinstance(job, Installation))

    def _say(self, error: SynthesisError) -> None:
        self.onLog(str(error))
        slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))

    def _onEnded(self, state: State) -> None:
        self._show(False)
        words = {State.SUCCEEDED: _("Done"), State.CANCELLED: _("Cancelled"), State.FAILED: _("Failed")}
        self.ui.stepLabel.text = words.get(state, "")

    def _show(self, running: bool, busy: bool = False) -> None:
        self.ui.synthesizeButton.text = _("Cancel") if running else _("&Synthesize myelin map")
        self.ui.synthesizeButton.enabled = True
        self.ui.progressBar.visible = running
        self.ui.progressBar.setRange(0, 0 if busy else 100)  # a busy indicator without a known end
        self.ui.progressBar.value = 0
        self._step, self._endsAt = "", None
        self.ui.stepLabel.text = _("Writing files") if running else ""

    def _showTimeLeft(self) -> None:
        """Show the step and the time left, estimated from the progress so far."""
        if self._endsAt is not None and self.ui.synthesizeButton.enabled:
            left = _roughly(self._endsAt - time.monotonic())
            self.ui.stepLabel.text = _("{step}, {time} left").format(step=self._step, time=left)
        elif self._step:
            self.ui.stepLabel.text = self._step

    def _clearWarnings(self) -> None:
        self.ui.warningLabel.text = ""
        self.ui.warningLabel.visible = False


def _roughly(seconds: float) -> str:
    """Rounded time, e.g. `about 40 s`, `about 3 min`."""
    if seconds > 90:
        return _("about {minutes} min").format(minutes=round(seconds / 60))
    return _("about {seconds} s").format(seconds=5 * max(1, round(seconds / 5)))
