"""The Worklist section: opens the results of a batch and moves from patient to patient."""

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
    """List of patients; `opened` is called with the Patient and the Outputs of the one that was opened."""

    def __init__(self, ui: Any, opened: Callable[[Any, Any], None]) -> None:
        self.ui, self._opened = ui, opened
        self.entries: list[Entry] = []
        self._current: tuple[Entry, Any, Any] | None = None
        self._filling = False
        self._failed = False  # whether the user knows that the review cannot be saved
        ui.openWorklistButton.connect("clicked(bool)", self._onOpen)
        ui.worklistBox.connect("currentIndexChanged(int)", self._onChosen)
        ui.nextPatientButton.connect("clicked(bool)", self._onNext)
        self._fill()

    def _onOpen(self, _checked: bool = False) -> None:
        """Ask for a results folder."""
        folder = qt.QFileDialog.getExistingDirectory(None, _("Results of a batch"), "")
        if folder:
            self.open(Path(folder))

    def open(self, folder: Path) -> None:
        """List the patients of a results folder, and open the first one that is not completely reviewed.

        Args:
            folder: results folder (`worklist.readWorklist`); if it is not one, an error message is shown.
        """
        try:
            self.entries = readWorklist(folder)
        except SynthesisError as error:
            slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))
            return
        self._current = None
        self._fill()
        if self.entries:
            self._go(self._firstOpen(0))

    def _onChosen(self, index: int) -> None:
        """Open the patient that the user chose."""
        if not self._filling and 0 <= index < len(self.entries):
            self._go(index)

    def _onNext(self, _checked: bool = False) -> None:
        """Save the review and open the next patient that is not completely reviewed."""
        if self.entries:
            self._go(self._firstOpen(self._index() + 1))

    def onReviewed(self) -> None:
        """Save a decision in the Result folder."""
        if self._current is not None and self._keep():
            self._fill()

    def forget(self) -> None:
        """Drop the current patient when the scene closes; its decisions are saved already."""
        self._current = None

    def _keep(self) -> bool:
        """Save the review of the current patient; return False, and tell the user once, if that failed."""
        if self._current is None:
            return True
        entry, _patient, outputs = self._current
        if not slicer.mrmlScene.IsNodePresent(outputs.table):
            self._current = None
            return True
        try:
            keepReview(outputs.nodes(), entry.result)
        except SynthesisError as error:
            self.ui.worklistLabel.text = str(error)
            if not self._failed:
                self._failed = True
                slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))
            return False
        self._failed = False
        return True

    def _index(self) -> int:
        return self.entries.index(self._current[0]) if self._current is not None else -1

    def _firstOpen(self, start: int) -> int:
        """Return the first entry from `start` with unreviewed lesions, starting over at the end."""
        order = [(start + step) % len(self.entries) for step in range(len(self.entries))]
        return next((index for index in order if not _finished(self.entries[index].progress())), order[0])

    def _go(self, index: int) -> None:
        self._failed = False
        if not self._keep():  # the review exists only in the scene: its nodes are not removed
            self._select()
            return
        with slicer.util.tryWithErrorDisplay(_("The patient could not be opened."), waitCursor=True):
            try:
                patient, outputs = openEntry(self.entries[index])
            except SynthesisError as error:  # the patient before stays open, and its decisions are still saved
                self._fill()
                slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))
                return
            before, self._current = self._current, (self.entries[index], patient, outputs)
            try:
                self._opened(patient, outputs)
            finally:
                if before is not None:
                    closeEntry(before[1], before[2])
        self._fill()

    def _select(self) -> None:
        """Show in the list which patient is open."""
        self._filling = True
        self.ui.worklistBox.setCurrentIndex(self._index())
        self._filling = False

    def _fill(self) -> None:
        ui, progress = self.ui, [entry.progress() for entry in self.entries]
        self._filling = True
        ui.worklistBox.clear()
        ui.worklistBox.addItems(
            [f"{entry.label} ({_words(reviewed)})" for entry, reviewed in zip(self.entries, progress)]
        )
        self._filling = False
        self._select()
        ui.worklistBox.enabled = ui.nextPatientButton.enabled = bool(self.entries)
        finished = sum(map(_finished, progress))
        text = _("{done} of {total} patients reviewed").format(done=finished, total=len(progress))
        ui.worklistLabel.text = text if self.entries else ""


def _finished(progress: tuple[int, int] | None) -> bool:
    return progress is not None and progress[0] == progress[1]


def _words(progress: tuple[int, int] | None) -> str:
    return _("cannot be read") if progress is None else "{} / {}".format(*progress)
