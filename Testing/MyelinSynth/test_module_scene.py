"""A patient's nodes to files and a Result back to nodes, on real MRML: places are compared in the world."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digital_result import CENTRE, LESIONS, SHAPE, SPACING, ball, lesion_mask, write_result
from slicer_scene import AXES, Application, geometry, rotation, valueAt, worldImage

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

import slicer
from MyelinSynthLib.display import views as display
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.patient import exchange
from MyelinSynthLib.patient.nodes import Patient
from MyelinSynthLib.review.segments import segmentIds
from MyelinSynthLib.review.table import ACCEPTED, FLAGGED, UNREVIEWED, Review
from MyelinSynthLib.run.results import loadResult
from MyelinSynthLib.scene import geometry as places
from MyelinSynthLib.scene import provenance

GEOMETRIES = [(name, SPACING) for name in AXES] + [("RAS", (1.0, 1.0, 3.0)), ("oblique", (0.9, 1.4, 3.0))]


def makePatient(name: str = "LPS", spacing: tuple[float, float, float] = SPACING) -> Patient:
    """T1w in the given orientation, FLAIR in another one with other voxels, lesions as labels on the T1w's grid."""
    matrix = geometry(name, spacing, SHAPE)
    t1w = places.addVolume("vtkMRMLScalarVolumeNode", "T1w", worldImage(matrix, SHAPE), matrix)
    other = geometry("sagittal", (1.0, 1.2, 2.5), (48, 44, 22))
    flair = places.addVolume("vtkMRMLScalarVolumeNode", "FLAIR", worldImage(other, (48, 44, 22)), other)
    mask = lesion_mask(matrix, SHAPE).transpose(2, 1, 0).astype(np.uint8)
    lesions = places.addVolume("vtkMRMLLabelMapVolumeNode", "lesions", mask, matrix)
    return Patient(t1w, flair, lesions)


