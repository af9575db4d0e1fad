"""Colours of a change: one diverging scale for the difference, one colour for each class of lesion."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..display.views import addSmallLegend, sharedColourTable
from ..review.table import Review
from ..words import _

CHANGE_WINDOW = (-0.15, 0.15)  # DVR, as in the report of two visits
TABLE_NAME = "MyelinSynth change (diverging)"
COLOURS = 256
# From black (no change, and outside the brain) through vermilion (loss) or blue (gain; both Okabe and Ito 2008) to
# light: distinguishable with common kinds of colour blindness, and only what changed is bright (ours)
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
    """Return the colour table (COLOURS, 3): RGB in [0, 1] from the largest loss to the largest gain."""
    position = np.linspace(-1, 1, COLOURS)
    sides = [
        np.stack([np.interp(np.abs(position), STOPS, part) for part in zip(*side)], axis=1) for side in (LOSS, GAIN)
    ]
    return np.where(position[:, None] < 0, *sides)


def changeColour(difference: float) -> tuple[float, float, float]:
    """Return the colour of a difference.

    Args:
        difference: change of DVR; clipped to CHANGE_WINDOW.

    Returns:
        RGB in [0, 1].
    """
    low, high = CHANGE_WINDOW
    table = diverging()
    return tuple(table[min(max(int((difference - low) / (high - low) * COLOURS), 0), COLOURS - 1)].tolist())


def _changeColourTable() -> Any:
    """Return the colour table node of the change."""
    low, high = CHANGE_WINDOW
    labels = [f"{low + (index + 0.5) / COLOURS * (high - low):+.3f}" for index in range(COLOURS)]
    return sharedColourTable("change", TABLE_NAME, diverging(), labels)


def showChange(volume: Any) -> None:
    """Display a difference map with a fixed window and diverging colours.

    Args:
        volume: scalar volume with differences of DVR.
    """
    volume.CreateDefaultDisplayNodes()
    display = volume.GetScalarVolumeDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(*CHANGE_WINDOW)
    display.SetAndObserveColorNodeID(_changeColourTable().GetID())
    display.InterpolateOff()


def addChangeLegend(volume: Any, view: Any = None) -> Any:
    """Add a small colour bar of the difference.

    Args:
        volume: difference map.
        view: slice node to show it in; None for all views.

    Returns:
        The colour legend display node.
    """
    return addSmallLegend(volume, _("change in DVR"), "%+.2f", 3, view)


def lesionClassColours(table: Any) -> dict[int, tuple[float, float, float]]:
    """Return the colour of each lesion of two visits, by its class of change: red, green and blue, 0 to 1.

    Args:
        table: table node of the comparison.
    """
    review = Review(table)
    return {
        review.lesion(row): COLOURS_OF_CLASS.get(review.text(row, "change"), COLOURS_OF_CLASS["not judged"])
        for row in range(len(review))
    }
