# ruff: noqa: F811 - fixtures that are imported
"""After any step the views show what the panel says, or nothing: slice controllers and views are as Slicer has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digital_result import LESIONS
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")

import slicer
import vtk
from MyelinSynthLib.display import framing, layouts, plots
from MyelinSynthLib.display.shown import SIDE_BY_SIDE_VIEWS
from MyelinSynthLib.review.segments import segmentIds
from MyelinSynthLib.scene import geometry, provenance
from stand_in_host import Host
from stand_in_views import SHAPES
from test_module_panel import child, host, widget  # noqa: F401 - fixtures
from test_module_reviewpanel import click, press, reviewed  # noqa: F401 - fixtures


@pytest.fixture
def views(host: Host, application: Application, reviewed: Any) -> Any:
    """The views of a main window, in Slicer's four-up layout, with the reviewed map in them."""
    manager = host.openViews(application)
    reviewed.ui.fourUpButton.click()
    settle(host)
    return manager


def settle(host: Host) -> None:
    """Let the window manager and the module's timer have their turns."""
    import time

    for _turn in range(4):
        host.process()
        time.sleep(0.09)


def layers(name: str = "Red") -> tuple[str, str, float]:
    """Names of background and foreground of a slice view, and the opacity of the foreground."""
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    composite = next(one for one in composites if one.GetLayoutName() == name)
    ids = (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID())
    names = [slicer.mrmlScene.GetNodeByID(one).GetName() if one else "" for one in ids]
    return names[0], names[1], round(composite.GetForegroundOpacity(), 3)


def sliceNodes(names: Any) -> list[Any]:
    """Slice nodes of these views, as far as the layout has them."""
    return [
        one
        for one in slicer.util.getNodesByClass("vtkMRMLSliceNode")
        if one.GetLayoutName() in names and one.IsMappedInLayout()
    ]


def assertFramed(manager: Any, nodes: dict[str, Any], lesion: int) -> None:
    """Every view of the layout has its own shape, goes through the lesion and holds the whole brain."""
    corners, point = framing.brainCorners(nodes["brain"]), np.array(LESIONS[lesion][0])
    shown = sliceNodes(manager.sliceViewNames())
    assert shown
    for node in shown:
        name = node.GetLayoutName()
        width, height, _depth = node.GetDimensions()
        assert (width, height) == SHAPES.get(name, (730, 480))
        fromWorld = np.linalg.inv(geometry.toArray(node.GetSliceToRAS()))
        assert abs((fromWorld @ [*point, 1.0])[2]) < 1.0, f"{name} does not cut through the lesion"
        across, down, _thick = node.GetFieldOfView()
        assert across / width == pytest.approx(down / height, rel=1e-3), f"{name} is distorted"
        inView = np.abs(corners @ fromWorld[:3, :3].T + fromWorld[:3, 3])
        assert inView[:, 0].max() <= across / 2 + 0.01, f"{name} cuts the brain off"
        assert inView[:, 1].max() <= down / 2 + 0.01, f"{name} cuts the brain off"
        filled = max(2 * inView[:, 0].max() / across, 2 * inView[:, 1].max() / down)
        assert filled > 0.99, f"{name} shows the brain smaller than it could"
    heights = [geometry.toArray(node.GetSliceToRAS())[2, 3] for node in shown if node.GetOrientation() == "Axial"]
    assert np.ptp(heights) < 1e-3, "all axial views are at the same height"


@pytest.mark.usefixtures("views")
def test_switching_the_wipe_off_brings_the_map_back_and_no_other_volume(
    host: Host, reviewed: Any, capfd: pytest.CaptureFixture
) -> None:
    ui = reviewed.ui
    before = slicer.mrmlScene.GetNumberOfNodes()
    capfd.readouterr()
    ui.wipeBox.setChecked(True)
    assert layers() == ("T1w", "MyelinSynth wipe", 0.7)
    ui.wipeSlider.value = 0.2
    ui.wipeBox.setChecked(False)
    assert layers() == ("T1w", "T1w myelin map", 0.7), "and not the NAWM mask that Slicer would choose"
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    settle(host)
    assert layers() == ("T1w", "T1w myelin map", 0.7)
    assert "Invalid scene" not in capfd.readouterr().err


