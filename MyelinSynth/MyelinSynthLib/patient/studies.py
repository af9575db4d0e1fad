"""Finds a patient's T1w and FLAIR in the scene by node name, DICOM study and BIDS visit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import slicer

from ..run.childprocess import importTrainingCore
from ..scene import provenance

BIDS_VISIT = re.compile(r"(?<![A-Za-z0-9])sub-(?P<person>[A-Za-z0-9]+)(?:_ses-(?P<session>[A-Za-z0-9]+))?")


def volumeByName(name: str, partner: Any = None) -> Any:
    """Find the volume whose name says that it is a certain input.

    Args:
        name: name in the table of inputs, such as t1w.
        partner: volume that is already chosen as the T1w or FLAIR of the patient; volumes known to be of another visit
            are then excluded, and those known to be of its visit are preferred.

    Returns:
        The scalar volume; None if none matches, or more than one.
    """
    importTrainingCore()
    from TrainingCore.imaging.series_names import named_input

    matching = [node for node in _loadedVolumes() if named_input(node.GetName()) == name and node is not partner]
    if partner is not None:
        matching = [node for node in matching if not areOfDifferentVisits(node, partner)]
        matching = [node for node in matching if _haveKnownVisits(node, partner)] or matching
    return matching[0] if len(matching) == 1 else None


def areOfDifferentVisits(first: Any, second: Any) -> bool:
    """Return whether two nodes are known to be of different visits or persons.

    Args:
        first: any data node.
        second: any data node.

    Returns:
        True if their DICOM studies differ, or for nodes from files the person or session in their BIDS names; False if
        that is not known.
    """
    if not _haveKnownVisits(first, second):
        return False
    if studyOf(first) is not None:
        return studyOf(first) != studyOf(second)
    (person, session), (otherPerson, otherSession) = bidsVisitOf(first), bidsVisitOf(second)
    return person != otherPerson or (bool(session) and bool(otherSession) and session != otherSession)


def _haveKnownVisits(first: Any, second: Any) -> bool:
    """Return whether both come from DICOM, or both have BIDS names."""
    if studyOf(first) is None and studyOf(second) is None:
        return bool(bidsVisitOf(first)[0] and bidsVisitOf(second)[0])
    return None not in (studyOf(first), studyOf(second))


def bidsVisitOf(node: Any) -> tuple[str, str]:
    """Return the labels of person and session in a BIDS name, such as those of sub-01_ses-2_T1w.

    Args:
        node: any node.

    Returns:
        Labels of person and session; empty where the name has none.
    """
    match = BIDS_VISIT.search(node.GetName() or "")
    return (match["person"], match["session"] or "") if match else ("", "")


def studyOf(node: Any) -> int | None:
    """Return the DICOM study of a node in the subject hierarchy.

    Args:
        node: any data node.

    Returns:
        Subject hierarchy item of the study above it; None if the node was not loaded from DICOM.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(slicer.mrmlScene)
    study, item = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelStudy(), hierarchy.GetItemByDataNode(node)
    while item and item != hierarchy.GetSceneItemID():
        if hierarchy.GetItemLevel(item) == study:
            return item
        item = hierarchy.GetItemParent(item)
    return None


def _loadedVolumes() -> Sequence[Any]:
    """Return the volumes that the user loaded.

    Label maps are excluded: they are scalar volumes, too, but the selectors do not list them.
    """
    return [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node.GetClassName() == "vtkMRMLScalarVolumeNode"
        and not node.GetHideFromEditors()
        and not provenance.get(node, "Role")
    ]
