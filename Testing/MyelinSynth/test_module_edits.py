"""Lesions that are edited after the map was made: measured again with the numbers that `synthesize` would give."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digital_result import LESIONS, SHAPE, ball
from slicer_scene import Application, geometry

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

import slicer
import vtk
from MyelinSynthLib.display.wipe import Wipe
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.export.files import _labels, lesionsCsv
from MyelinSynthLib.patient import exchange
from MyelinSynthLib.patient.nodes import Patient
from MyelinSynthLib.review.changes import SmallMask, mergeLesions
from MyelinSynthLib.review.edits import CENTRE, NOT_AGAIN, Memory, measureAgain
from MyelinSynthLib.review.segments import _exportedLayer, _sharedLayer, labelsOnGrid, segmentIds
from MyelinSynthLib.review.table import ACCEPTED, ADDED, EDITED, FLAGGED, REMOVED, UNREVIEWED, Review
from MyelinSynthLib.scene import geometry as places
from test_module_scene import GEOMETRIES, makePatient, place, through

# NAWM is that of the synthesis: the voxels that the lesion grew into still count there
ABOUT_NAWM = ("ratio_to_nawm", "surrounding_nawm_dvr", "ratio_to_surrounding", "demyelinated_share")
BIGGER = 0.9  # mm that the second lesion grows by


def withMeasured(patient: Patient) -> Patient:
    """The patient with a measured DVR on a grid of its own."""
    matrix, shape = geometry("sagittal", (2.0, 2.0, 2.0), (30, 26, 24)), (30, 26, 24)
    values = np.full(shape, 1.25, np.float32)
    for centre, radius, dvr in LESIONS:
        values[ball(matrix, shape, centre, radius + 1)] = dvr + 0.1
    patient.dvr = places.addVolume("vtkMRMLScalarVolumeNode", "PET", values.transpose(2, 1, 0), matrix)
    return patient


def draw(outputs: Any, lesion: int | str, mask: np.ndarray) -> None:
    """Give a lesion (or segment) another outline, as the Segment Editor does; mask: (K, J, I) on the T1w's grid."""
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    identifier = lesion if isinstance(lesion, str) else segmentIds(outputs.segmentation)[lesion]
    volume = slicer.vtkMRMLLabelMapVolumeNode()
    volume.CopyOrientation(outputs.dvr)
    slicer.util.updateVolumeFromArray(volume, mask.astype(np.uint8))
    image = logic.CreateOrientedImageDataFromVolumeNode(volume)
    image.UnRegister(None)
    assert logic.SetBinaryLabelmapToSegment(image, outputs.segmentation, identifier, logic.MODE_REPLACE)


def grown(name: str, spacing: tuple[float, float, float], lesion: int) -> np.ndarray:
    centre, radius, _dvr = LESIONS[lesion - 1]
    return ball(geometry(name, spacing, SHAPE), SHAPE, centre, radius + BIGGER).transpose(2, 1, 0)


