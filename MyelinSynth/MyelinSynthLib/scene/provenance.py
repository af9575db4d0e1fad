"""How a node came about, stored in its attributes, so that it survives saving the scene without any other file."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
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
    *("probability", "places", "context"),
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
    """Store role, run, model and software in the attributes of a node, and refer to the T1w it belongs to.

    Args:
        node: any node of the result.
        role: one of ROLES.
        run: identifier shared by all nodes of one synthesis.
        record: content of provenance.json.
        t1w: volume that was synthesized from; None leaves the reference unset.

    Raises:
        ValueError: the role is not in ROLES.
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
    """Sign a node that was made later as part of the same synthesis as another node.

    Args:
        node: the new node.
        role: its role, one of ROLES.
        like: signed node whose attributes and T1w reference are copied.

    Raises:
        ValueError: the role is not in ROLES.
    """
    if role not in ROLES:
        raise ValueError(f"unknown role {role}")
    for name in like.GetAttributeNames():
        if name.startswith(PREFIX):
            node.SetAttribute(name, like.GetAttribute(name))
    node.SetAttribute(PREFIX + "Role", role)
    node.SetNodeReferenceID(T1W_REFERENCE, like.GetNodeReferenceID(T1W_REFERENCE))


def putBeside(node: Any, other: Any) -> None:
    """Move a node into the subject hierarchy folder of another node.

    Args:
        node: node to move; added to the hierarchy if it has no item.
        other: node already in the folder.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(other)
    folder = hierarchy.GetItemParent(item) if item else hierarchy.GetSceneItemID()
    child = hierarchy.GetItemByDataNode(node)
    if child:
        hierarchy.SetItemParent(child, folder)
    else:
        hierarchy.CreateItem(folder, node)


def get(node: Any, name: str) -> str:
    """Return one of the attributes that `sign` stored.

    Args:
        node: any node.
        name: attribute without the prefix, such as "Run".

    Returns:
        Its text; empty if the node does not have it.
    """
    return node.GetAttribute(PREFIX + name) or ""


def hasNetworkLesions(nodes: dict[str, Any]) -> bool:
    """Return whether a network, rather than the user, outlined the lesions, so that they need a review.

    Args:
        nodes: nodes of one synthesis by role.
    """
    return "table" in nodes and get(nodes["table"], "LesionSource") == FOUND


def require(nodes: dict[str, Any], roles: Sequence[str]) -> None:
    """Check that nodes were not deleted from the scene.

    Args:
        nodes: nodes of one synthesis by role.
        roles: roles that must be among them, each with a name in the error message below.

    Raises:
        SynthesisError: a node is missing; the message names all that are.
    """
    words = {
        "dvr": _("myelin map"),
        "brain": _("brain mask"),
        "nawm": _("NAWM mask"),
        "table": _("lesion table"),
        "lesions": _("lesion outlines"),
        "report": _("report"),
        "transform": _("transform from FLAIR to T1w"),
        "provenance": _("provenance"),
    }
    missing = [words[role] for role in roles if role not in nodes]
    if missing:
        text = _("Deleted from the scene: {what}. Synthesize the myelin map again.")
        raise SynthesisError(text.format(what=", ".join(missing)))


def nodesOfRun(scene: Any, run: str) -> dict[str, Any]:
    """Collect the nodes of one synthesis, also in a scene that was reopened.

    Args:
        scene: vtkMRMLScene to search.
        run: value of the attribute Run.

    Returns:
        Nodes by role; empty if the scene has none of this run.
    """
    return {get(node, "Role"): node for node in signed(scene).values() if get(node, "Run") == run}


def sameRun(node: Any) -> dict[str, Any]:
    """Collect the nodes of the synthesis that a node belongs to, as the scene holds them now.

    Args:
        node: signed node.

    Returns:
        Nodes by role.
    """
    return nodesOfRun(slicer.mrmlScene, get(node, "Run"))


def signed(scene: Any) -> dict[str, Any]:
    """Collect all nodes of any synthesis.

    Args:
        scene: vtkMRMLScene to search.

    Returns:
        Nodes by ID, in the order of the scene.
    """
    nodes = scene.GetNodes()
    everything = (nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems()))
    return {node.GetID(): node for node in everything if get(node, "Run") and get(node, "Role")}


def renameCopies(scene: Any, before: Collection[str]) -> None:
    """Give syntheses that were added to the scene a second time a run of their own, so that they are not mixed.

    Args:
        scene: vtkMRMLScene that another scene was added to.
        before: IDs of the nodes of syntheses that it had before.
    """
    nodes = signed(scene)
    taken = {get(nodes[identifier], "Run") for identifier in before if identifier in nodes}
    renamed = {run: f"{run} {uuid.uuid4().hex[:8]}" for run in taken}
    for identifier, node in nodes.items():
        if identifier not in before and get(node, "Run") in taken:
            node.SetAttribute(PREFIX + "Run", renamed[get(node, "Run")])


def runs(scene: Any, t1w: Any = None, role: str = "dvr") -> list[str]:
    """List the syntheses in a scene, oldest first.

    Args:
        scene: vtkMRMLScene to search.
        t1w: list only those synthesized from this volume; None for all.
        role: role to look for; "change_map" lists comparisons instead.

    Returns:
        Run identifiers.
    """
    maps = [node for node in signed(scene).values() if get(node, "Role") == role]
    return [get(node, "Run") for node in maps if t1w is None or node.GetNodeReferenceID(T1W_REFERENCE) == t1w.GetID()]
