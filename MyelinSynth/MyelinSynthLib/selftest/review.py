# ruff: noqa: PT009 - checks of a unittest that runs in the application
"""Self-test of display, review and export, in the application as well as under pytest.

Each check takes the running test case and makes its own data; none needs PyTorch, files or a main window.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..display import framing, layouts, plots, surfaces
from ..display import views as display
from ..display.shown import Shown
from ..export.files import Export, writeExport
from ..patient.nodes import Patient
from ..review.changes import addLesion, mergeLesions, splitLesion
from ..review.edits import Memory, measureAgain
from ..review.segments import colourSegments, labelsOnGrid, segmentIds, segmentsByLesion
from ..review.table import ACCEPTED, ADDED, EDITED, FLAGGED, MERGED, REJECTED, REMOVED, UNREVIEWED, Review
from ..run.results import loadResult
from ..scene import provenance
from ..scene.geometry import toArray
from .nodes import LESION_DVRS, MISSED_PROBABILITY, NAWM_DVR, VOXEL_MM, makeNodes, missedPosition


def checkReviewAndEdits(case: Any) -> None:
    """Check outline colours, that an edited lesion is measured again, and that a removed one keeps its review.

    Args:
        case: the running unittest.TestCase; its assertions report the failures.
    """
    nodes = makeNodes()
    review = Review(nodes["table"])
    case.assertFalse(measureAgain(nodes), "nothing was edited")
    review.setState(0, FLAGGED)
    review.setComment(0, "look again")
    colourSegments(nodes["lesions"], review)
    colour = segmentsByLesion(nodes["lesions"])[1].GetColor()
    case.assertTrue(np.allclose(colour, display.COLOURS_OF_STATE[FLAGGED], atol=1e-3))
    before = review.number(0, "volume_mm3")
    _shrink(nodes, 1)
    case.assertEqual(measureAgain(nodes).edited, [1])
    case.assertLess(review.number(0, "volume_mm3"), before)
    case.assertAlmostEqual(review.number(0, "mean_dvr"), LESION_DVRS[0], places=4)
    case.assertAlmostEqual(review.number(0, "measured_mean_dvr"), LESION_DVRS[0] + 0.1, places=4)
    case.assertEqual((review.state(0), review.comment(0), review.outline(0)), (UNREVIEWED, "look again", EDITED))
    review.setState(1, ACCEPTED)
    nodes["lesions"].GetSegmentation().RemoveSegment(segmentIds(nodes["lesions"])[2])
    case.assertEqual(measureAgain(nodes).removed, [2])
    case.assertEqual((review.state(1), review.outline(1)), (ACCEPTED, REMOVED))


def checkNetworkLesions(case: Any) -> None:
    """Check adding a missed lesion with a click, merging, splitting, and undoing each of them.

    Args:
        case: the running unittest.TestCase; its assertions report the failures.
    """
    nodes = makeNodes(fromNetwork=True)
    review, memory = Review(nodes["table"]), Memory()
    case.assertTrue(provenance.hasNetworkLesions(nodes))
    before = [review.values(row) for row in (0, 1)]
    added = addLesion(nodes, missedPosition(nodes), memory)
    row = len(review) - 1
    case.assertEqual(review.lesion(row), 3)
    case.assertEqual((review.outline(row), review.number(row, "volume_mm3")), (ADDED, 27 * VOXEL_MM**3))
    case.assertEqual(review.text(row, "region"), "periventricular")
    case.assertAlmostEqual(review.number(row, "confidence"), MISSED_PROBABILITY, places=4)
    case.assertAlmostEqual(review.number(row, "mean_dvr"), NAWM_DVR, places=4)
    added.undo()
    merged = mergeLesions(nodes, [1, 2], memory)
    case.assertEqual((len(review), review.outline(0)), (1, MERGED))
    split = splitLesion(nodes, 1, memory)
    case.assertEqual([review.number(row, "volume_mm3") for row in (0, 1)], [values["volume_mm3"] for values in before])
    case.assertFalse(measureAgain(nodes, memory), "measured as every other lesion")
    split.undo()
    merged.undo()
    case.assertEqual([review.values(row) for row in (0, 1)], before)


def checkViews(case: Any) -> None:
    """Check what the views show after each change of layout, background volume, wipe, 3D view and plot.

    Args:
        case: the running unittest.TestCase; its assertions report the failures.
    """
    nodes = makeNodes()
    layoutManager = slicer.app.layoutManager()
    ours, layoutNode = layouts.Layouts(), None
    if layoutManager is not None:
        layoutNode = layoutManager.layoutLogic().GetLayoutNode()
        layoutNode.SetViewArrangement(layoutNode.SlicerLayoutFourUpView)  # the panel may have left one of ours
        before = layoutNode.GetViewArrangement()
    surfaces.showIn3D(nodes)
    chosen = plots.show(nodes)
    shown = Shown()
    shown.take(nodes)
    if layoutNode is not None:
        for number in (layouts.SIDE_BY_SIDE_MEASURED, layouts.WITH_3D, chosen):
            ours.show(layoutNode, number)
            case.assertEqual(layoutNode.GetViewArrangement(), number)
            shown.apply()
            _checkFraming(case, nodes)
    plots.fillViews(nodes)
    nodesOfRun = provenance.sameRun(nodes["dvr"])
    case.assertGreater(nodesOfRun["brain_surface"].GetPolyData().GetNumberOfPoints(), 100)
    case.assertTrue(nodes["lesions"].GetSegmentation().ContainsRepresentation("Closed surface"))
    case.assertTrue(nodesOfRun["comparison_chart"].GetTitle())
    for shown.under, shown.opacity in (("t1w", 0.0), ("flair", 0.5), ("flair", 0.9)):
        shown.apply()
        case.assertTrue(shown.isApplied())
    _checkWipe(case, nodes, shown)
    if layoutNode is not None:
        ours.goBack(layoutNode)
        case.assertEqual(layoutNode.GetViewArrangement(), before)
    # A map that is deleted leaves the volume under it, and nothing that Slicer chose in its place
    shown.release(nodes["dvr"])
    slicer.mrmlScene.RemoveNode(nodes["dvr"])
    slicer.app.processEvents()
    shown.apply()
    case.assertTrue(shown.isApplied())
    case.assertFalse(shown.hasMap)


def _checkFraming(case: Any, nodes: dict[str, Any]) -> None:
    """Check that every slice view cuts the lesion and fits the whole brain."""
    slicer.app.processEvents()
    corners, point = framing.brainCorners(nodes["brain"]), Review(nodes["table"]).centre(0, nodes["dvr"])
    framing.frame(point.tolist(), corners)
    views = slicer.util.getNodesByClass("vtkMRMLSliceNode")
    for node in [view for view in views if view.IsMappedInLayout()] or views:
        fromWorld = np.linalg.inv(toArray(node.GetSliceToRAS()))
        case.assertLess(abs((fromWorld @ [*point, 1.0])[2]), 0.01)
        inView = corners @ fromWorld[:3, :3].T + fromWorld[:3, 3]
        width, height, _depth = node.GetFieldOfView()
        case.assertLessEqual(np.abs(inView[:, 0]).max(), width / 2 + 0.01)
        case.assertLessEqual(np.abs(inView[:, 1]).max(), height / 2 + 0.01)


def _checkWipe(case: Any, nodes: dict[str, Any], shown: Shown) -> None:
    """Check that the wipe removes its nodes and restores the views."""
    shown.startWipe(1.0)
    copy = shown.wipe.copy if shown.wipe else None
    case.assertTrue(shown.isApplied())
    voxels = slicer.util.arrayFromVolume(nodes["dvr"])
    case.assertTrue((slicer.util.arrayFromVolume(copy) == voxels).all())
    shown.stopWipe()
    slicer.app.processEvents()
    case.assertTrue(shown.isApplied())
    case.assertFalse(slicer.util.getNodes("MyelinSynth wipe*"))


def checkExportAndReopening(case: Any) -> None:
    """Check that table, report and (with nibabel) Result folder are exported alike after reopening the scene.

    Args:
        case: the running unittest.TestCase; its assertions report the failures.
    """
    nodes = makeNodes()
    review = Review(nodes["table"])
    review.setState(0, FLAGGED)
    review.setComment(0, "<b>bold</b>")
    plots.show(nodes)
    whole = importlib.util.find_spec("nibabel") is not None
    with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as name:
        folder = Path(name)
        first = writeExport(nodes, Export(folder, "first", result=whole))
        bundle = str(folder / "scene.mrb")
        case.assertTrue(slicer.mrmlScene.WriteToMRB(bundle))
        slicer.mrmlScene.Clear(0)
        case.assertTrue(slicer.mrmlScene.ReadFromMRB(bundle))
        nodes = provenance.nodesOfRun(slicer.mrmlScene, "self-test")
        case.assertIn("histogram_chart", nodes)
        case.assertEqual(Review(nodes["table"]).state(0), FLAGGED)
        second = writeExport(nodes, Export(folder, "second", result=whole))
        for before, after in zip(first[:2], second[:2]):
            case.assertEqual(before.read_text(encoding="utf-8"), after.read_text(encoding="utf-8"))
        page = second[1].read_text(encoding="utf-8")
        case.assertIn("&lt;b&gt;bold", page)
        case.assertIn("data:image/png;base64,", page)
        case.assertIn(provenance.RESEARCH_USE, page)


def checkReopenedResult(case: Any) -> None:
    """Check that an exported Result folder reopens with rejected lesions among the others, still marked.

    Args:
        case: the running unittest.TestCase; its assertions report the failures.
    """
    if importlib.util.find_spec("nibabel") is None:
        return  # it is installed before the first synthesis
    nodes = makeNodes(fromNetwork=True)
    review = Review(nodes["table"])
    addLesion(nodes, missedPosition(nodes), Memory())
    review.setState(1, REJECTED)
    t1w = nodes["dvr"].GetNodeReference(provenance.T1W_REFERENCE)
    with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as name:
        writeExport(nodes, Export(Path(name), "reviewed", table=False, report=False))
        outputs = loadResult(Path(name) / "reviewed_result", Patient(t1w, nodes["flair"]), "self-test-reopened")
    again = Review(outputs.table)
    case.assertEqual([again.lesion(row) for row in range(len(again))], [1, 2, 3])
    case.assertEqual([again.state(row) for row in range(3)], [UNREVIEWED, REJECTED, UNREVIEWED])
    case.assertEqual(again.outline(2), ADDED)
    case.assertEqual(sorted(segmentIds(outputs.segmentation)), [1, 2, 3])
    case.assertFalse(measureAgain(outputs.nodes()))


def _shrink(nodes: dict[str, Any], lesion: int) -> None:
    """Erase the first layer of voxels of a lesion."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    mask = labelsOnGrid(nodes["lesions"], nodes["dvr"])[0] == lesion
    mask[: int(np.nonzero(mask)[0].min()) + 1] = False
    volume = slicer.vtkMRMLLabelMapVolumeNode()
    volume.CopyOrientation(nodes["dvr"])
    slicer.util.updateVolumeFromArray(volume, mask.astype(np.uint8))
    image = logic.CreateOrientedImageDataFromVolumeNode(volume)
    image.UnRegister(None)
    logic.SetBinaryLabelmapToSegment(
        image, nodes["lesions"], segmentIds(nodes["lesions"])[lesion], logic.MODE_REPLACE, image.GetExtent()
    )


CHECKS = (checkReviewAndEdits, checkNetworkLesions, checkViews, checkExportAndReopening, checkReopenedResult)