def rowsOf(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize(("name", "spacing"), GEOMETRIES)
def test_what_nobody_edited_is_measured_the_same(
    application: Application, tmp_path: Path, name: str, spacing: tuple[float, float, float]
) -> None:
    outputs = through(withMeasured(makePatient(name, spacing)), tmp_path)
    Review(outputs.table).setState(0, ACCEPTED)
    before = lesionsCsv(Review(outputs.table))
    assert not measureAgain(outputs.nodes())
    assert lesionsCsv(Review(outputs.table)) == before


@pytest.mark.parametrize(("name", "spacing"), GEOMETRIES)
def test_an_edited_lesion_gets_the_numbers_that_synthesize_would_give(
    application: Application, tmp_path: Path, name: str, spacing: tuple[float, float, float]
) -> None:
    patient = withMeasured(makePatient(name, spacing))
    outputs = through(patient, tmp_path / "first")
    review = Review(outputs.table)
    review.setState(1, FLAGGED)
    review.setComment(1, "too small")
    draw(outputs, 2, grown(name, spacing, 2))
    edits = measureAgain(outputs.nodes())
    assert (edits.edited, edits.removed) == ([2], [])
    assert (review.state(1), review.comment(1), review.outline(1)) == (UNREVIEWED, "too small", EDITED)
    assert (review.state(0), review.outline(0)) == (UNREVIEWED, "")

    slicer.util.arrayFromVolume(patient.lesions)[grown(name, spacing, 2)] = 1
    patient.lesions.Modified()
    again = through(patient, tmp_path / "again")
    wanted, found = (rowsOf(lesionsCsv(Review(one.table)))[1] for one in (again, outputs))
    for column, text in wanted.items():
        if column in ("state", "comment", "outline", "region"):
            continue
        if column.removeprefix("measured_") in NOT_AGAIN:
            assert found[column] == ""
        elif column.startswith(("t1w_", "flair_", "estimated_loss")):
            assert float(found[column]) == pytest.approx(float(text), rel=2e-3, abs=2e-3), column
        elif column.removeprefix("measured_") in ABOUT_NAWM:
            assert float(found[column]) == pytest.approx(float(text), rel=0.02, abs=0.01)
        else:
            assert found[column] == text, column
    assert not measureAgain(outputs.nodes()), "once is enough"


def test_an_edited_lesion_of_an_earlier_result_has_no_contrasts_instead_of_old_ones(
    application: Application, tmp_path: Path
) -> None:
    outputs = through(makePatient(), tmp_path)
    review = Review(outputs.table)
    assert np.isfinite(review.number(1, "estimated_loss"))
    slicer.mrmlScene.RemoveNode(outputs.context)
    outputs.context = None
    draw(outputs, 2, grown("oblique", (1.5, 1.5, 2.0), 2))
    assert measureAgain(outputs.nodes()).edited == [2]
    assert np.isnan(review.number(1, "estimated_loss"))
    assert np.isnan(review.number(1, "t1w_contrast"))
    assert np.isfinite(review.number(0, "estimated_loss"))


def test_a_moved_patient_is_measured_in_its_own_space(application: Application, tmp_path: Path) -> None:
    patient = withMeasured(makePatient("oblique"))
    transform = place(patient.t1w)
    for node in (patient.flair, patient.lesions, patient.dvr):
        node.SetAndObserveTransformNodeID(transform.GetID())
    outputs = through(patient, tmp_path)
    assert not measureAgain(outputs.nodes())
    draw(outputs, 1, grown("oblique", (1.5, 1.5, 2.0), 1))
    assert measureAgain(outputs.nodes()).edited == [1]


def test_a_deleted_and_an_emptied_lesion_are_said_and_their_reviews_kept(
    application: Application, tmp_path: Path
) -> None:
    outputs = through(makePatient(), tmp_path)
    review = Review(outputs.table)
    review.setState(0, ACCEPTED)
    review.setComment(1, "doubtful")
    volume = review.number(0, "volume_mm3")
    identifiers = segmentIds(outputs.segmentation)
    outputs.segmentation.GetSegmentation().RemoveSegment(identifiers[1])
    whole = exchange.segmentationOnGrid(outputs.segmentation, outputs.dvr, [identifiers[2]])
    draw(outputs, 2, np.zeros_like(whole))
    review.setOutline(1, ADDED)
    memory = Memory()
    edits = measureAgain(outputs.nodes(), memory)
    assert edits.removed == [1, 2]
    assert "The outline of lesion 1, 2 was removed" in edits.words()
    assert [review.outline(row) for row in (0, 1)] == [REMOVED, REMOVED]
    assert (review.state(0), review.comment(1), review.number(0, "volume_mm3")) == (ACCEPTED, "doubtful", volume)
    assert not measureAgain(outputs.nodes()), "said once"
    draw(outputs, 2, whole)
    assert measureAgain(outputs.nodes(), memory).restored == [2]
    assert review.outline(1) == ADDED
    draw(outputs, 2, np.zeros_like(whole))
    assert measureAgain(outputs.nodes()).removed == [2]
    draw(outputs, 2, whole)
    assert measureAgain(outputs.nodes()).restored == [2]
    assert review.outline(1) == EDITED, "what it was before is not known, as in a scene that was opened again"


def test_what_is_drawn_outside_the_brain_does_not_count(application: Application, tmp_path: Path) -> None:
    outputs = through(makePatient(), tmp_path)
    before = Review(outputs.table).number(1, "volume_mm3")
    mask = exchange.segmentationOnGrid(outputs.segmentation, outputs.dvr, [segmentIds(outputs.segmentation)[2]])
    mask[:, :, :2] = mask[:, :2] = 1
    draw(outputs, 2, mask)
    assert not measureAgain(outputs.nodes())
    assert Review(outputs.table).number(1, "volume_mm3") == before


def test_lesions_that_overlap_keep_their_own_voxels(application: Application, tmp_path: Path) -> None:
    outputs = through(makePatient(), tmp_path)
    first = exchange.segmentationOnGrid(outputs.segmentation, outputs.dvr, [segmentIds(outputs.segmentation)[1]])
    second = exchange.segmentationOnGrid(outputs.segmentation, outputs.dvr, [segmentIds(outputs.segmentation)[2]])
    outputs.segmentation.GetSegmentation().SeparateSegmentLabelmap(segmentIds(outputs.segmentation)[2])
    both = (first + second) > 0
    draw(outputs, 2, both)
    layers = labelsOnGrid(outputs.segmentation, outputs.dvr)
    assert sum(int((layer == 1).sum()) for layer in layers) == first.sum()
    assert sum(int((layer == 2).sum()) for layer in layers) == both.sum()
    assert measureAgain(outputs.nodes()).edited == [2]
    assert Review(outputs.table).number(1, "volume_mm3") == pytest.approx(both.sum() * 1.5 * 1.5 * 2.0, rel=1e-4)


def test_a_segment_drawn_by_hand_becomes_a_lesion_when_drawing_is_over(
    application: Application, tmp_path: Path
) -> None:
    outputs = through(makePatient(), tmp_path)
    content, memory = outputs.segmentation.GetSegmentation(), Memory()
    memory.take(outputs.nodes())
    content.AddEmptySegment("none", "none")
    identifier = content.AddEmptySegment("mine", "mine")
    mask = np.zeros(SHAPE[::-1], np.uint8)
    brain = np.argwhere(slicer.util.arrayFromVolume(outputs.brain))
    k, j, i = brain[len(brain) // 2]
    mask[k : k + 2, j : j + 2, i : i + 2] = 1
    inside = int(mask[slicer.util.arrayFromVolume(outputs.brain) > 0].sum())
    draw(outputs, identifier, mask)
    assert not measureAgain(outputs.nodes(), memory, drawn=False), "the user still draws"
    edits = measureAgain(outputs.nodes(), memory)
    assert (edits.drawn, edits.edited) == ([3], [])
    assert "Lesion 3 was drawn" in edits.words()
    review = Review(outputs.table)
    assert len(review) == 3
    assert (review.outline(2), review.state(2)) == (ADDED, UNREVIEWED)
    assert review.number(2, "volume_mm3") == pytest.approx(inside * np.prod(outputs.dvr.GetSpacing()))
    assert content.GetSegment(identifier).GetName() == "Lesion 3"
    assert sorted(segmentIds(outputs.segmentation)) == [1, 2, 3], "the empty segment is none"
    assert not measureAgain(outputs.nodes(), memory)
    labels = _labels(outputs.nodes())
    assert sorted(np.unique(labels)) == [0, 1, 2, 3]


def test_a_merged_lesion_that_the_editor_brings_back_has_a_row_again(application: Application, tmp_path: Path) -> None:
    outputs = through(makePatient(), tmp_path)
    memory, history = Memory(), slicer.vtkSegmentationHistory()
    memory.take(outputs.nodes())
    history.SetSegmentation(outputs.segmentation.GetSegmentation())
    history.SaveState()
    change = mergeLesions(outputs.nodes(), [1, 2], memory)
    assert len(Review(outputs.table)) == 1
    history.RestorePreviousState()
    assert sorted(np.unique(_labels(outputs.nodes()))) == [0, change.lesion], "not exported without a row"
    edits = measureAgain(outputs.nodes(), memory)
    assert sorted([*edits.drawn, *edits.edited]) == [1, 2]
    assert sorted(Review(outputs.table).lesion(row) for row in range(2)) == [1, 2]
    assert sorted(np.unique(_labels(outputs.nodes()))) == [0, 1, 2]


def test_a_hardened_transform_moves_centres_and_context_along(application: Application, tmp_path: Path) -> None:
    outputs = through(makePatient(), tmp_path)
    nodes, review = outputs.nodes(), Review(outputs.table)

    def contrastWithoutAVoxel() -> float:
        whole = exchange.segmentationOnGrid(outputs.segmentation, outputs.dvr, [segmentIds(outputs.segmentation)[2]])
        part = whole.copy()
        part[tuple(np.argwhere(part)[0])] = 0
        draw(outputs, 2, part)
        assert measureAgain(nodes).edited == [2]
        contrast = review.number(1, "t1w_contrast")
        draw(outputs, 2, whole)
        assert measureAgain(nodes).edited == [2]
        return contrast

    expected = contrastWithoutAVoxel()
    review.setState(0, ACCEPTED)
    before = [review.number(0, name) for name in CENTRE]
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    move = np.eye(4)
    move[:3, :3] = [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]
    move[:3, 3] = 20, -5, 3
    transform.SetMatrixTransformToParent(places.toVtk(move))
    for role, node in nodes.items():
        if node.IsA("vtkMRMLTransformableNode") and role not in ("context", "transform"):
            node.SetAndObserveTransformNodeID(transform.GetID())
            node.HardenTransform()
    assert not measureAgain(nodes), "nothing was edited"
    assert review.state(0) == ACCEPTED
    after = [review.number(0, name) for name in CENTRE]
    assert after == pytest.approx((move @ [*before, 1])[:3].tolist(), abs=1e-3)
    assert contrastWithoutAVoxel() == pytest.approx(expected, abs=1e-3)


def test_resampling_outlines_leaves_nothing_in_the_scene(application: Application, tmp_path: Path) -> None:
    outputs = through(makePatient(), tmp_path)
    before = slicer.mrmlScene.GetNumberOfNodes()
    ids = segmentIds(outputs.segmentation)
    for _time in range(2):
        exchange.segmentationOnGrid(outputs.segmentation, outputs.dvr)
        _exportedLayer(outputs.segmentation, list(ids.values()), {one: n for n, one in ids.items()}, outputs.dvr)
    names = [slicer.mrmlScene.GetNthNode(number).GetName() for number in range(slicer.mrmlScene.GetNumberOfNodes())]
    assert len(names) == before, ", ".join(names[-6:])


def test_hidden_volumes_are_hidden_before_selectors_see_them(application: Application, tmp_path: Path) -> None:
    """Slicer's selectors look at the flag only when a node is added."""
    hidden: dict[str, int] = {}

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def added(_scene: Any, _event: str, node: Any) -> None:
        hidden[node.GetName()] = node.GetHideFromEditors()

    observer = slicer.mrmlScene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, added)
    outputs = through(makePatient(), tmp_path)
    wipe = Wipe(outputs.dvr)
    slicer.mrmlScene.RemoveObserver(observer)
    assert hidden[outputs.context.GetName()] == 1
    assert hidden[wipe.copy.GetName()] == 1
    assert hidden[outputs.dvr.GetName()] == 0
    wipe.close()


def test_undoing_keeps_no_whole_volumes(application: Application, tmp_path: Path) -> None:
    outputs = through(makePatient(), tmp_path)
    mask = exchange.segmentationOnGrid(outputs.segmentation, outputs.dvr, [segmentIds(outputs.segmentation)[1]]) > 0
    small = SmallMask.of(mask)
    assert small.part.size < mask.size / 20
    assert np.array_equal(small.whole(), mask)


def test_a_measured_map_that_is_gone_leaves_its_columns_empty(application: Application, tmp_path: Path) -> None:
    patient = withMeasured(makePatient())
    outputs = through(patient, tmp_path)
    slicer.mrmlScene.RemoveNode(patient.dvr)
    draw(outputs, 2, grown("LPS", (1.5, 1.5, 2.0), 2))
    assert measureAgain(outputs.nodes()).edited == [2]
    review = Review(outputs.table)
    assert np.isnan(review.number(1, "measured_mean_dvr"))
    assert np.isfinite(review.number(0, "measured_mean_dvr"))


def test_a_measured_map_that_was_left_behind_is_said_in_a_sentence(application: Application, tmp_path: Path) -> None:
    """As after a transform was hardened on the map and its T1w alone."""
    patient = makePatient()
    matrix = geometry("LPS", (1.5, 1.5, 2.0), SHAPE)
    patient.dvr = places.addVolume(
        "vtkMRMLScalarVolumeNode",
        "PET",
        1.25 + 0.01 * np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE[::-1]) / np.prod(SHAPE),
        matrix,
    )
    outputs = through(patient, tmp_path)
    matrix[:3, 3] += (0.0, 29.0, 0.0)
    patient.dvr.SetIJKToRASMatrix(places.toVtk(matrix))
    draw(outputs, 2, grown("LPS", (1.5, 1.5, 2.0), 2))
    with pytest.raises(SynthesisError, match="measured DVR"):
        measureAgain(outputs.nodes())


