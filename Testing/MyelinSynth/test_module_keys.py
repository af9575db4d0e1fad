# ruff: noqa: F811 - fixtures that are imported
"""Keys of the review, as an adversary presses them: in sliders, open lists, logs, and while a synthesis ends."""

from __future__ import annotations

from typing import Any

import pytest
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")

from MyelinSynthLib.review.table import ACCEPTED, UNREVIEWED
from PySide6 import QtCore, QtTest, QtWidgets
from stand_in_host import Host
from test_module_panel import child, host, widget  # noqa: F401 - fixtures
from test_module_reviewpanel import click, press, reviewed, states  # noqa: F401 - fixtures


@pytest.fixture
def window(host: Host, application: Application, reviewed: Any) -> Any:
    """A main window with a slider in it, as above a slice view; the first lesion is chosen."""
    host.openViews(application)
    reviewed.enter()
    click(reviewed, 0)
    return host.mainWindow._real


def pressIn(target: Any, key: Any) -> None:
    target.window().activateWindow()
    target.setFocus()
    QtWidgets.QApplication.processEvents()
    QtTest.QTest.keyClick(target, key)


def test_decisions_work_after_the_slice_slider_was_moved_and_arrows_stay_its_own(window: Any, reviewed: Any) -> None:
    slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal, window.centralWidget())
    slider.show()
    click(reviewed, 1)
    pressIn(slider, QtCore.Qt.Key.Key_Up)
    assert slider.value() == 1
    assert reviewed.reviewPanel.currentRow() == 1
    pressIn(slider, QtCore.Qt.Key.Key_A)
    assert states(reviewed) == [UNREVIEWED, ACCEPTED]
    assert reviewed.reviewPanel.currentRow() == 0
    window.centralWidget().setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
    pressIn(window.centralWidget(), QtCore.Qt.Key.Key_Down)
    assert reviewed.reviewPanel.currentRow() == 1, "outside of the slider arrows choose lesions again"


@pytest.mark.usefixtures("window")
def test_an_open_list_of_choices_keeps_its_keys(host: Host, reviewed: Any) -> None:
    box = reviewed.ui.underBox._real
    box.setFocus()
    box.showPopup()
    host.process()
    QtTest.QTest.keyClick(box.view(), QtCore.Qt.Key.Key_Down)
    QtTest.QTest.keyClick(box.view(), QtCore.Qt.Key.Key_F)
    QtTest.QTest.keyClick(box.view(), QtCore.Qt.Key.Key_Return)
    assert box.currentText() == "FLAIR"
    assert states(reviewed) == [UNREVIEWED, UNREVIEWED]
    assert reviewed.reviewPanel.currentRow() == 0


@pytest.mark.usefixtures("window")
def test_a_log_that_was_clicked_is_no_text_that_somebody_types(reviewed: Any) -> None:
    log = reviewed.ui.log._real
    assert log.isReadOnly()
    pressIn(log, QtCore.Qt.Key.Key_A)
    assert states(reviewed) == [ACCEPTED, UNREVIEWED]


@pytest.mark.usefixtures("window")
def test_keys_that_come_on_while_somebody_types_wait(host: Host, reviewed: Any) -> None:
    """A synthesis ends in the background, and its review opens."""
    nodes = reviewed.reviewPanel.nodes
    reviewed.showNodes({})
    edit = reviewed.ui.exportNameEdit
    edit._real.setFocus()
    reviewed.showNodes(nodes)
    edit.text = ""
    for key in "FAR":
        press(reviewed, "exportNameEdit", key)
    assert edit.text.lower() == "far"
    assert states(reviewed) == [UNREVIEWED, UNREVIEWED]
    click(reviewed, 0)
    edit._real.setFocus()
    press(reviewed, "exportNameEdit", "Down")
    assert reviewed.reviewPanel.currentRow() == 0, "a line that is edited has no use for arrows, but they are no wish"


@pytest.mark.usefixtures("window")
def test_a_key_that_is_held_decides_once(reviewed: Any) -> None:
    panel = reviewed.reviewPanel
    repeats = dict(zip(panel._actions(), (one._real.autoRepeat() for one in panel._keys._shortcuts)))
    assert {key for key, repeat in repeats.items() if repeat} == {"Up", "Down"}


def test_typing_when_the_first_review_opens_is_noticed(host: Host, application: Application, reviewed: Any) -> None:
    """No shortcut was ever made before, so nobody heard the focus go there."""
    nodes = reviewed.reviewPanel.nodes
    reviewed.showNodes({})
    reviewed.reviewPanel._keys.close()
    host.openViews(application)
    reviewed.ui.exportNameEdit._real.setFocus()
    reviewed.showNodes(nodes)
    reviewed.reviewPanel.begin()
    press(reviewed, "exportNameEdit", "Down")
    assert reviewed.reviewPanel.currentRow() == 0
