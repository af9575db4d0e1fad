# ruff: noqa: F811 - fixtures that are imported
"""A head of 1 mm with 150 lesions: how long a person waits. Slow, and run by hand."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")

import slicer
from MyelinSynthLib.scene import provenance
from slice_picture import SliceView, canRender
from stand_in_host import Host
from test_module_panel import host, widget  # noqa: F401 - fixtures

SHAPE, LESIONS = (180, 210, 170), 150  # (K, J, I), 1 mm


def bigPatient(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Nodes of a synthesis by role, from the self-test's maker with other sizes."""
    from MyelinSynthLib.selftest import nodes as maker

    grid = [(k, j, i) for k in range(20, 160, 15) for j in range(30, 180, 25) for i in range(25, 145, 35)]
    boxes = tuple((corner, (5, 6, 7)) for corner in grid[:LESIONS])
    assert len(boxes) == LESIONS
    monkeypatch.setattr(maker, "SHAPE", SHAPE)
    monkeypatch.setattr(maker, "BOXES", boxes)
    monkeypatch.setattr(maker, "LESION_DVRS", tuple(np.linspace(0.7, 1.1, LESIONS).tolist()))
    monkeypatch.setattr(maker, "VOXEL_MM", 1.0)
    return maker.makeNodes()


@pytest.mark.slow
def test_choosing_and_reopening_are_quick(
    host: Host, application: Application, widget: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = bigPatient(monkeypatch)
    host.openViews(application)
    widget.showNodes(nodes)
    started = time.perf_counter()
    widget.displayPanel.showResult()
    figures = {"surfaces_s": time.perf_counter() - started}
    views = (
        [
            SliceView(application, name, (0, 0, 0), (730, 480), 200.0, node)
            for name, node in (("Axial", "Red"), ("Coronal", "Green"), ("Sagittal", "Yellow"))
        ]
        if canRender()
        else []
    )
    for view in views:
        view.picture()
    chosen, drawn, decided = [], [], []
    for row in range(20, 40):
        started = time.perf_counter()
        widget.reviewPanel.choose(row)
        chosen.append(time.perf_counter() - started)
        for view in views:
            view.picture()
        drawn.append(time.perf_counter() - started)
    for row in range(5):
        widget.reviewPanel.choose(row)
        started = time.perf_counter()
        widget.reviewPanel.decide("accepted")
        decided.append(time.perf_counter() - started)
    figures |= {
        "choose_ms": 1000 * float(np.median(chosen)),
        "choose_and_draw_three_views_ms": 1000 * float(np.median(drawn)),
        "decide_ms": 1000 * float(np.median(decided)),
    }
    for view in views:
        view.close()
    bundle = str(tmp_path / "review.mrb")
    started = time.perf_counter()
    assert slicer.mrmlScene.WriteToMRB(bundle)
    figures["save_s"] = time.perf_counter() - started
    slicer.mrmlScene.Clear(0)
    started = time.perf_counter()
    assert slicer.mrmlScene.ReadFromMRB(bundle)
    figures["reopen_s"] = time.perf_counter() - started
    started = time.perf_counter()
    widget.reviewPanel.onEdited()  # whether anybody edited an outline meanwhile
    figures["compare_outlines_s"] = time.perf_counter() - started
    assert len(provenance.runs(slicer.mrmlScene)) == 1
    assert widget.ui.reviewTable.rowCount == LESIONS
    resource = pytest.importorskip("resource", reason="memory is measured on POSIX")
    figures["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print("\n" + json.dumps({name: round(value, 2) for name, value in figures.items()}))
    assert figures["choose_ms"] < 100
    assert figures["decide_ms"] < 300
    assert figures["reopen_s"] < 12, "3 s on a machine that is not busy"
