"""How a node came about, written on the node: it survives saving, and says so without any file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import slicer

from ..errors import SynthesisError
from ..words import _

PREFIX = "MyelinSynth."
# Of a comparison with an earlier visit
CHANGE_ROLES = (
    *("change_map", "change_before", "change_after", "change_lesions", "change_table"),
    *("change_report", "change_summary", "change_transform"),
)
ROLES = (
    *("dvr", "brain", "nawm", "lesions", "table", "transform", "flair", "report", "provenance", "uncertainty"),
    *("probability", "places"),
    # made on demand
    *("brain_surface", "histogram_table", "histogram_series", "histogram_chart"),
    *("comparison_table", "comparison_series", "identity_table", "identity_series", "comparison_chart"),
    *CHANGE_ROLES,
)
T1W_REFERENCE = "MyelinSynth.T1w"
MEASURED_REFERENCE = "MyelinSynth.MeasuredDVR"
GIVEN, FOUND, NONE = "given", "found", "none"  # where the lesions come from, see TrainingCore.patient.pipeline
FURTHER_ATTRIBUTE = "MyelinSynth.InputsToT1"  # the same of further inputs: file name -> 4x4 (RAS mm)
FETCH_ATTRIBUTE = "MyelinSynth.FlairToT1"  # 4x4 (RAS mm) of flair_to_t1.tfm, row by row
RESEARCH_USE = "Research use only, not for diagnosis."


def sign(node: Any, role: str, run: str, record: dict[str, Any], t1w: Any) -> None:
    """Write role, run, model and software on a node, and which T1w it belongs to.

    role: one of ROLES; run: what all nodes of one synthesis share; record: the content of provenance.json.
    """
    if role not in ROLES:
        raise ValueError(f"unknown role {role}")
    model = record["model"]
    attributes = {
        "Role": role,
        "Run": run,
        "Model": model["name"],
        "ModelSHA256": model["weights_sha256"],
        "SimulatedTrainingData": "yes" if model["simulated_training_data"] else "no",
        "Software": json.dumps(record["software"], sort_keys=True),
        "LesionSource": record.get("lesion_source", GIVEN),
        "Note": record.get("note", RESEARCH_USE),
    }
    for name, value in attributes.items():
        node.SetAttribute(PREFIX + name, str(value))
    if t1w is not None:
        node.SetNodeReferenceID(T1W_REFERENCE, t1w.GetID())


def signLike(node: Any, role: str, like: Any) -> None:
    """Write on a node that was made later what is written on another one of the same synthesis."""
    if role not in ROLES:
        raise ValueError(f"unknown role {role}")
    for name in like.GetAttributeNames():
        if name.startswith(PREFIX):
            node.SetAttribute(name, like.GetAttribute(name))
    node.SetAttribute(PREFIX + "Role", role)
    node.SetNodeReferenceID(T1W_REFERENCE, like.GetNodeReferenceID(T1W_REFERENCE))


def putBeside(node: Any, other: Any) -> None:
    """Put a node into the same folder of the subject hierarchy as another one."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(other)
    folder = hierarchy.GetItemParent(item) if item else hierarchy.GetSceneItemID()
    child = hierarchy.GetItemByDataNode(node)
    if child:
        hierarchy.SetItemParent(child, folder)
    else:
        hierarchy.CreateItem(folder, node)


def get(node: Any, name: str) -> str:
    """One of the attributes that `sign` wrote, or the empty text."""
    return node.GetAttribute(PREFIX + name) or ""


def areFound(nodes: dict[str, Any]) -> bool:
    """Whether a network found the lesions of these nodes (by role): somebody has to look at them."""
    return "table" in nodes and get(nodes["table"], "LesionSource") == FOUND


def require(nodes: dict[str, Any], roles: Sequence[str]) -> None:
    """Raises SynthesisError where nodes of these roles were deleted from the scene."""
    words = {
        "dvr": _("myelin map"),
        "brain": _("brain mask"),
        "nawm": _("NAWM mask"),
        "table": _("lesion table"),
        "report": _("report"),
        "transform": _("transform from FLAIR to T1w"),
        "provenance": _("provenance"),
    }
    missing = [words[role] for role in roles if role not in nodes]
    if missing:
        text = _("Deleted from the scene: {what}. Synthesize the myelin map again.")
        raise SynthesisError(text.format(what=", ".join(missing)))


def nodesOfRun(scene: Any, run: str) -> dict[str, Any]:
    """All nodes of one synthesis by role, found again after a scene was reopened."""
    found = {}
    nodes = scene.GetNodes()
    for index in range(nodes.GetNumberOfItems()):
        node = nodes.GetItemAsObject(index)
        if get(node, "Run") == run and get(node, "Role"):
            found[get(node, "Role")] = node
    return found


def sameRun(node: Any) -> dict[str, Any]:
    """All nodes of the synthesis that a node belongs to, by role, as they are in the scene now."""
    return nodesOfRun(slicer.mrmlScene, get(node, "Run"))


def runs(scene: Any, t1w: Any = None, role: str = "dvr") -> list[str]:
    """Every synthesis in the scene (or, by another role, every comparison), or those of one T1w, oldest first."""
    nodes = scene.GetNodes()
    matching = (nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems()))
    maps = [node for node in matching if get(node, "Role") == role]
    return [get(node, "Run") for node in maps if t1w is None or node.GetNodeReferenceID(T1W_REFERENCE) == t1w.GetID()]