@pytest.mark.parametrize(("name", "spacing"), GEOMETRIES)
def test_outlines_are_read_as_slicer_exports_them(
    application: Application, tmp_path: Path, name: str, spacing: tuple[float, float, float]
) -> None:
    outputs = through(makePatient(name, spacing), tmp_path)
    draw(outputs, 2, grown(name, spacing, 2))
    ids = segmentIds(outputs.segmentation)
    given = (list(ids.values()), {identifier: lesion for lesion, identifier in ids.items()}, outputs.dvr)
    read = _sharedLayer(outputs.segmentation, 0, *given)
    assert np.bincount(read.ravel())[1:].min() > 0
    assert (read == _exportedLayer(outputs.segmentation, *given)).all()


def test_outlines_on_another_grid_or_partly_outside_are_right_too(application: Application, tmp_path: Path) -> None:
    outputs = through(makePatient(), tmp_path)
    content, identifier = outputs.segmentation.GetSegmentation(), segmentIds(outputs.segmentation)[2]
    content.SeparateSegmentLabelmap(identifier)
    image = slicer.vtkOrientedImageData()
    outputs.segmentation.GetBinaryLabelmapRepresentation(identifier, image)
    first = list(image.GetExtent())
    image.SetExtent(-1, -1, first[2], first[3], first[4], first[5])
    image.AllocateScalars(3, 1)
    image.GetPointData().GetScalars().Fill(1)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(image, outputs.segmentation, identifier, logic.MODE_REPLACE)
    assert not sum(int((layer == 2).sum()) for layer in labelsOnGrid(outputs.segmentation, outputs.dvr))
    image.SetExtent(*first)
    image.AllocateScalars(3, 1)
    image.GetPointData().GetScalars().Fill(1)
    image.SetSpacing(*(0.5 * step for step in image.GetSpacing()))
    assert logic.SetBinaryLabelmapToSegment(image, outputs.segmentation, identifier, logic.MODE_REPLACE)
    found = sum(int((layer == 2).sum()) for layer in labelsOnGrid(outputs.segmentation, outputs.dvr))
    assert found == pytest.approx(image.GetNumberOfPoints() / 8, rel=0.35), "half as large in every direction"