def place(node: Any, degrees: float = 12.0, shift: tuple[float, float, float] = (4.0, -6.0, 2.0)) -> Any:
    """Put a node under a new rigid transform, which is returned."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation(degrees, 1), shift
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    transform.SetMatrixTransformToParent(places.toVtk(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def exported(patient: Patient, folder: Path) -> dict[str, Any]:
    """What TrainingCore reads from the files, by option."""
    from TrainingCore.imaging.volumes import read_volume

    folder.mkdir(exist_ok=True)
    options = exchange.exportPatient(patient, folder)
    given = dict(zip(options[::2], options[1::2]))
    return {key: read_volume(value) if value.endswith(".nrrd") else value for key, value in given.items()}


def through(
    patient: Patient, folder: Path, shift: np.ndarray | None = None, uncertain: bool = False, found: bool = False
) -> Any:
    """Export, write a Result with TrainingCore, load it."""
    folder.mkdir(exist_ok=True)
    options = exchange.exportPatient(patient, folder)
    given = dict(zip(options[::2], options[1::2]))
    lesions, measured = (Path(given[key]) if key in given else None for key in ("--lesions", "--dvr"))
    write_result(folder / "result", Path(given["--t1"]), lesions, shift, measured, uncertain, found)
    return loadResult(folder / "result", patient, "run-1")


@pytest.mark.parametrize(("name", "spacing"), GEOMETRIES)
def test_exported_voxels_lie_where_the_scene_shows_them(
    application: Application, tmp_path: Path, name: str, spacing: tuple[float, float, float]
) -> None:
    files = exported(makePatient(name, spacing), tmp_path)
    for volume in (files["--t1"], files["--flair"]):
        index = np.stack(np.meshgrid(*(np.arange(n) for n in volume.data.shape), indexing="ij"), -1)
        world = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
        np.testing.assert_allclose(volume.data, 200 + world @ [1.0, 0.35, 0.11], atol=2e-3)


@pytest.mark.parametrize(("name", "spacing"), GEOMETRIES)
def test_the_map_and_its_lesions_come_back_to_their_place(
    application: Application, tmp_path: Path, name: str, spacing: tuple[float, float, float]
) -> None:
    patient = makePatient(name, spacing)
    outputs = through(patient, tmp_path)
    np.testing.assert_allclose(places.ijkToRas(outputs.dvr), places.ijkToRas(patient.t1w), atol=1e-9)
    segments = outputs.segmentation.GetSegmentation()
    assert segments.GetNumberOfSegments() == 2
    for number, (centre, _radius, dvr) in enumerate(LESIONS, start=1):
        assert valueAt(outputs.dvr, np.array(centre)) == pytest.approx(dvr)
        np.testing.assert_allclose(Review(outputs.table).centre(number - 1, outputs.dvr), centre, atol=0.8)
        identifier = segments.GetSegmentIdBySegmentName(f"Lesion {number}")
        found = exchange.segmentationOnGrid(outputs.segmentation, patient.t1w, [identifier])
        wanted = ball(geometry(name, spacing, SHAPE), SHAPE, centre, LESIONS[number - 1][1]).transpose(2, 1, 0)
        np.testing.assert_array_equal(found, wanted)


def test_a_moved_t1w_is_exported_in_its_own_space_and_the_map_moves_with_it(
    application: Application, tmp_path: Path
) -> None:
    patient = makePatient()
    transform = place(patient.t1w)
    for node in (patient.flair, patient.lesions):
        node.SetAndObserveTransformNodeID(transform.GetID())
    outputs = through(patient, tmp_path)
    moved = places.toWorld(patient.t1w, "T1w") @ [*LESIONS[0][0], 1.0]
    assert valueAt(outputs.dvr, moved[:3]) == pytest.approx(LESIONS[0][2])
    assert outputs.dvr.GetParentTransformNode() is transform
    assert outputs.segmentation.GetParentTransformNode() is transform
    np.testing.assert_allclose(Review(outputs.table).centre(0, outputs.dvr), moved[:3], atol=0.8)


def test_a_moved_flair_is_written_where_it_was_moved_to(application: Application, tmp_path: Path) -> None:
    patient = makePatient()
    before = exported(patient, tmp_path / "before")["--flair"]
    transform = place(patient.flair)
    after = exported(patient, tmp_path / "after")["--flair"]
    np.testing.assert_array_equal(after.data.ravel().sum(), before.data.ravel().sum())
    wanted = places.toWorld(patient.flair, "FLAIR") @ before.affine
    corner = (np.array(before.data.shape) - 1) / 2
    np.testing.assert_allclose(np.linalg.inv(after.affine) @ wanted @ [*corner, 1.0], [*corner, 1.0], atol=1e-3)
    assert patient.flair.GetParentTransformNode() is transform


def test_nothing_that_was_given_is_changed(application: Application, tmp_path: Path) -> None:
    patient = makePatient()
    transform = place(patient.flair)
    nodes = [patient.t1w, patient.flair, patient.lesions, transform]
    before = [node.GetMTime() for node in nodes]
    voxels = [slicer.util.arrayFromVolume(node).copy() for node in nodes[:3]]
    through(patient, tmp_path)
    assert [node.GetParentTransformNode() for node in nodes] == [None, transform, None, None]
    for node, array in zip(nodes, voxels):
        np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), array)
    assert places.toArray(transform.GetMatrixTransformToParent())[0, 3] == 4.0
    assert nodes[3].GetMTime() == before[3]


def test_the_registered_flair_lands_on_the_t1w(application: Application, tmp_path: Path) -> None:
    patient = makePatient()
    place(patient.flair)
    found = np.eye(4)
    found[:3, 3] = (2.0, 1.0, -3.0)  # a point of the T1w -> the point of the written FLAIR that shows it
    outputs = through(patient, tmp_path, found)
    world = places.toWorld(outputs.flair, "FLAIR")
    wanted = np.linalg.inv(found) @ places.toWorld(patient.flair, "FLAIR")
    np.testing.assert_allclose(world, wanted, atol=1e-9)
    assert outputs.flair.GetImageData() is patient.flair.GetImageData()


def test_a_chosen_transform_says_where_to_fetch_the_flair_from(application: Application, tmp_path: Path) -> None:
    from TrainingCore.patient.inputs import transform_or_identity

    patient = makePatient()
    transform = place(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "none"))
    patient.flairToT1 = transform
    given = exported(patient, tmp_path)["--flair-to-t1"]
    moves = places.toArray(transform.GetMatrixTransformToParent())
    np.testing.assert_allclose(transform_or_identity(given) @ moves, np.eye(4), atol=1e-9)
    np.testing.assert_allclose(places.readTransform(Path(given)) @ moves, np.eye(4), atol=1e-9)


def test_a_chosen_transform_moves_the_flair_in_the_world_even_where_the_t1w_is_moved(
    application: Application, tmp_path: Path
) -> None:
    from TrainingCore.patient.inputs import transform_or_identity

    patient = makePatient()
    common = place(patient.t1w, 25.0, (3.0, 8.0, -2.0))
    patient.flair.SetAndObserveTransformNodeID(common.GetID())
    patient.lesions = None
    chosen = place(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "none"))
    patient.flairToT1 = chosen
    given = transform_or_identity(exported(patient, tmp_path / "files")["--flair-to-t1"])
    outputs = through(patient, tmp_path / "again", given)
    moves = places.toArray(chosen.GetMatrixTransformToParent())
    wanted = moves @ places.toWorld(patient.flair, "FLAIR")
    np.testing.assert_allclose(places.toWorld(outputs.flair, "FLAIR"), wanted, atol=1e-9)


def test_renamed_segments_still_belong_to_their_rows(application: Application, tmp_path: Path) -> None:
    from MyelinSynthLib.review.segments import segmentsByLesion

    outputs = through(makePatient(), tmp_path)
    content = outputs.segmentation.GetSegmentation()
    content.GetNthSegment(0).SetName("beside the ventricle")
    content.AddEmptySegment("mine", "drawn by hand")
    assert sorted(segmentsByLesion(outputs.segmentation)) == [1, 2]


def test_a_flair_that_lies_under_the_chosen_transform_is_moved_once(application: Application, tmp_path: Path) -> None:
    patient = makePatient()
    patient.flairToT1 = place(patient.flair)
    files = exported(patient, tmp_path)
    assert files["--flair-to-t1"] == "identity"


def test_a_segmentation_is_as_good_as_a_label_volume(application: Application, tmp_path: Path) -> None:
    patient = makePatient("oblique")
    volume = exported(patient, tmp_path / "volume")["--lesions"]
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(patient.lesions, segmentation)
    patient.lesions = segmentation
    segments = exported(patient, tmp_path / "segments")["--lesions"]
    np.testing.assert_array_equal(segments.data, volume.data)
    np.testing.assert_allclose(segments.affine, volume.affine, atol=1e-4)


def test_a_nonlinear_transform_is_refused_in_words(application: Application, tmp_path: Path) -> None:
    import vtk

    patient = makePatient()
    spline = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "warp")
    plates = vtk.vtkThinPlateSplineTransform()
    points = vtk.vtkPoints()
    for point in ((0, 0, 0), (50, 0, 0), (0, 50, 0), (0, 0, 50), (20, 30, 40)):
        points.InsertNextPoint(point)
    moved = vtk.vtkPoints()
    moved.DeepCopy(points)
    moved.SetPoint(4, 25, 31, 49)
    plates.SetSourceLandmarks(points)
    plates.SetTargetLandmarks(moved)
    plates.SetBasisToR()
    spline.SetAndObserveTransformToParent(plates)
    patient.flair.SetAndObserveTransformNodeID(spline.GetID())
    with pytest.raises(SynthesisError, match=r"FLAIR is under the non-linear transform warp.*Harden"):
        exchange.exportPatient(patient, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_shearing_transform_is_refused_in_words(application: Application, tmp_path: Path) -> None:
    patient = makePatient("oblique")
    transform = place(patient.flair)
    matrix = np.eye(4)
    matrix[0, 1] = 0.3
    transform.SetMatrixTransformToParent(places.toVtk(matrix))
    with pytest.raises(SynthesisError, match="FLAIR has sheared axes"):
        exchange.exportPatient(patient, tmp_path)


def test_choices_are_checked_before_anything_is_written(application: Application) -> None:
    patient = makePatient()
    assert exchange.checkPatient(patient) == []
    assert "FLAIR" in exchange.checkPatient(Patient(patient.t1w, None))[0]
    assert "same volume" in exchange.checkPatient(Patient(patient.t1w, patient.t1w))[0]
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "hollow")
    assert "hollow holds no 3D image" in exchange.checkPatient(Patient(patient.t1w, empty))[0]
    place(patient.flair, shift=(900.0, 0.0, 0.0))
    assert "do not overlap" in exchange.checkPatient(patient)[0]


def test_labels_that_do_not_belong_to_the_table_are_noticed_and_nothing_is_left_in_the_scene(
    application: Application, tmp_path: Path
) -> None:
    from TrainingCore.imaging.volumes import read_volume, write_volume

    patient = makePatient()
    options = exchange.exportPatient(patient, tmp_path)
    given = dict(zip(options[::2], options[1::2]))
    write_result(tmp_path / "result", Path(given["--t1"]), Path(given["--lesions"]))
    path = tmp_path / "result" / "lesion_labels.nii.gz"
    labels = read_volume(path)
    before = slicer.mrmlScene.GetNumberOfNodes()
    for other in (7, 1, 0):  # one that is not in the table; one of the table without a voxel
        write_volume(path, np.where(labels.data == 2, other, labels.data).astype(np.int16), labels.affine)
        with pytest.raises(SynthesisError, match="do not match its lesion table"):
            loadResult(tmp_path / "result", patient, "run-1")
        assert slicer.mrmlScene.GetNumberOfNodes() == before
    (tmp_path / "result" / "review.csv").write_text("id,state,comment,outline\n1,accepted,,\n2,flagged,,removed\n")
    assert loadResult(tmp_path / "result", patient, "run-1").segmentation.GetSegmentation().GetNumberOfSegments() == 1
    path.unlink()
    with pytest.raises(SynthesisError, match="has no lesion_labels"):
        loadResult(tmp_path / "result", patient, "run-1")


def test_an_incomplete_result_is_refused(application: Application, tmp_path: Path) -> None:
    patient = makePatient()
    exchange.exportPatient(patient, tmp_path)
    (tmp_path / "result").mkdir()
    with pytest.raises(SynthesisError, match="not a complete result"):
        loadResult(tmp_path / "result", patient, "run-1")


def test_the_map_is_shown_in_the_fixed_window(application: Application, tmp_path: Path) -> None:
    outputs = through(makePatient(), tmp_path)
    shown = outputs.dvr.GetScalarVolumeDisplayNode()
    assert (shown.GetWindowLevelMin(), shown.GetWindowLevelMax()) == pytest.approx(display.DVR_WINDOW)
    assert not shown.GetAutoWindowLevel()
    assert shown.GetApplyThreshold()
    assert shown.GetColorNode().GetName() == display.COLOUR_TABLE_NAME
    assert display.colourTable() is shown.GetColorNode()
    outlines = outputs.segmentation.GetDisplayNode()
    assert outlines.GetVisibility2DOutline()
    assert not outlines.GetVisibility2DFill()


def test_lesions_are_coloured_by_dvr_and_by_review_state(application: Application, tmp_path: Path) -> None:
    from MyelinSynthLib.review.segments import colourSegments

    outputs = through(makePatient(), tmp_path)
    content, review = outputs.segmentation.GetSegmentation(), Review(outputs.table)
    first = content.GetSegment(content.GetSegmentIdBySegmentName("Lesion 1"))
    assert first.GetColor() == pytest.approx(display.COLOURS_OF_STATE[UNREVIEWED], abs=1e-6)
    colourSegments(outputs.segmentation, review, "mean_dvr")
    assert first.GetColor() == pytest.approx(display.dvrColour(0.80), abs=1e-6)
    review.setState(0, FLAGGED)
    colourSegments(outputs.segmentation, review)
    assert first.GetColor() == pytest.approx(display.COLOURS_OF_STATE[FLAGGED], abs=1e-6)


def test_everything_says_how_it_was_made_and_lies_beside_the_t1w(application: Application, tmp_path: Path) -> None:
    patient = makePatient()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(slicer.mrmlScene)
    subject = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "P1")
    study = hierarchy.CreateStudyItem(subject, "MRI")
    hierarchy.CreateItem(study, patient.t1w)
    outputs = through(patient, tmp_path)
    assert set(outputs.nodes()) == {*provenance.ROLES[:9], "places", "context"}
    assert provenance.nodesOfRun(slicer.mrmlScene, "run-1") == outputs.nodes()
    assert provenance.runs(slicer.mrmlScene) == ["run-1"]
    for node in outputs.nodes().values():
        assert provenance.get(node, "ModelSHA256") == "0" * 64
        assert provenance.get(node, "SimulatedTrainingData") == "yes"
        assert node.GetNodeReference(provenance.T1W_REFERENCE) is patient.t1w
        folder = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
        assert hierarchy.GetItemParent(folder) == study


REOPEN = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
from slicer_scene import Application, addModuleToPath
addModuleToPath()
import slicer, numpy as np
from pathlib import Path
from MyelinSynthLib.display import views as display
from MyelinSynthLib.display import layouts
from MyelinSynthLib.scene import provenance
from MyelinSynthLib.review.edits import measureAgain
from MyelinSynthLib.export.files import Export, writeExport
from MyelinSynthLib.review.segments import segmentsByLesion
from MyelinSynthLib.review.table import Review
application = Application()
assert application.scene.ReadFromMRB({bundle!r}), "not read"
nodes = provenance.nodesOfRun(application.scene, "run-1")
missing = set(provenance.ROLES) - set(nodes)
assert missing == {{"probability", *provenance.CHANGE_ROLES}}, missing  # lesions were given, no second visit
review = Review(nodes["table"])
assert (review.state(0), review.comment(0)) == ("accepted", "typical"), review.state(0)
assert review.progress() == (1, 2), review.progress()
assert (review.outline(1), review.comment(1), review.state(1)) == ("edited", "=too small", "unreviewed")
assert (review.text(0, "region"), review.number(0, "uncertainty")) == ("periventricular", 0.04)
assert abs(review.number(0, "mean_dvr") - 0.8) < 1e-4
assert np.isnan(review.number(1, "uncertainty"))
assert not measureAgain(nodes), "what was measured before saving is measured the same after"
shown = nodes["dvr"].GetScalarVolumeDisplayNode()
assert abs(shown.GetWindowLevelMin() - 0.6) < 1e-9 and not shown.GetAutoWindowLevel()
colours = shown.GetColorNode()
colour = [0.0] * 4
colours.GetColor(255, colour)
assert np.allclose(colour[:3], display.viridis()[255], atol=0.01), colour
assert sorted(segmentsByLesion(nodes["lesions"])) == [1, 2]
assert "not for diagnosis. \\u00b5" in nodes["report"].GetText()
assert nodes["dvr"].GetNodeReference(provenance.T1W_REFERENCE).GetName() == "T1w"
assert nodes["dvr"].GetParentTransformNode().GetName() == "moved"
chart = nodes["comparison_chart"]
assert chart.GetTitle().startswith("r not estimable, n = 2"), chart.GetTitle()
for chart in (chart, nodes["histogram_chart"]):
    series = chart.GetPlotSeriesNode()
    assert series.GetTableNode().GetTable().GetColumnByName(series.GetYColumnName()).GetNumberOfValues()
view = application.scene.GetSingletonNode(layouts.PLOT_VIEWS[1], "vtkMRMLPlotViewNode")
assert view.GetPlotChartNode() is nodes["comparison_chart"]
arrangement = application.scene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement()
assert arrangement == layouts.TWO_PLOTS, arrangement
assert nodes["brain_surface"].GetPolyData().GetNumberOfPoints() > 100
assert nodes["brain_surface"].GetDisplayNode().GetOpacity() < 0.2
assert nodes["lesions"].GetDisplayNode().GetVisibility3D()
writeExport(nodes, Export(Path({bundle!r}).parent, "again"))
voxels = slicer.util.arrayFromVolume(nodes["dvr"])
assert np.isclose(voxels.max(), 1.2) and voxels.dtype == np.float32
print("same")
"""


