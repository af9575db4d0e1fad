"""A wipe of the map: the map on one side of a sagittal plane, the volume under it on the other.

MRML has no wipe between two volumes. The map is transparent where it is 0, so a copy of it whose voxels are 0 beyond
the plane has the same effect in every slice view. The copy is hidden, never saved, and removed with the wipe.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from ..scene.geometry import addVolume, ijkToRas, pointsToWorld
from .views import showMap


class Wipe:
    """The wipe of one map; `copy` is the volume to show instead of the map.

    >>> wipe = Wipe(mapNode); wipe.move(0.3); wipe.close()                                # doctest: +SKIP
    """

    def __init__(self, mapNode: Any) -> None:
        self.mapNode = mapNode
        self._voxels = slicer.util.arrayFromVolume(mapNode)
        middle = (np.array(self._voxels.shape[::-1]) - 1) / 2
        steps = np.vstack([middle, middle + np.eye(3)]) @ ijkToRas(mapNode)[:3, :3].T + ijkToRas(mapNode)[:3, 3]
        origin, *ends = pointsToWorld(mapNode, steps)
        along = np.array([(end - origin)[0] / np.linalg.norm(end - origin) for end in ends])  # to the patient's right
        axis = int(np.abs(along).argmax())
        self._axis, self._fromRight = 2 - axis, bool(along[axis] < 0)  # arrays are (K, J, I)
        self._edge = 0
        empty = np.zeros_like(self._voxels)
        self.copy = addVolume("vtkMRMLScalarVolumeNode", "MyelinSynth wipe", empty, ijkToRas(mapNode), hidden=True)
        self.copy.SetAndObserveTransformNodeID(mapNode.GetTransformNodeID())
        showMap(self.copy)
        for node in (self.copy, self.copy.GetDisplayNode()):
            node.SetSaveWithScene(False)

    def move(self, fraction: float) -> None:
        """Show the map up to a sagittal plane.

        Args:
            fraction: position of the plane from the patient's right (0, left on screen) to left (1).
        """
        length = self._voxels.shape[self._axis]
        edge = round(min(max(fraction, 0.0), 1.0) * length)
        if edge == self._edge:
            return
        first, last = sorted((edge, self._edge))
        changed = slice(first, last) if self._fromRight else slice(length - last, length - first)
        region = tuple(changed if axis == self._axis else slice(None) for axis in range(3))
        visible = slicer.util.arrayFromVolume(self.copy)
        visible[region] = self._voxels[region] if edge > self._edge else 0
        self._edge = edge
        slicer.util.arrayFromVolumeModified(self.copy)

    def close(self) -> None:
        """Remove the copy, which must not be in the views any more (`Shown.stopWipe`)."""
        displays = [self.copy.GetNthDisplayNode(index) for index in range(self.copy.GetNumberOfDisplayNodes())]
        slicer.mrmlScene.RemoveNode(self.copy)
        for node in displays:  # the application takes them with their volume
            if node is not None and slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)
