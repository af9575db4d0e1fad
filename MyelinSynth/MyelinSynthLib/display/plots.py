"""Plots of the lesion table: distribution of mean DVR, and measured against synthetic DVR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import vtk

from ..review.table import REJECTED, Review
from ..run.childprocess import importTrainingCore
from ..scene import provenance
from ..words import _
from .layouts import ONE_PLOT, PLOT_VIEWS, TWO_PLOTS
from .views import DVR_WINDOW

BIN_WIDTH = 0.05  # DVR (ours)
LESION_COLOUR = (0.0, 0.447, 0.698)  # blue of Okabe and Ito 2008
LINE_COLOUR = (0.45, 0.45, 0.45)
MARKER_SIZE = 9
TITLE_SIZE, AXIS_SIZE = 13, 12  # points; Slicer's default of 20 overlaps the axis on half a screen


def show(nodes: dict[str, Any]) -> int:
    """Create or update the plots.

    Args:
        nodes: nodes of one synthesis by role.

    Returns:
        Number of the layout that shows them.
    """
    charts = update(nodes, make=True)
    return TWO_PLOTS if len(charts) > 1 else ONE_PLOT


def fillViews(nodes: dict[str, Any]) -> None:
    """Put the charts into the plot views of the layout, once it is on screen.

    Args:
        nodes: nodes of one synthesis by role.
    """
    nodes = provenance.sameRun(nodes["table"])
    for name, role in zip(PLOT_VIEWS, ("histogram_chart", "comparison_chart")):
        view = slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLPlotViewNode")
        if view is not None and role in nodes:
            view.SetDoPropagatePlotChartSelection(False)
            view.SetPlotChartNodeID(nodes[role].GetID())


def update(nodes: dict[str, Any], make: bool = False) -> list[Any]:
    """Update the plots from the lesion table and its review.

    Args:
        nodes: nodes of one synthesis by role.
        make: create plots that do not exist; False updates existing ones only.

    Returns:
        The chart nodes; empty if nothing was to be updated.
    """
    table = nodes["table"]
    known = provenance.sameRun(table)
    if not make and "histogram_chart" not in known:
        return []
    review = Review(table)
    rows = [row for row in range(len(review)) if review.state(row) != REJECTED]
    rejected = len(review) - len(rows)
    charts = [_histogram(known, table, [review.number(row, "mean_dvr") for row in rows], rejected)]
    if "measured_mean_dvr" in review.columns:
        charts.append(_comparison(known, review, rows))
    return charts


def histogram(values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Count values in bins of BIN_WIDTH that cover DVR_WINDOW and all values.

    Args:
        values: mean DVR of lesions; those that are not finite are ignored.

    Returns:
        Centres of the bins, and counts.
    """
    finite = np.array([value for value in values if np.isfinite(value)])
    ends = [*DVR_WINDOW, *finite]
    first, last = np.floor(min(ends) / BIN_WIDTH), np.floor(max(ends) / BIN_WIDTH) + 1
    edges = np.arange(first, last + 1) * BIN_WIDTH
    counts = np.bincount(np.clip(np.searchsorted(edges, finite, "right") - 1, 0, None), minlength=len(edges) - 1)
    return (edges[:-1] + edges[1:]) / 2, counts[: len(edges) - 1]


def _histogram(known: dict[str, Any], table: Any, values: Sequence[float], rejected: int) -> Any:
    centres, counts = histogram(values)
    data = _table(known, table, "histogram_table", _("DVR distribution"), {"mean DVR": centres, "lesions": counts})
    series = _series(known, table, "histogram_series", _("lesions"), data, "mean DVR", "lesions")
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatterBar)
    series.SetColor(*LESION_COLOUR)
    chart = _chart(known, table, "histogram_chart", _("Lesion DVR distribution"), [series])
    total = int(np.isfinite(np.array(values, float)).sum())
    title = _("1 lesion") if total == 1 else _("{n} lesions").format(n=total)
    chart.SetTitle(title + _leftOut(rejected))
    chart.SetXAxisTitle(_("synthetic mean DVR"))
    chart.SetYAxisTitle(_("lesions"))
    chart.SetLegendVisibility(False)
    return chart


