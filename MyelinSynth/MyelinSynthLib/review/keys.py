"""Keys of the review: wherever the focus is while reviewing, and never while somebody types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import qt
import slicer

# Widgets that need letters, an open list of choices among them; those that need the arrows alone
TYPING = ("QLineEdit", "QTextEdit", "QPlainTextEdit", "QAbstractSpinBox", "QComboBox", "QComboBoxListView")
SLIDING = ("QAbstractSlider",)
ARROWS = ("Up", "Down")
FOCUS_CHANGED = "focusChanged(QWidget*,QWidget*)"


class Keys:
    """Shortcuts of the whole application that are on only while `active`, and off while a text field has the focus.

    A slider with the focus, such as that of a slice view, keeps its arrows. A key that is held acts once, arrows apart.

    Shortcuts of a widget die when a slice or 3D view has the focus.
    """

    def __init__(self, actions: dict[str, Callable[[], None]]) -> None:
        """actions: what each key does, e.g. {"A": accept, "Ctrl+Z": undo}."""
        self._actions = actions
        self._shortcuts: list[Any] = []
        self._active = self._typing = self._sliding = False

    def setActive(self, active: bool, parent: Any) -> None:
        """Switch all keys on or off. parent: a widget that is there as long as the application's window."""
        if active and not self._shortcuts:
            self._make(parent)
        if active != self._active:
            self._active = active
            self.onFocus(None, slicer.app.focusWidget())
            self._apply()

    def close(self) -> None:
        """Let go of the application."""
        self._active = False
        self._apply()
        if self._shortcuts:
            slicer.app.disconnect(FOCUS_CHANGED, self.onFocus)
        for shortcut in self._shortcuts:
            shortcut.setParent(None)
        self._shortcuts = []

    def onFocus(self, _before: Any, now: Any) -> None:
        """Another widget has the focus, or none."""
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
            shortcut.connect("activatedAmbiguously()", action)  # somebody else's shortcut has the same key
            self._shortcuts.append(shortcut)
        slicer.app.connect(FOCUS_CHANGED, self.onFocus)

    def _apply(self) -> None:
        for key, shortcut in zip(self._actions, self._shortcuts):
            taken = self._typing or (self._sliding and key in ARROWS)
            shortcut.setEnabled(self._active and not taken)


def _inherits(widget: Any, kinds: Sequence[str]) -> bool:
    return widget is not None and any(widget.inherits(kind) for kind in kinds)