@pytest.mark.usefixtures("views")
@pytest.mark.parametrize("wiped", [False, True])
def test_a_map_deleted_in_another_module_leaves_the_t1w_alone(host: Host, reviewed: Any, wiped: bool) -> None:
    reviewed.ui.wipeBox.setChecked(wiped)
    slicer.mrmlScene.RemoveNode(reviewed.displayPanel.nodes["dvr"])
    assert layers() == ("T1w", "", 0.0)
    settle(host)
    assert layers() == ("T1w", "", 0.0)
    assert not slicer.util.getNodes("MyelinSynth wipe*")
    assert not reviewed.ui.opacitySlider.enabled


@pytest.mark.usefixtures("views")
def test_a_deleted_flair_gives_its_place_to_the_t1w(host: Host, reviewed: Any) -> None:
    reviewed.ui.underBox.setCurrentIndex(1)
    assert layers()[0] == "T1w FLAIR in T1w space"
    slicer.mrmlScene.RemoveNode(reviewed.displayPanel.nodes["flair"])
    settle(host)
    assert layers() == ("T1w", "T1w myelin map", 0.7)


@pytest.mark.usefixtures("views")
def test_the_opacity_is_one_number_for_every_view_and_step(reviewed: Any) -> None:
    ui = reviewed.ui
    ui.underBox.setCurrentIndex(1)
    ui.opacitySlider.value = 0.3
    assert layers() == ("T1w FLAIR in T1w space", "T1w myelin map", 0.3)
    ui.wipeBox.setChecked(True)
    assert layers()[2] == 0.3
    ui.opacitySlider.value = 0.5
    assert layers() == ("T1w FLAIR in T1w space", "MyelinSynth wipe", 0.5)
    ui.wipeBox.setChecked(False)
    assert layers() == ("T1w FLAIR in T1w space", "T1w myelin map", 0.5)
    ui.flipsBox.setChecked(True)
    assert layers()[2] == 0.5, "other choices leave the views alone"


@pytest.mark.usefixtures("views")
def test_coming_back_from_the_segment_editor_brings_the_map_back(host: Host, reviewed: Any) -> None:
    click(reviewed, 0)
    reviewed.ui.underBox.setCurrentIndex(1)
    reviewed.ui.editButton.click()
    reviewed.exit()
    assert layers()[:2] == ("T1w", ""), "the editor shows its source volume alone"
    reviewed.enter()
    assert layers() == ("T1w FLAIR in T1w space", "T1w myelin map", 0.7)


@pytest.mark.usefixtures("views")
def test_showing_a_map_brings_every_view_into_line_at_once(reviewed: Any) -> None:
    """Without any control that is touched, and before the event loop turns."""
    panel = reviewed.displayPanel
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetBackgroundVolumeID(panel.nodes["flair"].GetID())
        composite.SetForegroundVolumeID(None)
    panel.show(panel.nodes)
    assert panel.shown.isApplied()
    assert layers() == ("T1w", "T1w myelin map", 0.7)


@pytest.mark.usefixtures("views")
def test_a_scene_saved_with_a_curtain_reopens_with_the_map(host: Host, reviewed: Any, tmp_path: Path) -> None:
    reviewed.ui.underBox.setCurrentIndex(1)
    reviewed.ui.opacitySlider.value = 0.6
    reviewed.ui.wipeBox.setChecked(True)
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "wiped.mrb"))
    slicer.mrmlScene.Clear(0)
    assert not reviewed.ui.wipeBox.checked
    assert slicer.mrmlScene.ReadFromMRB(str(tmp_path / "wiped.mrb"))
    assert not slicer.util.getNodes("MyelinSynth wipe*"), "the copy is never saved"
    assert layers() == ("T1w FLAIR in T1w space", "T1w myelin map", 0.6)
    assert reviewed.ui.underBox.currentIndex == 1


