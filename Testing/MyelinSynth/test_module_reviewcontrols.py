# ruff: noqa: F811 - fixtures that are imported
"""Buttons and boxes of the review: they offer what can be done, and say what the views show."""

from __future__ import annotations

from typing import Any

import pytest
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")

import slicer
from MyelinSynthLib.review.table import ACCEPTED, UNREVIEWED
from MyelinSynthLib.selftest import nodes as selftestnodes
from stand_in_host import Host
from test_module_panel import host, until, widget  # noqa: F401 - fixtures


@pytest.fixture
def reviewing(host: Host, application: Application, widget: Any) -> Any:
    """The panel with a Result of two lesions, whose review has begun."""
    host.openViews(application)
    selftestnodes.makeNodes()
    widget.enter()
    widget.ui.nextButton.click()
    return widget


def settle(host: Host, widget: Any) -> None:
    until(host, lambda: not widget.displayPanel._timer.active)


def test_zoom_is_ticked_only_while_a_lesion_is_chosen(host: Host, reviewing: Any) -> None:
    box, panel = reviewing.ui.closelyBox, reviewing.reviewPanel
    assert box.checked
    assert box.enabled
    reviewing.ui.unreviewedBox.setChecked(True)
    panel.decide(ACCEPTED)
    assert panel.currentRow() is not None
    assert box.checked, "the next lesion is chosen at once"
    panel.decide(ACCEPTED)
    assert panel.currentRow() is None, "no unreviewed lesion is left"
    assert (box.checked, box.enabled) == (False, False)
    reviewing.ui.unreviewedBox.setChecked(False)
    panel._actions()["Z"]()
    assert panel.currentRow() == 0, "the key chooses a lesion if none is"
    assert (box.checked, box.enabled) == (True, True)
    reviewing.showNodes(selftestnodes.makeNodes("another"))
    assert (box.checked, box.enabled) == (False, False), "no lesion of the other Result is chosen yet"
    panel.choose(0)
    box.setChecked(True)
    slicer.mrmlScene.Clear(0)
    settle(host, reviewing)
    assert (box.checked, box.enabled) == (False, False)


def test_without_lesions_there_is_nothing_to_review(
    host: Host, application: Application, widget: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.openViews(application)
    monkeypatch.setattr(selftestnodes, "BOXES", ())
    monkeypatch.setattr(selftestnodes, "LESION_DVRS", ())
    selftestnodes.makeNodes()
    widget.enter()
    assert widget.reviewPanel.review is not None
    assert not widget.ui.nextButton.enabled
    widget.beginReview()  # as the worklist does for every patient
    assert (widget.ui.closelyBox.checked, widget.ui.closelyBox.enabled) == (False, False)


def test_a_comment_can_be_undone(reviewing: Any) -> None:
    panel, ui = reviewing.reviewPanel, reviewing.ui
    panel.decide(ACCEPTED)
    panel.choose(0)
    for words in ("near the ventricle", "nearer"):
        ui.commentEdit.text = words
        panel.onComment()
    assert ui.undoButton.enabled
    panel.choose(1)
    ui.undoButton.click()
    assert (panel.review.comment(0), ui.commentEdit.text, panel.currentRow()) == ("near the ventricle",) * 2 + (0,)
    ui.undoButton.click()
    assert (panel.review.comment(0), ui.commentEdit.text) == ("", "")
    assert panel.review.state(0) == ACCEPTED, "the decision came before"
    ui.undoButton.click()
    assert panel.review.state(0) == UNREVIEWED
