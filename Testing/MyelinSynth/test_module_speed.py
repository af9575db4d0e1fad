# ruff: noqa: F811 - fixtures that are imported
"""A head of 1 mm with 150 lesions: how long a person waits. Slow, and run by hand."""

from __future__ import annotations

from typing import Any

import pytest
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install PySide6-Essentials)")

from stand_in_host import Host
from test_module_panel import host, widget  # noqa: F401 - fixtures

from Testing.benchmarks.slicer_review import measure


@pytest.mark.slow
def test_choosing_and_reopening_are_quick(host: Host, application: Application, widget: Any) -> None:
    seconds = measure(widget, lambda: host.openViews(application), lambda: None)
    assert seconds["choose_cpu"] < 0.1
    assert seconds["decide_cpu"] < 0.3
    assert seconds["reopen_cpu"] < 3
