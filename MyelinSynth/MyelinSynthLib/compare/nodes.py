"""Loads a comparison as nodes: maps before and after, their difference, lesions, table, report and summary."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..display import views as display
from ..errors import SynthesisError
from ..review import segments as lesions
from ..review.table import ID, fillTable
from ..run.batch import loadVolume
from ..run.childprocess import importTrainingCore
from ..scene import provenance
from ..scene.geometry import toVtk
from ..words import _
from .colours import lesionClassColours, showChange

ROLES = provenance.CHANGE_ROLES


def loadChange(folder: Path, result: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Load a folder written by `change` as nodes.

    Args:
        folder: folder of the comparison.
        result: nodes of the later visit's Result by role, if it is in the scene: the comparison is aligned with its
            T1w and replaces an older comparison of this Result.

    Returns:
        Nodes by role (`provenance.CHANGE_ROLES`).

    Raises:
        SynthesisError: the folder is not a comparison; nodes loaded so far are removed.
    """
    importTrainingCore()
    from TrainingCore.data.change_result import Change
    from TrainingCore.runtime.errors import MyelinSynthError

    nodes: dict[str, Any] = {}
    try:
        change = Change.open(folder)
        _load(change, result, nodes)
    except BaseException as error:
        _removeChange(nodes)
        if isinstance(error, (MyelinSynthError, OSError, KeyError, ValueError)):
            raise SynthesisError(str(error)) from error
        raise
    _removeChange({role: node for role, node in result.items() if role in ROLES})
    return nodes


def isOf(folder: Path, result: Mapping[str, Any]) -> bool:
    """Return whether the later visit of a comparison is a Result in the scene: made from the same T1w file.

    Args:
        folder: folder of the comparison.
        result: nodes of the Result by role.
    """
    if "provenance" not in result or "dvr" not in result or not (folder / "change.json").is_file():
        return False
    try:
        scan = json.loads((folder / "change.json").read_text(encoding="utf-8")).get("t1w_sha256", {}).get("after")
        own = json.loads(result["provenance"].GetText())["inputs"]["t1w"]["sha256"]
    except (ValueError, KeyError, OSError, AttributeError):
        return False
    return scan is not None and scan == own


def _removeChange(nodes: Mapping[str, Any]) -> None:
    """Remove the nodes of a comparison from the scene, with their display and storage nodes."""
    for role in ROLES:
        node = nodes.get(role)
        if node is not None and slicer.mrmlScene.IsNodePresent(node):
            belongings = []
            for kind in ("Display", "Storage"):
                count = getattr(node, f"GetNumberOf{kind}Nodes", lambda: 0)()
                belongings += [getattr(node, f"GetNth{kind}Node")(index) for index in range(count)]
            slicer.mrmlScene.RemoveNode(node)
            for other in belongings:
                if other is not None and slicer.mrmlScene.IsNodePresent(other):
                    slicer.mrmlScene.RemoveNode(other)


def _load(change: Any, result: Mapping[str, Any], nodes: dict[str, Any]) -> None:
    from TrainingCore.data.change_result import CHANGE, DVR_AFTER, DVR_BEFORE, REPORT

    summary = change.summary()
    visits = summary["visits"]
    scene = slicer.mrmlScene
    nodes["change_transform"] = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", _("Half-way space of two visits"))
    for role, file, name in (
        ("change_before", DVR_BEFORE, _("before: {visit}").format(visit=visits["before"])),
        ("change_after", DVR_AFTER, _("after: {visit}").format(visit=visits["after"])),
        ("change_map", CHANGE, _("change (after minus before)")),
    ):
        nodes[role] = loadVolume(change.path / file)
        nodes[role].SetName(scene.GenerateUniqueName(f"{_('Synthetic DVR')} {name}"))
    for role in ("change_before", "change_after"):
        display.showMap(nodes[role])
    showChange(nodes["change_map"])
    nodes["change_table"] = scene.AddNewNodeByClass("vtkMRMLTableNode", _("Lesions of two visits"))
    rows = change.rows()
    _fill(nodes["change_table"], rows)
    nodes["change_lesions"] = _addLesions(change, rows, lesionClassColours(nodes["change_table"]))
    nodes["change_report"] = _addText(_("Report of two visits"), (change.path / REPORT).read_text(encoding="utf-8"))
    nodes["change_summary"] = _addText(_("Summary of two visits"), json.dumps(summary))
    _align(nodes, summary, result)
    _sign(nodes, summary, result)


def _fill(table: Any, rows: list[dict[str, Any]]) -> None:
    from TrainingCore.data.lesion_columns import CHANGE_COLUMNS

    names = [column.name for column in CHANGE_COLUMNS if column.name != "lesion"]
    known = dict.fromkeys(names)  # earlier versions wrote fewer columns
    fillTable(table, [{**known, ID: row["lesion"], **row} for row in rows], [ID, *names])


def _addLesions(change: Any, rows: list[dict[str, Any]], colours: dict[int, lesions.Colour]) -> Any:
    from TrainingCore.data.change_result import LESION_LABELS

    name = _("Lesions of either visit")
    if not rows:
        segmentation = lesions.addSegmentation(name, np.zeros((0, 0, 0), np.int16), None, [])
        display.showOutlines(segmentation)
        return segmentation
    loaded = loadVolume(change.path / LESION_LABELS)
    try:
        labels = np.rint(slicer.util.arrayFromVolume(loaded)).astype(np.int16)
        # A lesion may be completely covered by one of the other visit
        drawn = [number for number in np.unique(labels).tolist() if number]
        segmentation = lesions.addSegmentation(name, labels, loaded, drawn, colours)
        display.showOutlines(segmentation)
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(loaded)
    finally:
        _removeVolume(loaded)
    return segmentation


def _removeVolume(volume: Any) -> None:
    """Remove a temporary volume and its display nodes from the scene."""
    displays = [volume.GetNthDisplayNode(index) for index in range(volume.GetNumberOfDisplayNodes())]
    slicer.mrmlScene.RemoveNode(volume)
    for node in displays:
        if node is not None and slicer.mrmlScene.IsNodePresent(node):
            slicer.mrmlScene.RemoveNode(node)


def _addText(name: str, text: str) -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", name)
    node.SetText(text)
    return node


def _align(nodes: dict[str, Any], summary: dict[str, Any], result: Mapping[str, Any]) -> None:
    """Align the half-way space with the later visit's T1w, using a transform node."""
    transform = nodes["change_transform"]
    if "dvr" in result:
        transform.SetMatrixTransformToParent(toVtk(np.array(summary["to_after"])))
        transform.SetAndObserveTransformNodeID(result["dvr"].GetTransformNodeID())
    for role in ("change_before", "change_after", "change_map", "change_lesions"):
        nodes[role].SetAndObserveTransformNodeID(transform.GetID())


def _sign(nodes: dict[str, Any], summary: dict[str, Any], result: Mapping[str, Any]) -> None:
    run = uuid.uuid4().hex
    model = {
        "name": summary["model"],
        "weights_sha256": summary.get("weights_sha256", ""),
        "simulated_training_data": summary.get("simulated_training_data", True),
    }
    for role, node in nodes.items():
        if "dvr" in result:
            provenance.signLike(node, role, result["dvr"])
        else:
            provenance.sign(node, role, run, {"model": model, "software": {}, "note": summary["note"]}, None)
        if "dvr" in result:
            provenance.putBeside(node, result["dvr"])
