"""Dock below the views for the lesion table: the module panel is too narrow for most of its columns."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ..words import _


class TableDock:
    """Moves a table from the panel into a dock of the main window; without a main window the table is not moved."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._dock: Any = None

    def setVisible(self, visible: bool) -> None:
        """Show or hide the dock.

        Args:
            visible: True to show it; it is created on first use.
        """
        if visible and self._dock is None:
            self._make()
        if self._dock is not None:
            self._dock.setVisible(visible)

    def close(self) -> None:
        """Remove the dock with its table when the module is closed for good."""
        dock, self._dock = self._dock, None
        window = slicer.util.mainWindow()
        if dock is not None and window is not None:
            window.removeDockWidget(dock)
            dock.setParent(None)

    def _make(self) -> None:
        window = slicer.util.mainWindow()
        if window is None:
            return
        self._dock = qt.QDockWidget(_("MyelinSynth lesions"), window)
        self._dock.setObjectName("MyelinSynthLesions")
        self._dock.setWidget(self._table)
        window.addDockWidget(qt.Qt.BottomDockWidgetArea, self._dock)
