"""Finds a patient's T1w and FLAIR in the scene by node name and DICOM study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer

from ..run.childprocess import importTrainingCore
from ..scene import provenance


def volumeByName(name: str, partner: Any = None) -> Any:
    """Find the volume whose name says that it is a certain input.

    Args:
        name: name in the table of inputs, such as t1w.
        partner: volume that is already chosen as the T1w or FLAIR of the patient; volumes known to be of another study
            are then excluded, and those known to be of its study are preferred.

    Returns:
        The scalar volume; None if none matches, or more than one.
    """
    importTrainingCore()
    from TrainingCore.imaging.series_names import named_input

    matching = [node for node in _given() if named_input(node.GetName()) == name and node is not partner]
    study = None if partner is None else studyOf(partner)
    if study is not None:
        matching = [node for node in matching if studyOf(node) in (study, None)]
        matching = [node for node in matching if studyOf(node) == study] or matching
    return matching[0] if len(matching) == 1 else None


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


def _given() -> Sequence[Any]:
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
