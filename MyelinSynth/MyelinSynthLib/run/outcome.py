"""Result of a synthesis in the section Myelin map: summary, report, and the button to start the review."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from ..errors import SynthesisError
from ..export.files import writeReviewReport
from ..review.summary import resultWords
from ..words import _


class OutcomeSentence:
    """The sentence follows the review. `review`: called when the user goes on to it."""

    def __init__(self, ui: Any, review: Callable[[], None]) -> None:
        self.ui, self._review = ui, review
        self.nodes: dict[str, Any] = {}
        ui.showReportButton.connect("clicked(bool)", self.onReport)
        ui.nextButton.connect("clicked(bool)", lambda _checked=False: self._review())
        self.show({})

    def show(self, nodes: dict[str, Any]) -> None:
        """The result of these nodes (by role), or none."""
        self.nodes = nodes
        self.update()

    def update(self) -> None:
        """Update the summary from the lesion table."""
        ui, there = self.ui, "dvr" in self.nodes
        ui.resultLabel.text = resultWords(self.nodes) if there else ""
        ui.resultLabel.visible = there
        ui.showReportButton.enabled = "report" in self.nodes and "table" in self.nodes
        ui.nextButton.enabled = there and "lesions" in self.nodes and "table" in self.nodes

    def onReport(self, _checked: bool = False) -> None:
        """Open the report in the browser, with the review as it is now."""
        with slicer.util.tryWithErrorDisplay(_("The report could not be opened."), waitCursor=True):
            try:
                path = writeReviewReport(self.nodes, Path(slicer.app.temporaryPath))
            except SynthesisError as error:
                slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))
                return
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))
