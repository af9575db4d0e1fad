"""World position of mouse clicks in slice views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

PRIORITY = 10.0  # before Slicer's own interaction with the view


class Clicks:
    """While active, left clicks in slice views are reported to `clicked` and not passed on to Slicer."""

    def __init__(self, clicked: Callable[[list[float]], None]) -> None:
        """Create it inactive.

        Args:
            clicked: called with the world point, RAS mm.
        """
        self._clicked = clicked
        self._observed: list[tuple[Any, Any, int]] = []  # view, interactor, tag

    @property
    def active(self) -> bool:
        """Whether clicks are being reported."""
        return bool(self._observed)

    def setActive(self, active: bool) -> None:
        """Start or stop reporting clicks.

        Args:
            active: True to observe all slice views of the current layout.
        """
        for _view, interactor, tag in self._observed:
            interactor.RemoveObserver(tag)
        self._observed = []
        layoutManager = slicer.app.layoutManager()
        if not active or layoutManager is None:
            return
        for name in layoutManager.sliceViewNames():
            view = layoutManager.sliceWidget(name).sliceView()
            interactor = view.interactor()
            tag = interactor.AddObserver("LeftButtonPressEvent", self._onPress, PRIORITY)
            self._observed.append((view, interactor, tag))

    def _onPress(self, pressed: Any, _event: str) -> None:
        for view, interactor, tag in self._observed:
            if interactor is pressed:
                interactor.GetCommand(tag).SetAbortFlag(1)
                across, up = interactor.GetEventPosition()
                self._clicked(list(view.mrmlSliceNode().GetXYToRAS().MultiplyPoint((across, up, 0.0, 1.0))[:3]))
                return
