"""How a change looks: one diverging scale for the difference, one colour for each class of lesion."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from ..display.views import addSmallLegend, sharedColourTable
from ..review.segments import segmentsByLesion
from ..review.table import Review
from ..words import _

CHANGE_WINDOW = (-0.15, 0.15)  # DVR, as in the report of two visits
TABLE_NAME = "MyelinSynth change (diverging)"
COLOURS = 256
# From black, which is no change and outside the brain, over vermilion (loss) and blue (gain; both Okabe and Ito 2008)
# to light: told apart with common kinds of colour blindness, and nothing shines that has not changed (ours)
LOSS, GAIN = (
    ((0.0, 0.0, 0.0), (0.835, 0.369, 0.0), (1.0, 0.9, 0.7)),
    ((0.0, 0.0, 0.0), (0.0, 0.447, 0.798), (0.8, 0.95, 1.0)),
)
STOPS = (0.0, 0.5, 1.0)
COLOURS_OF_CLASS = {
    "demyelinating": (1.0, 0.62, 0.1),
    "remyelinating": (0.337, 0.706, 0.914),
    "stable": (0.75, 0.75, 0.75),
    "new": (0.93, 0.33, 0.82),
    "gone": (0.0, 0.62, 0.45),
    "not judged": (0.95, 0.90, 0.25),
}


def diverging() -> np.ndarray:
    """(COLOURS, 3): red, green, blue in [0, 1] from the greatest loss over no change to the greatest gain."""
    position = np.linspace(-1, 1, COLOURS)
    sides = [
        np.stack([np.interp(np.abs(position), STOPS, part) for part in zip(*side)], axis=1) for side in (LOSS, GAIN)
    ]
    return np.where(position[:, None] < 0, *sides)


def changeColour(difference: float) -> tuple[float, float, float]:
    """Red, green, blue of a difference in the fixed window."""
    low, high = CHANGE_WINDOW
    table = diverging()
    return tuple(table[min(max(int((difference - low) / (high - low) * COLOURS), 0), COLOURS - 1)].tolist())


def changeColourTable() -> Any:
    """The colour table node of the change."""
    low, high = CHANGE_WINDOW
    labels = [f"{low + (index + 0.5) / COLOURS * (high - low):+.3f}" for index in range(COLOURS)]
    return sharedColourTable("change", TABLE_NAME, diverging(), labels)


def showChange(volume: Any) -> None:
    """Fixed window and diverging colours for a difference map."""
    volume.CreateDefaultDisplayNodes()
    display = volume.GetScalarVolumeDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*CHANGE_WINDOW)
    display.SetAndObserveColorNodeID(changeColourTable().GetID())
    display.InterpolateOff()


def addChangeLegend(volume: Any, view: Any = None) -> Any:
    """Add a small colour bar of the difference, see `addSmallLegend`."""
    return addSmallLegend(volume, _("change of DVR"), "%+.2f", 3, view)


def colourByClass(segmentation: Any, table: Any) -> None:
    """Colour every lesion of two visits by what happened to it."""
    review, segments = Review(table), segmentsByLesion(segmentation)
    with slicer.util.NodeModify(segmentation):  # at once, see addSegments
        for row in range(len(review)):
            segment = segments.get(review.lesion(row))
            if segment is not None:
                segment.SetColor(*COLOURS_OF_CLASS.get(review.text(row, "change"), COLOURS_OF_CLASS["not judged"]))
