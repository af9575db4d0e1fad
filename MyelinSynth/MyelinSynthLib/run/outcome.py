"""Result of a synthesis in the Myelin map section: summary, report, and the button to start the review."""

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
    """Summary that follows the review; `review` is called when the user starts to review."""

    def __init__(self, ui: Any, review: Callable[[], None]) -> None:
        self.ui, self._review = ui, review
        self.nodes: dict[str, Any] = {}
        ui.showReportButton.connect("clicked(bool)", self._onReport)
        ui.nextButton.connect("clicked(bool)", lambda _checked=False: self._review())
        self.show({})

    def show(self, nodes: dict[str, Any]) -> None:
        """Show the result of a synthesis.

        Args:
            nodes: nodes of one synthesis by role; empty hides the summary.
        """
        self.nodes = nodes
        self.update()

    def update(self) -> None:
        """Update the summary from the lesion table."""
        ui, hasMap = self.ui, "dvr" in self.nodes
        ui.resultLabel.text = resultWords(self.nodes) if hasMap else ""
        ui.resultLabel.visible = hasMap
        ui.showReportButton.enabled = "report" in self.nodes and "table" in self.nodes
        reviewable = hasMap and "lesions" in self.nodes and "table" in self.nodes
        ui.nextButton.enabled = reviewable and self.nodes["table"].GetNumberOfRows() > 0

    def _onReport(self, _checked: bool = False) -> None:
        """Open the report, including the current review, in the browser."""
        with slicer.util.tryWithErrorDisplay(_("The report could not be opened."), waitCursor=True):
            try:
                path = writeReviewReport(self.nodes, Path(slicer.app.temporaryPath))
            except SynthesisError as error:
                slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))
                return
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))
