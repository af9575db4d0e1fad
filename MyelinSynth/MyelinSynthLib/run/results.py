"""Loads a Result folder into the scene as nodes, in the same subject hierarchy folder as the T1w."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from ..display import views as display
from ..errors import SynthesisError
from ..patient.exchange import flairToT1Space
from ..patient.nodes import Patient
from ..review import segments as lesions
from ..review.table import Review, fillTable
from ..scene import provenance
from ..scene.geometry import addVolume, ijkToRas, onGrid, readTransform, toVtk, toWorld
from ..words import _
from .childprocess import importTrainingCore
from .reviewed import REJECTED_LABELS, allLesions, restoreReview, withoutOutline

# see TrainingCore.data.result
NAWM, LESION_LABELS, UNCERTAINTY = "nawm_mask.nii.gz", "lesion_labels.nii.gz", "uncertainty.nii.gz"
LESION_PROBABILITY, PLACES = "lesions_probability.nii.gz", "places.nii.gz"
CONTEXT = "lesion_context.nii.gz"
LARGEST_TEXT = 64 << 20  # bytes of a report (ours)


@dataclass
class Outputs:
    """The nodes of one synthesis.

    Attributes:
        run: run identifier shared by the nodes.
        dvr: scalar volume, the synthetic DVR on the T1w's grid.
        brain: label map.
        nawm: label map of normal-appearing white matter.
        table: lesion table with the review (`review.table.Review`).
        transform: linear transform node, FLAIR to T1w.
        flair: copy of the FLAIR under `transform`; shares its voxels.
        report: text node with the HTML report.
        provenance: text node with the content of provenance.json.
        segmentation: lesion outlines; None without a lesion mask and without automatic segmentation.
        uncertainty: scalar volume; None unless requested.
        probability: scalar volume; only with automatic lesion segmentation.
        regions: label map from which the regions of lesions are derived; None in Results of earlier versions.
        context: scalar volume on the model's grid from which the contrasts of edited lesions are measured; likewise.
    """

    run: str
    dvr: Any
    brain: Any
    nawm: Any
    table: Any
    transform: Any
    flair: Any
    report: Any
    provenance: Any
    segmentation: Any = None
    uncertainty: Any = None
    probability: Any = None
    regions: Any = None
    context: Any = None

    def nodes(self) -> dict[str, Any]:
        """Return the nodes by role (`provenance.ROLES`), without those that are None."""
        nodes = {
            "dvr": self.dvr,
            "brain": self.brain,
            "nawm": self.nawm,
            "lesions": self.segmentation,
            "table": self.table,
            "transform": self.transform,
            "flair": self.flair,
            "report": self.report,
            "provenance": self.provenance,
            "uncertainty": self.uncertainty,
            "probability": self.probability,
            "places": self.regions,
            "context": self.context,
        }
        return {role: node for role, node in nodes.items() if node is not None}


def loadResult(folder: Path, patient: Patient, run: str) -> Outputs:
    """Load a Result as nodes; the patient's own nodes are not changed.

    Args:
        folder: Result folder; its review is restored if it has one.
        patient: nodes that it was made from. The T1w defines the grid.
        run: run identifier that no other synthesis in the scene has.

    Returns:
        The new nodes.

    Raises:
        SynthesisError: the folder is not a complete Result, or it does not belong to this T1w; nodes loaded so far are
            removed.
    """
    importTrainingCore()
    from TrainingCore.data.result import Result
    from TrainingCore.runtime.errors import MyelinSynthError

    before = _nodeIds()
    try:
        return _load(Result.open(folder), patient, run)
    except BaseException as error:
        for identifier in _nodeIds() - before:
            slicer.mrmlScene.RemoveNode(slicer.mrmlScene.GetNodeByID(identifier))
        if isinstance(error, (MyelinSynthError, OSError)):
            raise SynthesisError(str(error)) from error
        raise


def _load(result: Any, patient: Patient, run: str) -> Outputs:
    t1w = patient.t1w
    name = t1w.GetName()
    rows = allLesions(result)
    transform, flair = _addTransformedFlair(result.path / "flair_to_t1.tfm", patient, name)
    outputs = Outputs(
        run=run,
        dvr=_addMap(result.path / "dvr.nii.gz", t1w, "vtkMRMLScalarVolumeNode", f"{name} {_('myelin map')}"),
        brain=_addMap(result.path / "brain_mask.nii.gz", t1w, "vtkMRMLLabelMapVolumeNode", f"{name} {_('brain')}"),
        nawm=_addMap(result.path / NAWM, t1w, "vtkMRMLLabelMapVolumeNode", f"{name} {_('NAWM')}"),
        table=slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", f"{name} {_('lesions')}"),
        transform=transform,
        flair=flair,
        report=_addText(result.path / "report.html", f"{name} {_('report')}"),
        provenance=_addText(result.path / "provenance.json", f"{name} {_('provenance')}"),
    )
    display.showMap(outputs.dvr)
    fillTable(outputs.table, rows, _columns(result))
    restoreReview(Review(outputs.table), result.path)
    if patient.lesions is not None or (result.path / LESION_LABELS).is_file():
        automatic = result.provenance.get("lesion_source") == provenance.FOUND
        what = _("lesions found automatically, to be reviewed") if automatic else _("lesion outlines")
        colours = lesions.lesionColours(Review(outputs.table))
        outputs.segmentation = _addLesions(result.path, t1w, rows, f"{name} {what}", colours)
    if (result.path / UNCERTAINTY).is_file():
        what = f"{name} {_('uncertainty of the map')}"
        outputs.uncertainty = _addMap(result.path / UNCERTAINTY, t1w, "vtkMRMLScalarVolumeNode", what)
        display.showUncertainty(outputs.uncertainty)
    if (result.path / LESION_PROBABILITY).is_file():
        what = f"{name} {_('lesion probability')}"
        outputs.probability = _addMap(result.path / LESION_PROBABILITY, t1w, "vtkMRMLScalarVolumeNode", what)
        display.showProbability(outputs.probability)
    if (result.path / PLACES).is_file():
        what = f"{name} {_('places (regions of lesions)')}"
        outputs.regions = _addMap(result.path / PLACES, t1w, "vtkMRMLLabelMapVolumeNode", what)
    if (result.path / CONTEXT).is_file():
        outputs.context = _addContext(result.path / CONTEXT, t1w, f"{name} {_('MRI and tissues of lesions')}")
    for role, node in outputs.nodes().items():
        provenance.sign(node, role, run, result.provenance, t1w)
    if patient.dvr is not None:
        outputs.dvr.SetNodeReferenceID(provenance.MEASURED_REFERENCE, patient.dvr.GetID())
    putBesideT1w(t1w, list(outputs.nodes().values()), f"{name} {_('MyelinSynth')}")
    return outputs


def _columns(result: Any) -> Sequence[str]:
    with open(result.path / "lesions.csv", encoding="utf-8", newline="") as stream:
        return next(csv.reader(stream))


def _addMap(path: Path, t1w: Any, className: str, name: str) -> Any:
    """Add a volume of the Result on the T1w's grid and under the T1w's parent transform."""
    array = _readOnGrid(path, t1w).astype(np.float32 if className == "vtkMRMLScalarVolumeNode" else np.uint8)
    node = addVolume(className, name, array, ijkToRas(t1w))
    node.SetAndObserveTransformNodeID(t1w.GetTransformNodeID())
    if className == "vtkMRMLLabelMapVolumeNode":
        node.CreateDefaultDisplayNodes()
    return node


def _addContext(path: Path, t1w: Any, name: str) -> Any:
    """Add the coded MRI and tissues on their own grid, hidden, under the T1w's parent transform."""
    loaded = _read(path)
    array = slicer.util.arrayFromVolume(loaded).astype(np.int32)
    node = addVolume("vtkMRMLScalarVolumeNode", name, array, ijkToRas(loaded), hidden=True)
    node.SetAndObserveTransformNodeID(t1w.GetTransformNodeID())
    return node


