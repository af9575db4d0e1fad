"""Which synthesis of a scene is visible, and which of its lesions is highlighted.

The highlighted lesion is opaque among faint outlines in slices, and solid among translucent surfaces in 3D.
"""

from __future__ import annotations

from typing import Any

import slicer

from ..scene import provenance

OTHERS_2D, OTHERS_3D = 0.55, 0.35  # opacity of all lesions but the chosen one (ours)


def showOnly(mapNode: Any) -> None:
    """Show outlines and surfaces of one synthesis, and hide those of all others.

    Args:
        mapNode: signed node of the synthesis to show.
    """
    run = provenance.get(mapNode, "Run")
    for className in ("vtkMRMLSegmentationNode", "vtkMRMLModelNode"):
        for node in slicer.util.getNodesByClass(className):
            if provenance.get(node, "Role") and node.GetDisplayNode() is not None:
                node.GetDisplayNode().SetVisibility(provenance.get(node, "Run") == run)


def showSegments(segmentation: Any) -> None:
    """Show every segment of a segmentation.

    When a scene is opened after another one was closed, each slice controller hides a segment (seen in Slicer 5.13).

    Args:
        segmentation: vtkMRMLSegmentationNode of the lesions.
    """
    display = segmentation.GetDisplayNode()
    if display is None:
        return
    wasModified = display.StartModify()
    for segmentID in list(segmentation.GetSegmentation().GetSegmentIDs()):
        if not display.GetSegmentVisibility(segmentID):
            display.SetSegmentVisibility(segmentID, True)
    display.EndModify(wasModified)


def highlight(segmentation: Any, identifier: str | None) -> None:
    """Highlight one segment; the user's colours and line widths are kept.

    Args:
        segmentation: vtkMRMLSegmentationNode of the lesions.
        identifier: segment ID; None shows all segments alike.
    """
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
