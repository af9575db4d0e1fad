"""Text in the upper right corner of the slice views: the last action, and the chosen lesion."""

from __future__ import annotations

from typing import Any

import slicer
import vtk

POINTS = 13


class Annotation:
    """Text actors of our own: Slicer's Data Probe overwrites its corner annotations at every change.

    Attributes:
        titles: text above the annotation, by view name.
    """

    def __init__(self) -> None:
        self._actors: dict[str, tuple[Any, Any]] = {}  # renderer and text by view
        self.titles: dict[str, str] = {}
        self._text = ""

    def show(self, text: str) -> None:
        """Show a text in all slice views of the layout.

        Args:
            text: lines to show below the title; empty removes them.
        """
        self._text = text
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
        self.show(self._text)

    def text(self, name: str) -> str:
        """Return the text of a view.

        Args:
            name: view name; one without text gives empty text.
        """
        return self._actors[name][1].GetInput() if name in self._actors else ""

    def close(self) -> None:
        """Remove the texts from the views."""
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
