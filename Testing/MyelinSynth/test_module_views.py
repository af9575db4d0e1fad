"""Layouts, curtain, surfaces and plots as MRML: the right voxels, shapes and numbers, and nothing left over."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digital_result import BRAIN_RADIUS, CENTRE, LESIONS
from slicer_scene import Application, valueAt

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

import slicer
from MyelinSynthLib.display import layouts, plots, surfaces
from MyelinSynthLib.display.wipe import Wipe
from MyelinSynthLib.review.segments import addSegmentation, segmentIds
from MyelinSynthLib.review.table import REJECTED, Review, fillTable
from MyelinSynthLib.scene import provenance
from MyelinSynthLib.scene.geometry import toVtk
from test_module_edits import draw, withMeasured
from test_module_scene import GEOMETRIES, makePatient, place, through
from vtk.util.numpy_support import vtk_to_numpy


@pytest.fixture
def layoutNode(application: Application) -> Any:
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(application.scene)
    yield logic.GetLayoutNode()
    logic.SetMRMLScene(None)


@pytest.mark.parametrize("number", sorted(layouts.descriptions()))
def test_layouts_are_understood(layoutNode: Any, number: int, capfd: pytest.CaptureFixture) -> None:
    layouts.Layouts().show(layoutNode, number)
    assert layoutNode.GetViewArrangement() == number
    wanted = set()
    for part in layouts.descriptions()[number].split('singletontag="')[1:]:
        wanted.add(part.split('"')[0])
    shown = [node for name in ("Slice", "Plot", "") for node in slicer.util.getNodesByClass(f"vtkMRML{name}ViewNode")]
    shown += slicer.util.getNodesByClass("vtkMRMLSliceNode")
    assert wanted <= {node.GetSingletonTag() for node in shown}
    assert "ERR" not in capfd.readouterr().err


def test_the_way_back_leads_to_the_users_layout_from_any_of_ours(layoutNode: Any) -> None:
    ours, kinds = layouts.Layouts(), slicer.vtkMRMLLayoutNode
    layoutNode.SetViewArrangement(kinds.SlicerLayoutOneUpRedSliceView)
    for number in (layouts.SIDE_BY_SIDE, kinds.SlicerLayoutFourUpView, layouts.WITH_3D, layouts.TWO_PLOTS):
        ours.show(layoutNode, number)
    ours.goBack(layoutNode)
    assert layoutNode.GetViewArrangement() == kinds.SlicerLayoutOneUpRedSliceView
    layoutNode.SetViewArrangement(kinds.SlicerLayoutFourUpView)
    ours.show(layoutNode, layouts.WITH_3D)
    ours.goBack(layoutNode)
    assert layoutNode.GetViewArrangement() == kinds.SlicerLayoutFourUpView, "the user chose four-up by hand"


@pytest.mark.parametrize(("name", "spacing"), GEOMETRIES)
@pytest.mark.parametrize("moved", [False, True])
def test_the_curtain_hides_the_patients_left(
    application: Application, tmp_path: Path, name: str, spacing: tuple[float, float, float], moved: bool
) -> None:
    patient = makePatient(name, spacing)
    if moved:
        transform = place(patient.t1w)
        for node in (patient.flair, patient.lesions):
            node.SetAndObserveTransformNodeID(transform.GetID())
    outputs = through(patient, tmp_path)
    places = [Review(outputs.table).centre(row, outputs.dvr) for row in (0, 1)]  # left and right of the middle
    assert places[0][0] < places[1][0]
    before = slicer.mrmlScene.GetNumberOfNodes()
    voxels = slicer.util.arrayFromVolume(outputs.dvr).copy()
    wipe = Wipe(outputs.dvr)
    for fraction, shown in ((0.5, (0.0, LESIONS[1][2])), (1.0, (0.80, 0.95)), (0.0, (0.0, 0.0)), (0.5, (0.0, 0.95))):
        wipe.move(fraction)
        assert [valueAt(wipe.copy, point) for point in places] == pytest.approx(shown, abs=1e-6)
    wipe.move(1.0)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(wipe.copy), voxels)
    assert wipe.copy.GetDisplayNode().GetColorNode() is outputs.dvr.GetDisplayNode().GetColorNode()
    wipe.close()
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(outputs.dvr), voxels)


@pytest.mark.parametrize("name", ["RAS", "LAS", "oblique"])
def test_surfaces_lie_where_brain_and_lesions_are(application: Application, tmp_path: Path, name: str) -> None:
    outputs = through(makePatient(name), tmp_path)
    surfaces.showIn3D(outputs.nodes())
    surface = provenance.sameRun(outputs.dvr)["brain_surface"]
    points = slicer.util.arrayFromModelPoints(surface)
    np.testing.assert_allclose(np.linalg.norm(points - CENTRE, axis=1), BRAIN_RADIUS, atol=2.0)
    assert surface.GetDisplayNode().GetOpacity() < 0.3
    assert not surface.GetDisplayNode().GetVisibility2D()
    assert outputs.segmentation.GetDisplayNode().GetVisibility3D()
    for lesion, (centre, radius, _dvr) in enumerate(LESIONS, start=1):
        identifier = segmentIds(outputs.segmentation)[lesion]
        closed = outputs.segmentation.GetClosedSurfaceInternalRepresentation(identifier)
        points = vtk_to_numpy(closed.GetPoints().GetData())
        apart = np.linalg.norm(points - centre, axis=1)
        assert np.median(apart) == pytest.approx(radius, abs=0.4), "smoothing must not shrink a small lesion"
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(slicer.mrmlScene)
    folders = {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in (surface, outputs.dvr)}
    assert len(folders) == 1


def test_surfaces_are_those_that_slicer_makes_and_take_a_fraction_of_its_time(application: Application) -> None:
    """Two lesions that touch, one at the border of the image, one that overlaps them in a layer of its own."""
    reference = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "grid")
    reference.SetIJKToRASMatrix(toVtk(np.array([[0, 0, -2.0, 9], [-1, 0, 0, 4], [0, 1.5, 0, -7], [0, 0, 0, 1]])))
    slicer.util.updateVolumeFromArray(reference, np.zeros((40, 44, 48), np.int16))
    labels = np.zeros((40, 44, 48), np.int16)
    labels[0:4, 10:14, 10:15], labels[10:15, 20:24, 20:26], labels[10:15, 24:27, 20:26] = 1, 2, 3
    segmentation = addSegmentation("lesions", labels, reference, [1, 2, 3])
    content = segmentation.GetSegmentation()
    over = (labels == 2) | (labels == 3)
    over[9] = over[10]
    content.AddEmptySegment("over")
    draw(types.SimpleNamespace(segmentation=segmentation, dvr=reference), "over", over)
    content.AddEmptySegment("empty")
    assert content.GetNumberOfLayers() == 2
    content.SetConversionParameter(*surfaces.SMOOTHING)
    segmentation.CreateClosedSurfaceRepresentation()
    slicers = _points(segmentation)
    content.RemoveRepresentation(surfaces.CLOSED_SURFACE)
    surfaces.makeSurfaces(segmentation)
    ours = _points(segmentation)
    assert content.ContainsRepresentation(surfaces.CLOSED_SURFACE)
    assert {identifier: points.shape for identifier, points in ours.items()} == {
        identifier: points.shape for identifier, points in slicers.items()
    }
    assert sum(points.size == 0 for points in ours.values()) == 1
    for identifier, points in ours.items():
        np.testing.assert_allclose(points, slicers[identifier], atol=1e-4)


def _points(segmentation: Any) -> dict[str, np.ndarray]:
    content = segmentation.GetSegmentation()
    surfaceOf = {
        one: content.GetSegment(one).GetRepresentation(surfaces.CLOSED_SURFACE) for one in content.GetSegmentIDs()
    }
    return {
        one: vtk_to_numpy(surface.GetPoints().GetData()).copy() if surface.GetNumberOfPoints() else np.zeros((0, 3))
        for one, surface in surfaceOf.items()
    }


def table(values: list[tuple[float, float | None, float | None]]) -> Any:
    """A lesion table node of (volume, synthetic, measured)."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "lesions")
    columns = ("id", "volume_mm3", "mean_dvr", "measured_mean_dvr")
    fillTable(node, [dict(zip(columns, (number, *row))) for number, row in enumerate(values, 1)], columns)
    for key, value in (("Role", "table"), ("Run", "run-1")):
        node.SetAttribute(provenance.PREFIX + key, value)
    return node