def _read(path: Path) -> Any:
    """Read a volume of the Result as a node that is in no scene."""
    loaded = slicer.vtkMRMLScalarVolumeNode()
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetSingleFile(1)
    if not storage.ReadData(loaded) or loaded.GetImageData() is None:
        raise SynthesisError(_("{name} of the result could not be read.").format(name=path.name))
    return loaded


def _readOnGrid(path: Path, t1w: Any) -> np.ndarray:
    """Return the voxels of a file of the Result in the T1w's axis order, (K, J, I)."""
    loaded = _read(path)
    shape = t1w.GetImageData().GetDimensions()[::-1]
    return onGrid(slicer.util.arrayFromVolume(loaded), ijkToRas(loaded), shape, ijkToRas(t1w))


def _addTransformedFlair(path: Path, patient: Patient, name: str) -> tuple[Any, Any]:
    """Add the transform from registration, and a copy of the FLAIR under it.

    The copy shares the voxels of the FLAIR; the FLAIR itself is not moved.
    """
    t1w, flair = patient.t1w, patient.flair
    before = flairToT1Space(patient, np.linalg.inv(toWorld(t1w, _("T1w"))))
    moving = patient.flairToT1
    fetch = readTransform(path)  # maps T1w points to FLAIR points
    if moving is not None and not isinstance(moving, str) and flair.GetParentTransformNode() is moving:
        matrix = before
    else:
        matrix = np.linalg.inv(fetch) @ before
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", f"{name} {_('FLAIR to T1w')}")
    transform.SetMatrixTransformToParent(toVtk(matrix))
    transform.SetAndObserveTransformNodeID(t1w.GetTransformNodeID())
    transform.SetAttribute(provenance.FETCH_ATTRIBUTE, json.dumps(fetch.tolist()))
    further = {file.name: readTransform(file).tolist() for file in path.parent.glob("*_to_t1.tfm") if file != path}
    transform.SetAttribute(provenance.FURTHER_ATTRIBUTE, json.dumps(further))
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"{name} {_('FLAIR in T1w space')}")
    copy.CopyOrientation(flair)
    copy.SetAndObserveImageData(flair.GetImageData())
    copy.SetAndObserveTransformNodeID(transform.GetID())
    copy.CreateDefaultDisplayNodes()
    return transform, copy


