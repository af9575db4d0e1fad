"""Worklist: patients of a batch, reviewed one after the other, each review stored in the patient's Result folder."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import slicer

from ..errors import SynthesisError
from ..export.files import lesionsCsv, writeResult
from ..patient.nodes import Patient
from ..run.batch import VOLUMES, WORKLIST_FILE, flairToT1, loadVolume
from ..run.childprocess import importTrainingCore
from ..run.results import Outputs, loadResult
from ..run.reviewed import reviewFile, rowsOf
from ..scene import provenance
from ..words import _
from .edits import SCREENED
from .table import AS_GIVEN, ID, REVIEW_COLUMNS, UNREVIEWED, Review


@dataclass(frozen=True)
class Entry:
    """One patient of the list.

    Attributes:
        label: name shown in the list.
        result: Result folder.
        files: paths of the images that the map was made from, by role.
        flairToT1: transform file, `identity`, or None if the FLAIR was registered.
    """

    label: str
    result: Path
    files: dict[str, str] = field(default_factory=dict)
    flairToT1: str | None = None

    def progress(self) -> tuple[int, int] | None:
        """Return (lesions reviewed, lesions) as stored in the Result folder; None if its tables cannot be read."""
        try:
            states = {row[ID]: row.get("state", UNREVIEWED) for row in rowsOf(reviewFile(self.result))}
            lesions = [row[ID] for row in rowsOf(self.result / "lesions.csv")]
        except SynthesisError:
            return None  # opening the patient says why
        return sum(states.get(lesion, UNREVIEWED) != UNREVIEWED for lesion in lesions), len(lesions)


def readWorklist(folder: Path) -> list[Entry]:
    """Read the patients of a batch that have a result.

    Args:
        folder: results folder of batch_synthesize.py or bids_app, or the folder that holds `results`.

    Returns:
        Entries in the order of the batch.

    Raises:
        SynthesisError: the folder has no readable worklist.
    """
    if not (folder / WORKLIST_FILE).is_file() and (folder / "results" / WORKLIST_FILE).is_file():
        folder = folder / "results"
    path = folder / WORKLIST_FILE
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        entries = [
            Entry(label, folder / paths.get("result", f"{label}_result"), paths["files"], paths["flair_to_t1"])
            for label, paths in listed.items()
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        text = _("{folder} is not a results folder of batch_synthesize.py or bids_app: it has no readable {name}.")
        raise SynthesisError(text.format(folder=folder, name=WORKLIST_FILE)) from error
    return [entry for entry in entries if entry.result.is_dir()]


def openEntry(entry: Entry) -> tuple[Patient, Outputs]:
    """Load the images and the Result of a patient, including its review.

    Args:
        entry: patient to load.

    Returns:
        The nodes of the inputs, and those of the result.

    Raises:
        SynthesisError: a file is missing or unreadable; nodes loaded so far are removed.
    """
    loaded: dict[str, Any] = {}
    try:
        for role, path in entry.files.items():
            loaded[role] = loadVolume(Path(path))
        transform = flairToT1(entry.flairToT1)
        if transform is not None and not isinstance(transform, str):
            loaded["transform"] = transform
        images = {role: loaded.get(role) for role in ("lesions", "dvr", "brain")}
        further = {role: node for role, node in loaded.items() if role not in (*VOLUMES, "transform")}
        patient = Patient(loaded["t1w"], loaded["flair"], **images, flairToT1=transform, further=further)
        outputs = loadResult(entry.result, patient, f"{entry.label} {uuid.uuid4().hex[:8]}")
    except BaseException:
        for node in loaded.values():
            slicer.mrmlScene.RemoveNode(node)
        raise
    return patient, outputs


def closeEntry(patient: Patient, outputs: Outputs) -> None:
    """Remove the nodes of a patient from the scene, including all that were made from the map.

    Args:
        patient: inputs from `openEntry`.
        outputs: result from `openEntry`.
    """
    images = [patient.t1w, patient.flair, patient.lesions, patient.dvr, patient.brain, patient.flairToT1]
    images += patient.further.values()
    for node in [*provenance.sameRun(outputs.dvr).values(), *images]:
        if node is not None and not isinstance(node, str) and slicer.mrmlScene.IsNodePresent(node):
            _remove(node)


def _remove(node: Any) -> None:
    """Remove a node together with its display and storage nodes."""
    belongings = []
    if node.IsA("vtkMRMLDisplayableNode"):
        belongings += [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        belongings += [node.GetNthStorageNode(index) for index in range(node.GetNumberOfStorageNodes())]
    slicer.mrmlScene.RemoveNode(node)
    for companion in belongings:
        if companion is not None and slicer.mrmlScene.IsNodePresent(companion):
            slicer.mrmlScene.RemoveNode(companion)


def keepReview(nodes: dict[str, Any], result: Path) -> None:
    """Write the review to the Result folder; if an outline was edited since, write the whole Result again.

    Args:
        nodes: nodes of one synthesis by role.
        result: its Result folder.

    Raises:
        SynthesisError: the folder cannot be written, or its tables cannot be read.
    """
    importTrainingCore()
    from TrainingCore.runtime.errors import MyelinSynthError
    from TrainingCore.runtime.files import write_text

    review = Review(nodes["table"])
    text = lesionsCsv(review, [ID, *REVIEW_COLUMNS])
    before = {row[ID]: row.get("outline", "") for row in rowsOf(reviewFile(result))}
    marks = {str(review.lesion(row)): review.outline(row) for row in range(len(review))}
    edited = any(mark != before.get(lesion, AS_GIVEN) for lesion, mark in marks.items())
    edited = edited or _measured(csv.DictReader(lesionsCsv(review).splitlines())) != _measured(
        rowsOf(result / "lesions.csv")
    )
    try:
        if edited:
            writeResult(nodes, result, everything=True)
        write_text(reviewFile(result), text)
    except (MyelinSynthError, OSError) as error:
        raise SynthesisError(
            _("The review cannot be saved in {folder}: {reason}").format(
                folder=result, reason=getattr(error, "strerror", None) or error
            )
        ) from error


def _measured(rows: Iterable[dict[str, str]]) -> dict[str, tuple[str, ...]]:
    """Return measurements that tell outlines apart, by lesion, with the digits of lesions.csv.

    The outline mark alone is not enough: it does not change when a lesion is edited a second time.
    """
    return {row[ID]: tuple(row.get(name, "") for name in SCREENED) for row in rows}
