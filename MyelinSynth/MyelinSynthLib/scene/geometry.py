"""Where volumes lie: 4x4 matrices in RAS mm, numpy arrays in Slicer's (K, J, I) order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from ..errors import SynthesisError
from ..words import _

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
TOLERANCE = 1e-4  # of a matrix element; mm over one voxel at most (ours)


def toArray(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """A VTK matrix as numpy (4, 4)."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def toVtk(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    """A numpy (4, 4) as VTK matrix."""
    copy = vtk.vtkMatrix4x4()
    copy.DeepCopy(np.asarray(matrix, float).ravel().tolist())
    return copy


def ijkToRas(volumeNode: Any) -> np.ndarray:
    """Voxel (i, j, k) -> mm RAS of the volume's own space, its parent transform not applied."""
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return toArray(matrix)


def toWorld(node: Any, what: str) -> np.ndarray:
    """The node's own space -> world, through its parent transforms.

    Raises SynthesisError where one of them is not linear; `what` names the node in the sentence.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.eye(4)
    matrix = vtk.vtkMatrix4x4()
    if not parent.IsTransformToWorldLinear() or not parent.GetMatrixTransformToWorld(matrix):
        raise SynthesisError(
            _(
                "The {what} is under the non-linear transform {name}. Harden the transform on a copy of the {what}, or "
                "remove the {what} from it."
            ).format(what=what, name=parent.GetName())
        )
    return toArray(matrix)


def checkAxes(matrix: np.ndarray, what: str) -> None:
    """Raises SynthesisError where the axes are sheared or flat, which no image file can say without being resampled."""
    axes = np.asarray(matrix)[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if lengths.min() > 1e-6:
        cosines = (axes / lengths).T @ (axes / lengths)
        if np.abs(cosines - np.eye(3)).max() < TOLERANCE:
            return
    raise SynthesisError(
        _("The {what} has sheared axes (a transform that is not rigid?). Resample it, or harden its transform.").format(
            what=what
        )
    )


def onGrid(
    array: np.ndarray, arrayIjkToRas: np.ndarray, shape: tuple[int, ...], gridIjkToRas: np.ndarray
) -> np.ndarray:
    """The same voxels in another order of axes: `array` (K, J, I) on a grid that has the same voxel centres.

    Files keep the place of every voxel, but readers turn axes round (Slicer flips left-handed NIfTI along K). Raises
    SynthesisError where the two grids do not have the same voxels.
    """
    steps = np.linalg.inv(arrayIjkToRas) @ gridIjkToRas  # index on the grid -> index in the array
    turns = np.rint(steps[:3, :3])
    offset = np.rint(steps[:3, 3])
    exact = np.abs(steps[:3, :3] - turns).max() < 1e-3 and np.abs(steps[:3, 3] - offset).max() < 0.1
    if exact and (np.abs(turns).sum(axis=0) == 1).all() and (np.abs(turns).sum(axis=1) == 1).all():
        order = np.abs(turns).argmax(axis=0)  # grid axis -> array axis
        turned = array.transpose(2, 1, 0).transpose(order)
        signs = turns[order, range(3)]
        turned = turned[tuple(slice(None, None, int(sign)) for sign in signs)]
        ends = np.where(turns.sum(axis=1) < 0, np.array(array.shape[::-1]) - 1, 0)
        if turned.shape == tuple(shape)[::-1] and (offset == ends).all():
            return np.ascontiguousarray(turned.transpose(2, 1, 0))
    raise SynthesisError(
        _("The result does not lie on the grid of the T1w. Choose the T1w that it was made of, unchanged.")
    )


def writeTransform(path: Path, matrix: np.ndarray) -> None:
    """Write a 4x4 RAS matrix as an ITK text transform (LPS mm), which maps a fixed to a moving point."""
    lps = LPS_FROM_RAS @ np.asarray(matrix, float) @ LPS_FROM_RAS
    numbers = " ".join(f"{value:.17g}" for value in (*lps[:3, :3].ravel(), *lps[:3, 3]))
    path.write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {numbers}\nFixedParameters: 0 0 0\n",
        encoding="ascii",
    )


def readTransform(path: Path) -> np.ndarray:
    """The 4x4 RAS matrix (fixed -> moving point) of an ITK text transform that was written about the origin."""
    lines = dict(line.split(":", 1) for line in path.read_text(encoding="utf-8").splitlines() if ":" in line)
    numbers = np.array([float(text) for text in lines["Parameters"].split()])
    centre = [float(text) for text in lines["FixedParameters"].split()]
    if numbers.size != 12 or any(centre):
        raise SynthesisError(_("The transform {name} is not the one that MyelinSynth writes.").format(name=path.name))
    lps = np.eye(4)
    lps[:3, :3], lps[:3, 3] = numbers[:9].reshape(3, 3), numbers[9:]
    return LPS_FROM_RAS @ lps @ LPS_FROM_RAS


def addVolume(className: str, name: str, array: np.ndarray, matrix: np.ndarray) -> Any:
    """A new volume node in the scene: array (K, J, I), matrix (i, j, k) -> RAS of its own space."""
    node = slicer.mrmlScene.AddNewNodeByClass(className, slicer.mrmlScene.GenerateUniqueName(name))
    node.SetIJKToRASMatrix(toVtk(matrix))
    slicer.util.updateVolumeFromArray(node, array)
    return node
