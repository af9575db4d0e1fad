"""Display of a myelin map: always with the same window and colours, so that patients can be compared by eye."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..words import _

DVR_WINDOW = (0.6, 1.4)  # as in the report: grey matter 1.0, white matter 1.2, a demyelinated lesion below 1.0
OUTSIDE_BRAIN = 0.01  # DVR; the map is exactly 0 there, and is shown transparent
COLOUR_TABLE_NAME = "MyelinSynth DVR (viridis)"
COLOUR_TABLE_ATTRIBUTE = "MyelinSynth.ColourTable"
OPACITY = 0.7
OUTLINE_PIXELS = 3
NOT_ESTIMABLE = (0.6, 0.6, 0.6)
# Distinguishable with common kinds of colour blindness, on viridis and on grey (Okabe and Ito 2008; the magenta is
# ours: a grey outline is invisible on a T1w)
COLOURS_OF_STATE = {
    "unreviewed": (0.93, 0.33, 0.82),
    "accepted": (0.337, 0.706, 0.914),
    "flagged": (0.902, 0.624, 0.0),
    "rejected": (0.835, 0.369, 0.0),
}
LEGEND_POSITION, LEGEND_SIZE = (0.985, 0.02), (0.09, 0.30)  # shares of the view: a strip in a corner, beside the head
LEGEND_POINTS = 9
UNCERTAINTY_WINDOW = (0.0, 0.2)  # DVR (ours)


@functools.lru_cache(maxsize=1)
def viridis() -> np.ndarray:
    """Return the colour map, (256, 3), RGB in [0, 1] from low to high."""
    path = Path(__file__).resolve().parents[2] / "Resources" / "ColorTables" / "viridis.csv"
    return np.loadtxt(path, delimiter=",")


def dvrColour(dvr: float) -> tuple[float, float, float]:
    """Return the colour of a DVR.

    Args:
        dvr: clipped to DVR_WINDOW; NaN for not estimable.

    Returns:
        RGB in [0, 1]; grey if not estimable.
    """
    if not math.isfinite(dvr):
        return NOT_ESTIMABLE
    low, high = DVR_WINDOW
    table = viridis()
    index = int((dvr - low) / (high - low) * len(table))
    return tuple(table[min(max(index, 0), len(table) - 1)].tolist())


def colourTable() -> Any:
    """Return the colour table node of DVR maps."""
    colours = viridis()
    labels = [f"{index / (len(colours) - 1):.3f}" for index in range(len(colours))]
    return sharedColourTable("viridis", COLOUR_TABLE_NAME, colours, labels)


def sharedColourTable(kind: str, name: str, colours: np.ndarray, labels: Sequence[str]) -> Any:
    """Return a colour table node that exists once per scene and is saved with it, so images look the same everywhere.

    Args:
        kind: key of the node, by which it is also recognised in a reopened scene.
        name: name of a new node.
        colours: RGB in [0, 1], (n, 3).
        labels: name of each colour.
    """
    for node in slicer.util.getNodesByClass("vtkMRMLColorTableNode"):
        if node.GetAttribute(COLOUR_TABLE_ATTRIBUTE) == kind:
            return node
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLColorTableNode")
    node.UnRegister(None)  # the variable holds it
    node.SetName(name)
    node.SetAttribute(COLOUR_TABLE_ATTRIBUTE, kind)
    node.SetAttribute("Category", "MyelinSynth")
    node.SetTypeToUser()
    node.SetNumberOfColors(len(colours))
    for index, (label, colour) in enumerate(zip(labels, colours.tolist())):
        node.SetColor(index, label, *colour, 1.0)
    return slicer.mrmlScene.AddNode(node)


def showMap(mapNode: Any) -> None:
    """Display a DVR map with the fixed window and colours, transparent outside the brain.

    Args:
        mapNode: scalar volume with synthetic or measured DVR.
    """
    mapNode.CreateDefaultDisplayNodes()
    display = mapNode.GetScalarVolumeDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*DVR_WINDOW)
    display.SetAndObserveColorNodeID(colourTable().GetID())
    display.AutoThresholdOff()
    display.SetThreshold(OUTSIDE_BRAIN, 1e6)
    display.ApplyThresholdOn()
    display.InterpolateOff()  # smoothing towards the 0 outside would draw a rim that looks demyelinated


def isShownAsMap(volume: Any) -> bool:
    """Return whether a volume already has the colours of a DVR map, whatever its window.

    Args:
        volume: scalar volume.
    """
    node = volume.GetDisplayNode()
    colours = None if node is None else node.GetColorNode()
    return colours is not None and colours.GetAttribute(COLOUR_TABLE_ATTRIBUTE) == "viridis"


def addLegend(mapNode: Any, view: Any = None) -> Any:
    """Add a small colour bar with the unit of a map; Slicer's default size covers a quarter of the view.

    Args:
        mapNode: scalar volume with DVR.
        view: slice node to show it in; None for every view that shows the map.

    Returns:
        The colour legend display node.
    """
    return addSmallLegend(mapNode, _("DVR"), "%.1f", 5, view)


def addSmallLegend(volume: Any, title: str, numberFormat: str, numbers: int, view: Any = None) -> Any:
    """Add a small colour bar beside the head; Slicer's own size is a quarter of the view, over the brain.

    Args:
        volume: what it belongs to; it is saved where its volume is.
        title: text above the bar.
        numberFormat: as in C, e.g. "%.1f".
        numbers: how many numbers stand beside the bar.
        view: the slice node that has it; None for every view that shows the volume.

    Returns:
        The vtkMRMLColorLegendDisplayNode.
    """
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(volume)
    legend.SetTitleText(title)
    legend.SetLabelFormat(numberFormat)
    legend.SetNumberOfLabels(numbers)
    legend.SetPosition(*LEGEND_POSITION)
    legend.SetSize(*LEGEND_SIZE)
    for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
        text.SetFontSize(LEGEND_POINTS)
    legend.SetSaveWithScene(volume.GetSaveWithScene())
    legend.SetViewNodeIDs([] if view is None else [view.GetID()])
    return legend


def removeLegends() -> None:
    """Remove the legends of our maps, to be added again in the right views.

    Seen in the application: a view draws a legend that is added, but not one that moves to it from another view.
    """
    for legend in list(slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")):
        carrier = legend.GetDisplayableNode()
        if carrier is not None and (carrier.GetAttribute("MyelinSynth.Role") or legend.GetTitleText() == _("DVR")):
            slicer.mrmlScene.RemoveNode(legend)


def showOutlines(segmentation: Any) -> None:
    """Display lesions as outlines only, on top of the volumes in slice views, and as solid surfaces in 3D.

    Args:
        segmentation: vtkMRMLSegmentationNode of the lesions.
    """
    segmentation.CreateDefaultDisplayNodes()
    display = segmentation.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(OUTLINE_PIXELS)


def setOutlines(segmentation: Any, visible: bool) -> None:
    """Show or hide the lesion outlines in slice views; 3D is not affected.

    Args:
        segmentation: vtkMRMLSegmentationNode of the lesions.
        visible: True to show them.
    """
    segmentation.CreateDefaultDisplayNodes()
    segmentation.GetDisplayNode().SetVisibility2DOutline(visible)


def showUncertainty(volume: Any) -> None:
    """Display the SD of a map in grey, from 0 to UNCERTAINTY_WINDOW's end.

    Args:
        volume: scalar volume with SD of DVR.
    """
    volume.CreateDefaultDisplayNodes()
    display = volume.GetScalarVolumeDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*UNCERTAINTY_WINDOW)


def showProbability(volume: Any) -> None:
    """Display a lesion probability in grey, from 0 to 1.

    Args:
        volume: scalar volume with probabilities.
    """
    volume.CreateDefaultDisplayNodes()
    display = volume.GetScalarVolumeDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(0.0, 1.0)


def showInSlices(
    background: Any,
    foreground: Any = None,
    opacity: float = OPACITY,
    views: tuple[str, ...] = (),
    otherThan: tuple[str, ...] = (),
) -> None:
    """Show volumes in slice views.

    Args:
        background: scalar volume, or None.
        foreground: scalar volume over it, or None.
        opacity: opacity of the foreground, 0 to 1.
        views: layout names of the views to change; empty for all.
        otherThan: layout names of views to leave as they are.
    """
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        name = composite.GetLayoutName()
        if (views and name not in views) or name in otherThan:
            continue
        composite.SetBackgroundVolumeID(background.GetID() if background else None)
        composite.SetForegroundVolumeID(foreground.GetID() if foreground else None)
        composite.SetForegroundOpacity(opacity if foreground else 0.0)
        composite.SetLabelVolumeID(None)
        composite.SetLinkedControl(True)
    refreshLegends()


def refreshLegends() -> None:
    """Redraw legends only where their volumes are on display; they do not notice when a volume leaves a view."""
    for legend in slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode"):
        legend.Modified()
