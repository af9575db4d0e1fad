"""Fixtures of the Slicer user's room. What needs MRML skips where slicer-core is not installed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from slicer_scene import Application, addModuleToPath

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkOSOpenGLRenderWindow")
addModuleToPath()


@pytest.fixture
def application() -> Iterator[Application]:
    """An empty scene as `slicer.mrmlScene`, with the logics of Slicer's modules."""
    pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
    started = Application()
    yield started
    started.close()