def test_every_layout_shows_the_lesion_and_fits_the_brain(host: Host, reviewed: Any, views: Any) -> None:
    ui, nodes = reviewed.ui, reviewed.displayPanel.nodes
    arrangement = views.layoutLogic().GetLayoutNode()
    numbers = {
        "sideBySideButton": layouts.SIDE_BY_SIDE_MEASURED,
        "lesions3dButton": layouts.WITH_3D,
        "plotsButton": layouts.TWO_PLOTS,
        "fourUpButton": slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView,
    }
    for lesion in (1, 0):  # each layout for the first and for a second time
        click(reviewed, lesion)
        for button, number in numbers.items():
            getattr(ui, button).click()
            assert arrangement.GetViewArrangement() == number
            settle(host)
            assertFramed(views, nodes, lesion)
    assert [layers(name) for name in SIDE_BY_SIDE_VIEWS] == [
        ("T1w", "", 0.0),
        ("T1w FLAIR in T1w space", "", 0.0),
        ("T1w", "T1w myelin map", 0.7),
        ("T1w", "PET", 0.7),
    ]
    before = {node.GetName() for node in slicer.util.getNodes("*").values()}
    for button in numbers:
        getattr(ui, button).click()
    assert {node.GetName() for node in slicer.util.getNodes("*").values()} == before, "surfaces and plots are made once"


def test_a_close_look_centres_every_view_on_the_lesion(host: Host, reviewed: Any, views: Any) -> None:
    reviewed.ui.sideBySideButton.click()
    click(reviewed, 1)
    reviewed.ui.closelyBox.setChecked(True)
    settle(host)
    for node in sliceNodes(views.sliceViewNames()):
        place = np.linalg.inv(geometry.toArray(node.GetSliceToRAS())) @ [*LESIONS[1][0], 1.0]
        assert np.abs(place[:3]).max() < 1.0
        assert min(node.GetFieldOfView()[:2]) == pytest.approx(framing.CLOSE_UP_MM)
    reviewed.ui.closelyBox.setChecked(False)
    assertFramed(views, reviewed.displayPanel.nodes, 1)


def test_a_patient_that_is_moved_back_is_framed_anew(host: Host, reviewed: Any, views: Any) -> None:
    nodes = reviewed.displayPanel.nodes
    tilt, turn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode"), vtk.vtkTransform()
    turn.Translate(30, -20, 10)
    turn.RotateX(25)
    tilt.SetMatrixTransformToParent(turn.GetMatrix())
    for role in ("dvr", "brain"):
        nodes[role].SetAndObserveTransformNodeID(tilt.GetID())
    click(reviewed, 1)
    tilt.SetMatrixTransformToParent(vtk.vtkMatrix4x4())
    click(reviewed, 0)
    assertFramed(views, nodes, 0)


def test_a_layout_of_slicers_own_shows_the_chosen_lesion(host: Host, reviewed: Any, views: Any) -> None:
    reviewed.exit()
    reviewed.enter()  # in the stand-in the views are younger than the open module
    reviewed.ui.sideBySideButton.click()
    settle(host)
    click(reviewed, 1)
    views.layoutLogic().GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    settle(host)
    assert {"Red", "Green", "Yellow"} == {node.GetLayoutName() for node in sliceNodes(views.sliceViewNames())}
    assertFramed(views, reviewed.displayPanel.nodes, 1)
    reviewed.exit()
    reviewed.displayPanel.frame = lambda: pytest.fail("another module is open: the views are its own")
    views.layoutLogic().GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    settle(host)


@pytest.mark.usefixtures("views")
def test_the_map_has_its_legend_back_when_the_wipe_ends_in_another_layout(host: Host, reviewed: Any) -> None:
    reviewed.ui.wipeBox.setChecked(True)
    reviewed.ui.sideBySideButton.click()
    settle(host)
    reviewed.ui.wipeBox.setChecked(False)
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(reviewed.displayPanel.nodes["dvr"])
    assert legend is not None
    assert [slicer.mrmlScene.GetNodeByID(legend.GetNthViewNodeID(0)).GetLayoutName()] == ["Myelin"]


