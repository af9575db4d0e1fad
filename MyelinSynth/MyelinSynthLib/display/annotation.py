"""A line of text in the upper right corner of every slice view: what a key did, and which lesion is chosen."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

POINTS = 13


class Annotation:
    """Own text, beside Slicer's corner annotations, which its Data Probe writes anew at every change."""

    def __init__(self) -> None:
        self._actors: dict[str, tuple[Any, Any]] = {}  # renderer and text by view
        self.titles: dict[str, str] = {}  # by view: what it shows, above the text
        self._said = ""

    def say(self, text: str) -> None:
        """Show the text in the slice views of the layout; an empty one takes it away."""
        self._said = text
        layoutManager = slicer.app.layoutManager()
        if layoutManager is None:
            return
        for name in layoutManager.sliceViewNames():
            widget = layoutManager.sliceWidget(name)
            lines = "\n".join(line for line in (self.titles.get(name), text) if line)
            if widget is not None and (name in self._actors or lines):
                view = widget.sliceView()
                self._actorOf(name, view).SetInput(lines)
                view.scheduleRender()

    def repeat(self) -> None:
        """Show the same text in the views of a layout that was switched to since."""
        self.say(self._said)

    def text(self, name: str) -> str:
        """What stands in a view."""
        return self._actors[name][1].GetInput() if name in self._actors else ""

    def close(self) -> None:
        """Take the texts out of the views."""
        for renderer, actor in self._actors.values():
            renderer.RemoveViewProp(actor)
        self._actors = {}

    def _actorOf(self, name: str, view: Any) -> Any:
        renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
        if name in self._actors and self._actors[name][0] is renderer:
            return self._actors[name][1]
        actor = vtk.vtkTextActor()
        actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
        actor.SetPosition(0.98, 0.98)
        style = actor.GetTextProperty()
        style.SetJustificationToRight()
        style.SetVerticalJustificationToTop()
        style.SetFontSize(POINTS)
        style.SetLineSpacing(1.2)  # lines of 1.0 touch each other
        style.SetColor(1, 1, 1)
        style.ShadowOn()
        renderer.AddViewProp(actor)
        self._actors[name] = (renderer, actor)
        return actor
