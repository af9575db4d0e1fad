# ruff: noqa: PT009 - the self-test is a unittest that runs in the application
"""Self-test of two visits: nodes, views and table of a comparison, also after the scene was reopened."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..compare.colours import CHANGE_WINDOW
from ..compare.nodes import loadChange
from ..display.shown import CHANGE_VIEWS, Shown
from ..review.segments import labelsOnGrid
from ..review.table import DIFFERENCE, Review
from ..run.childprocess import importTrainingCore
from ..scene import provenance
from ..scene.geometry import addVolume, ijkToRas
from .nodes import makeNodes

CHANGES = (-0.15, 0.05)  # of the first lesion between the visits, and of all others


def checkComparison(case: Any) -> None:
    """Check a comparison's views, its table (largest change first), and that both survive saving the scene.

    Args:
        case: the running unittest.TestCase; its assertions report the failures.
    """
    nodes = makeNodes()
    with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as name:
        folder = Path(name) / "change"
        writeComparison(folder, nodes)
        loadChange(folder, nodes)
        _checkNodes(case)
        bundle = str(Path(name) / "scene.mrb")
        case.assertTrue(slicer.mrmlScene.WriteToMRB(bundle))
        slicer.mrmlScene.Clear(0)
        case.assertTrue(slicer.mrmlScene.ReadFromMRB(bundle))
        _checkNodes(case)


def _checkNodes(case: Any) -> None:
    nodes = provenance.nodesOfRun(slicer.mrmlScene, "self-test")
    case.assertEqual([role for role in provenance.CHANGE_ROLES if role not in nodes], [])
    review = Review(nodes["change_table"])
    order = review.order(DIFFERENCE, descending=True)
    case.assertEqual([review.text(row, "change") for row in order], ["demyelinating", "stable"])
    values = slicer.util.arrayFromVolume(nodes["change_map"])
    case.assertAlmostEqual(float(values.min()), CHANGES[0], places=5)
    display = nodes["change_map"].GetScalarVolumeDisplayNode()
    case.assertAlmostEqual(display.GetWindowLevelMin(), CHANGE_WINDOW[0])
    shown = Shown()
    shown.take(nodes)
    for view, role in CHANGE_VIEWS.items():
        case.assertIn(nodes[role], shown.layers(view))


def writeComparison(folder: Path, nodes: dict[str, Any]) -> None:
    """Write a folder like that of the command `change`, without registering anything.

    Args:
        folder: folder to create.
        nodes: nodes of `makeNodes` by role, used as the later visit.
    """
    importTrainingCore()
    from TrainingCore.data import change_result as names

    folder.mkdir(parents=True)
    after = slicer.util.arrayFromVolume(nodes["dvr"]).astype(np.float32)
    labels = labelsOnGrid(nodes["lesions"], nodes["dvr"])[0].astype(np.int16)
    first = int(labels[labels > 0].min())
    difference = np.select([labels == first, labels > 0], CHANGES, 0).astype(np.float32)
    for file, array in (
        (names.CHANGE, difference),
        (names.DVR_BEFORE, after - difference),
        (names.DVR_AFTER, after),
        (names.LESION_LABELS, labels),
    ):
        _write(folder / file, array, ijkToRas(nodes["dvr"]))
    (folder / names.REPORT).write_text("<html><body></body></html>", encoding="utf-8")
    (folder / names.SUMMARY).write_text(json.dumps(_summary()), encoding="utf-8")
    _writeTable(folder / names.TABLE, labels, after, difference, ijkToRas(nodes["dvr"]))


def _write(path: Path, array: np.ndarray, matrix: np.ndarray) -> None:
    volume = addVolume("vtkMRMLScalarVolumeNode", "self-test file", array, matrix)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.WriteData(volume)
    slicer.mrmlScene.RemoveNode(volume)


def _writeTable(path: Path, labels: np.ndarray, after: np.ndarray, difference: np.ndarray, matrix: np.ndarray) -> None:
    from TrainingCore.data.lesion_columns import CHANGE_COLUMNS

    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [column.name for column in CHANGE_COLUMNS])
        writer.writeheader()
        for number in np.unique(labels[labels > 0]).tolist():
            own = labels == number
            dvr, change = float(after[own].mean()), float(difference[own].mean())
            x, y, z = (matrix @ [*np.argwhere(own).mean(axis=0)[::-1], 1.0])[:3]
            row = {"lesion": number, "before": number, "after": number, "kind": "matched", "x_mm": x, "y_mm": y}
            row |= {"z_mm": z, "dvr_before": dvr - change, "dvr_after": dvr, "difference": change}
            row |= {"low": change - 0.1, "high": change + 0.1, "change": "demyelinating" if change < -0.1 else "stable"}
            volume = abs(np.linalg.det(matrix[:3, :3])) * own.sum()
            row |= {"volume_before_mm3": volume, "volume_after_mm3": volume}
            writer.writerow(row)


def _summary() -> dict[str, Any]:
    voxels = {"demyelination_index": 0.25, "remyelination_index": 0.0}
    return {
        "note": provenance.RESEARCH_USE,
        "visits": {"before": "self-test visit 1", "after": "self-test visit 2"},
        "lesions": 2,
        "by_change": {"demyelinating": 1, "stable": 1},
        "mean_difference": -0.05,
        "limit": 1.0,
        "voxels": voxels,
        "repeatability": "more than 0.100 DVR (self-test)",
        "models_differ": False,
        "model": "self-test",
        "to_before": np.eye(4).tolist(),
        "to_after": np.eye(4).tolist(),
    }


CHECKS = (checkComparison,)
