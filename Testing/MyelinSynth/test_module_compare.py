# ruff: noqa: F811 - fixtures that are imported
"""Compare with an earlier visit: run, three linked views, the table of changes, bad choices, and a saved scene."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digital_result import LESIONS
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

import slicer
from MyelinSynthLib.compare.colours import CHANGE_WINDOW, changeColour
from MyelinSynthLib.display import views as display
from MyelinSynthLib.display.layouts import TWO_VISITS
from MyelinSynthLib.display.shown import CHANGE_VIEWS
from MyelinSynthLib.review.segments import segmentIds
from MyelinSynthLib.run import childprocess
from slice_picture import SliceView, canRender
from stand_in_host import Host
from test_module_childprocess import gone
from test_module_panel import host, until, widget  # noqa: F401 - fixtures
from test_module_scene import makePatient, through
from test_module_synthesis import SLEEPS, makeStandIn

from TrainingCore.reporting.change_words import SHOWN_DIFFERENCE

LOSS, GAIN = -0.15, 0.1  # planted between the visits, in lesion 1 and lesion 2
KNOWN = {"classes_mm3": [0], "sd": [0.02], "source": "a test"}


def secondVisit(first: Path, folder: Path) -> Path:
    """The same brain later: lesion 1 has lost myelin and lesion 2 has gained."""
    from TrainingCore.imaging.volumes import read_volume, write_volume

    shutil.copytree(first, folder)
    dvr, labels = (read_volume(folder / name, "a map") for name in ("dvr.nii.gz", "lesion_labels.nii.gz"))
    changed = dvr.data + np.select([labels.data == 1, labels.data == 2], [LOSS, GAIN], 0)
    write_volume(folder / "dvr.nii.gz", changed.astype(np.float32), dvr.affine)
    return folder


def addToRecord(result: Path, **content: Any) -> None:
    path = result / "provenance.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["model"]["repeatability"] = KNOWN
    path.write_text(json.dumps(record | content), encoding="utf-8")


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Result folders of two visits of one person."""
    folder = tmp_path_factory.mktemp("visits")
    started = Application()
    try:
        through(makePatient(), folder / "files")
    finally:
        started.close()
    first, second = folder / "sub-01_ses-1", folder / "sub-01_ses-2"
    shutil.copytree(folder / "files" / "result", first)
    addToRecord(first, inputs={"t1w": {"sha256": "1" * 64}})
    secondVisit(first, second)
    addToRecord(second, inputs={"t1w": {"sha256": "2" * 64}})
    return first, second


