"""The display section: how map, T1w, FLAIR and lesions are shown, and in which views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from ..review import segments as lesions
from ..review.table import Review
from ..scene import provenance
from ..words import _
from . import plots, surfaces
from . import views as display
from .layouts import SIDE_BY_SIDE, WITH_3D, Layouts, register, showSideBySide
from .wipe import Wipe, showMapAgain


class DisplayPanel:
    """Sliders, boxes and layout buttons; all act on the nodes of the synthesis that `show` was given.

    arranged: called when the views were arranged anew, and show the middle of the brain.
    """

    def __init__(self, ui: Any, arranged: Callable[[], None] = lambda: None) -> None:
        self.ui, self._arranged = ui, arranged
        self.nodes: dict[str, Any] = {}
        self._layouts = Layouts()
        self._wipe: Wipe | None = None
        self._fadeFollows = False  # while the slider is put where the views are, not the other way round
        ui.opacitySlider.connect("valueChanged(double)", self.onOpacity)
        ui.fadeSlider.connect("valueChanged(double)", self.onFade)
        ui.wipeBox.connect("toggled(bool)", self.onWipe)
        ui.wipeSlider.connect("valueChanged(double)", self.onWipeMoved)
        ui.outlinesBox.connect("toggled(bool)", self.onOutlines)
        ui.colourByDvrBox.connect("toggled(bool)", self.recolour)
        ui.sideBySideButton.connect("clicked(bool)", self.onSideBySide)
        ui.fourUpButton.connect("clicked(bool)", self.onFourUp)
        ui.lesions3dButton.connect("clicked(bool)", self.onLesions3d)
        ui.plotsButton.connect("clicked(bool)", self.onPlots)
        ui.previousLayoutButton.connect("clicked(bool)", self.onPreviousLayout)
        if self._layoutNode() is not None:
            register(self._layoutNode())
        self.show({})

    def show(self, nodes: dict[str, Any]) -> None:
        """Act on these nodes (by role) from now on; none: nothing to show."""
        if nodes.get("dvr") is not self.nodes.get("dvr"):
            self.stopWipe()
            self._showsMap()
        self.nodes = nodes
        if "dvr" in nodes and self._wipe is None:
            showMapAgain(nodes["dvr"])
        ui, isMap, areLesions = self.ui, "dvr" in nodes, "lesions" in nodes
        for widget in (ui.opacitySlider, ui.fadeSlider, ui.wipeBox, ui.sideBySideButton, ui.fourUpButton):
            widget.enabled = isMap
        for widget in (ui.outlinesBox, ui.colourByDvrBox, ui.plotsButton):
            widget.enabled = areLesions
        ui.lesions3dButton.enabled = isMap
        ui.wipeSlider.enabled = self._wipe is not None
        if areLesions and nodes["lesions"].GetDisplayNode() is not None:
            ui.outlinesBox.checked = bool(nodes["lesions"].GetDisplayNode().GetVisibility2DOutline())

    def close(self) -> None:
        """Let go of the scene."""
        self.stopWipe()
        self.nodes = {}

    @property
    def t1w(self) -> Any:
        """The T1w of the map that is shown."""
        return self.nodes["dvr"].GetNodeReference(provenance.T1W_REFERENCE)

    def onReviewed(self) -> None:
        """A decision was made, or a lesion edited: colours and plots follow."""
        self.recolour()
        if "table" in self.nodes:
            plots.update(self.nodes)

    def recolour(self, _checked: bool = False) -> None:
        """Colour the outlines by mean DVR or by review state."""
        if "lesions" in self.nodes and "table" in self.nodes:
            by = "mean_dvr" if self.ui.colourByDvrBox.checked else "state"
            lesions.colourSegments(self.nodes["lesions"], Review(self.nodes["table"]), by)

    def onOpacity(self, opacity: float) -> None:
        """Fade the map wherever it is shown; the volume under it stays."""
        if "dvr" in self.nodes:
            display.setOpacity(opacity)

    def onFade(self, position: float) -> None:
        """Fade from T1w over FLAIR to the map."""
        if "dvr" in self.nodes and not self._fadeFollows:
            self.stopWipe()
            display.fade(position, self.t1w, self.nodes.get("flair") or self.t1w, self.nodes["dvr"])

    def onWipe(self, wanted: bool) -> None:
        """Draw the curtain, or take it away."""
        if not wanted or "dvr" not in self.nodes:
            self.stopWipe()
            return
        if self._wipe is None:
            self._wipe = Wipe(self.nodes["dvr"])
            self._wipe.move(self.ui.wipeSlider.value)
        self.ui.wipeSlider.enabled = True
        self._wipe.show(self.nodes["flair"] if display.isUnderneath(self.nodes.get("flair")) else self.t1w)

    def onWipeMoved(self, fraction: float) -> None:
        """Move the curtain."""
        if self._wipe is not None:
            self._wipe.move(fraction)

    def stopWipe(self) -> None:
        """Take the curtain away; nothing of it stays in the scene."""
        wipe, self._wipe = self._wipe, None
        if wipe is not None:
            wipe.close()
        self.ui.wipeBox.checked = False
        self.ui.wipeSlider.enabled = False

    def onOutlines(self, visible: bool) -> None:
        """Show or hide the lesion outlines."""
        if "lesions" in self.nodes:
            display.setOutlines(self.nodes["lesions"], visible)

    def onSideBySide(self, _checked: bool = False) -> None:
        """T1w, FLAIR and map beside each other."""
        if self._goTo(SIDE_BY_SIDE):
            showSideBySide(self.t1w, self.nodes.get("flair"), self.nodes["dvr"])
            slicer.util.resetSliceViews()
            self._arranged()

    def onFourUp(self, _checked: bool = False) -> None:
        """The map over the T1w in three directions, and the 3D view."""
        if self._goTo(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView):
            self._showMap()

    def onLesions3d(self, _checked: bool = False) -> None:
        """The lesions in 3D, beside axial and coronal slices."""
        if "dvr" not in self.nodes:
            return
        with slicer.util.tryWithErrorDisplay(_("The surfaces could not be made."), waitCursor=True):
            surfaces.showIn3D(self.nodes)
        if self._goTo(WITH_3D):
            self._showMap()
            slicer.util.resetThreeDViews()

    def onPlots(self, _checked: bool = False) -> None:
        """The plots beside an axial slice."""
        if "table" not in self.nodes:
            return
        if self._goTo(plots.show(self.nodes)):
            self._showMap()
            plots.fillViews(self.nodes)

    def onPreviousLayout(self, _checked: bool = False) -> None:
        """Back to the layout that the user had."""
        if self._layoutNode() is not None:
            self._layouts.goBack(self._layoutNode())

    def _showMap(self) -> None:
        opacity = self.ui.opacitySlider.value
        display.showInSlices(self.t1w, self.nodes["dvr"], opacity, otherThan=display.SIDE_BY_SIDE_VIEWS)
        self._showsMap()
        slicer.util.resetSliceViews()
        self._arranged()

    def _showsMap(self) -> None:
        """The fade slider stands at what the views show, and moves nothing by that."""
        self._fadeFollows = True
        self.ui.fadeSlider.value = display.FADED_TO_MAP
        self._fadeFollows = False

    def _goTo(self, layout: int) -> bool:
        """Whether there are views, which now are in this layout, to show a map in."""
        if self._layoutNode() is None or "dvr" not in self.nodes:
            return False
        self.stopWipe()
        self._layouts.show(self._layoutNode(), layout)
        return True

    def _layoutNode(self) -> Any:
        layoutManager = slicer.app.layoutManager()
        return None if layoutManager is None else layoutManager.layoutLogic().GetLayoutNode()
