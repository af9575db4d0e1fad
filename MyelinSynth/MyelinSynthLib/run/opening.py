"""Opens a Result folder, exported or written by the command line, for the chosen images."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from ..errors import SynthesisError
from ..patient.nodes import Patient
from ..words import _
from .results import Outputs, loadResult


class ResultOpener:
    """Button below Synthesize; `patient` returns the chosen nodes, `opened` is called with the nodes of the Result."""

    def __init__(self, ui: Any, patient: Callable[[], Patient], opened: Callable[[Outputs], None]) -> None:
        self.ui, self._patient, self._opened = ui, patient, opened
        ui.openResultButton.connect("clicked(bool)", self._onOpen)

    def _onOpen(self, _checked: bool = False) -> None:
        """Ask for a Result folder and show it."""
        folder = qt.QFileDialog.getExistingDirectory(None, _("Result folder"), "")
        if folder:
            self.open(Path(folder))

    def open(self, folder: Path) -> None:
        """Load a Result and its review, if it has one.

        Args:
            folder: Result folder; if it does not belong to the chosen images, an error message is shown.
        """
        with slicer.util.tryWithErrorDisplay(_("The result could not be opened."), waitCursor=True):
            try:
                outputs = loadResult(folder, self._patient(), uuid.uuid4().hex)
            except SynthesisError as error:
                slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))
                return
            self._opened(outputs)
