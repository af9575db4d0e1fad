"""What the slice views show of one synthesis: exactly what the Display section says, or nothing.

One description (volume under the map, opacity of the map, wipe) is written to every slice view. Every change - by a
control, a layout, another module, a deleted node - ends with `apply`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer

from ..scene import provenance
from .views import OPACITY, refreshLegends
from .wipe import Wipe

T1W_VIEW, FLAIR_VIEW, MAP_VIEW, MEASURED_VIEW = "T1w", "FLAIR", "Myelin", "MeasuredDVR"
SIDE_BY_SIDE_VIEWS = (T1W_VIEW, FLAIR_VIEW, MAP_VIEW, MEASURED_VIEW)  # each shows one image
# Views of a comparison of two visits, with the role of the volume in each
CHANGE_VIEWS = {"ChangeBefore": "change_before", "ChangeAfter": "change_after", "Change": "change_map"}
CHANGE_VIEW = "Change"
T1W, FLAIR, MAP, MEASURED = "t1w", "flair", "dvr", "measured"


class Shown:
    """Volumes, opacity and wipe; `apply` writes them to all slice views.

    >>> shown = Shown(); shown.take(nodes); shown.opacity = 0.5; shown.apply()             # doctest: +SKIP

    Attributes:
        under: T1W or FLAIR, the volume under the map.
        opacity: opacity of the map, 0 to 1.
        wipe: the wipe, or None.
    """

    def __init__(self) -> None:
        self.under, self.opacity = T1W, OPACITY
        self.wipe: Wipe | None = None
        self._volumes: dict[str, Any] = {}

    def take(self, nodes: dict[str, Any]) -> None:
        """Set the nodes to show from the next `apply` on.

        Args:
            nodes: nodes of one synthesis by role; without a map, the volume that was under the last one remains.
        """
        if nodes.get(MAP) is not self._volumes.get(MAP):
            self.stopWipe()
        self._volumes.pop(MAP, None)
        self._volumes.pop(MEASURED, None)
        for role in CHANGE_VIEWS.values():
            self._volumes.pop(role, None)
        if MAP in nodes:
            items = {
                T1W: nodes[MAP].GetNodeReference(provenance.T1W_REFERENCE),
                FLAIR: nodes.get(FLAIR),
                MAP: nodes[MAP],
                MEASURED: nodes[MAP].GetNodeReference(provenance.MEASURED_REFERENCE),
            }
            self._volumes = {role: node for role, node in items.items() if node is not None}
        self._volumes |= {role: nodes[role] for role in CHANGE_VIEWS.values() if role in nodes}

    def clear(self) -> None:
        """Drop all references to nodes; the views are left as they are."""
        self.stopWipe()
        self._volumes = {}

    @property
    def isEmpty(self) -> bool:
        """Whether there is nothing to show."""
        return not self._volumes

    @property
    def hasMap(self) -> bool:
        """Whether there is a map to show."""
        return MAP in self._volumes

    @property
    def hasChange(self) -> bool:
        """Whether there are two visits to compare."""
        return all(role in self._volumes for role in CHANGE_VIEWS.values())

    @property
    def measured(self) -> Any:
        """The measured DVR map to show, or None."""
        return self._volumes.get(MEASURED)

    def layers(self, viewName: str) -> tuple[Any, Any, float]:
        """Return what a slice view should show.

        Args:
            viewName: layout name of the view.

        Returns:
            Background, foreground (nodes or None), and opacity of the foreground.
        """
        t1w = self._volumes.get(T1W)
        if viewName in CHANGE_VIEWS:
            volume = self._volumes.get(CHANGE_VIEWS[viewName])
            return (volume, None, 0.0) if viewName == CHANGE_VIEW else (t1w, volume, 1.0)
        if viewName == T1W_VIEW:
            return t1w, None, 0.0
        if viewName == FLAIR_VIEW:
            return self._volumes.get(FLAIR), None, 0.0
        if viewName == MEASURED_VIEW:
            return t1w, self._volumes.get(MEASURED), self.opacity
        under = self._volumes.get(self.under, t1w)
        if viewName == MAP_VIEW:
            under = t1w
        return under, self._volumes.get(MAP) if self.wipe is None else self.wipe.copy, self.opacity

    def apply(self) -> None:
        """Write the description to every slice view."""
        composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        # Seen in the application: the controller of a linked view passes a new opacity on to all others
        for composite in composites:
            composite.SetLinkedControl(False)
        for composite in composites:
            _write(composite, *self.layers(composite.GetLayoutName()))
        for composite in composites:
            composite.SetLinkedControl(True)
        refreshLegends()

    def isApplied(self) -> bool:
        """Return whether every slice view shows what it should."""
        return all(
            _stateOf(composite) == _state(*self.layers(composite.GetLayoutName()))
            for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        )

    def startWipe(self, fraction: float) -> None:
        """Start or move the wipe in every view.

        Args:
            fraction: position from the patient's right (0) to left (1).
        """
        if self.hasMap:
            if self.wipe is None:
                self.wipe = Wipe(self._volumes[MAP])
            self.wipe.move(fraction)
            self.apply()

    def stopWipe(self) -> None:
        """Stop the wipe.

        Its volume is taken out of the views first: Slicer would replace a removed volume with any other.
        """
        wipe, self.wipe = self.wipe, None
        if wipe is not None:
            if self._volumes:
                self.apply()
            wipe.close()

    def release(self, node: Any) -> bool:
        """Take a node out of the views before it is removed from the scene.

        Args:
            node: any node.

        Returns:
            True if it was one of the volumes shown.
        """
        roles = [role for role, volume in self._volumes.items() if volume is node]
        if not roles:
            return False
        if MAP in roles:
            wipe, self.wipe = self.wipe, None
        for role in roles:
            del self._volumes[role]
        self.apply()
        if MAP in roles and wipe is not None:
            wipe.close()
        return True


def _write(composite: Any, background: Any, foreground: Any, opacity: float) -> None:
    with slicer.util.NodeModify(composite):
        composite.SetBackgroundVolumeID(background.GetID() if background else None)
        composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)
        composite.SetForegroundOpacity(opacity if foreground else 0.0)
        composite.SetLabelVolumeID(None)


def _state(background: Any, foreground: Any, opacity: float) -> tuple[str, str, float]:
    names = [node.GetID() if node else "" for node in (background, foreground)]
    return names[0], names[1], round(opacity if foreground else 0.0, 3)


def _stateOf(composite: Any) -> tuple[str, str, float]:
    opacity = composite.GetForegroundOpacity() if composite.GetForegroundVolumeID() else 0.0
    return composite.GetBackgroundVolumeID() or "", composite.GetForegroundVolumeID() or "", round(opacity, 3)


def viewsOf(names: Iterable[str]) -> list[Any]:
    """Return the slice nodes of views, in the given order.

    Args:
        names: layout names; those without a node in the scene are skipped.
    """
    known = {node.GetLayoutName(): node for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")}
    return [known[name] for name in names if name in known]
