"""How a myelin map is looked at: always the same window and colours, so that two patients can be compared by eye."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..scene import provenance
from ..words import _

DVR_WINDOW = (0.6, 1.4)  # as in the report: grey matter 1.0, white matter 1.2, a demyelinated lesion below 1.0
OUTSIDE_BRAIN = 0.01  # DVR; the map is exactly 0 there, and is shown transparent
COLOUR_TABLE_NAME = "MyelinSynth DVR (viridis)"
COLOUR_TABLE_ATTRIBUTE = "MyelinSynth.ColourTable"
OPACITY = 0.7
FADED_TO_MAP = 2.0  # end of the fade from T1w (0) over FLAIR (1)
OUTLINE_PIXELS = 2
NOT_ESTIMABLE = (0.6, 0.6, 0.6)
# Told apart with all common kinds of colour blindness and on viridis (Okabe and Ito 2008; grey for "not yet")
COLOURS_OF_STATE = {
    "unreviewed": (0.85, 0.85, 0.85),
    "accepted": (0.337, 0.706, 0.914),
    "flagged": (0.902, 0.624, 0.0),
    "rejected": (0.835, 0.369, 0.0),
}
SIDE_BY_SIDE_VIEWS = ("T1w", "FLAIR", "Myelin")  # of the layout of that name: their volumes do not change
UNCERTAINTY_WINDOW = (0.0, 0.2)  # DVR (ours)


@functools.lru_cache(maxsize=1)
def viridis() -> np.ndarray:
    """The colour map, (256, 3), red, green, blue in [0, 1] from low to high."""
    path = Path(__file__).resolve().parents[2] / "Resources" / "ColorTables" / "viridis.csv"
    return np.loadtxt(path, delimiter=",")


def dvrColour(dvr: float) -> tuple[float, float, float]:
    """The colour of a DVR in the fixed window; grey where it is not estimable."""
    if not math.isfinite(dvr):
        return NOT_ESTIMABLE
    low, high = DVR_WINDOW
    table = viridis()
    index = int((dvr - low) / (high - low) * len(table))
    return tuple(table[min(max(index, 0), len(table) - 1)].tolist())


def colourTable() -> Any:
    """The colour table node, made once per scene. It is saved with the scene: a map looks the same everywhere."""
    for node in slicer.util.getNodesByClass("vtkMRMLColorTableNode"):
        if node.GetAttribute(COLOUR_TABLE_ATTRIBUTE) == "viridis":
            return node
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLColorTableNode")
    node.UnRegister(None)  # the variable holds it
    node.SetName(COLOUR_TABLE_NAME)
    node.SetAttribute(COLOUR_TABLE_ATTRIBUTE, "viridis")
    node.SetAttribute("Category", "MyelinSynth")
    node.SetTypeToUser()
    colours = viridis()
    node.SetNumberOfColors(len(colours))
    for index, colour in enumerate(colours):
        node.SetColor(index, f"{index / (len(colours) - 1):.3f}", *colour, 1.0)
    return slicer.mrmlScene.AddNode(node)


def showMap(mapNode: Any) -> None:
    """Fixed window, colour table and transparent surroundings for a DVR map, synthetic or measured."""
    mapNode.CreateDefaultDisplayNodes()
    display = mapNode.GetScalarVolumeDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*DVR_WINDOW)
    display.SetAndObserveColorNodeID(colourTable().GetID())
    display.AutoThresholdOff()
    display.SetThreshold(OUTSIDE_BRAIN, 1e6)
    display.ApplyThresholdOn()
    display.InterpolateOff()  # smoothing towards the 0 outside would draw a rim that looks demyelinated


def addLegend(mapNode: Any) -> Any:
    """A colour bar with the unit for the map; shown wherever the map is."""
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(mapNode)
    legend.SetTitleText(_("DVR"))
    legend.SetLabelFormat("%.1f")
    legend.SetNumberOfLabels(5)
    return legend


def showOutlines(segmentation: Any) -> None:
    """Lesions as outlines alone, on top of whatever a slice view shows; solid in 3D where a surface is made."""
    segmentation.CreateDefaultDisplayNodes()
    display = segmentation.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(OUTLINE_PIXELS)


def setOutlines(segmentation: Any, visible: bool) -> None:
    """Show or hide the lesion outlines in slice views; 3D stays as it is."""
    segmentation.CreateDefaultDisplayNodes()
    segmentation.GetDisplayNode().SetVisibility2DOutline(visible)


def showUncertainty(volume: Any) -> None:
    """Grey, from 0 to an SD that matters, for the SD of a map."""
    volume.CreateDefaultDisplayNodes()
    display = volume.GetScalarVolumeDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*UNCERTAINTY_WINDOW)


def showInSlices(
    background: Any,
    foreground: Any = None,
    opacity: float = OPACITY,
    views: tuple[str, ...] = (),
    otherThan: tuple[str, ...] = (),
) -> None:
    """Put volumes into the slice views: all, those of the given names only, or all but some.

    opacity: of the foreground, 0 to 1.
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
    for legend in slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode"):
        legend.Modified()  # a legend does not notice by itself that its volume left a view


def setOpacity(opacity: float) -> None:
    """Fade the synthetic map in every slice view that shows one; 0 to 1. Other volumes are left as they are."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        shown = slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID() or "")
        if shown is not None and provenance.get(shown, "Role") == "dvr":
            composite.SetForegroundOpacity(opacity)


def isUnderneath(volume: Any) -> bool:
    """Whether a slice view that is not side by side shows this volume under the map."""
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    shown = [one.GetBackgroundVolumeID() for one in composites if one.GetLayoutName() not in SIDE_BY_SIDE_VIEWS]
    return volume is not None and volume.GetID() in shown


def fade(position: float, t1w: Any, flair: Any, mapNode: Any) -> None:
    """Show what lies at a position between T1w (0), FLAIR (1) and map (2), in every view but those side by side."""
    lower, upper = (t1w, flair) if position <= 1 else (flair, mapNode)
    showInSlices(lower, upper, position if position <= 1 else position - 1, otherThan=SIDE_BY_SIDE_VIEWS)