def _addText(path: Path, name: str) -> Any:
    if path.stat().st_size > LARGEST_TEXT:
        raise SynthesisError(_("{name} of the result is too large.").format(name=path.name))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", name)
    node.SetText(path.read_text(encoding="utf-8"))
    node.SetEncoding(vtk.VTK_ENCODING_UTF_8)
    return node


def _addLesions(
    folder: Path, t1w: Any, rows: Sequence[dict[str, Any]], name: str, colours: dict[int, lesions.Colour]
) -> Any:
    labels, ids = np.zeros((0, 0, 0), np.int16), []
    if rows:
        if not (folder / LESION_LABELS).is_file():
            raise SynthesisError(_("The result has no {name}. Run the synthesis again.").format(name=LESION_LABELS))
        labels = _readOnGrid(folder / LESION_LABELS, t1w)
        if (folder / REJECTED_LABELS).is_file():
            labels = np.maximum(labels, _readOnGrid(folder / REJECTED_LABELS, t1w))  # no voxel is in both
        labels = labels.astype(np.int16 if labels.max() <= np.iinfo(np.int16).max else np.int32)
        removed = withoutOutline(folder)
        ids = [int(row["id"]) for row in rows if int(row["id"]) not in removed]
    segmentation = lesions.addSegmentation(name, labels, t1w, ids, colours)
    display.showOutlines(segmentation)
    segmentation.SetAndObserveTransformNodeID(t1w.GetTransformNodeID())
    # After the transform is set: the geometry depends on both parents, and saving resamples segments to it
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(t1w)
    return segmentation


def putBesideT1w(t1w: Any, nodes: Sequence[Any], folderName: str) -> int:
    """Put nodes into a new subject hierarchy folder in the T1w's study.

    Args:
        t1w: T1w volume; if it is in no study, the folder is added to the scene.
        nodes: nodes to move.
        folderName: name of the folder.

    Returns:
        Subject hierarchy item of the folder.
    """
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(slicer.mrmlScene)
    scene = hierarchy.GetSceneItemID()
    item = hierarchy.GetItemByDataNode(t1w)
    study = hierarchy.GetItemParent(item) if item else scene
    folder = hierarchy.CreateFolderItem(study or scene, folderName)
    for node in nodes:
        child = hierarchy.GetItemByDataNode(node)
        if child:
            hierarchy.SetItemParent(child, folder)
        else:
            hierarchy.CreateItem(folder, node)
    return folder


def _nodeIds() -> set[str]:
    nodes = slicer.mrmlScene.GetNodes()
    return {nodes.GetItemAsObject(index).GetID() for index in range(nodes.GetNumberOfItems())}
