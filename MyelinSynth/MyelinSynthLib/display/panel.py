"""The Display section: how map, T1w, FLAIR and lesions are displayed, and in which views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import qt
import slicer
from slicer.util import VTKObservationMixin

from ..compare.colours import addChangeLegend
from ..review import segments as lesions
from ..review.table import Review
from ..words import _
from . import framing, plots, surfaces
from . import views as display
from .layouts import (
    SIDE_BY_SIDE,
    SIDE_BY_SIDE_MEASURED,
    TWO_VISITS,
    WITH_3D,
    Layouts,
    fitting,
    isLayout,
    registerLayouts,
)
from .selection import highlight, showOnly, showSegments
from .shown import CHANGE_VIEW, CHANGE_VIEWS, FLAIR, MAP_VIEW, T1W, Shown, viewsOf

UNDER = (T1W, FLAIR)  # in the order of the box
# After a layout was switched: in the next turn of the event loop its views are there, and a little later, when a dock
# has moved in, they have their final size (ours)
SETTLE_MILLISECONDS = (0, 250)


class DisplayPanel(VTKObservationMixin):
    """Controls and layout buttons; their settings are stored in `shown`, which writes them to the views.

    Attributes:
        nodes: nodes of one synthesis by role.
        comparing: whether the views show two visits.
        settled: called when the views of a new layout are up to date.
    """

    def __init__(self, ui: Any, chosen: Callable[[], Any] = lambda: None) -> None:
        """Connect the widgets.

        Args:
            ui: widgets of the module panel.
            chosen: returns the world point (RAS mm) of the lesion chosen in the review, or None.
        """
        VTKObservationMixin.__init__(self)
        self.ui, self._chosen = ui, chosen
        self._arrangement: int | None = None  # the layout whose views are up to date
        self.nodes: dict[str, Any] = {}
        self.shown = Shown()
        self.closely = False
        self.comparing = False  # whether the views show two visits
        self._beforeComparison: int | None = None  # the layout
        self.settled: Callable[[], None] = lambda: None  # called when the views of a new layout are up to date
        self._layouts = Layouts()
        self._corners: tuple[tuple[Any, ...], np.ndarray] | None = None  # of which brain mask, in which place
        self._settling: list[int] = []
        self._fit3D = False  # whether to fit the brain to the 3D views once the layout is there
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._onSettled)
        self._segmentsTimer = qt.QTimer()  # after Slicer's slice controllers have seen the segmentation
        self._segmentsTimer.setSingleShot(True)
        self._segmentsTimer.setInterval(SETTLE_MILLISECONDS[-1])
        self._segmentsTimer.connect("timeout()", self._showSegments)
        ui.opacitySlider.connect("valueChanged(double)", self._onOpacity)
        ui.underBox.connect("currentIndexChanged(int)", self._onUnder)
        ui.wipeBox.connect("toggled(bool)", self._onWipe)
        ui.wipeSlider.connect("valueChanged(double)", self._onWipeMoved)
        ui.outlinesBox.connect("toggled(bool)", self._onOutlines)
        ui.colourByDvrBox.connect("toggled(bool)", self._recolour)
        ui.closelyBox.connect("toggled(bool)", self._onClosely)
        ui.sideBySideButton.connect("clicked(bool)", self._onSideBySide)
        ui.fourUpButton.connect("clicked(bool)", self._onFourUp)
        ui.lesions3dButton.connect("clicked(bool)", self._onLesions3d)
        ui.plotsButton.connect("clicked(bool)", self._onPlots)
        ui.previousLayoutButton.connect("clicked(bool)", self._onPreviousLayout)
        if self._layoutNode() is not None:
            registerLayouts(self._layoutNode())
        self.show({})

    def show(self, nodes: dict[str, Any]) -> None:
        """Display the result of a synthesis.

        Args:
            nodes: nodes of one synthesis by role; empty leaves the views as they are.
        """
        if nodes.get("dvr") is not self.nodes.get("dvr") and "dvr" in nodes:
            showOnly(nodes["dvr"])
            self._segmentsTimer.start()
        self.nodes = nodes
        self.shown.take(nodes)
        if self.shown.wipe is None:
            self.ui.wipeBox.checked = False
        self.restore()
        ui, areLesions = self.ui, "lesions" in nodes
        for widget in (ui.opacitySlider, ui.underBox, ui.wipeBox, ui.sideBySideButton, ui.fourUpButton):
            widget.enabled = self.shown.hasMap
        for widget in (ui.outlinesBox, ui.colourByDvrBox, ui.plotsButton):
            widget.enabled = areLesions
        ui.lesions3dButton.enabled = self.shown.hasMap
        ui.wipeSlider.enabled = self.shown.wipe is not None
        if areLesions and nodes["lesions"].GetDisplayNode() is not None:
            ui.outlinesBox.checked = bool(nodes["lesions"].GetDisplayNode().GetVisibility2DOutline())

    def restore(self) -> None:
        """Write the settings of the panel to the views, which another module or a reopened scene may have changed."""
        self._showOutlines()
        if self.shown.hasMap or self.shown.hasChange:
            self.shown.opacity = self.ui.opacitySlider.value
            self.shown.under = UNDER[max(self.ui.underBox.currentIndex, 0)]
            self._showMeasured()
            self.shown.apply()
            self._placeLegend()

    def setOpen(self, isOpen: bool) -> None:
        """Start or stop following the layout.

        Args:
            isOpen: whether MyelinSynth is the module on screen; then every layout the user chooses, also in Slicer's
                menu, shows the chosen lesion.
        """
        node = self._layoutNode()
        self.removeObservers()
        if isOpen and node is not None:
            self._arrangement = node.GetViewArrangement()
            self.addObserver(node, "ModifiedEvent", self._onLayout)

    def _onLayout(self, layoutNode: Any, _event: str = "") -> None:
        """Update the views of a layout that the user chose."""
        if layoutNode.GetViewArrangement() != self._arrangement:
            self._arrangement = layoutNode.GetViewArrangement()
            self.settle()

    def release(self, node: Any) -> None:
        """Remove a node from the views before it is removed from the scene.

        Args:
            node: any node; only volumes on display matter.
        """
        if self.shown.release(node):
            self.settle()  # Slicer's slice controllers may choose another volume meanwhile

    def close(self) -> None:
        """Drop all references to nodes, and remove the wipe."""
        self._timer.stop()
        self._segmentsTimer.stop()
        self._settling = []
        self._stopWipe()
        self.nodes, self._corners = {}, None
        self.shown.clear()

    def highlight(self, lesion: int | None) -> None:
        """Highlight a lesion in slices and in 3D.

        Args:
            lesion: number of the lesion; None shows all lesions alike.
        """
        outlines = self.outlines()
        if outlines is not None:
            identifiers = lesions.segmentIds(outlines)
            highlight(outlines, None if lesion is None else identifiers.get(lesion))

    def compare(self) -> None:
        """Show two visits and their change side by side."""
        if self._layoutNode() is not None and not isLayout(self._layoutNode().GetViewArrangement(), TWO_VISITS):
            self._beforeComparison = self._layoutNode().GetViewArrangement()
        self._goTo(TWO_VISITS)

    def leaveComparison(self) -> None:
        """Restore the layout from before the comparison, or the user's if a scene was opened in it."""
        if self._beforeComparison is None:
            self._onPreviousLayout()
        else:
            self._goTo(self._beforeComparison)

    def outlines(self) -> Any:
        """Return the segmentation of the lesions in the table, of two visits or of the Result, or None."""
        return self.nodes.get("change_lesions" if self.comparing else "lesions")

    def _showOutlines(self) -> None:
        """Show the outlines of either two visits or the Result."""
        for role, visible in (("lesions", not self.comparing), ("change_lesions", self.comparing)):
            node = self.nodes.get(role)
            if node is not None and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(visible)

    def _showSegments(self) -> None:
        """Show every lesion of the Result that was opened."""
        for role in ("lesions", "change_lesions"):
            if role in self.nodes:
                showSegments(self.nodes[role])

    def onReviewed(self) -> None:
        """Update colours and plots after a decision or an edit."""
        self._recolour()
        if "table" in self.nodes:
            plots.update(self.nodes)

    def _recolour(self, _checked: bool = False) -> None:
        """Colour the outlines by mean DVR or by review state."""
        if "lesions" in self.nodes and "table" in self.nodes:
            by = "mean_dvr" if self.ui.colourByDvrBox.checked else "state"
            lesions.colourSegments(self.nodes["lesions"], Review(self.nodes["table"]), by)

    def _onOpacity(self, _opacity: float) -> None:
        """Set the opacity of the map in all views."""
        self.restore()

    def _onUnder(self, _index: int) -> None:
        """Show T1w or FLAIR under the map."""
        self.restore()

    def _onWipe(self, checked: bool) -> None:
        """Start or stop the wipe."""
        if checked and self.shown.hasMap:
            self.shown.startWipe(self.ui.wipeSlider.value)
            self.ui.wipeSlider.enabled = True
            self._placeLegend()  # the legend of the map is not drawn while the map is hidden
        else:
            self._stopWipe()
            self._placeLegend()  # the legend of the wipe was removed with it

    def _onWipeMoved(self, fraction: float) -> None:
        """Move the wipe."""
        if self.shown.wipe is not None:
            self.shown.wipe.move(fraction)

    def _stopWipe(self) -> None:
        """Stop the wipe and remove its nodes."""
        self.shown.stopWipe()
        self.ui.wipeBox.checked = False
        self.ui.wipeSlider.enabled = False

    def _onOutlines(self, visible: bool) -> None:
        """Show or hide the lesion outlines."""
        outlines = self.outlines()
        if outlines is not None:
            display.setOutlines(outlines, visible)

    def _onClosely(self, closely: bool) -> None:
        """Show the chosen lesion close up, or the whole brain."""
        self.closely = closely
        self.frame()

    def _onSideBySide(self, _checked: bool = False) -> None:
        """Show T1w, FLAIR, map and (if available) measured DVR side by side."""
        self._goTo(SIDE_BY_SIDE if self.shown.measured is None else SIDE_BY_SIDE_MEASURED)
        self._showMeasured()

    def _showMeasured(self) -> None:
        """Display the measured DVR with the window and colours of the map, if both are in the views."""
        node, measured = self._layoutNode(), self.shown.measured
        if node is None or measured is None or not isLayout(node.GetViewArrangement(), SIDE_BY_SIDE_MEASURED):
            return
        if not display.isShownAsMap(measured):
            display.showMap(measured)  # with another window it could not be compared with the map

    def _onFourUp(self, _checked: bool = False) -> None:
        """Show the map over the T1w in three orientations, and the 3D view."""
        self._showSurfaces()
        self._goTo(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    def _onLesions3d(self, _checked: bool = False) -> None:
        """Show the lesions in 3D, with axial and coronal slices."""
        self._showSurfaces()
        self._goTo(WITH_3D)

    def _onPlots(self, _checked: bool = False) -> None:
        """Show the plots with slices."""
        if "table" in self.nodes:
            self._goTo(plots.show(self.nodes))

    def _onPreviousLayout(self, _checked: bool = False) -> None:
        """Restore the user's layout."""
        if self._layoutNode() is not None:
            self._layouts.goBack(self._layoutNode())
            self.settle()

    def showResult(self) -> None:
        """Show a new map: lesions in 3D, the map in the current views."""
        self._showSurfaces()
        self.restore()
        self.settle()

    def frame(self) -> None:
        """Fit the brain, or the chosen lesion, to every view."""
        if self.shown.hasMap or self.shown.hasChange:
            framing.frame(self._chosen(), self._brainCorners(), self.closely)

    def _onSettled(self) -> None:
        """Update the views once those of a new layout exist, or a node was removed."""
        if self._settling:
            self._timer.start(self._settling.pop(0))
        if self.shown.isEmpty:
            return
        self.shown.apply()
        if not self.shown.hasMap and not self.shown.hasChange:
            if not self._settling:
                self.shown.clear()
            return
        self.frame()
        display.removeLegends()
        self._placeLegend()
        if "table" in self.nodes:
            plots.fillViews(self.nodes)
        if self._fit3D:
            self._fit3D = bool(self._settling)  # the views may not have their final size yet
            corners = self._brainCorners()
            if corners is not None:
                framing.frame3D(corners)
        self.settled()

    def settle(self) -> None:
        """Update all views once they exist and have their final size."""
        first, *self._settling = SETTLE_MILLISECONDS
        self._timer.start(first)

    def _goTo(self, layout: int) -> None:
        if self._layoutNode() is None or not (self.shown.hasMap or self.shown.hasChange):
            return
        window = slicer.util.mainWindow()
        self._layouts.show(
            self._layoutNode(), fitting(layout, None if window is None else window.centralWidget().width)
        )
        self.restore()
        self.settle()

    def _showSurfaces(self) -> None:
        if not self.shown.hasMap:
            return
        with slicer.util.tryWithErrorDisplay(_("The surfaces could not be computed."), waitCursor=True):
            surfaces.showIn3D(self.nodes)
        self._fit3D = self._layoutNode() is not None

    def _placeLegend(self) -> None:
        """Show the legend in one view with the map: the map's own view if it is in the layout, else the axial one."""
        layoutManager = slicer.app.layoutManager()
        if layoutManager is None:
            return
        # Slicer lists every view it ever created, including those of other layouts
        every = layoutManager.sliceViewNames()
        names = [name for name in every if layoutManager.sliceWidget(name).mrmlSliceNode().IsMappedInLayout()]
        if self.shown.hasChange:
            self._placeChangeLegends(names)
        if not self.shown.hasMap:
            return
        best = viewsOf([name for name in (MAP_VIEW, "Red", *names) if name in names])
        carrier = self.nodes["dvr"] if self.shown.wipe is None else self.shown.wipe.copy
        display.addLegend(carrier, best[0] if best else None)

    def _placeChangeLegends(self, names: list[str]) -> None:
        """Show the legend of the difference in its view, and that of the DVR maps in the view of the earlier visit."""
        change, before = (viewsOf([name] if name in names else []) for name in (CHANGE_VIEW, next(iter(CHANGE_VIEWS))))
        if change and before:
            addChangeLegend(self.nodes["change_map"], change[0])
            display.addLegend(self.nodes["change_before"], before[0])

    def _brainCorners(self) -> np.ndarray | None:
        brain = self.nodes.get("brain", self.nodes.get("change_before"))
        if brain is None or brain.GetImageData() is None:
            return None
        parent = brain.GetParentTransformNode()
        moved = None if parent is None else (parent.GetID(), parent.GetTransformToWorldMTime())
        state = (brain.GetID(), brain.GetMTime(), brain.GetImageData().GetMTime(), moved)
        if self._corners is None or self._corners[0] != state:
            self._corners = (state, framing.brainCorners(brain))
        return self._corners[1]

    def _layoutNode(self) -> Any:
        layoutManager = slicer.app.layoutManager()
        return None if layoutManager is None else layoutManager.layoutLogic().GetLayoutNode()
