"""The button Export DICOM: finds the T1w's series, asks before replacing files, and installs highdicom after asking.

The series is the one from which Slicer loaded the T1w node; for a T1w that did not come from the DICOM database, the
button asks for the folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qt
import slicer

from ..errors import SynthesisError
from ..words import _
from .dicom import ensureHighdicom, seriesFiles, t1wOf, writeDicom
from .files import Export


class DicomButton:
    """Export DICOM button: asks for what is missing, writes, and reports what was written and whom it names."""

    def __init__(self, ui: Any, settings: Callable[[], Export], nodes: Callable[[], dict[str, Any]]) -> None:
        self.ui, self.settings, self.nodes = ui, settings, nodes
        ui.exportDicomButton.connect("clicked(bool)", self._onExport)

    def _onExport(self, _checked: bool = False) -> None:
        """Write the folder NAME_dicom, after asking if it would be replaced."""
        message = ""
        with slicer.util.tryWithErrorDisplay(_("The export failed."), waitCursor=True):
            try:
                self.ui.exportLabel.text = self._export()
            except SynthesisError as error:
                self.ui.exportLabel.text = message = str(error)
        if message:
            slicer.util.errorDisplay(message, windowTitle=_("MyelinSynth"))

    def _export(self) -> str:
        export, nodes = self.settings(), self.nodes()
        target = export.folder / f"{export.name}_dicom"
        t1w = t1wOf(nodes)
        series: Sequence[Path] = seriesFiles(t1w)
        if not series:
            title = _("Folder of the T1w's DICOM series")
            chosen = qt.QFileDialog.getExistingDirectory(None, title, str(export.folder))
            if not chosen:
                return ""
            series = [Path(chosen)]
        question = _("Replace {names} in {folder}?").format(names=target.name, folder=export.folder)
        if target.exists() and not slicer.util.confirmYesNoDisplay(question, windowTitle=_("MyelinSynth")):
            return ""
        ensureHighdicom()
        notes = writeDicom(nodes, series, target)
        return " ".join([_("Written: {names}").format(names=target.name), *notes])
