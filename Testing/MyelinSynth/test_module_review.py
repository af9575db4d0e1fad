"""The lesion table: states, comments, order, progress, on a real table node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")

import slicer
from MyelinSynthLib.review.table import ACCEPTED, EDITED, FLAGGED, REJECTED, UNREVIEWED, Review, fillTable

ROWS = [
    {"id": 1.0, "volume_mm3": 400.0, "mean_dvr": 0.9},
    {"id": 2.0, "volume_mm3": 90.0, "mean_dvr": None},
    {"id": 3.0, "volume_mm3": 250.0, "mean_dvr": 1.1},
    {"id": 4.0, "volume_mm3": 30.0, "mean_dvr": 0.7},
]


@pytest.fixture
def review(application: Application) -> Review:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "lesions")
    fillTable(node, ROWS, ("id", "volume_mm3", "mean_dvr"))
    return Review(node)


def test_a_new_table_is_unreviewed_and_complete(review: Review) -> None:
    assert review.columns == ["id", "volume_mm3", "mean_dvr", "state", "comment", "outline"]
    assert review.progress() == (0, 4)
    assert review.number(3, "mean_dvr") == 0.7
    assert np.isnan(review.number(1, "mean_dvr"))
    assert review.comment(0) == ""


def test_decisions_and_comments_are_counted_and_kept(review: Review) -> None:
    review.setState(0, ACCEPTED)
    review.setState(2, FLAGGED)
    review.setComment(2, "near the\tventricle,\nperhaps CSF")
    assert review.progress() == (2, 4)
    assert review.progressText() == "2 of 4 lesions reviewed"
    assert Review(review.tableNode).comment(2) == "near the ventricle, perhaps CSF"
    review.setState(2, UNREVIEWED)
    assert review.progress() == (1, 4)


def test_unknown_states_rows_and_columns_are_refused(review: Review) -> None:
    with pytest.raises(ValueError, match="fine"):
        review.setState(0, "fine")
    with pytest.raises(IndexError):
        review.setState(99, ACCEPTED)
    with pytest.raises(KeyError):
        review.text(0, "colour")


def test_order_sorts_numbers_as_numbers_and_puts_unknown_last(review: Review) -> None:
    assert review.order() == [0, 1, 2, 3]
    assert review.order("volume_mm3") == [3, 1, 2, 0]
    assert review.order("mean_dvr") == [3, 0, 2, 1]
    assert review.order("mean_dvr", descending=True) == [2, 0, 3, 1]
    review.setState(3, REJECTED)
    assert review.order("mean_dvr", states=[UNREVIEWED]) == [0, 2, 1]


def test_going_on_visits_every_unreviewed_lesion_once(review: Review) -> None:
    order, row, seen = review.order("mean_dvr"), 0, []
    while row is not None:
        seen.append(row)
        review.setState(row, ACCEPTED)
        row = review.next(row, order)
    assert seen == [0, 2, 1, 3]
    assert review.progress() == (4, 4)


def test_going_on_stays_within_what_is_shown(review: Review) -> None:
    assert review.next(0, [0]) is None
    assert review.next(3, [0, 1]) == 0


def test_texts_and_numbers_live_in_one_table(application: Application) -> None:
    rows = [
        {"id": 1.0, "region": "Periventricular", "mean_dvr": 0.9, "uncertainty": None},
        {"id": 2.0, "region": None, "mean_dvr": 1.0, "uncertainty": None},
        {"id": 3.0, "region": "deep white matter", "mean_dvr": 0.8, "uncertainty": None},
    ]
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "lesions")
    fillTable(node, rows, ("id", "region", "mean_dvr", "uncertainty"))
    review = Review(node)
    assert [review.text(row, "region") for row in range(3)] == ["Periventricular", "", "deep white matter"]
    assert review.order("region") == [2, 0, 1], "as in a dictionary, what is empty last"
    assert review.order("region", descending=True) == [0, 2, 1]
    assert np.isnan(review.number(0, "region"))
    assert np.isnan(review.number(0, "uncertainty"))
    assert np.isnan(review.number(0, "measured_mean_dvr")), "a column that is not there"
    review.setNumber(2, "mean_dvr", None)
    assert np.isnan(review.number(2, "mean_dvr"))
    with pytest.raises(ValueError, match="holds texts"):
        review.setNumber(0, "region", 3.0)


def test_states_sort_in_the_order_of_the_work(review: Review) -> None:
    for row, state in enumerate((REJECTED, UNREVIEWED, FLAGGED, ACCEPTED)):
        review.setState(row, state)
    assert review.order("state") == [1, 3, 2, 0]
    assert review.counts() == {UNREVIEWED: 1, ACCEPTED: 1, FLAGGED: 1, REJECTED: 1}


def test_an_edited_outline_is_remembered(review: Review) -> None:
    review.setOutline(1, EDITED)
    assert [review.outline(row) for row in range(4)] == ["", EDITED, "", ""]
    with pytest.raises(ValueError, match="blurred"):
        review.setOutline(1, "blurred")
    assert review.rowOf(3) == 2
    assert review.rowOf(99) is None


NASTY = [
    'He said "CSF", twice',
    '"',
    "comma, semicolon; tab\tend",
    "\u00b5 \u4e2d \U0001f9e0",
    "=1+1",
    "back\\slash",
    " ",
]


@pytest.mark.parametrize("comment", NASTY)
def test_any_comment_survives_saving(application: Application, review: Review, tmp_path: Path, comment: str) -> None:
    review.setComment(1, comment)
    kept = review.comment(1)
    review.setState(2, FLAGGED)
    bundle = str(tmp_path / "scene.mrb")
    assert slicer.mrmlScene.WriteToMRB(bundle)
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.ReadFromMRB(bundle)
    again = Review(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode"))
    assert [again.comment(row) for row in range(4)] == ["", kept, "", ""]
    assert [again.state(row) for row in range(4)] == [UNREVIEWED, UNREVIEWED, FLAGGED, UNREVIEWED]
    assert again.number(3, "volume_mm3") == 30.0


def test_a_table_without_lesions_is_a_table(application: Application) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "none")
    fillTable(node, [], ("id", "mean_dvr"))
    assert Review(node).progress() == (0, 0)
    assert Review(node).order() == []
