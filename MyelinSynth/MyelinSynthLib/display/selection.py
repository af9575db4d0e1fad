"""What is shown of a scene: the outlines and surfaces of one synthesis, and of its lesions the chosen one above all.

The chosen lesion is opaque among faint outlines in slices, solid among translucent surfaces in 3D.
"""

from __future__ import annotations

from typing import Any

import slicer

from ..scene import provenance

OTHERS_2D, OTHERS_3D = 0.55, 0.35  # opacity of all lesions but the chosen one (ours)


def showOnly(mapNode: Any) -> None:
    """Show outlines and surfaces of the synthesis that a map belongs to, and hide those of every other one."""
    run = provenance.get(mapNode, "Run")
    for className in ("vtkMRMLSegmentationNode", "vtkMRMLModelNode"):
        for node in slicer.util.getNodesByClass(className):
            if provenance.get(node, "Role") and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(provenance.get(node, "Run") == run)


def standOut(segmentation: Any, identifier: str | None) -> None:
    """Let one segment stand out from the others; None treats all alike. The user's colours and widths stay."""
    display = segmentation.GetDisplayNode()
    if display is None:
        return
    content = segmentation.GetSegmentation()
    present = identifier is not None and content.GetSegment(identifier) is not None
    wasModified = display.StartModify()
    for segmentID in list(content.GetSegmentIDs()):
        chosen = not present or segmentID == identifier
        display.SetSegmentOpacity2DOutline(segmentID, 1.0 if chosen else OTHERS_2D)
        display.SetSegmentOpacity3D(segmentID, 1.0 if chosen else OTHERS_3D)
    display.EndModify(wasModified)