def test_only_what_was_edited_is_measured_again(
    application: Application, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a stroke of the brush costs tenths of a second, with any number of lesions."""
    import TrainingCore.evaluation.lesions as measures

    outputs, memory = through(withMeasured(makePatient()), tmp_path), Memory()
    table, seen = measures.lesion_table, []

    def watched(labels: np.ndarray, *rest: Any, **more: Any) -> Any:
        seen.append(labels.size)
        return table(labels, *rest, **more)

    monkeypatch.setattr(measures, "lesion_table", watched)
    memory.take(outputs.nodes())
    assert not measureAgain(outputs.nodes(), memory)
    assert seen == [], "nothing was edited"
    draw(outputs, 2, grown("LPS", (1.5, 1.5, 2.0), 2))
    assert measureAgain(outputs.nodes(), memory).edited == [2]
    whole = outputs.dvr.GetImageData().GetNumberOfPoints()
    assert len(seen) == 2, "the map and the measured map"
    assert max(seen) < whole
    quick = lesionsCsv(Review(outputs.table))
    assert not measureAgain(outputs.nodes()), "with every lesion measured there is nothing else to say"
    assert lesionsCsv(Review(outputs.table)) == quick
    outputs.segmentation.GetSegmentation().RemoveSegment(segmentIds(outputs.segmentation)[1])
    assert measureAgain(outputs.nodes(), memory).removed == [1]
    assert not measureAgain(outputs.nodes(), memory)
