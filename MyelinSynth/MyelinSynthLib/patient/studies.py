"""Which volumes of the scene are a patient's T1w and FLAIR, by their names and by the study they were loaded from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer

from ..run.childprocess import importTrainingCore
from ..scene import provenance


def volumeByName(name: str, partner: Any = None) -> Any:
    """The one volume whose name says which input it is, or None where there is none or a choice.

    name: of the table of inputs, as t1w; partner: the T1w, or the FLAIR for a T1w, where it is chosen already; a volume
    of another study is never taken then.
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
    """The subject hierarchy's item of the study that a node lies under, as the DICOM module makes it, or None."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(slicer.mrmlScene)
    study, item = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMLevelStudy(), hierarchy.GetItemByDataNode(node)
    while item and item != hierarchy.GetSceneItemID():
        if hierarchy.GetItemLevel(item) == study:
            return item
        item = hierarchy.GetItemParent(item)
    return None


def _given() -> Sequence[Any]:
    """Volumes that somebody loaded. Label maps are scalar volumes, too, but the selectors do not list them."""
    return [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node.GetClassName() == "vtkMRMLScalarVolumeNode"
        and not node.GetHideFromEditors()
        and not provenance.get(node, "Role")
    ]
