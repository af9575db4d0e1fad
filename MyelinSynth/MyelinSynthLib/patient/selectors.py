"""Selectors of the images that only some models need, created from the model's inputs and the table of inputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import qt
import slicer

from ..scene.parameters import inputNode, setInputNode
from ..words import _
from .checks import titleOf

FIRST_ROW = 4  # of the form: below T1w and FLAIR, each with the row of its note


@dataclass
class InputRow:
    """Label, selector and note of one input, in two rows of the form."""

    label: Any
    selector: Any
    note: Any

    def setVisible(self, visible: bool) -> None:
        """Show or hide the row; the form reserves no space for hidden rows.

        Args:
            visible: True to show it; the note appears only if it has text.
        """
        self.label.visible = self.selector.visible = visible
        self.note.visible = visible and bool(self.note.text)


class InputSelectors:
    """One selector for each further input of the chosen model; the choices are stored in the parameter node."""

    def __init__(self, ui: Any) -> None:
        self._form = ui.patientSection.layout()
        self._rows: dict[str, InputRow] = {}
        self._offered: list[str] = []
        self._parameterNode: Any = None
        self._filling = False

    def offer(self, names: Iterable[str], parameterNode: Any) -> None:
        """Show the selectors of these inputs, with the choices stored in the scene, and hide all others.

        Args:
            names: names in the table of inputs; their selectors are created on first use.
            parameterNode: MyelinSynthParameterNode that stores the choices; None clears and detaches the selectors.
        """
        self._parameterNode = parameterNode
        self._offered = list(names)
        for name in self._offered:
            if name not in self._rows:
                self._rows[name] = self._addRow(name)
        self._filling = True
        for name, row in self._rows.items():
            row.setVisible(name in self._offered)
            node = None if parameterNode is None else inputNode(parameterNode, name)
            if row.selector.currentNode() is not node:
                row.selector.setCurrentNode(node)
        self._filling = False

    def notes(self) -> dict[str, Any]:
        """Return the note label of each visible selector, by input."""
        return {name: self._rows[name].note for name in self._offered}

    def _addRow(self, name: str) -> InputRow:
        title = titleOf(name)
        label, note = qt.QLabel(_("{what}:").format(what=title)), qt.QLabel("")
        note.wordWrap = True
        note.styleSheet = "font-weight: bold;"
        note.toolTip = _("Problems with the choice above and how to solve them. Warnings do not prevent synthesis.")
        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        selector.showChildNodeTypes = selector.addEnabled = selector.removeEnabled = False
        selector.noneEnabled = selector.renameEnabled = True
        selector.toolTip = _(
            "{what} of the same person and session. The chosen model needs it; it is registered to the T1w."
        ).format(what=title)
        selector.setMRMLScene(slicer.mrmlScene)
        selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: self._onChosen(name))
        row = FIRST_ROW + 2 * len(self._rows)
        self._form.insertRow(row, label, selector)
        self._form.insertRow(row + 1, "", note)
        return InputRow(label, selector, note)

    def _onChosen(self, name: str) -> None:
        if not self._filling and self._parameterNode is not None:
            setInputNode(self._parameterNode, name, self._rows[name].selector.currentNode())
