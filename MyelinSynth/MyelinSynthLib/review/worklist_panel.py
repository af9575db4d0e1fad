"""The section Worklist: open the results of a batch, go from patient to patient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from ..errors import SynthesisError
from ..words import _
from .worklist import Entry, closeEntry, keepReview, openEntry, readWorklist


class WorklistPanel:
    """`opened` gets the Patient and the Outputs of the patient that was chosen."""

    def __init__(self, ui: Any, opened: Callable[[Any, Any], None]) -> None:
        self.ui, self._opened = ui, opened
        self.entries: list[Entry] = []
        self._current: tuple[Entry, Any, Any] | None = None
        self._filling = False
        ui.openWorklistButton.connect("clicked(bool)", self.onOpen)
        ui.worklistBox.connect("currentIndexChanged(int)", self.onChosen)
        ui.nextPatientButton.connect("clicked(bool)", self.onNext)
        self._fill()

    def onOpen(self, _checked: bool = False) -> None:
        """Ask for a results folder."""
        folder = qt.QFileDialog.getExistingDirectory(None, _("Results of a batch"), "")
        if folder:
            self.open(Path(folder))

    def open(self, folder: Path) -> None:
        """List the patients of a results folder, and open the first who is not finished."""
        try:
            self.entries = readWorklist(folder)
        except SynthesisError as error:
            slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))
            return
        self._current = None
        self._fill()
        if self.entries:
            self._go(self._firstOpen(0))

    def onChosen(self, index: int) -> None:
        """The user chose a patient."""
        if not self._filling and 0 <= index < len(self.entries):
            self._go(index)

    def onNext(self, _checked: bool = False) -> None:
        """The next patient who is not finished; the review of this one is kept."""
        if self.entries:
            self._go(self._firstOpen(self._index() + 1))

    def onReviewed(self) -> None:
        """A decision was made: keep it in the Result folder."""
        if self._keep():
            self._fill()

    def forget(self) -> None:
        """The scene closes: what was decided is kept already."""
        self._current = None

    def _keep(self) -> bool:
        if self._current is None:
            return False
        entry, _patient, outputs = self._current
        if not slicer.mrmlScene.IsNodePresent(outputs.table):
            self._current = None
            return False
        try:
            keepReview(outputs.nodes(), entry.result)
        except SynthesisError as error:
            self.ui.worklistLabel.text = str(error)
            return False
        return True

    def _index(self) -> int:
        return self.entries.index(self._current[0]) if self._current is not None else -1

    def _firstOpen(self, start: int) -> int:
        """The first entry from `start` on that has lesions without a decision, starting over at the end."""
        order = [(start + step) % len(self.entries) for step in range(len(self.entries))]
        unfinished = [index for index in order if self.entries[index].progress()[0] < self.entries[index].progress()[1]]
        return (unfinished or order)[0]

    def _go(self, index: int) -> None:
        self._keep()
        with slicer.util.tryWithErrorDisplay(_("The patient could not be opened."), waitCursor=True):
            before, self._current = self._current, None
            try:
                patient, outputs = openEntry(self.entries[index])
            except SynthesisError as error:
                self._fill()
                slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))
                return
            self._current = (self.entries[index], patient, outputs)
            self._opened(patient, outputs)
            if before is not None:
                closeEntry(before[1], before[2])
        self._fill()

    def _fill(self) -> None:
        ui, progress = self.ui, [entry.progress() for entry in self.entries]
        self._filling = True
        ui.worklistBox.clear()
        ui.worklistBox.addItems([f"{one.label} ({a} / {b})" for one, (a, b) in zip(self.entries, progress)])
        ui.worklistBox.setCurrentIndex(self._index())
        self._filling = False
        ui.worklistBox.enabled = ui.nextPatientButton.enabled = bool(self.entries)
        finished = sum(done == total for done, total in progress)
        text = _("{done} of {total} patients reviewed").format(done=finished, total=len(progress))
        ui.worklistLabel.text = text if self.entries else ""