def test_one_view_has_the_legend(host: Host, reviewed: Any, views: Any) -> None:
    def carriers() -> list[str]:
        legends = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
        ids = [legend.GetNthViewNodeID(index) for legend in legends for index in range(legend.GetNumberOfViewNodeIDs())]
        return [slicer.mrmlScene.GetNodeByID(one).GetLayoutName() for one in ids]

    assert carriers() == ["Red"]
    for button, wanted in (("sideBySideButton", "Myelin"), ("fourUpButton", "Red"), ("sideBySideButton", "Myelin")):
        before = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
        getattr(reviewed.ui, button).click()
        settle(host)
        assert carriers() == [wanted], "a view of another layout shows nothing"
        # As seen in the application: a view draws no legend that is older than itself
        assert slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")[0] is not before[0]


@pytest.mark.usefixtures("views")
def test_the_legend_stays_while_the_map_is_wiped(host: Host, reviewed: Any) -> None:
    reviewed.ui.wipeBox.setChecked(True)
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    red = next(one for one in composites if one.GetLayoutName() == "Red")
    legends = slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
    carriers = {one.GetDisplayableNode().GetID() for one in legends if one.GetVisibility()}
    assert red.GetForegroundVolumeID() in carriers
    reviewed.ui.wipeBox.setChecked(False)
    assert len(slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")) == 1


def showMeasured(reviewed: Any) -> Any:
    """A measured DVR that belongs to the map on display."""
    nodes = reviewed.displayPanel.nodes
    values = np.full((20, 32, 28), 1.1, np.float32)
    measured = geometry.addVolume("vtkMRMLScalarVolumeNode", "PET", values, geometry.ijkToRas(nodes["dvr"]))
    measured.CreateDefaultDisplayNodes()
    nodes["dvr"].SetNodeReferenceID(provenance.MEASURED_REFERENCE, measured.GetID())
    reviewed.displayPanel.show(nodes)
    return measured


@pytest.mark.usefixtures("views")
def test_the_measured_map_has_the_window_and_colours_of_the_synthetic_one(host: Host, reviewed: Any) -> None:
    measured = showMeasured(reviewed)
    reviewed.ui.sideBySideButton.click()
    settle(host)
    shown, wanted = (one.GetScalarVolumeDisplayNode() for one in (measured, reviewed.displayPanel.nodes["dvr"]))
    assert shown.GetColorNode() is wanted.GetColorNode()
    assert (shown.GetWindowLevelMin(), shown.GetWindowLevelMax()) == pytest.approx((0.6, 1.4))
    shown.SetWindowLevelMinMax(0.5, 1.5)
    reviewed.ui.sideBySideButton.click()
    assert shown.GetWindowLevelMax() == pytest.approx(1.5), "the user's own window stays"
    another = showMeasured(reviewed)  # a Result is opened while this layout is shown
    assert another.GetScalarVolumeDisplayNode().GetColorNode() is wanted.GetColorNode()


def test_the_way_back_from_a_fresh_start_leads_to_where_it_began(host: Host, reviewed: Any, views: Any) -> None:
    arrangement = views.layoutLogic().GetLayoutNode()
    for mine in (
        slicer.vtkMRMLLayoutNode.SlicerLayoutInitialView,
        slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView,
    ):
        arrangement.SetViewArrangement(mine)
        reviewed.ui.plotsButton.click()
        reviewed.ui.sideBySideButton.click()
        reviewed.ui.previousLayoutButton.click()
        assert arrangement.GetViewArrangement() == mine


def test_3d_is_filled_after_the_synthesis_and_cameras_see_it(host: Host, reviewed: Any, views: Any) -> None:
    nodes = provenance.sameRun(reviewed.displayPanel.nodes["dvr"])
    assert nodes["lesions"].GetSegmentation().ContainsRepresentation("Closed surface")
    assert nodes["brain_surface"].GetPolyData().GetNumberOfPoints() > 100
    renderer = views.threeDWidget(0).threeDView().renderWindow().GetRenderers().GetFirstRenderer()
    renderer.GetActiveCamera().SetPosition(0, 3000, 0)  # as far away as Slicer's is after a large field of view
    reviewed.ui.lesions3dButton.click()
    settle(host)
    inView = []
    for corner in framing.brainCorners(nodes["brain"]):
        renderer.SetWorldPoint(*corner, 1.0)
        renderer.WorldToView()
        inView.append(renderer.GetViewPoint()[:2])
    assert 0.5 < np.abs(inView).max() <= 1, "the brain fills the view"


def test_the_chosen_lesion_stands_out(reviewed: Any) -> None:
    segmentation = reviewed.displayPanel.nodes["lesions"]
    shown, ids = segmentation.GetDisplayNode(), segmentIds(segmentation)
    click(reviewed, 0)
    for chosen, other in ((1, 2), (2, 1)):
        assert shown.GetSegmentOpacity2DOutline(ids[chosen]) == 1
        assert shown.GetSegmentOpacity2DOutline(ids[other]) < 0.6
        assert shown.GetSegmentOpacity3D(ids[chosen]) == 1
        assert shown.GetSegmentOpacity3D(ids[other]) < 0.6
        press(reviewed, "reviewTable", "Down")


@pytest.mark.usefixtures("views")
def test_plots_have_titles_that_fit_and_half_of_the_width(host: Host, reviewed: Any) -> None:
    reviewed.ui.plotsButton.click()
    settle(host)
    for name in layouts.PLOT_VIEWS:
        chart = slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLPlotViewNode").GetPlotChartNode()
        assert 0 < len(chart.GetTitle()) <= 34, chart.GetTitle()
    assert "450" in layouts.descriptions()[layouts.TWO_PLOTS]
    assert plots.TITLE_SIZE <= 13


@pytest.mark.usefixtures("views")
def test_a_linked_view_passes_no_opacity_on_while_the_views_are_written(host: Host, reviewed: Any) -> None:
    """As the controllers of the application do: a new opacity of a linked view is given to all other linked views."""
    sliders: dict[str, float] = {}

    def passOn(one: Any, _event: str) -> None:
        opacity = one.GetForegroundOpacity()
        if sliders.get(one.GetLayoutName()) == opacity:
            return
        sliders[one.GetLayoutName()] = opacity
        for other in composites:
            if one.GetLinkedControl() and other.GetLinkedControl() and other is not one:
                other.SetForegroundOpacity(opacity)

    reviewed.ui.sideBySideButton.click()
    settle(host)
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    assert len(composites) > 3
    tags = [(one, one.AddObserver("ModifiedEvent", passOn)) for one in composites]
    reviewed.ui.opacitySlider.value = 0.25
    settle(host)
    shown = {one.GetLayoutName(): one.GetForegroundOpacity() for one in composites}
    for one, tag in tags:
        one.RemoveObserver(tag)
    assert shown["Myelin"] == pytest.approx(0.25)
    assert shown["Red"] == pytest.approx(0.25)
    assert shown["T1w"] == shown["FLAIR"] == 0.0
    assert all(one.GetLinkedControl() for one in composites)


@pytest.mark.parametrize(("pixels", "rows"), [(930, 2), (1400, 1), (None, 1)])
def test_views_stand_in_two_rows_where_the_window_is_narrow(
    host: Host, reviewed: Any, views: Any, monkeypatch: pytest.MonkeyPatch, pixels: int | None, rows: int
) -> None:
    """The bars above four slice views need 1,320 pixels: Slicer would make its window wider than a small screen."""
    window = slicer.util.mainWindow()
    if pixels is None:
        monkeypatch.setattr(slicer.util, "mainWindow", lambda: None)
    else:
        window.centralWidget().setFixedWidth(pixels)
        window.resize(pixels, 1000)
        host.process()
    click(reviewed, 0)
    reviewed.ui.sideBySideButton.click()
    settle(host)
    node = views.layoutLogic().GetLayoutNode()
    description = node.GetLayoutDescription(node.GetViewArrangement())
    assert description.count('type="horizontal"') == rows
    assert {one.GetLayoutName() for one in sliceNodes(views.sliceViewNames())} == set(SIDE_BY_SIDE_VIEWS)
    assertFramed(views, reviewed.displayPanel.nodes, 0)
