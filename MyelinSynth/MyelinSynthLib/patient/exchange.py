"""Exports a patient's nodes to the files that `python -m TrainingCore.synthesize` reads.

All files are in the T1w's own space. Nodes and their transforms are only read: a linear transform is written to the
header of the exported copy, any other is refused with a message.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from ..errors import SynthesisError
from ..run.childprocess import importTrainingCore
from ..scene.geometry import checkAxes, ijkToRas, removeExported, toArray, toVtk, toWorld, writeTransform
from ..words import _
from .checks import findProblems, titleOf
from .nodes import Patient

ALIGNED = "identity"


def exportPatient(patient: Patient, folder: Path) -> list[str]:
    """Write a patient's images and masks for `synthesize`.

    Args:
        patient: nodes to export; only read.
        folder: existing folder, normally a temporary one.

    Returns:
        Command line options for `synthesize` that name the files.

    Raises:
        SynthesisError: an input is missing or unusable, or a file cannot be written.
    """
    problems = checkPatient(patient)
    if problems:
        raise SynthesisError(" ".join(problems))
    t1w = patient.t1w
    worldToT1 = np.linalg.inv(toWorld(t1w, _("T1w")))
    options = ["--t1", writeVolume(t1w, ijkToRas(t1w), folder / "t1w.nrrd", _("T1w"))]
    options += _exportFlair(patient, worldToT1, folder)
    for name, volume in patient.further.items():
        options += _exportFurther(name, volume, worldToT1, folder)
    for option, node, name, what in (
        ("--lesions", patient.lesions, "lesions.nrrd", _("lesion mask")),
        ("--brain-mask", patient.brain, "brain.nrrd", _("brain mask")),
    ):
        if node is not None:
            options += [option, _exportMask(node, t1w, worldToT1, folder / name, what)]
    if patient.dvr is not None:
        what = _("measured DVR")
        ijkToT1 = worldToT1 @ toWorld(patient.dvr, what) @ ijkToRas(patient.dvr)
        options += ["--dvr", writeVolume(patient.dvr, ijkToT1, folder / "dvr.nrrd", what)]
    return options


def checkPatient(patient: Patient) -> list[str]:
    """List what prevents synthesis.

    Args:
        patient: nodes to check; only read.

    Returns:
        One sentence for each blocking problem; empty if synthesis is possible.
    """
    return [problem.text for problem in findProblems(patient) if problem.blocking]


def writeVolume(node: Any, matrix: np.ndarray, path: Path, what: str) -> str:
    """Write a volume's voxels as an uncompressed NRRD file with another position in its header.

    Args:
        node: volume; its voxels are shared, not copied.
        matrix: 4 x 4 matrix from (i, j, k) to RAS mm to write in the header.
        path: .nrrd file.
        what: name of the image in error messages.

    Returns:
        The path as text.

    Raises:
        SynthesisError: the axes are not orthogonal, or the file cannot be written completely.
    """
    checkAxes(matrix, what)
    copy = slicer.vtkMRMLScalarVolumeNode()
    copy.SetAndObserveImageData(node.GetImageData())
    copy.SetIJKToRASMatrix(toVtk(matrix))
    storage = slicer.vtkMRMLNRRDStorageNode()
    storage.SetFileName(str(path))
    storage.SetUseCompression(0)
    written = storage.WriteData(copy) and path.is_file()
    if not written or path.stat().st_size < node.GetImageData().GetActualMemorySize() * 1024 * 0.5:
        raise SynthesisError(
            _("The {what} could not be written to {folder}. Is the disk full, or the folder read-only?").format(
                what=what, folder=path.parent
            )
        )
    return str(path)


def _exportFlair(patient: Patient, worldToT1: np.ndarray, folder: Path) -> list[str]:
    flair, chosen = patient.flair, patient.flairToT1
    what = _("FLAIR")
    relative = flairToT1Space(patient, worldToT1)
    options = ["--flair", writeVolume(flair, relative @ ijkToRas(flair), folder / "flair.nrrd", what)]
    if chosen is None:
        return options
    if isinstance(chosen, str) or flair.GetParentTransformNode() is chosen:
        return options + ["--flair-to-t1", "identity"]
    matrix = vtk.vtkMatrix4x4()
    if not chosen.IsTransformToWorldLinear() or not chosen.GetMatrixTransformToWorld(matrix):
        raise SynthesisError(
            _("The transform {name} is not linear. Choose a linear one, or let the FLAIR be registered.").format(
                name=chosen.GetName()
            )
        )
    fetch = np.linalg.inv(toArray(matrix))  # a node moves the FLAIR in the world; a file tells where to fetch it from
    path = folder / "flair_to_t1.tfm"
    writeTransform(path, worldToT1 @ fetch @ np.linalg.inv(worldToT1))
    return options + ["--flair-to-t1", str(path)]


def _exportFurther(name: str, volume: Any, worldToT1: np.ndarray, folder: Path) -> list[str]:
    """Write an input that only some models need; the command registers it to the T1w."""
    importTrainingCore()
    from TrainingCore.data.inputs import option_of

    what = titleOf(name)
    ijkToT1 = worldToT1 @ toWorld(volume, what) @ ijkToRas(volume)
    return [option_of(name), writeVolume(volume, ijkToT1, folder / f"{name}.nrrd", what)]


def flairToT1Space(patient: Patient, worldToT1: np.ndarray) -> np.ndarray:
    """Return the relation between FLAIR and T1w in the scene, before any registration.

    Args:
        patient: its FLAIR may be under linear transforms.
        worldToT1: 4 x 4 matrix, RAS mm, from world to the T1w's own space.

    Returns:
        4 x 4 matrix, RAS mm, from the FLAIR's own space to the T1w's.

    Raises:
        SynthesisError: the FLAIR is under a non-linear transform.
    """
    return worldToT1 @ toWorld(patient.flair, _("FLAIR"))


def _exportMask(node: Any, t1w: Any, worldToT1: np.ndarray, path: Path, what: str) -> str:
    if node.IsA("vtkMRMLSegmentationNode"):
        mask = segmentationOnGrid(node, t1w)
        matrix = ijkToRas(t1w)
    else:
        if node.GetImageData() is None:
            raise SynthesisError(_("The {what} {name} holds no image.").format(what=what, name=node.GetName()))
        mask = (slicer.util.arrayFromVolume(node) != 0).astype(np.uint8)
        matrix = worldToT1 @ toWorld(node, what) @ ijkToRas(node)
    copy = slicer.vtkMRMLScalarVolumeNode()
    slicer.util.updateVolumeFromArray(copy, mask)
    return writeVolume(copy, matrix, path, what)


def segmentationOnGrid(segmentation: Any, reference: Any, segmentIds: list[str] | None = None) -> np.ndarray:
    """Resample segments to the grid of a volume, as one mask; transforms of both nodes are applied.

    Args:
        segmentation: must have a binary labelmap representation if it has segments; it is never converted.
        reference: volume that defines the grid.
        segmentIds: segments to include; None for all.

    Returns:
        Mask, uint8 (K, J, I).

    Raises:
        SynthesisError: there is no binary labelmap, or resampling failed.
    """
    content = segmentation.GetSegmentation()
    identifiers = list(content.GetSegmentIDs()) if segmentIds is None else segmentIds
    mask = np.zeros(reference.GetImageData().GetDimensions()[::-1], np.uint8)
    if identifiers and not content.ContainsRepresentation("Binary labelmap"):
        raise SynthesisError(
            _("The segmentation {name} has no binary labelmap. Create one in the Segmentations module.").format(
                name=segmentation.GetName()
            )
        )
    if not identifiers:
        return mask
    temporary = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    try:
        chosen = vtk.vtkStringArray()
        for identifier in identifiers:
            chosen.InsertNextValue(identifier)
        export = slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode
        if not export(segmentation, chosen, temporary, reference):
            raise SynthesisError(
                _("The segmentation {name} could not be resampled to the grid of the T1w.").format(
                    name=segmentation.GetName()
                )
            )
        mask[:] = slicer.util.arrayFromVolume(temporary) > 0
    finally:
        removeExported(temporary)
    return mask