@pytest.mark.parametrize("name", ["LAS", "oblique"])
def test_a_saved_scene_opens_in_another_process_with_nothing_lost(
    application: Application, tmp_path: Path, name: str
) -> None:
    from MyelinSynthLib.display import layouts, plots, surfaces
    from MyelinSynthLib.export.files import Export, writeExport
    from MyelinSynthLib.review.edits import measureAgain
    from test_module_edits import draw, withMeasured

    from TrainingCore.data.result import Result

    patient = withMeasured(makePatient(name))
    transform = place(patient.t1w)
    for node in (patient.flair, patient.lesions, patient.dvr):
        node.SetAndObserveTransformNodeID(transform.GetID())
    outputs = through(patient, tmp_path / "files", uncertain=True)
    nodes, review = outputs.nodes(), Review(outputs.table)
    mask = exchange.segmentationOnGrid(outputs.segmentation, outputs.dvr, [segmentIds(outputs.segmentation)[2]])
    mask[:, :, : int(np.nonzero(mask)[2].min()) + 1] = 0
    draw(outputs, 2, mask)
    assert measureAgain(nodes).edited == [2]
    review.setState(0, ACCEPTED)
    review.setComment(0, "typical")
    review.setComment(1, "=too small")
    surfaces.showIn3D(nodes)
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(application.scene)
    layouts.Layouts().show(logic.GetLayoutNode(), plots.show(nodes))
    plots.fillViews(nodes)
    bundle = tmp_path / "scène.mrb"
    assert slicer.mrmlScene.WriteToMRB(str(bundle))
    writeExport(nodes, Export(tmp_path, "before"))
    here = Path(__file__).parent
    code = REOPEN.format(tests=str(here), root=str(here.parents[1]), bundle=str(bundle))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900)
    assert "same" in done.stdout, done.stderr[-3000:]
    for file in Result.open(tmp_path / "before_result").path.iterdir():
        if name != "LAS" or not file.name.endswith(".nii.gz"):  # Slicer turns left-handed voxels round when it reads
            assert (tmp_path / "again_result" / file.name).read_bytes() == file.read_bytes(), file.name
    for name in ("_lesions.csv", "_report.html"):
        assert (tmp_path / f"again{name}").read_bytes() == (tmp_path / f"before{name}").read_bytes()


def test_a_scene_closes_while_a_failed_test_keeps_a_layout_logic() -> None:
    """It crashed: a test that failed under load was seen as a segmentation fault of the whole run."""
    started = Application()
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(started.scene)
    logic.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    started.close()
    assert logic.GetMRMLScene() is started.scene


@pytest.mark.parametrize("centre", [tuple(CENTRE), LESIONS[1][0]])
def test_jumping_centres_every_view(application: Application, centre: tuple[float, float, float]) -> None:
    from MyelinSynthLib.display.framing import frame

    views = {}
    for name, axis in (("Red", "Axial"), ("Green", "Coronal")):
        views[name] = slicer.vtkMRMLSliceNode()
        views[name].SetLayoutName(name)
        slicer.mrmlScene.AddNode(views[name])
        views[name].SetOrientation(axis)
    frame(centre, None)
    for name, axis in (("Red", 2), ("Green", 1)):
        assert places.toArray(views[name].GetSliceToRAS())[axis, 3] == pytest.approx(centre[axis])