@pytest.fixture(scope="module")
def written(visits: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `change` writes for them."""
    from TrainingCore.api import change

    folder = tmp_path_factory.mktemp("written") / "change"
    change(visits[0], visits[1], folder, progress="none")
    return folder


@pytest.fixture
def quick(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that has compared the two visits already."""
    code = f"""import shutil, sys
print('{{"step": "register", "fraction": 0.1, "message": "Registering the visits"}}', flush=True)
shutil.copytree({str(written)!r}, sys.argv[sys.argv.index("--out") + 1])
"""
    monkeypatch.setattr(childprocess, "pythonExecutable", lambda: makeStandIn(tmp_path, code))


@pytest.fixture
def opened(host: Host, application: Application, widget: Any, visits: tuple[Path, Path]) -> Any:
    """The panel with the second visit's Result open, and views."""
    host.openViews(application)
    patient = makePatient()
    for role, node in (("t1w", patient.t1w), ("flair", patient.flair), ("lesions", patient.lesions)):
        getattr(widget.ui, f"{role}Selector").setCurrentNode(node)
    widget.opener.open(visits[1])
    assert not host.messages, host.messages
    return widget


def settle(host: Host, widget: Any) -> None:
    """Wait until the views of a layout have their size and the panel has framed them."""
    until(host, lambda: not widget.displayPanel._settling and not widget.displayPanel._timer.isActive())


def compare(host: Host, widget: Any, earlier: Path) -> None:
    host.answers = [str(earlier)]
    widget.ui.earlierFolderButton.click()
    widget.ui.compareButton.click()
    until(host, lambda: widget.comparePanel.job is None)
    settle(host, widget)


def test_two_visits_are_compared_and_shown(host: Host, opened: Any, visits: tuple[Path, Path]) -> None:
    widget, ui = opened, opened.ui
    compare(host, widget, visits[0])
    assert not host.messages, host.messages
    assert ui.compareBox.checked
    layout = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    assert layout.GetViewArrangement() == TWO_VISITS
    nodes = widget.displayPanel.nodes
    composites = {node.GetLayoutName(): node for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}
    for view, role in CHANGE_VIEWS.items():
        shown = (composites[view].GetForegroundVolumeID(), composites[view].GetBackgroundVolumeID())
        assert nodes[role].GetID() in shown
    review = widget.reviewPanel.review
    order = widget.reviewPanel._rows.order
    assert [review.text(row, "change") for row in order] == ["demyelinating", "remyelinating"]
    assert [review.number(row, "difference") for row in order] == pytest.approx([LOSS, GAIN], abs=0.05), (
        "the union of the outlines"
    )
    assert "2 of 2 lesions changed beyond repeatability" in ui.changeLabel.text
    assert "Before: sub-01_ses-1. After: T1w." in ui.changeLabel.text
    assert "Research use only, not for diagnosis" in ui.changeLabel.text


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where people can look at the pictures: $MYELINSYNTH_PICTURES, or the test's own folder."""
    folder = Path(os.environ.get("MYELINSYNTH_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def photograph(application: Application, widget: Any, pictures: Path, name: str) -> dict[str, SliceView]:
    """Draw the three views as the panel has framed them, and side by side as a PNG."""
    nodes = {node.GetLayoutName(): node for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")}
    views = {view: SliceView(application, "Axial", (0, 0, 0), node=nodes[view]) for view in CHANGE_VIEWS}
    shots = [views[view].picture() for view in CHANGE_VIEWS]
    write(np.concatenate(shots, axis=1), pictures / f"{name}.png")
    return views


def write(pixels: np.ndarray, path: Path) -> None:
    import SimpleITK as sitk

    sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(pixels), isVector=True), str(path))


@pytest.mark.skipif(not canRender(), reason="no Mesa off-screen rendering here (Debian: libosmesa6)")
def test_the_three_views_show_the_same_lesion_in_their_own_colours(
    host: Host, application: Application, quick: None, opened: Any, visits: tuple[Path, Path], pictures: Path
) -> None:
    compare(host, opened, visits[0])
    views = photograph(application, opened, pictures, "two_visits_loss")
    point = opened.reviewPanel.position()
    before, after, change = (view.colourAt(point) for view in views.values())
    dvr = LESIONS[0][2]
    np.testing.assert_allclose(before, display.dvrColour(dvr), atol=0.06)
    np.testing.assert_allclose(after, display.dvrColour(dvr + LOSS), atol=0.06)
    np.testing.assert_allclose(change, changeColour(LOSS), atol=0.12)
    opened.reviewPanel.step(1)
    views_of_gain = photograph(application, opened, pictures, "two_visits_gain")
    np.testing.assert_allclose(
        views_of_gain["Change"].colourAt(opened.reviewPanel.position()), changeColour(GAIN), atol=0.3
    )
    for view in (*views.values(), *views_of_gain.values()):
        view.close()


def test_each_colour_has_one_small_legend(
    host: Host, application: Application, quick: None, opened: Any, visits: tuple[Path, Path]
) -> None:
    compare(host, opened, visits[0])
    legends = [
        (node.GetTitleText(), [node.GetNthViewNodeID(index) for index in range(node.GetNumberOfViewNodeIDs())])
        for node in slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
        if node.GetVisibility() and node.GetDisplayableNode() in opened.displayPanel.nodes.values()
    ]
    assert ("change in DVR", ["vtkMRMLSliceNodeChange"]) in legends
    assert ("DVR", ["vtkMRMLSliceNodeChangeBefore"]) in legends


def test_an_existing_comparison_is_opened_without_a_result(
    host: Host, application: Application, widget: Any, written: Path
) -> None:
    host.openViews(application)
    host.answers = [str(written)]
    widget.ui.openChangeButton.click()
    settle(host, widget)
    assert not host.messages, host.messages
    assert len(widget.reviewPanel.review) == 2
    assert "Before: sub-01_ses-1. After: sub-01_ses-2." in widget.ui.changeLabel.text
    widget.reviewPanel.step(1)
    lesion = LESIONS[widget.reviewPanel.review.lesion(widget.reviewPanel.currentRow()) - 1]
    np.testing.assert_allclose(widget.reviewPanel.position(), lesion[0], atol=1.5)


def test_the_window_of_the_change_is_that_of_the_report() -> None:
    assert (-SHOWN_DIFFERENCE, SHOWN_DIFFERENCE) == CHANGE_WINDOW
    assert changeColour(0.0) == pytest.approx((0, 0, 0), abs=0.02)
    loss, gain = (np.array(changeColour(end)) for end in CHANGE_WINDOW)
    assert loss[0] > loss[2]
    assert gain[2] > gain[0]


def test_a_saved_scene_shows_the_two_visits_again(
    host: Host, application: Application, quick: None, opened: Any, visits: tuple[Path, Path], tmp_path: Path
) -> None:
    compare(host, opened, visits[0])
    words = opened.ui.changeLabel.text
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(0)
    settle(host, opened)
    assert not opened.ui.compareBox.checked
    assert opened.ui.changeLabel.text == ""
    slicer.mrmlScene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    settle(host, opened)
    assert opened.ui.compareBox.checked
    assert opened.ui.changeLabel.text == words
    assert slicer.app.layoutManager().layoutLogic().GetLayoutNode().GetViewArrangement() == TWO_VISITS
    review = opened.reviewPanel.review
    assert [review.text(row, "change") for row in opened.reviewPanel._rows.order] == ["demyelinating", "remyelinating"]
    shown = opened.displayPanel.nodes["change_map"].GetScalarVolumeDisplayNode()
    assert shown.GetWindowLevelMin() == pytest.approx(-SHOWN_DIFFERENCE)
    assert opened.displayPanel.shown.isApplied()


def test_bad_choices_get_a_sentence(host: Host, opened: Any, visits: tuple[Path, Path], tmp_path: Path) -> None:
    stranger, otherModel, incomplete = (tmp_path / name for name in ("sub-02_ses-1", "sub-01_ses-3", "sub-01_ses-4"))
    for folder in (stranger, otherModel, incomplete):
        shutil.copytree(visits[0], folder)
    record = json.loads((otherModel / "provenance.json").read_text(encoding="utf-8"))
    record["model"] |= {"name": "another", "weights_sha256": "1" * 64}
    (otherModel / "provenance.json").write_text(json.dumps(record), encoding="utf-8")
    (incomplete / "dvr.nii.gz").unlink()
    opened.displayPanel.nodes["dvr"].GetNodeReference("MyelinSynth.T1w").SetName("sub-01_ses-2_T1w")
    for earlier, words in (
        (visits[1], "Both maps were made from the same T1w"),
        (stranger, "different people (sub-02, sub-01)"),
        (otherModel, "Different models made the two maps"),
        (incomplete, "has no dvr.nii.gz"),
        (tmp_path, "is not a complete result"),
    ):
        host.answers = [str(earlier)]
        opened.ui.earlierFolderButton.click()
        if not host.messages:
            opened.ui.compareButton.click()
        assert opened.comparePanel.job is None
        assert len(host.messages) == 1, host.messages
        assert words in host.messages.pop()
        assert not opened.ui.compareBox.checked


def test_deleted_outlines_are_not_compared_as_lesions_that_went(
    host: Host, opened: Any, visits: tuple[Path, Path]
) -> None:
    slicer.mrmlScene.RemoveNode(opened.displayPanel.nodes["lesions"])
    host.answers = [str(visits[0])]
    opened.ui.earlierFolderButton.click()
    opened.ui.compareButton.click()
    assert opened.comparePanel.job is None
    assert "Deleted from the scene: lesion outlines" in host.messages.pop()


def test_lesions_of_two_sources_are_said(host: Host, opened: Any, visits: tuple[Path, Path], tmp_path: Path) -> None:
    earlier = tmp_path / "sub-01_ses-1"
    shutil.copytree(visits[0], earlier)
    finder = {"t1w": {"sha256": "1" * 64}, "lesions_found_by": {"name": "the finder", "weights_sha256": "ab" * 32}}
    addToRecord(earlier, lesion_source="found", inputs=finder)
    compare(host, opened, earlier)
    assert not host.messages, host.messages
    words = opened.ui.changeLabel.text
    assert "Warning: The lesions of sub-01_ses-1 come from an automatic segmentation (the finder" in words
    assert "2 of 2 lesions changed beyond repeatability" in words


def test_visits_without_a_lesion_mask_are_compared_by_their_maps(
    host: Host, opened: Any, visits: tuple[Path, Path], tmp_path: Path
) -> None:
    earlier = tmp_path / "sub-01_ses-1"
    shutil.copytree(visits[0], earlier)
    (earlier / "lesion_labels.nii.gz").unlink()
    header = (earlier / "lesions.csv").read_text(encoding="utf-8").splitlines()[0]
    (earlier / "lesions.csv").write_text(header + "\n", encoding="utf-8")
    addToRecord(earlier, lesion_source="none")
    compare(host, opened, earlier)
    assert not host.messages, host.messages
    assert opened.ui.compareBox.checked
    assert "sub-01_ses-1 has no lesion mask" in opened.ui.changeLabel.text
    assert "Lesions were not compared." in opened.ui.changeLabel.text


def test_a_comparison_is_cancelled_with_everything_it_started(
    host: Host, opened: Any, visits: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(childprocess, "pythonExecutable", lambda: makeStandIn(tmp_path, SLEEPS))
    panel, ui = opened.comparePanel, opened.ui
    panel.choose(visits[0])
    ui.compareButton.click()
    until(host, lambda: ui.compareLabel.text.isdigit())
    child = int(ui.compareLabel.text)
    assert ui.compareButton.text == "Cancel"
    ui.compareButton.click()
    until(host, lambda: panel.job is None)
    assert ui.compareLabel.text == "Cancelled"
    assert ui.compareButton.text == "Compare with this visit"
    until(host, lambda: gone(child))
    assert not list(Path(slicer.app.temporaryPath).iterdir())
    assert not ui.compareBox.checked


def test_another_layout_shows_the_open_result_and_its_review(
    host: Host, opened: Any, quick: None, visits: tuple[Path, Path]
) -> None:
    compare(host, opened, visits[0])
    nodes = opened.displayPanel.nodes
    assert nodes["change_lesions"].GetDisplayNode().GetVisibility()
    assert not nodes["lesions"].GetDisplayNode().GetVisibility()
    assert not opened.ui.editButton.enabled, "the outlines of two visits are not edited"
    opened.ui.sideBySideButton.click()
    settle(host, opened)
    assert not opened.ui.compareBox.checked
    assert opened.reviewPanel.nodes["table"] is nodes["table"]
    assert opened.ui.editButton.enabled
    assert nodes["lesions"].GetDisplayNode().GetVisibility()
    assert not nodes["change_lesions"].GetDisplayNode().GetVisibility()
    opened.ui.compareBox.click()
    settle(host, opened)
    assert opened.reviewPanel.nodes["table"] is nodes["change_table"]


def test_another_comparison_takes_the_place_of_the_first(
    host: Host, opened: Any, quick: None, visits: tuple[Path, Path]
) -> None:
    compare(host, opened, visits[0])
    first = opened.displayPanel.nodes["change_map"].GetID()
    count = slicer.mrmlScene.GetNumberOfNodes()
    compare(host, opened, visits[0])
    assert slicer.mrmlScene.GetNodeByID(first) is None
    assert slicer.mrmlScene.GetNumberOfNodes() == count
    assert opened.displayPanel.shown.isApplied()


def test_the_views_say_which_visit_they_show(host: Host, opened: Any, quick: None, visits: tuple[Path, Path]) -> None:
    compare(host, opened, visits[0])
    annotation = opened.reviewPanel._annotation
    assert annotation.text("ChangeBefore").startswith("Before: sub-01_ses-1\nsynthetic DVR")
    assert annotation.text("ChangeAfter").startswith("After: sub-01_ses-2\nsynthetic DVR")
    assert "research use only" in annotation.text("Change")
    line = re.compile(r"^Lesion 1: demyelinating, DVR \d\.\d\d to \d\.\d\d$", re.MULTILINE)
    assert line.search(annotation.text("Change")), "both numbers, uncut"
    opened.ui.sideBySideButton.click()
    settle(host, opened)
    assert "Before" not in annotation.text("Myelin")


def test_the_chosen_lesion_stands_out_among_those_of_two_visits(
    host: Host, opened: Any, quick: None, visits: tuple[Path, Path]
) -> None:
    compare(host, opened, visits[0])
    segmentation = opened.displayPanel.nodes["change_lesions"]
    for lesion in (1, 2):
        opened.reviewPanel.choose(opened.reviewPanel.review.rowOf(lesion))
        opacity = {
            number: segmentation.GetDisplayNode().GetSegmentOpacity2DOutline(identifier)
            for number, identifier in segmentIds(segmentation).items()
        }
        assert opacity.pop(lesion) == 1.0
        assert max(opacity.values()) < 0.7


def test_packages_are_installed_first_where_they_are_missing(
    host: Host, opened: Any, quick: None, visits: tuple[Path, Path]
) -> None:
    host.missing = ["nibabel>=5.2"]
    panel = opened.comparePanel
    panel.choose(visits[0])
    host.answers = [False]
    opened.ui.compareButton.click()
    assert "Without these packages" in host.messages.pop()
    assert panel.job is None
