"""The lesion table below the views, as wide as the window: the module panel shows a third of its columns."""

from __future__ import annotations

from typing import Any

import qt
import slicer

from ..words import _


class TableDock:
    """Moves a table out of the panel into a dock of the main window; without a main window it stays where it is."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._dock: Any = None

    def setVisible(self, visible: bool) -> None:
        """Show the dock, making it at the first time, or hide it."""
        if visible and self._dock is None:
            self._make()
        if self._dock is not None:
            self._dock.setVisible(visible)

    def close(self) -> None:
        """The module is closed for good."""
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
