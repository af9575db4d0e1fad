"""Nodes of a synthesis without running one: data for the self-test, which must need neither PyTorch nor files."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import slicer

from ..display import views as display
from ..review import segments as lesions
from ..review.table import fillTable
from ..run.results import putBesideT1w
from ..scene import provenance
from ..scene.geometry import addVolume, ijkToRas

SHAPE, VOXEL_MM = (24, 28, 26), 2.0  # (K, J, I)
NAWM_DVR, LESION_DVRS = 1.2, (0.8, 0.95)
# (first corner, size) of two boxes, (k, j, i)
BOXES = (((8, 8, 6), (5, 5, 5)), ((12, 14, 16), (4, 3, 4)))
MISSED = (slice(9, 12), slice(18, 21), slice(8, 11))  # (k, j, i) of a lesion that the network gave MISSED_PROBABILITY
MISSED_PROBABILITY = 0.3
VENTRICLES = 2  # see TrainingCore.imaging.regions.encode_regions
COLUMNS = (
    *("id", "region", "volume_mm3", "x_mm", "y_mm", "z_mm", "confidence", "mean_dvr", "sd_dvr", "min_dvr"),
    "ratio_to_nawm",
    *("demyelinated_share", "uncertainty", "measured_mean_dvr"),
)


def makeNodes(run: str = "self-test", fromNetwork: bool = False) -> dict[str, Any]:
    """Add a box-shaped patient to the scene, with two lesions, a grid of 2 mm and a measured DVR.

    Args:
        run: run identifier to sign the nodes with.
        fromNetwork: sign the lesions as outlined by a network that missed another one (MISSED); adds its probability
            map and the regions beside that lesion.

    Returns:
        Nodes by role.
    """
    matrix = np.diag([-VOXEL_MM, -VOXEL_MM, VOXEL_MM, 1.0])
    matrix[:3, 3] = (20, 30, -15)
    brain = np.zeros(SHAPE, np.uint8)
    brain[2:-2, 2:-2, 2:-2] = 1
    dvr = np.where(brain, NAWM_DVR, 0).astype(np.float32)
    labels = np.zeros(SHAPE, np.int16)
    for number, ((corner, size), value) in enumerate(zip(BOXES, LESION_DVRS), start=1):
        box = tuple(slice(first, first + length) for first, length in zip(corner, size))
        labels[box], dvr[box] = number, value
    t1w = addVolume("vtkMRMLScalarVolumeNode", "self-test T1w", 100 * dvr, matrix)
    measured = addVolume("vtkMRMLScalarVolumeNode", "self-test PET", dvr + 0.1 * brain, matrix)
    record = _record() | {"lesion_source": provenance.FOUND if fromNetwork else provenance.GIVEN}
    names = {"report": "<html><body><main></main></body></html>", "provenance": json.dumps(record)}
    nodes = {role: slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", f"self-test {role}") for role in names}
    for role, text in names.items():
        nodes[role].SetText(text)
    nodes["dvr"] = addVolume("vtkMRMLScalarVolumeNode", "self-test map", dvr, matrix)
    nodes["dvr"].SetNodeReferenceID(provenance.MEASURED_REFERENCE, measured.GetID())
    nodes["flair"] = addVolume("vtkMRMLScalarVolumeNode", "self-test FLAIR", 200 - 100 * dvr, matrix)
    nodes["brain"] = addVolume("vtkMRMLLabelMapVolumeNode", "self-test brain", brain, matrix)
    nawm = np.where(labels == 0, brain, 0).astype(np.uint8)
    nodes["nawm"] = addVolume("vtkMRMLLabelMapVolumeNode", "self-test NAWM", nawm, matrix)
    nodes["transform"] = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "self-test FLAIR to T1w")
    nodes["transform"].SetAttribute(provenance.FETCH_ATTRIBUTE, json.dumps(np.eye(4).tolist()))
    nodes["table"] = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "self-test lesions")
    fillTable(nodes["table"], _rows(labels, matrix), COLUMNS)
    ids = list(range(1, len(BOXES) + 1))
    nodes["lesions"] = lesions.addSegmentation("self-test outlines", labels, t1w, ids)
    display.showOutlines(nodes["lesions"])
    nodes["lesions"].SetReferenceImageGeometryParameterFromVolumeNode(t1w)
    if fromNetwork:
        probability = np.where(labels > 0, 0.9, 0.0).astype(np.float32)
        probability[MISSED] = MISSED_PROBABILITY
        nodes["probability"] = addVolume("vtkMRMLScalarVolumeNode", "self-test probability", probability, matrix)
        regions = np.zeros(SHAPE, np.uint8)
        regions[MISSED[0], MISSED[1], : MISSED[2].start] = VENTRICLES  # beside the lesion that was missed
        nodes["places"] = addVolume("vtkMRMLLabelMapVolumeNode", "self-test places", regions, matrix)
    for role, node in nodes.items():
        provenance.sign(node, role, run, record, t1w)
    display.showMap(nodes["dvr"])
    putBesideT1w(t1w, list(nodes.values()), "self-test")
    return nodes


def missedPosition(nodes: dict[str, Any]) -> list[float]:
    """Locate the lesion that the network missed.

    Args:
        nodes: nodes of `makeNodes` with `fromNetwork`.

    Returns:
        World position of its centre, RAS mm.
    """
    middle = [(part.start + part.stop - 1) / 2 for part in reversed(MISSED)]
    return (ijkToRas(nodes["dvr"]) @ [*middle, 1.0])[:3].tolist()


def _record() -> dict[str, Any]:
    model = {"name": "self-test", "weights_sha256": "0" * 64, "simulated_training_data": True}
    nawm = {"mean": NAWM_DVR, "sd": 0.0}
    summary: dict[str, Any] = {
        "synthetic_dvr": {"nawm": nawm},
        "measured_dvr": {"nawm": {"mean": NAWM_DVR + 0.1, "sd": 0.0}},
    }
    summary["demyelination_limit_dvr"] = NAWM_DVR
    return {"model": model, "software": {"MyelinSynth": "self-test"}, "summary": summary}


def _rows(labels: np.ndarray, matrix: np.ndarray) -> list[dict[str, Any]]:
    rows = []
    for number, value in enumerate(LESION_DVRS, start=1):
        centre = matrix @ [*np.argwhere(labels == number).mean(axis=0)[::-1], 1]
        row = {"id": number, "region": "deep white matter", "volume_mm3": VOXEL_MM**3 * (labels == number).sum()}
        row |= dict(zip(("x_mm", "y_mm", "z_mm"), centre)) | {"mean_dvr": value, "sd_dvr": 0.0, "min_dvr": value}
        row |= {"confidence": None, "ratio_to_nawm": value / NAWM_DVR, "demyelinated_share": 1.0, "uncertainty": None}
        rows.append(row | {"measured_mean_dvr": value + 0.1})
    return rows
