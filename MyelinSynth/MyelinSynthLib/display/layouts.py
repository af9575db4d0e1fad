"""Arrangements of views for looking at a map, and the way back to the arrangement the user had."""

from __future__ import annotations

from typing import Any

import slicer

from .views import SIDE_BY_SIDE_VIEWS, showInSlices

# Own numbers: Slicer's layouts end below 1000
SIDE_BY_SIDE, WITH_3D, ONE_PLOT, TWO_PLOTS = 8530, 8531, 8532, 8533
PLOT_VIEWS = ("MyelinSynthDistribution", "MyelinSynthComparison")
STANDARD_SLICES = (("Red", "Axial", "R", "#F34A33"), ("Green", "Coronal", "G", "#6EB04B"))


def _slice(name: str, orientation: str, label: str, colour: str) -> str:
    return (
        f'<item><view class="vtkMRMLSliceNode" singletontag="{name}">'
        f'<property name="orientation" action="default">{orientation}</property>'
        f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewcolor" action="default">{colour}</property></view></item>'
    )


def _plot(name: str, label: str) -> str:
    return (
        f'<item><view class="vtkMRMLPlotViewNode" singletontag="{name}">'
        f'<property name="viewlabel" action="default">{label}</property></view></item>'
    )


def descriptions() -> dict[int, str]:
    """The layouts by number, in Slicer's layout language."""
    three = "".join(_slice(name, "Axial", name[0], "#808080") for name in SIDE_BY_SIDE_VIEWS)
    slices = "".join(_slice(*one) for one in STANDARD_SLICES)
    solid = (
        '<item><view class="vtkMRMLViewNode" singletontag="1">'
        '<property name="viewlabel" action="default">1</property></view></item>'
    )
    axial = _slice(*STANDARD_SLICES[0])
    plots = [_plot(name, f"P{number}") for number, name in enumerate(PLOT_VIEWS, start=1)]
    column = '<item><layout type="vertical" split="true">{}</layout></item>'
    beside = '<layout type="horizontal" split="true">{}' + column + "</layout>"
    return {
        SIDE_BY_SIDE: f'<layout type="horizontal" split="true">{three}</layout>',
        WITH_3D: beside.format(solid, slices),
        ONE_PLOT: f'<layout type="horizontal" split="true">{axial}{plots[0]}</layout>',
        TWO_PLOTS: beside.format(axial, "".join(plots)),
    }


def register(layoutNode: Any) -> None:
    """Make the layouts known to the application; before a scene that was saved in one of them is opened, too."""
    for number, description in descriptions().items():
        if layoutNode.IsLayoutDescription(number):
            layoutNode.SetLayoutDescription(number, description)
        else:
            layoutNode.AddLayoutDescription(number, description)


class Layouts:
    """Goes to a layout and back to the one that the user had before the first of them."""

    def __init__(self) -> None:
        self._own: int | None = None
        self._previous: int | None = None

    def show(self, layoutNode: Any, number: int) -> None:
        """Go to a layout, one of these or of Slicer's own."""
        register(layoutNode)
        if layoutNode.GetViewArrangement() not in (self._own, *descriptions()):
            self._previous = layoutNode.GetViewArrangement()
        self._own = number
        layoutNode.SetViewArrangement(number)

    def goBack(self, layoutNode: Any) -> None:
        """Back to the user's layout; to Slicer's default where none is known, as after a scene was reopened."""
        layoutNode.SetViewArrangement(self._previous or slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self._own = None


def showSideBySide(t1w: Any, flair: Any, mapNode: Any) -> None:
    """Fill the views of the layout `axial T1w | FLAIR | map`, linked."""
    showInSlices(t1w, views=SIDE_BY_SIDE_VIEWS[:1])
    showInSlices(flair, views=SIDE_BY_SIDE_VIEWS[1:2])
    showInSlices(t1w, mapNode, 1.0, views=SIDE_BY_SIDE_VIEWS[2:])
