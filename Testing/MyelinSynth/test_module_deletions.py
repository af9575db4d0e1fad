# ruff: noqa: F811 - fixtures that are imported
"""Nodes that are deleted, in the Data module or while the panel shows them: nothing fails, and what is lost is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")

import slicer
from MyelinSynthLib.scene import provenance
from MyelinSynthLib.selftest import nodes as selftestdata
from stand_in_host import Host
from test_module_panel import host, widget  # noqa: F401 - fixtures

ROLES = ("dvr", "brain", "nawm", "lesions", "table", "flair", "report", "provenance", "t1w", "measured")
# What of an export still works: table, report, Result
EXPORTED = {
    **dict.fromkeys(("lesions", "flair", "t1w", "measured"), (True, True, True)),
    **dict.fromkeys(("nawm", "provenance"), (True, True, False)),
    **dict.fromkeys(("brain", "report"), (True, False, False)),
    "table": (False, False, False),
}


def everything(widget: Any) -> Iterator[Callable[[], Any]]:
    """Every button and slider of display and review."""
    ui = widget.ui
    yield lambda: ui.reviewTable.setCurrentCell(0, 0)
    for name in ("acceptButton", "undoButton", "editButton"):
        yield getattr(ui, name).click
    yield widget.reviewPanel.onEdited
    yield lambda: setattr(ui.opacitySlider, "value", 0.3)
    yield lambda: ui.underBox.setCurrentIndex(1)
    yield lambda: ui.wipeBox.setChecked(True)
    yield lambda: setattr(ui.wipeSlider, "value", 0.9)
    for name in ("wipeBox", "outlinesBox", "colourByDvrBox"):
        yield lambda name=name: getattr(ui, name).setChecked(not getattr(ui, name).checked)
    for name in ("sideBySideButton", "fourUpButton", "lesions3dButton", "plotsButton", "previousLayoutButton"):
        yield getattr(ui, name).click


def test_a_node_of_the_chosen_synthesis_that_is_deleted_elsewhere_leads_to_no_other(
    host: Host, application: Application, widget: Any
) -> None:
    older = selftestdata.makeNodes("older")
    selftestdata.makeNodes("newer")
    widget.logic.getParameterNode().t1w = None
    widget.logic.getParameterNode().run = "older"
    widget.enter()
    assert widget.displayPanel.nodes["dvr"] is older["dvr"]
    widget.exit()
    slicer.mrmlScene.RemoveNode(older["report"])
    assert widget.displayPanel.nodes["dvr"] is older["dvr"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("elsewhere", [True, False], ids=["in another module", "while it is shown"])
def test_a_deleted_node_is_missed_by_nothing_else(
    host: Host, application: Application, widget: Any, tmp_path: Path, role: str, elsewhere: bool
) -> None:
    host.openViews(application)
    nodes = selftestdata.makeNodes()
    widget.enter()
    assert widget.reviewPanel.review is not None
    map_ = nodes["dvr"]
    others = {"t1w": provenance.T1W_REFERENCE, "measured": provenance.MEASURED_REFERENCE}
    victim = map_.GetNodeReference(others[role]) if role in others else nodes[role]
    if elsewhere:
        widget.exit()
    slicer.mrmlScene.RemoveNode(victim)
    assert victim not in widget.reviewPanel.nodes.values()
    if elsewhere:
        widget.enter()
    for action in everything(widget):
        action()
        assert not host.errors, host.errors
    assert not host.messages, host.messages
    ui = widget.ui
    if role in ("table", "lesions"):
        assert "deleted from the scene" in ui.resultLabel.text, "and not that no mask was given"
        assert not ui.nextButton.enabled
    ui.exportFolderEdit.text = str(tmp_path)
    assert ui.exportButton.enabled == (role != "dvr")
    for box, works in zip((ui.exportTableBox, ui.exportReportBox, ui.exportResultBox), EXPORTED.get(role, ())):
        for other in (ui.exportTableBox, ui.exportReportBox, ui.exportResultBox):
            other.setChecked(other is box)
        host.messages.clear()
        ui.exportButton.click()
        assert len(host.messages) == (not works), host.messages
        assert works or "deleted" in host.messages[0].lower()
