"""View layouts for viewing a map, and the way back to the user's layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .shown import CHANGE_VIEWS, SIDE_BY_SIDE_VIEWS

# Numbers of our own: Slicer's layouts end below 1000
SIDE_BY_SIDE, WITH_3D, ONE_PLOT, TWO_PLOTS, SIDE_BY_SIDE_MEASURED = 8530, 8531, 8532, 8533, 8534
TWO_VISITS = 8535
# The same views in two rows, by the number of the layout that has them beside each other
IN_ROWS = {SIDE_BY_SIDE: 8536, SIDE_BY_SIDE_MEASURED: 8537, TWO_VISITS: 8538}
ACROSS = {SIDE_BY_SIDE: 3, SIDE_BY_SIDE_MEASURED: 4, TWO_VISITS: 3}  # views beside each other
LEAST_VIEW_PIXELS = 330  # of the bar above a slice view, which makes the window wider where it must (Slicer 5.13)
PLOT_VIEWS = ("MyelinSynthDistribution", "MyelinSynthComparison")
AXIAL, CORONAL = ("Red", "Axial", "R", "#F34A33"), ("Green", "Coronal", "G", "#6EB04B")


def _slice(name: str, orientation: str, label: str, colour: str) -> str:
    return (
        f'<view class="vtkMRMLSliceNode" singletontag="{name}">'
        f'<property name="orientation" action="default">{orientation}</property>'
        f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewcolor" action="default">{colour}</property></view>'
    )


def _view(kind: str, name: str, label: str) -> str:
    return (
        f'<view class="{kind}" singletontag="{name}">'
        f'<property name="viewlabel" action="default">{label}</property></view>'
    )


def _split(direction: str, *parts: tuple[int, str]) -> str:
    """Combine parts side by side (`horizontal`) or one below the other (`vertical`); the numbers are shares."""
    items = "".join(f'<item splitSize="{share}">{part}</item>' for share, part in parts)
    return f'<layout type="{direction}" split="true">{items}</layout>'


def _rows(images: Sequence[str]) -> str:
    """Images two by two, the last one alone where they are odd."""
    pairs = [images[first : first + 2] for first in range(0, len(images), 2)]
    return _split("vertical", *((500, _split("horizontal", *((500, image) for image in pair))) for pair in pairs))


def fitting(number: int, pixels: float | None) -> int:
    """Choose the layout that shows the same views in a window of this width.

    Args:
        number: layout with views beside each other, or any other.
        pixels: width of all views together; None where it is not known.

    Returns:
        The number of the layout with the views in two rows where the window is too narrow, else the same number.
    """
    if number in IN_ROWS and pixels is not None and pixels < ACROSS[number] * LEAST_VIEW_PIXELS:
        return IN_ROWS[number]
    return number


def isLayout(arrangement: int, number: int) -> bool:
    """Return whether a view arrangement is one of our layouts, in one row or in two.

    Args:
        arrangement: view arrangement of the layout node.
        number: number of the layout in one row.
    """
    return arrangement in (number, IN_ROWS.get(number))


def descriptions() -> dict[int, str]:
    """Return the layouts by number, in Slicer's layout language."""
    labels = ("T1", "F", "M", "P")
    images = [_slice(name, "Axial", label, "#808080") for name, label in zip(SIDE_BY_SIDE_VIEWS, labels)]
    visits = [_slice(name, "Axial", label, "#808080") for name, label in zip(CHANGE_VIEWS, ("B", "A", "C"))]
    solid = _view("vtkMRMLViewNode", "1", "1")
    plots = [_view("vtkMRMLPlotViewNode", name, f"P{number}") for number, name in enumerate(PLOT_VIEWS, start=1)]
    slices = _split("vertical", (500, _slice(*AXIAL)), (500, _slice(*CORONAL)))
    return {
        SIDE_BY_SIDE: _split("horizontal", *((330, image) for image in images[:3])),
        SIDE_BY_SIDE_MEASURED: _split("horizontal", *((250, image) for image in images)),
        TWO_VISITS: _split("horizontal", *((330, visit) for visit in visits)),
        IN_ROWS[SIDE_BY_SIDE]: _rows(images[:3]),
        IN_ROWS[SIDE_BY_SIDE_MEASURED]: _rows(images),
        IN_ROWS[TWO_VISITS]: _rows(visits),
        WITH_3D: _split("horizontal", (600, solid), (400, slices)),
        ONE_PLOT: _split("horizontal", (450, _slice(*AXIAL)), (550, plots[0])),
        TWO_PLOTS: _split("horizontal", (450, slices), (550, _split("vertical", *((500, plot) for plot in plots)))),
    }


def registerLayouts(layoutNode: Any) -> None:
    """Add the layouts to the application; needed also before a scene that was saved with one of them is opened.

    Args:
        layoutNode: vtkMRMLLayoutNode of the application.
    """
    for number, description in descriptions().items():
        if layoutNode.IsLayoutDescription(number):
            layoutNode.SetLayoutDescription(number, description)
        else:
            layoutNode.AddLayoutDescription(number, description)


class Layouts:
    """Switches between layouts, and back to the one that the user had before the first switch."""

    def __init__(self) -> None:
        self._own: int | None = None
        self._previous: int | None = None

    @property
    def canGoBack(self) -> bool:
        """Whether the user's own layout is known and is not on screen."""
        return self._previous is not None and self._own is not None

    def show(self, layoutNode: Any, number: int) -> None:
        """Switch to a layout.

        Args:
            layoutNode: vtkMRMLLayoutNode of the application.
            number: one of the layouts here, or of Slicer's.
        """
        registerLayouts(layoutNode)
        if layoutNode.GetViewArrangement() not in (self._own, *descriptions()):
            self._previous = layoutNode.GetViewArrangement()
        self._own = number
        layoutNode.SetViewArrangement(number)

    def goBack(self, layoutNode: Any) -> None:
        """Restore the user's layout, or four-up if it is not known (after a scene was reopened).

        Args:
            layoutNode: vtkMRMLLayoutNode of the application.
        """
        fourUp = layoutNode.SlicerLayoutFourUpView
        layoutNode.SetViewArrangement(fourUp if self._previous is None else self._previous)
        self._own = None
