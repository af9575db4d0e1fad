"""How long a person waits in the Slicer panel: a 1 mm head with 150 lesions, in the stand-in host on slicer-core.

python -m Testing.benchmarks.slicer_review [--repeats 3]

Prints one line of JSON. Times are wall seconds and, as `_cpu`, CPU seconds of this process: on a busy machine only
these can be compared. The volumes hold noise, so that their files are as large as those of a real head.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkOSOpenGLRenderWindow")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
TESTS = Path(__file__).resolve().parents[1] / "MyelinSynth"
SHAPE, LESIONS = (180, 210, 170), 150  # (K, J, I), 1 mm
VIEW_PIXELS, VIEW_MM = (730, 480), 200.0


def make_nodes(lesions: int = LESIONS) -> dict[str, Any]:
    """Nodes of a synthesis by role: the self-test's patient with other sizes, and noise in its volumes."""
    import slicer
    from MyelinSynthLib.selftest import nodes as maker

    corners = [(k, j, i) for k in range(20, 160, 15) for j in range(30, 180, 25) for i in range(25, 145, 35)]
    sizes = {
        "SHAPE": SHAPE,
        "BOXES": tuple((corner, (5, 6, 7)) for corner in corners[:lesions]),
        "LESION_DVRS": tuple(np.linspace(0.7, 1.1, lesions).tolist()),
        "VOXEL_MM": 1.0,
    }
    with mock.patch.multiple(maker, **sizes):
        nodes = maker.makeNodes(fromNetwork=True)
    generator = np.random.default_rng(0)
    for node in (nodes["flair"], nodes["dvr"].GetNodeReference("MyelinSynth.T1w")):
        array = slicer.util.arrayFromVolume(node)
        array += generator.normal(0, 5, array.shape).astype(array.dtype)
    return nodes


class Stopwatch:
    """Wall and CPU seconds of named steps; of a step that is repeated, the median."""

    def __init__(self) -> None:
        self._times: dict[str, list[tuple[float, float]]] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._times.setdefault(name, []).append((time.perf_counter() - wall, time.process_time() - cpu))

    def seconds(self) -> dict[str, float]:
        """Median of every step: `name`, and `name_cpu`."""
        medians = {name: np.median(times, axis=0) for name, times in self._times.items()}
        return {
            name + end: round(float(pair[which]), 4)
            for name, pair in medians.items()
            for which, end in enumerate(("", "_cpu"))
        }


def measure(widget: Any, open_views: Callable[[], Any], draw: Callable[[], None], repeats: int = 1) -> dict[str, float]:
    """Show, choose, decide, save and open again.

    widget: the module's, entered; open_views: opens the views of the stand-in; draw: renders three slice views.
    """
    import slicer

    watch, nodes = Stopwatch(), make_nodes()
    open_views()
    widget.showNodes(nodes)
    with watch.step("surfaces"):
        widget.displayPanel.showResult()
    draw()
    for row in range(20, 40):
        with watch.step("choose_and_draw"):
            with watch.step("choose"):
                widget.reviewPanel.choose(row)
            draw()
    for row in range(5):
        widget.reviewPanel.choose(row)
        with watch.step("decide"):
            widget.reviewPanel.decide("accepted")
    with tempfile.TemporaryDirectory() as folder:
        bundle = str(Path(folder) / "review.mrb")
        with watch.step("save"):
            assert slicer.mrmlScene.WriteToMRB(bundle)
        for _repeat in range(repeats):
            slicer.mrmlScene.Clear(0)
            with watch.step("reopen"):
                with watch.step("read"):
                    assert slicer.mrmlScene.ReadFromMRB(bundle)
                with watch.step("compare_outlines"):
                    widget.reviewPanel.onEdited()
    assert widget.ui.reviewTable.rowCount == LESIONS
    return watch.seconds() | _memory()


def _memory() -> dict[str, float]:
    try:
        import resource
    except ImportError:
        return {}  # not on Windows
    return {"peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 0)}


def main(arguments: list[str] | None = None) -> int:
    """Open the stand-in host, measure, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="how often the scene is opened again")
    options = parser.parse_args(arguments)
    sys.path.insert(0, str(TESTS))
    from slicer_scene import Application, addModuleToPath

    addModuleToPath()
    application = Application()
    from slice_picture import SliceView, canRender
    from stand_in_host import Host, readApi
    from test_slicer_api import API

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "temporary").mkdir()
        host = Host(readApi(API), Path(folder) / "temporary")
        from MyelinSynth import MyelinSynthWidget

        widget = MyelinSynthWidget()
        widget.setup()
        widget.enter()
        views: list[Any] = []

        def draw() -> None:
            if not views and canRender():
                planes = (("Axial", "Red"), ("Coronal", "Green"), ("Sagittal", "Yellow"))
                views.extend(
                    SliceView(application, plane, (0, 0, 0), VIEW_PIXELS, VIEW_MM, name) for plane, name in planes
                )
            for view in views:
                view.picture()

        print(json.dumps(measure(widget, lambda: host.openViews(application), draw, options.repeats)))
        widget.cleanup()
        for view in views:
            view.close()
        host.close()
    application.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
