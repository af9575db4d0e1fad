"""The Compare section: choose an earlier visit, run the comparison, show both visits and what changed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from ..display.shown import CHANGE_VIEWS
from ..errors import SynthesisError
from ..run.childprocess import State, Step, importTrainingCore
from ..run.install import prepareInstallation
from ..run.runner import JobRunner, Runnable
from ..scene import provenance
from ..words import _
from .comparison import ComparedVisit, Comparison, visitOfFolder, visitOfNodes
from .nodes import isOf, loadChange


class ComparePanel:
    """Chooses the earlier visit and runs one comparison at a time.

    `shown` is called with whether the views should show two visits; `changed` with the nodes of a new comparison.
    """

    def __init__(self, ui: Any, shown: Callable[[bool], None], changed: Callable[[dict[str, Any]], None]) -> None:
        self.ui, self._shown, self._changed = ui, shown, changed
        self.nodes: dict[str, Any] = {}
        self._runner = JobRunner(changed, self._say, self._onStarted, self._onEnded)
        self._folders: list[ComparedVisit] = []
        self._visits: list[ComparedVisit] = []
        self._filling = False
        ui.earlierFolderButton.connect("clicked(bool)", self._onFolder)
        ui.compareButton.connect("clicked(bool)", self._onButton)
        ui.openChangeButton.connect("clicked(bool)", self._onOpen)
        ui.compareBox.connect("toggled(bool)", self._onBox)
        ui.changeReportButton.connect("clicked(bool)", self._onReport)
        slicer.app.connect("aboutToQuit()", self.stop)
        self._showProgress(False)
        self.show({})

    @property
    def job(self) -> Any:
        """The installation or comparison that is under way, or None."""
        return self._runner.job

    @property
    def hasChange(self) -> bool:
        """Whether there is a comparison to show."""
        return all(role in self.nodes for role in provenance.CHANGE_ROLES)

    def show(self, nodes: dict[str, Any]) -> None:
        """Select the Result whose earlier visits are offered.

        Args:
            nodes: nodes of one synthesis by role, with those of its comparison if there is one; empty for none.
        """
        self.nodes = nodes
        self._fill()
        self.ui.compareBox.enabled = self.ui.changeReportButton.enabled = self.hasChange
        self.ui.changeLabel.text = self._words() if self.hasChange else ""
        if not self.hasChange:
            self.setShown(False)

    def titles(self) -> dict[str, str]:
        """Return what each of the three views shows, by view name."""
        visits = json.loads(self.nodes["change_summary"].GetText())["visits"]
        words = (
            _("Before: {visit}\nsynthetic DVR").format(visit=visits["before"]),
            _("After: {visit}\nsynthetic DVR").format(visit=visits["after"]),
            _("After minus before\nsynthetic, research use only"),
        )
        return dict(zip(CHANGE_VIEWS, words))

    def _fill(self) -> None:
        """List the other Results in the scene and the folders that were chosen."""
        chosen = self._chosen()
        runs = [run for run in provenance.runs(slicer.mrmlScene) if run != self._run()]
        nodes = [provenance.nodesOfRun(slicer.mrmlScene, run) for run in runs]
        self._visits = [*self._folders, *map(visitOfNodes, nodes)]
        self._filling = True
        self.ui.earlierBox.clear()
        self.ui.earlierBox.addItems([visit.label for visit in self._visits])
        self.ui.earlierBox.setCurrentIndex(self._visits.index(chosen) if chosen in self._visits else 0)
        self._filling = False
        self.ui.compareButton.enabled = self.job is not None or bool(self._visits and "dvr" in self.nodes)

    def setShown(self, shown: bool) -> None:
        """Set the check box without calling `shown`.

        Args:
            shown: whether the views show two visits.
        """
        self._filling = True
        self.ui.compareBox.checked = shown
        self._filling = False

    def _onFolder(self, _checked: bool = False) -> None:
        """Ask for a Result folder and choose it."""
        folder = qt.QFileDialog.getExistingDirectory(None, _("Result folder of an earlier visit"), "")
        if folder:
            self.choose(Path(folder))

    def choose(self, folder: Path) -> None:
        """Choose the Result folder of the earlier visit.

        Args:
            folder: Result folder; if it is not one, an error message is shown.
        """
        visit = visitOfFolder(folder)
        try:
            visit.record()
        except SynthesisError as error:
            self._say(error)
            return
        if visit not in self._folders:
            self._folders.insert(0, visit)
        self._fill()
        self.ui.earlierBox.setCurrentIndex(self._visits.index(visit))

    def _onButton(self, _checked: bool = False) -> None:
        """Compare, or cancel the running comparison."""
        if self.job is not None:
            self.ui.compareLabel.text = _("Cancelling")
            self.ui.compareButton.enabled = False
            self._runner.cancel()
            return
        before = self._chosen()
        if before is None or "dvr" not in self.nodes:
            return
        with slicer.util.tryWithErrorDisplay(_("The visits could not be compared."), waitCursor=False):
            try:
                job = Comparison(before, visitOfNodes(self.nodes), onStep=self._onStep, folder=slicer.app.temporaryPath)
                job.check()
                self._runner.start(job, prepareInstallation(self._onStep, logging.info, torch=False))
            except SynthesisError as error:
                self._say(error)

    def _onStarted(self, _job: Runnable) -> None:
        self._showProgress(True)

    def _onStep(self, step: Step) -> None:
        """Show a line of progress."""
        if step.fraction is not None:
            self.ui.compareBar.value = int(100 * step.fraction)
        self.ui.compareLabel.text = step.message

    def _onOpen(self, _checked: bool = False) -> None:
        """Ask for a folder written by `change` and show it."""
        folder = qt.QFileDialog.getExistingDirectory(None, _("Folder of a comparison"), "")
        if folder:
            self.open(Path(folder))

    def open(self, folder: Path) -> None:
        """Load and show a comparison.

        Args:
            folder: folder written by `change`; if it is not one, an error message is shown.
        """
        with slicer.util.tryWithErrorDisplay(_("The comparison could not be opened."), waitCursor=True):
            try:
                outputs = loadChange(folder, self.nodes if isOf(folder, self.nodes) else {})
            except SynthesisError as error:
                self._say(error)
                return
            self._changed(outputs)

    def _onBox(self, shown: bool) -> None:
        """Show two visits, or the open Result, as the user chose."""
        if not self._filling:
            self._shown(shown)

    def _onReport(self, _checked: bool = False) -> None:
        """Open the report in the browser."""
        if self.hasChange:
            path = Path(slicer.app.temporaryPath) / "myelinsynth-change-report.html"
            path.write_text(self.nodes["change_report"].GetText(), encoding="utf-8")
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))

    def sceneCloses(self) -> None:
        """Stop the comparison and drop the nodes of the closing scene."""
        self.stop()
        self.show({})

    def stop(self) -> None:
        """Stop a running comparison and wait for its end."""
        self._runner.stop()

    def _chosen(self) -> ComparedVisit | None:
        index = self.ui.earlierBox.currentIndex
        return self._visits[index] if 0 <= index < len(self._visits) else None

    def _run(self) -> str:
        return provenance.get(self.nodes["dvr"], "Run") if "dvr" in self.nodes else ""

    def _words(self) -> str:
        importTrainingCore()
        from TrainingCore.reporting.change_words import describe_changes

        return describe_changes(json.loads(self.nodes["change_summary"].GetText()), name_options=False)

    def _say(self, error: SynthesisError) -> None:
        self.ui.compareLabel.text = str(error)
        slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))

    def _onEnded(self, state: State) -> None:
        self._showProgress(False)
        self.ui.compareLabel.text = {State.CANCELLED: _("Cancelled"), State.FAILED: _("Failed")}.get(state, "")
        self._fill()

    def _showProgress(self, running: bool) -> None:
        self.ui.compareButton.text = _("Cancel") if running else _("Compare with this visit")
        self.ui.compareBar.visible = running
        self.ui.compareBar.value = 0
        self.ui.compareLabel.text = _("Writing files") if running else ""
