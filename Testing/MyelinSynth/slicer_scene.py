"""A real MRML scene without the application: what Slicer's modules register when it starts, on PyPI's slicer-core."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
LOGICS = (
    "vtkMRMLColorLogic",
    "vtkSlicerVolumesLogic",
    "vtkSlicerTransformLogic",
    "vtkSlicerTablesLogic",
    "vtkSlicerTextsLogic",
    "vtkSlicerSubjectHierarchyModuleLogic",
    "vtkSlicerSegmentationsModuleLogic",
)


def addModuleToPath() -> None:
    """Let `import MyelinSynthLib` find the module's library."""
    folder = str(ROOT / "MyelinSynth")
    if folder not in sys.path:
        sys.path.insert(0, folder)


class Application:
    """A scene with the logics that watch it; `close` lets go of both."""

    def __init__(self) -> None:
        import slicer

        self.scene = slicer.vtkMRMLScene()
        slicer.mrmlScene = self.scene
        self.logic = slicer.vtkMRMLApplicationLogic()
        self._cacheFolder = tempfile.TemporaryDirectory()
        self.remote = slicer.vtkMRMLRemoteIOLogic()
        self.remote.GetCacheManager().SetRemoteCacheDirectory(self._cacheFolder.name)
        self.remote.SetMRMLScene(self.scene)
        self.remote.AddDataIOToScene()
        self.logics = [getattr(slicer, name)() for name in LOGICS]
        for logic in self.logics:
            logic.SetMRMLScene(self.scene)
        self.logic.SetMRMLScene(self.scene)
        self.scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
        slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(self.scene)

    def close(self) -> None:
        self.scene.RemoveAllObservers()  # a layout logic that a failed test keeps alive crashes where its node goes
        self.scene.Clear(1)
        for logic in self.logics:
            logic.SetMRMLScene(None)
        self.logic.SetMRMLScene(None)
        self.remote.RemoveDataIOFromScene()
        self._cacheFolder.cleanup()


# Directions of the (i, j, k) axes in RAS, unit vectors as columns
AXES = {
    "RAS": np.diag([1.0, 1.0, 1.0]),
    "LAS": np.diag([-1.0, 1.0, 1.0]),
    "LPS": np.diag([-1.0, -1.0, 1.0]),
    "sagittal": np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]),
}


def rotation(degrees: float, axis: int) -> np.ndarray:
    """3x3 rotation about a world axis."""
    angle = np.radians(degrees)
    first, second = (other for other in range(3) if other != axis)
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix


AXES["oblique"] = rotation(20, 0) @ rotation(-15, 2) @ AXES["LPS"]


def geometry(name: str, spacing: tuple[float, float, float], shape: tuple[int, int, int]) -> np.ndarray:
    """4x4 voxel -> mm RAS with the middle of the grid at (3, -5, 7) mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = AXES[name] * spacing
    matrix[:3, 3] = np.array([3.0, -5.0, 7.0]) - matrix[:3, :3] @ ((np.array(shape) - 1) / 2)
    return matrix


def worldImage(matrix: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """An image whose value tells where it is: x + 1000 y + 1e6 z would do, but stays small: (K, J, I) float64."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    world = index @ matrix[:3, :3].T + matrix[:3, 3]
    values = 200 + world @ [1.0, 0.35, 0.11]
    return np.ascontiguousarray(values.transpose(2, 1, 0))


def valueAt(node: Any, point: np.ndarray) -> float:
    """The voxel of a volume node that is nearest to a world point, its parent transform included."""
    import slicer
    from MyelinSynthLib.scene.geometry import ijkToRas, toWorld

    index = np.rint(np.linalg.inv(toWorld(node, "volume") @ ijkToRas(node)) @ [*point, 1.0])[:3].astype(int)
    return float(slicer.util.arrayFromVolume(node)[tuple(index[::-1])])
