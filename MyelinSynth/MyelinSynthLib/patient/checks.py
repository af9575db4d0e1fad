"""Checks of a patient's nodes, field by field, before anything is computed: missing, wrong or suspicious inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import SynthesisError
from ..run.childprocess import importTrainingCore
from ..scene.geometry import checkAxes, ijkToRas, toWorld
from ..words import _
from .nodes import Patient
from .studies import areOfDifferentVisits

VOLUMES, MASKS = ("t1w", "flair", "dvr"), ("lesions", "brain")
LARGEST_DVR = (
    20.0  # a map in other units (SUV, Bq/ml) is far above; measured DVR maps with their noise are below (ours)
)


@dataclass(frozen=True)
class Problem:
    """A problem with one input.

    Attributes:
        field: field of a Patient, `transform`, or the name of a further input.
        text: one sentence for the user.
        blocking: True if no map can be made until the problem is solved.
    """

    field: str
    text: str
    blocking: bool = True


def fieldTitles() -> dict[str, str]:
    """Return the name of each field as used in sentences."""
    return {
        "t1w": _("T1w"),
        "flair": _("FLAIR"),
        "lesions": _("lesion mask"),
        "dvr": _("measured DVR"),
        "brain": _("brain mask"),
        "transform": _("transform"),
    }


def titleOf(field: str) -> str:
    """Return the name of an input as used in sentences and next to its selector.

    Args:
        field: field of a Patient, `transform`, or a name in the table of inputs.

    Returns:
        Its translated title; `field` itself if it is in neither list.
    """
    if field in fieldTitles():
        return fieldTitles()[field]
    importTrainingCore()
    from TrainingCore.data.inputs import find_input

    row = find_input(field)
    return row.title if row else field


def findProblems(patient: Patient) -> list[Problem]:
    """List the problems of a patient without reading single voxels, so fast enough to run after every choice.

    Args:
        patient: nodes to check; they are only read, and each may be None.

    Returns:
        Problems in no particular order; synthesis is possible if none is blocking.
    """
    nodes = {field: getattr(patient, field) for field in (*VOLUMES, *MASKS) if getattr(patient, field) is not None}
    nodes |= {name: node for name, node in patient.further.items() if node is not None}
    problems = [
        Problem(field, _("Choose the {what}.").format(what=titleOf(field)))
        for field in ("t1w", "flair", *patient.further)
        if field not in nodes
    ]
    twice = _chosenTwice(nodes)
    problems += twice
    for problem in twice:
        del nodes[problem.field]
    sound = []
    for field, node in nodes.items():
        ofField = _maskProblems(field, node) if field in MASKS else _volumeProblems(field, node)
        ofField = ofField or _placeProblems(field, node)
        problems += ofField
        if not any(problem.blocking for problem in ofField):
            sound.append(field)
    if "t1w" in sound:
        problems += [problem for field in sound if field != "t1w" for problem in _relationProblems(field, nodes)]
        problems += _visitProblems(nodes)
    return problems + _transformProblems(patient)


def _visitProblems(nodes: dict[str, Any]) -> list[Problem]:
    """Warn of inputs from another visit or person than the T1w's: they are easily picked by mistake."""
    text = _("T1w and {what} belong to different studies. Are they of the same person and day?")
    return [
        Problem(field, text.format(what=titleOf(field)), blocking=False)
        for field, node in nodes.items()
        if field != "t1w" and areOfDifferentVisits(node, nodes["t1w"])
    ]


def _chosenTwice(nodes: dict[str, Any]) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[str, str] = {}
    for field, node in nodes.items():
        first = seen.setdefault(node.GetID(), field)
        if first != field:
            text = _("{first} and {second} are the same volume.").format(first=titleOf(first), second=titleOf(field))
            problems.append(Problem(field, text[0].upper() + text[1:]))
    return problems


def _volumeProblems(field: str, node: Any) -> list[Problem]:
    what, image = titleOf(field), node.GetImageData()
    if image is None or min(image.GetDimensions()) < 2:
        return [Problem(field, _("The {what} {name} holds no 3D image.").format(what=what, name=node.GetName()))]
    if image.GetNumberOfScalarComponents() != 1:
        text = _("The {what} {name} is a colour, vector or 4D image. Extract one volume of it.")
        return [Problem(field, text.format(what=what, name=node.GetName()))]
    low, high = image.GetScalarRange()
    if not low < high:
        text = _("The {what} {name} has the same value everywhere.")
        return [Problem(field, text.format(what=what, name=node.GetName()))]
    if field == "dvr" and high > LARGEST_DVR:
        text = _("The measured DVR has values up to {high:.4g}; white matter should be near 1.2. Is it a DVR map?")
        return [Problem(field, text.format(high=high), blocking=False)]
    return []


def _maskProblems(field: str, node: Any) -> list[Problem]:
    what = titleOf(field)
    empty = _("The {what} {name} is empty.").format(what=what, name=node.GetName())
    if node.IsA("vtkMRMLSegmentationNode"):
        content = node.GetSegmentation()
        if content.GetNumberOfSegments() and not content.ContainsRepresentation("Binary labelmap"):
            text = _("The segmentation {name} has no binary labelmap. Create one in the Segmentations module.")
            return [Problem(field, text.format(name=node.GetName()))]
        bounds = np.zeros(6)
        node.GetBounds(bounds)
        if bounds[0] <= bounds[1] and content.GetNumberOfSegments():
            return []
    else:
        image = node.GetImageData()
        if image is None or image.GetNumberOfScalarComponents() != 1:
            return [Problem(field, _("The {what} {name} holds no image.").format(what=what, name=node.GetName()))]
        if image.GetScalarRange() != (0.0, 0.0):
            return []
    if field == "lesions":
        return [Problem(field, empty + " " + _("There will be no lesion table."), blocking=False)]
    return [Problem(field, empty)]


def _placeProblems(field: str, node: Any) -> list[Problem]:
    """Report non-linear parent transforms, and axes that no image file can describe."""
    try:
        toRas = toWorld(node, titleOf(field))
        if node.IsA("vtkMRMLVolumeNode"):
            checkAxes(toRas @ ijkToRas(node), titleOf(field))
    except SynthesisError as error:
        return [Problem(field, str(error))]
    return []


def _relationProblems(field: str, nodes: dict[str, Any]) -> list[Problem]:
    if _overlap(nodes["t1w"], nodes[field]):
        return []
    text = _("T1w and {what} do not overlap in space. Are they of the same patient and session?")
    return [Problem(field, text.format(what=titleOf(field)))]


def _overlap(first: Any, second: Any) -> bool:
    """Return whether the world boxes of two nodes overlap; an empty segmentation has no box and overlaps everything."""
    boxes = np.zeros((2, 6))
    for box, node in zip(boxes, (first, second)):
        node.GetRASBounds(box)
        if box[0] > box[1]:
            return True
    low, high = boxes[:, ::2].max(axis=0), boxes[:, 1::2].min(axis=0)
    return bool((low < high).all())


def _transformProblems(patient: Patient) -> list[Problem]:
    chosen = patient.flairToT1
    if chosen is None or isinstance(chosen, str) or chosen.IsTransformToWorldLinear():
        return []
    text = _("The transform {name} is not linear. Choose a linear one, or let the FLAIR be registered.")
    return [Problem("transform", text.format(name=chosen.GetName()))]
