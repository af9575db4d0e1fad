# ruff: noqa: PT009 - checks of a unittest that runs in the application
"""What the module's self-test checks of display, review and export, in the real application as well as elsewhere.

Each check takes the running unittest case and makes its own data; none needs PyTorch, files or a main window.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..display import layouts, plots, surfaces
from ..display import views as display
from ..display.wipe import Wipe
from ..export.files import Export, writeExport
from ..review.edits import measureAgain
from ..review.segments import colourSegments, labelsOnGrid, segmentIds, segmentsByLesion
from ..review.table import ACCEPTED, EDITED, FLAGGED, REMOVED, UNREVIEWED, Review
from ..scene import provenance
from .nodes import LESION_DVRS, makeNodes


def checkReviewAndEdits(case: Any) -> None:
    """Decisions colour the outlines; an edited lesion is measured again, a removed one keeps its review."""
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


def checkViews(case: Any) -> None:
    """Fade, curtain, 3D and plots, in the layouts where there is a main window; the curtain leaves nothing behind."""
    nodes = makeNodes()
    t1w = nodes["dvr"].GetNodeReference(provenance.T1W_REFERENCE)
    layoutManager = slicer.app.layoutManager()
    ours, layoutNode = layouts.Layouts(), None
    if layoutManager is not None:
        layoutNode = layoutManager.layoutLogic().GetLayoutNode()
        before = layoutNode.GetViewArrangement()
    surfaces.showIn3D(nodes)
    chosen = plots.show(nodes)
    if layoutNode is not None:
        for number in (layouts.SIDE_BY_SIDE, layouts.WITH_3D, chosen):
            ours.show(layoutNode, number)
            case.assertEqual(layoutNode.GetViewArrangement(), number)
    plots.fillViews(nodes)
    layouts.showSideBySide(t1w, nodes["flair"], nodes["dvr"])
    made = provenance.sameRun(nodes["dvr"])
    case.assertGreater(made["brain_surface"].GetPolyData().GetNumberOfPoints(), 100)
    case.assertTrue(nodes["lesions"].GetSegmentation().ContainsRepresentation("Closed surface"))
    case.assertTrue(made["comparison_chart"].GetTitle())
    for position in (0.0, 0.5, 1.5):
        display.fade(position, t1w, nodes["flair"], nodes["dvr"])
    wipe = Wipe(nodes["dvr"])
    wipe.show(t1w)
    wipe.move(1.0)
    voxels = slicer.util.arrayFromVolume(nodes["dvr"])
    case.assertTrue((slicer.util.arrayFromVolume(wipe.copy) == voxels).all())
    wipe.close()
    case.assertFalse(slicer.util.getNodes("MyelinSynth wipe*"))
    if layoutNode is not None:
        ours.goBack(layoutNode)
        case.assertEqual(layoutNode.GetViewArrangement(), before)


def checkExportAndReopening(case: Any) -> None:
    """Table, report and (where nibabel is there) Result folder are written, from a reopened scene as well."""
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


def _shrink(nodes: dict[str, Any], lesion: int) -> None:
    """Take the first layer of voxels away from a lesion, as an eraser would."""
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


CHECKS = (checkReviewAndEdits, checkViews, checkExportAndReopening)