def _comparison(known: dict[str, Any], review: Review, rows: Sequence[int]) -> Any:
    """Plot lesions of at least 50 mm3, as in the report and in the paper, with r and n."""
    importTrainingCore()
    from TrainingCore.evaluation.lesions import PAPER_MINIMUM_MM3
    from TrainingCore.evaluation.statistics import pearson
    from TrainingCore.imaging.labelling import at_least

    large = [row for row in rows if at_least(review.number(row, "volume_mm3"), PAPER_MINIMUM_MM3)]
    pairs = [[review.number(row, name) for name in ("measured_mean_dvr", "mean_dvr")] for row in large]
    measured, synthetic = np.array([pair for pair in pairs if np.isfinite(pair).all()], float).reshape(-1, 2).T
    table = review.tableNode
    data = {"measured": measured, "synthetic": synthetic}
    points = _table(known, table, "comparison_table", _("measured and synthetic DVR"), data)
    series = _series(known, table, "comparison_series", _("lesions"), points, "measured", "synthetic")
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle)
    series.SetMarkerSize(MARKER_SIZE)
    series.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleNone)
    series.SetColor(*LESION_COLOUR)
    ends = np.array([min([*DVR_WINDOW, *measured, *synthetic]), max([*DVR_WINDOW, *measured, *synthetic])])
    line = _table(known, table, "identity_table", _("identity"), {"measured": ends, "synthetic": ends})
    identity = _series(known, table, "identity_series", _("identity"), line, "measured", "synthetic")
    identity.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    identity.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
    identity.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleDash)
    identity.SetColor(*LINE_COLOUR)
    chart = _chart(known, table, "comparison_chart", _("Measured against synthetic"), [series, identity])
    correlation = pearson(measured, synthetic)
    words = _("r = {r:.2f}, n = {n}") if correlation["r"] is not None else _("r not estimable, n = {n}")
    chart.SetTitle(words.format(r=correlation["r"], n=correlation["n"]))
    chart.SetXAxisTitle(_("measured mean DVR, lesions \u2265 {least:.0f} mm\u00b3").format(least=PAPER_MINIMUM_MM3))
    chart.SetYAxisTitle(_("synthetic mean DVR"))
    chart.SetLegendVisibility(False)
    return chart


def _leftOut(rejected: int) -> str:
    return _(", {n} rejected excluded").format(n=rejected) if rejected else ""


def _node(known: dict[str, Any], like: Any, role: str, className: str, name: str) -> Any:
    """Return the node of a role, created in the lesion table's folder if it does not exist."""
    if role not in known:
        node = slicer.mrmlScene.AddNewNodeByClass(className, f"{like.GetName()}: {name}")
        provenance.signLike(node, role, like)
        provenance.putBeside(node, like)
        known[role] = node
    return known[role]


def _table(known: dict[str, Any], like: Any, role: str, name: str, columns: dict[str, np.ndarray]) -> Any:
    node = _node(known, like, role, "vtkMRMLTableNode", name)
    table = vtk.vtkTable()
    for title, values in columns.items():
        column = vtk.vtkDoubleArray()
        column.SetName(title)
        for value in values:
            column.InsertNextValue(float(value))
        table.AddColumn(column)
    node.SetAndObserveTable(table)
    for title in columns:
        node.SetColumnType(title, vtk.VTK_DOUBLE)
    return node


def _series(known: dict[str, Any], like: Any, role: str, name: str, data: Any, x: str, y: str) -> Any:
    series = _node(known, like, role, "vtkMRMLPlotSeriesNode", name)
    series.SetAndObserveTableNodeID(data.GetID())
    series.SetXColumnName(x)
    series.SetYColumnName(y)
    return series


def _chart(known: dict[str, Any], like: Any, role: str, name: str, series: Sequence[Any]) -> Any:
    chart = _node(known, like, role, "vtkMRMLPlotChartNode", name)
    if chart.GetNumberOfPlotSeriesNodes() != len(series):
        chart.RemoveAllPlotSeriesNodeIDs()
        for curve in series:
            chart.AddAndObservePlotSeriesNodeID(curve.GetID())
    chart.SetTitleFontSize(TITLE_SIZE)
    chart.SetAxisTitleFontSize(AXIS_SIZE)
    return chart
