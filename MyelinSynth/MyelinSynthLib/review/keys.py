"""Keyboard shortcuts of the review: active wherever the focus is, except while the user types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
import slicer

# Widgets that need letters (an open drop-down list, too), and widgets that need only the arrow keys
TYPING = ("QLineEdit", "QTextEdit", "QPlainTextEdit", "QAbstractSpinBox", "QComboBox", "QComboBoxListView")
SLIDING = ("QAbstractSlider",)
ARROWS = ("Up", "Down")
FOCUS_CHANGED = "focusChanged(QWidget*,QWidget*)"


class Keys:
    """Application-wide shortcuts that work while `active`, except when a text field has the focus.

    Shortcuts of a widget would not work while a slice or 3D view has the focus. A slider with the focus, such as that
    of a slice view, keeps the arrow keys. A key that is held down acts once, except the arrow keys.
    """

    def __init__(self, actions: dict[str, Callable[[], None]]) -> None:
        """Create the shortcuts inactive.

        Args:
            actions: function for each key, such as {"A": accept, "Ctrl+Z": undo}.
        """
        self._actions = actions
        self._shortcuts: list[Any] = []
        self._active = self._typing = self._sliding = False

    def setActive(self, active: bool, parent: Any) -> None:
        """Turn all shortcuts on or off.

        Args:
            active: True to turn them on.
            parent: widget that lives as long as the main window; owns the shortcuts.
        """
        if active and not self._shortcuts:
            self._make(parent)
        if active != self._active:
            self._active = active
            self._onFocus(None, slicer.app.focusWidget())
            self._apply()

    def close(self) -> None:
        """Remove the shortcuts from the application."""
        self._active = False
        self._apply()
        if self._shortcuts:
            slicer.app.disconnect(FOCUS_CHANGED, self._onFocus)
        for shortcut in self._shortcuts:
            shortcut.setParent(None)
        self._shortcuts = []

    def _onFocus(self, _before: Any, now: Any) -> None:
        """Turn shortcuts on or off when another widget gets the focus."""
        typing, sliding = _inherits(now, TYPING) and not now.property("readOnly"), _inherits(now, SLIDING)
        if (typing, sliding) != (self._typing, self._sliding):
            self._typing, self._sliding = typing, sliding
            self._apply()

    def _make(self, parent: Any) -> None:
        for key, action in self._actions.items():
            shortcut = qt.QShortcut(parent)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.setContext(qt.Qt.ApplicationShortcut)
            shortcut.setAutoRepeat(key in ARROWS)
            shortcut.connect("activated()", action)
            shortcut.connect("activatedAmbiguously()", action)  # another shortcut uses the same key
            self._shortcuts.append(shortcut)
        slicer.app.connect(FOCUS_CHANGED, self._onFocus)

    def _apply(self) -> None:
        for key, shortcut in zip(self._actions, self._shortcuts):
            taken = self._typing or (self._sliding and key in ARROWS)
            shortcut.setEnabled(self._active and not taken)


def _inherits(widget: Any, kinds: Sequence[str]) -> bool:
    return widget is not None and any(widget.inherits(kind) for kind in kinds)
