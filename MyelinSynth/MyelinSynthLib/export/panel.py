"""The export section: what to write, where, and the question before anything is replaced."""

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
    """Folder, name, three boxes and two buttons."""

    def __init__(self, ui: Any) -> None:
        self.ui = ui
        self.nodes: dict[str, Any] = {}
        ui.exportFolderButton.connect("clicked(bool)", self.onChooseFolder)
        ui.exportButton.connect("clicked(bool)", self.onExport)
        ui.exportFolderEdit.connect("textChanged(QString)", self.update)
        ui.exportNameEdit.connect("textChanged(QString)", self.update)
        ui.exportTableBox.connect("toggled(bool)", self.update)
        ui.exportReportBox.connect("toggled(bool)", self.update)
        ui.exportResultBox.connect("toggled(bool)", self.update)
        self.dicom = DicomButton(ui, self.wanted, lambda: self.nodes)
        self.show({})

    def show(self, nodes: dict[str, Any]) -> None:
        """Export these nodes (by role) from now on, or none."""
        if nodes.get("dvr") is not self.nodes.get("dvr"):
            self.ui.exportLabel.text = ""
        self.nodes = nodes
        self.update()

    def wanted(self) -> Export:
        """What is chosen."""
        ui = self.ui
        return Export(
            Path(ui.exportFolderEdit.text.strip()),
            ui.exportNameEdit.text.strip(),
            ui.exportTableBox.checked,
            ui.exportReportBox.checked,
            ui.exportResultBox.checked,
        )

    def update(self, _given: Any = None) -> None:
        """The button is there for what can be done."""
        named = self.ui.exportFolderEdit.text.strip() and self.ui.exportNameEdit.text.strip()
        self.ui.exportButton.enabled = bool(named and self.wanted().paths() and "dvr" in self.nodes)
        self.ui.exportDicomButton.enabled = bool(named and "dvr" in self.nodes)

    def onChooseFolder(self, _checked: bool = False) -> None:
        """Ask for a folder."""
        chosen = qt.QFileDialog.getExistingDirectory(None, _("Export to"), self.ui.exportFolderEdit.text)
        if chosen:
            self.ui.exportFolderEdit.text = chosen

    def onExport(self, _checked: bool = False) -> None:
        """Write; ask first where something would be replaced."""
        export = self.wanted()
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