def test_the_histogram_counts_every_lesion_once(application: Application) -> None:
    values = [0.6, 0.65, 0.65, 0.99, 1.4, 1.9, 0.2, np.nan]
    centres, counts = plots.histogram(values)
    assert counts.sum() == 7
    for value in (0.2, 0.99, 1.9):
        assert counts[np.abs(centres - value).argmin()] >= 1
    assert counts[np.abs(centres - 0.675).argmin()] == 2, "an edge belongs to the bin above it"
    assert plots.histogram([])[1].sum() == 0
    assert np.diff(centres) == pytest.approx(plots.BIN_WIDTH)


def test_measured_against_synthetic_has_r_and_n_of_the_report(application: Application) -> None:
    from TrainingCore.evaluation.statistics import pearson

    rows = [(100.0, 0.8, 0.9), (60.0, 0.9, 0.85), (70.0, 1.0, 1.1), (400.0, 1.1, 1.0), (20.0, 0.2, 1.9), (90, None, 1)]
    node = table(rows)
    charts = plots.update({"table": node}, make=True)
    x, y = np.array([(row[2], row[1]) for row in rows[:4]]).T
    assert charts[1].GetTitle() == f"r = {pearson(x, y)['r']:.2f}, n = 4"
    assert "lesions \u2265 50 mm" in charts[1].GetXAxisTitle()
    points = provenance.sameRun(node)["comparison_table"]
    assert points.GetNumberOfRows() == 4
    Review(node).setState(0, REJECTED)
    plots.update({"table": node})
    assert "n = 3" in charts[1].GetTitle()
    assert charts[0].GetTitle() == "4 lesions, 1 rejected excluded"
    assert points.GetNumberOfRows() == 3
    assert charts[1].GetNumberOfPlotSeriesNodes() == 2
    for chart in charts:
        for index in range(chart.GetNumberOfPlotSeriesNodes()):
            series = chart.GetNthPlotSeriesNode(index)
            columns = series.GetTableNode().GetTable()
            assert columns.GetColumnByName(series.GetXColumnName())
            assert columns.GetColumnByName(series.GetYColumnName())


def test_plots_are_not_made_before_they_are_asked_for(application: Application, tmp_path: Path) -> None:
    outputs = through(withMeasured(makePatient()), tmp_path)
    before = slicer.mrmlScene.GetNumberOfNodes()
    assert plots.update(outputs.nodes()) == []
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert plots.show(outputs.nodes()) == layouts.TWO_PLOTS


def test_without_a_measured_map_there_is_one_plot(application: Application, tmp_path: Path) -> None:
    outputs = through(makePatient(), tmp_path)
    assert plots.show(outputs.nodes()) == layouts.ONE_PLOT
    assert "comparison_chart" not in provenance.sameRun(outputs.dvr)
