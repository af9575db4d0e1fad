"""Small pictures of single lesions for the report: T1w, FLAIR and map around the lesion, with its outline.

They are sampled from the volumes, so they do not depend on the layout of the views and need no view at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..display.views import COLOURS_OF_STATE, DVR_WINDOW, OUTSIDE_BRAIN, viridis
from ..scene.geometry import ijkToRas, toWorld
from ..scene.provenance import T1W_REFERENCE
from ..words import _

WIDTH_MM, PIXELS = 60.0, 150
OUTLINE_WIDTH = 2  # pixels
LOW_SHARE, HIGH_SHARE = 1, 99.5  # percentiles of the brain between which T1w and FLAIR are drawn (ours)


class Photographer:
    """Draws lesions of one synthesis; display windows and transforms are computed once.

    >>> Photographer(nodes).png(3, point, "flagged")                                      # doctest: +SKIP
    """

    def __init__(self, nodes: dict[str, Any], labels: list[np.ndarray]) -> None:
        """Set up the pictures of one synthesis.

        Args:
            nodes: nodes of one synthesis by role.
            labels: label maps (K, J, I) of the lesions on the map's grid (`segments.labelsOnGrid`).
        """
        self._map, self._labels = nodes["dvr"], labels
        self._volumes = [node for node in (nodes["dvr"].GetNodeReference(T1W_REFERENCE), nodes.get("flair")) if node]
        inside = slicer.util.arrayFromVolume(nodes["brain"]) > 0
        self._windows = [self._window(node, inside) for node in self._volumes]

    def picture(self, lesion: int, centre: Any, state: str) -> np.ndarray:
        """Draw axial slices of T1w, FLAIR and map through a point; the patient's right is on the left.

        Args:
            lesion: number of the lesion to outline.
            centre: world point in RAS mm.
            state: review state, which sets the colour of the outline.

        Returns:
            RGB image, uint8, (PIXELS, panels x PIXELS, 3); first row anterior.
        """
        points = self._plane(np.asarray(centre, float))
        panels = []
        for node, (low, high) in zip(self._volumes, self._windows):
            grey = np.clip((self._sample(node, points) - low) / max(high - low, 1e-9), 0, 1)
            panels.append(np.repeat(grey[..., None], 3, axis=2))
        panels.append(self._colours(self._sample(self._map, points)))
        outline = self._outline(lesion, points)
        for panel in panels:
            panel[outline] = COLOURS_OF_STATE[state]
        return (np.concatenate(panels, axis=1) * 255 + 0.5).astype(np.uint8)

    def png(self, lesion: int, centre: Any, state: str) -> bytes:
        """Draw the picture and encode it as PNG.

        Args:
            lesion: number of the lesion to outline.
            centre: world point in RAS mm.
            state: review state, which sets the colour of the outline.

        Returns:
            Content of a PNG file.
        """
        pixels = np.ascontiguousarray(self.picture(lesion, centre, state)[::-1])  # VTK draws from the bottom
        image = vtk.vtkImageData()
        image.SetDimensions(pixels.shape[1], pixels.shape[0], 1)
        image.GetPointData().SetScalars(numpy_to_vtk(pixels.reshape(-1, 3), deep=True))
        writer = vtk.vtkPNGWriter()
        writer.SetInputData(image)
        writer.WriteToMemoryOn()
        writer.Write()
        return vtk_to_numpy(writer.GetResult()).tobytes()

    def names(self) -> str:
        """Return what the panels show, from left to right."""
        known = [_("T1w"), _("FLAIR")][: len(self._volumes)]
        return ", ".join([*known, _("myelin map")])

    def _plane(self, centre: np.ndarray) -> np.ndarray:
        """Return world points (rows, columns, 3) of an axial plane, first row anterior, patient's right on the left."""
        along = (np.arange(PIXELS) - (PIXELS - 1) / 2) * WIDTH_MM / PIXELS
        points = np.empty((PIXELS, PIXELS, 3))
        points[..., 0] = centre[0] - along[None, :]
        points[..., 1] = centre[1] - along[:, None]
        points[..., 2] = centre[2]
        return points

    def _index(self, node: Any, points: np.ndarray) -> np.ndarray:
        """Return voxel indices (k, j, i) of world points, not rounded: (3, rows, columns)."""
        toIndex = np.linalg.inv(toWorld(node, _("volume")) @ ijkToRas(node))
        index = points @ toIndex[:3, :3].T + toIndex[:3, 3]
        return np.moveaxis(index[..., ::-1], -1, 0)

    def _nearest(self, array: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Return the values of the nearest voxels, 0 outside the volume."""
        whole = np.rint(index).astype(int)
        limits = np.array(array.shape)[:, None, None]
        inside = ((whole >= 0) & (whole < limits)).all(axis=0)
        return np.where(inside, array[tuple(np.clip(whole, 0, limits - 1))], 0)

    def _sample(self, node: Any, points: np.ndarray) -> np.ndarray:
        return self._nearest(slicer.util.arrayFromVolume(node), self._index(node, points)).astype(float)

    def _colours(self, dvr: np.ndarray) -> np.ndarray:
        low, high = DVR_WINDOW
        table = viridis()
        index = np.clip((dvr - low) / (high - low) * len(table), 0, len(table) - 1).astype(int)
        return np.where((dvr > OUTSIDE_BRAIN)[..., None], table[index], 0.0)

    def _outline(self, lesion: int, points: np.ndarray) -> np.ndarray:
        """Return the pixels just outside the lesion."""
        index = self._index(self._map, points)
        lesional = np.zeros(points.shape[:2], bool)
        for labels in self._labels:
            lesional |= self._nearest(labels, index) == lesion
        wide = lesional.copy()
        for _step in range(OUTLINE_WIDTH):
            padded = np.pad(wide, 1)
            wide = padded[1:-1, 1:-1] | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
        return wide & ~lesional

    def _window(self, node: Any, inside: np.ndarray) -> tuple[float, float]:
        """Return the grey window of a volume.

        Percentiles are taken over the brain for a volume on the map's grid, otherwise over its non-zero voxels.
        """
        voxels = slicer.util.arrayFromVolume(node)
        values = voxels[inside] if voxels.shape == inside.shape else voxels[voxels != 0]
        values = values[np.isfinite(values)]
        return tuple(np.percentile(values, (LOW_SHARE, HIGH_SHARE))) if values.size else (0.0, 1.0)
