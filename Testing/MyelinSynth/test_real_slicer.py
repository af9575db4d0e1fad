# ruff: noqa: F811 - fixtures that are imported
"""real_slicer.py, the script for the real application, performed in the stand-in host: it must not fail by itself."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import pytest
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

import slicer
from stand_in_host import Host
from test_module_panel import host, widget  # noqa: F401 - fixtures


def test_every_step_passes(
    host: Host, application: Application, widget: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import real_slicer

    host.openViews(application)
    modules = ["MyelinSynth"]

    def select(name: str) -> None:
        widget.exit() if modules[-1] == "MyelinSynth" else None
        modules.append(name)
        widget.enter() if name == "MyelinSynth" else None

    widgets = {"MyelinSynth": widget, "SegmentEditor": host.segmentEditor}
    monkeypatch.setattr(slicer, "modules", types.SimpleNamespace(myelinsynth=1), raising=False)
    monkeypatch.setattr(slicer.util, "getModuleWidget", widgets.__getitem__)
    monkeypatch.setattr(slicer.util, "selectModule", select)
    monkeypatch.setattr(slicer.util, "selectedModule", lambda: modules[-1])
    monkeypatch.setattr(slicer.util, "forceRenderAllViews", lambda: None)
    monkeypatch.setattr(real_slicer, "SETTLE_SECONDS", 0.3)
    monkeypatch.setattr(real_slicer.Review, "selfTest", lambda _self: None)  # has a test of its own
    monkeypatch.setattr(real_slicer.Review, "legend", lambda _self: None)  # these views draw nothing
    monkeypatch.setattr(slicer.app, "os", "stand-in", raising=False)
    code = real_slicer.main([str(tmp_path), "--no-synthesis"])
    assert code == 0, (tmp_path / "results.json").read_text(encoding="utf-8")
    assert len(list(tmp_path.glob("*.png"))) >= 15
    assert not host.messages
