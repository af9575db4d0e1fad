"""The Export section: what to write and where, and a question before anything is replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qt
import slicer

from ..errors import SynthesisError
from ..words import _
from .dicom_button import DicomButton
from .files import Export, writeExport


class ExportPanel:
    """Folder, name, three check boxes and two buttons of the Export section."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.nodes: dict[str, Any] = {}
        ui.exportFolderButton.connect("clicked(bool)", self._onChooseFolder)
        ui.exportButton.connect("clicked(bool)", self._onExport)
        ui.exportFolderEdit.connect("textChanged(QString)", self._update)
        ui.exportNameEdit.connect("textChanged(QString)", self._update)
        ui.exportTableBox.connect("toggled(bool)", self._update)
        ui.exportReportBox.connect("toggled(bool)", self._update)
        ui.exportResultBox.connect("toggled(bool)", self._update)
        self.dicom = DicomButton(ui, self._settings, lambda: self.nodes)
        self.show({})

    def show(self, nodes: dict[str, Any]) -> None:
        """Select the synthesis to export.

        Args:
            nodes: nodes of one synthesis by role; empty disables the buttons.
        """
        if nodes.get("dvr") is not self.nodes.get("dvr"):
            self.ui.exportLabel.text = ""
        self.nodes = nodes
        self._update()

    def _settings(self) -> Export:
        """Return what the widgets select."""
        ui = self.ui
        return Export(
            Path(ui.exportFolderEdit.text.strip()),
            ui.exportNameEdit.text.strip(),
            ui.exportTableBox.checked,
            ui.exportReportBox.checked,
            ui.exportResultBox.checked,
        )

    def _update(self, _changed: Any = None) -> None:
        """Enable each button when there is something to export and a place to export it to."""
        named = self.ui.exportFolderEdit.text.strip() and self.ui.exportNameEdit.text.strip()
        self.ui.exportButton.enabled = bool(named and self._settings().paths() and "dvr" in self.nodes)
        self.ui.exportDicomButton.enabled = bool(named and "dvr" in self.nodes)

    def _onChooseFolder(self, _checked: bool = False) -> None:
        """Ask for the folder."""
        chosen = qt.QFileDialog.getExistingDirectory(None, _("Export to"), self.ui.exportFolderEdit.text)
        if chosen:
            self.ui.exportFolderEdit.text = chosen

    def _onExport(self, _checked: bool = False) -> None:
        """Export, after asking if something would be replaced."""
        export = self._settings()
        existing = export.existing()
        if existing:
            question = _("Replace {names} in {folder}?").format(
                names=", ".join(path.name for path in existing), folder=export.folder
            )
            if not slicer.util.confirmYesNoDisplay(question, windowTitle=_("MyelinSynth")):
                return
        message = ""
        with slicer.util.tryWithErrorDisplay(_("The export failed."), waitCursor=True):  # seconds, for a whole Result
            try:
                written = writeExport(self.nodes, export)
                self.ui.exportLabel.text = _("Written: {names}").format(names=", ".join(path.name for path in written))
            except SynthesisError as error:
                self.ui.exportLabel.text = message = str(error)
        if message:
            slicer.util.errorDisplay(message, windowTitle=_("MyelinSynth"))
