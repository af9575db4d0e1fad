"""Geometry of volumes: 4 x 4 matrices in RAS mm, numpy arrays in Slicer's (K, J, I) order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..errors import SynthesisError
from ..words import _

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
TOLERANCE = 1e-4  # of a matrix element; mm over one voxel at most (ours)


def toArray(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    """Convert a VTK matrix to numpy.

    Args:
        matrix: any 4 x 4 matrix; not modified.

    Returns:
        Array (4, 4), float64.
    """
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def toVtk(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    """Convert a numpy matrix to VTK.

    Args:
        matrix: array (4, 4); copied.

    Returns:
        A new vtkMatrix4x4.
    """
    copy = vtk.vtkMatrix4x4()
    copy.DeepCopy(np.asarray(matrix, float).ravel().tolist())
    return copy


def ijkToRas(volumeNode: Any) -> np.ndarray:
    """Return the voxel-to-space matrix of a volume, without its parent transform.

    Args:
        volumeNode: vtkMRMLVolumeNode of any kind.

    Returns:
        4 x 4 matrix from (i, j, k) to RAS mm in the volume's own space.
    """
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return toArray(matrix)


def imageToWorld(image: Any) -> np.ndarray:
    """Return the matrix from the voxel indices of an image without a node to its world.

    Args:
        image: vtkOrientedImageData; its indices begin where its extent does.

    Returns:
        4x4, mm.
    """
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return toArray(matrix)


def imageVoxels(image: Any) -> np.ndarray | None:
    """Return the voxels of an image without a node.

    Args:
        image: vtkOrientedImageData.

    Returns:
        View of the voxels, (K, J, I); None if there are none.
    """
    scalars = image.GetPointData().GetScalars()
    if scalars is None or not scalars.GetNumberOfTuples():
        return None
    return vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1])


def toWorld(node: Any, what: str) -> np.ndarray:
    """Return the matrix of a node's parent transforms.

    Args:
        node: any transformable node.
        what: name of the node in the error message, such as "FLAIR".

    Returns:
        4 x 4 matrix, RAS mm, from the node's own space to world; identity without a parent transform.

    Raises:
        SynthesisError: one of the transforms is not linear.
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


def pointsToWorld(node: Any, points: np.ndarray) -> np.ndarray:
    """Move points by a node's parent transforms, which need not be linear.

    Args:
        node: any transformable node.
        points: points (N, 3) in the node's own space, RAS mm.

    Returns:
        World points (N, 3), RAS mm.
    """
    parent = node.GetParentTransformNode()
    if parent is None:
        return np.array(points, float)
    transform = vtk.vtkGeneralTransform()
    parent.GetTransformToWorld(transform)
    return np.array([transform.TransformPoint(*map(float, point)) for point in points])


def checkAxes(matrix: np.ndarray, what: str) -> None:
    """Check that an image file can store a grid without resampling.

    Args:
        matrix: 4 x 4 matrix from (i, j, k) to RAS mm.
        what: name of the image in the error message.

    Raises:
        SynthesisError: the axes are not orthogonal, or one has no length.
    """
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
    """Reorder the axes of an array to match a grid with the same voxel centres.

    Files keep the position of every voxel, but readers reorder and flip axes (Slicer flips left-handed NIfTI along K).

    Args:
        array: voxels (K, J, I).
        arrayIjkToRas: 4 x 4 matrix of the array, (i, j, k) to RAS mm.
        shape: shape (K, J, I) of the grid.
        gridIjkToRas: 4 x 4 matrix of the grid, (i, j, k) to RAS mm.

    Returns:
        The same voxels on the grid, a contiguous copy (K, J, I).

    Raises:
        SynthesisError: the two grids do not have the same voxel centres.
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
        _("The result is not on the grid of the T1w. Choose the T1w that it was computed from, unchanged.")
    )


def writeTransform(path: Path, matrix: np.ndarray) -> None:
    """Write an affine transform as an ITK text file (LPS mm).

    Args:
        path: .tfm file, overwritten.
        matrix: 4 x 4 matrix, RAS mm, mapping fixed points to moving points (the inverse of a Slicer transform node).
    """
    lps = LPS_FROM_RAS @ np.asarray(matrix, float) @ LPS_FROM_RAS
    numbers = " ".join(f"{value:.17g}" for value in (*lps[:3, :3].ravel(), *lps[:3, 3]))
    path.write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        f"Parameters: {numbers}\nFixedParameters: 0 0 0\n",
        encoding="ascii",
    )


def readTransform(path: Path) -> np.ndarray:
    """Read an ITK text transform that `writeTransform` or TrainingCore wrote.

    Args:
        path: .tfm file.

    Returns:
        4 x 4 matrix, RAS mm, mapping fixed points to moving points.

    Raises:
        SynthesisError: it is not one affine transform with its centre at the origin.
    """
    lines = dict(line.split(":", 1) for line in path.read_text(encoding="utf-8").splitlines() if ":" in line)
    numbers = np.array([float(text) for text in lines["Parameters"].split()])
    centre = [float(text) for text in lines["FixedParameters"].split()]
    if numbers.size != 12 or any(centre):
        raise SynthesisError(_("The transform file {name} was not written by MyelinSynth.").format(name=path.name))
    lps = np.eye(4)
    lps[:3, :3], lps[:3, 3] = numbers[:9].reshape(3, 3), numbers[9:]
    return LPS_FROM_RAS @ lps @ LPS_FROM_RAS


def removeExported(labelmap: Any) -> None:
    """Remove a label map that Slicer exported segments to, with the colour table that it makes for it.

    Args:
        labelmap: vtkMRMLLabelMapVolumeNode in the scene.
    """
    display = labelmap.GetDisplayNode()
    colours = None if display is None else display.GetColorNode()
    fromExport = colours is not None and colours.GetTypeAsString() == "UserDefined"
    slicer.mrmlScene.RemoveNode(labelmap)
    for node in (display, colours if fromExport else None):
        if node is not None and slicer.mrmlScene.IsNodePresent(node):
            slicer.mrmlScene.RemoveNode(node)


def addVolume(className: str, name: str, array: np.ndarray, matrix: np.ndarray, hidden: bool = False) -> Any:
    """Add a volume node to the scene.

    Args:
        className: scalar or label map volume class, such as "vtkMRMLScalarVolumeNode".
        name: node name; a number is appended if the scene has it already.
        array: voxels (K, J, I), copied; the node takes over the data type.
        matrix: 4 x 4 matrix from (i, j, k) to RAS mm.
        hidden: whether selectors leave it out. They look at this only when a node is added.

    Returns:
        The node, without display nodes.
    """
    node = slicer.mrmlScene.CreateNodeByClass(className)
    node.UnRegister(None)
    node.SetName(slicer.mrmlScene.GenerateUniqueName(name))
    node.SetHideFromEditors(hidden)
    node = slicer.mrmlScene.AddNode(node)
    node.SetIJKToRASMatrix(toVtk(matrix))
    slicer.util.updateVolumeFromArray(node, array)
    return node
