"""Load a Result folder into the scene as nodes, beside the T1w."""

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
LARGEST_TEXT = 64 << 20  # bytes of a report (ours)


@dataclass
class Outputs:
    """The nodes of one synthesis.

    segmentation: None where lesions were neither given nor found; probability: only where a network found them;
    places: what decides on a lesion's region, None in Results of earlier versions; uncertainty: None where none was
    asked for.
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
    places: Any = None

    def nodes(self) -> dict[str, Any]:
        """Nodes by role, see provenance.ROLES."""
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
            "places": self.places,
        }
        return {role: node for role, node in nodes.items() if node is not None}


def loadResult(folder: Path, patient: Patient, run: str) -> Outputs:
    """Make the nodes of a Result; removes what it made where something fails.

    folder: the Result, with its review where it has one; run: a name that no other synthesis in the scene has.
    Raises SynthesisError. The patient's own nodes are not changed.
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
        outputs.segmentation = _addLesions(result.path, t1w, rows, f"{name} {what}")
        lesions.colourSegments(outputs.segmentation, Review(outputs.table))
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
        outputs.places = _addMap(result.path / PLACES, t1w, "vtkMRMLLabelMapVolumeNode", what)
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
    """A volume of the Result on exactly the T1w's grid, moving with the T1w."""
    array = _readOnGrid(path, t1w).astype(np.float32 if className == "vtkMRMLScalarVolumeNode" else np.uint8)
    node = addVolume(className, name, array, ijkToRas(t1w))
    node.SetAndObserveTransformNodeID(t1w.GetTransformNodeID())
    if className == "vtkMRMLLabelMapVolumeNode":
        node.CreateDefaultDisplayNodes()
    return node


def _readOnGrid(path: Path, t1w: Any) -> np.ndarray:
    """Voxels of a file of the Result in the T1w's own order, (K, J, I)."""
    loaded = slicer.vtkMRMLScalarVolumeNode()
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetSingleFile(1)
    if not storage.ReadData(loaded) or loaded.GetImageData() is None:
        raise SynthesisError(_("{name} of the result could not be read.").format(name=path.name))
    shape = t1w.GetImageData().GetDimensions()[::-1]
    return onGrid(slicer.util.arrayFromVolume(loaded), ijkToRas(loaded), shape, ijkToRas(t1w))


def _addTransformedFlair(path: Path, patient: Patient, name: str) -> tuple[Any, Any]:
    """The transform that registration found, as a node, and a copy of the FLAIR that lies under it.

    The copy shares the voxels of the FLAIR; the FLAIR itself stays where it was.
    """
    t1w, flair = patient.t1w, patient.flair
    before = flairToT1Space(patient, np.linalg.inv(toWorld(t1w, _("T1w"))))
    moving = patient.flairToT1
    fetch = readTransform(path)  # tells where to fetch the FLAIR from
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


def _addLesions(folder: Path, t1w: Any, rows: Sequence[dict[str, Any]], name: str) -> Any:
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    display.showOutlines(segmentation)
    if rows:
        if not (folder / LESION_LABELS).is_file():
            raise SynthesisError(_("The result has no {name}. Run the synthesis again.").format(name=LESION_LABELS))
        labels = _readOnGrid(folder / LESION_LABELS, t1w)
        if (folder / REJECTED_LABELS).is_file():
            labels = np.maximum(labels, _readOnGrid(folder / REJECTED_LABELS, t1w))  # no voxel is in both
        labels = labels.astype(np.int16 if labels.max() <= np.iinfo(np.int16).max else np.int32)
        gone = withoutOutline(folder)
        lesions.addSegments(segmentation, labels, t1w, [int(row["id"]) for row in rows if int(row["id"]) not in gone])
    segmentation.SetAndObserveTransformNodeID(t1w.GetTransformNodeID())
    # Only now: the geometry is taken between the two parents, and segments are resampled to it when they are saved
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(t1w)
    return segmentation


def putBesideT1w(t1w: Any, nodes: Sequence[Any], folderName: str) -> int:
    """A folder with the nodes under the T1w's study in the subject hierarchy; returns the folder's item."""
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
