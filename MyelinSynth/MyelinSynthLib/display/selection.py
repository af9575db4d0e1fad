"""The chosen lesion stands out: opaque among faint outlines in slices, solid among translucent surfaces in 3D."""

from __future__ import annotations

from typing import Any

OTHERS_2D, OTHERS_3D = 0.55, 0.35  # opacity of all lesions but the chosen one (ours)


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
