"""Comparison of two visits without a GUI: two Results in, `change` as child process, nodes out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..errors import SynthesisError
from ..export.files import NEEDED, writeResult
from ..patient.exchange import writeVolume
from ..run.childprocess import importTrainingCore
from ..run.job import Job
from ..scene import provenance
from ..scene.geometry import ijkToRas
from ..words import _
from .nodes import loadChange


@dataclass(frozen=True)
class ComparedVisit:
    """A Result to compare.

    Attributes:
        label: name for the user.
        folder: Result folder; None if the Result is in the scene.
        run: run identifier of the Result in the scene; empty for a folder.
    """

    label: str
    folder: Path | None = None
    run: str = ""

    @property
    def nodes(self) -> dict[str, Any]:
        """Nodes by role as the scene holds them now; empty for a folder."""
        return provenance.nodesOfRun(slicer.mrmlScene, self.run) if self.run else {}

    def record(self) -> dict[str, Any]:
        """Return the content of provenance.json.

        Raises:
            SynthesisError: the folder is not a complete Result, or a node was deleted.
        """
        if self.folder is None:
            nodes = self.nodes
            provenance.require(nodes, NEEDED)
            if nodes["table"].GetNumberOfRows():  # without their outlines these lesions could not be compared
                provenance.require(nodes, ["lesions"])
            content: dict[str, Any] = json.loads(nodes["provenance"].GetText())
            return content
        importTrainingCore()
        from TrainingCore.data.result import Result
        from TrainingCore.runtime.errors import BadInput

        try:
            return Result.open(self.folder).provenance
        except (BadInput, OSError) as error:
            raise SynthesisError(str(error)) from error

    def t1w(self) -> Any:
        """Return the T1w in the scene, or None."""
        return self.nodes["dvr"].GetNodeReference(provenance.T1W_REFERENCE) if "dvr" in self.nodes else None


def visitOfFolder(folder: Path) -> ComparedVisit:
    """Return the visit of a Result folder, labelled after the folder.

    Args:
        folder: Result folder; not read yet.
    """
    importTrainingCore()
    from TrainingCore.study.visit_pair import visit_label

    return ComparedVisit(visit_label(folder), folder)


def visitOfNodes(nodes: Mapping[str, Any]) -> ComparedVisit:
    """Return the visit of a Result in the scene, labelled after its T1w.

    Args:
        nodes: nodes of one synthesis by role.
    """
    t1w = nodes["dvr"].GetNodeReference(provenance.T1W_REFERENCE)
    name = t1w.GetName() if t1w is not None else nodes["dvr"].GetName()
    return ComparedVisit(name.removesuffix("_T1w"), None, provenance.get(nodes["dvr"], "Run"))


class Comparison(Job[dict[str, Any]]):
    """Comparison of a Result in the scene with an earlier visit; `outputs` are its nodes by role.

    >>> Comparison(visitOfFolder(Path("ses-1")), visitOfNodes(nodes)).run()                # doctest: +SKIP
    """

    command = "change"

    def __init__(self, before: ComparedVisit, after: ComparedVisit, **options: Any) -> None:
        super().__init__(**options)
        self.before, self.after = before, after

    def check(self) -> None:
        """Check that the two visits can be compared.

        Raises:
            SynthesisError: they are the same Result, of different persons, or from different models.
        """
        importTrainingCore()
        from TrainingCore.runtime.errors import BadInput
        from TrainingCore.study.visit_pair import check_same_model, check_same_person

        if self.before == self.after:
            raise SynthesisError(_("This result is already open. Choose an earlier visit of the same person."))
        records = self.before.record(), self.after.record()
        try:
            check_same_person((self.before.label, self.after.label), records)
            check_same_model(records)
        except BadInput as error:
            raise SynthesisError(str(error)) from error

    def writeInputs(self, scratch: Path) -> list[str]:
        """Write Results in the scene as folders, and both T1w if both are in the scene.

        Args:
            scratch: temporary folder of the job.

        Returns:
            Options of `change`.
        """
        options, images = [], (self.before.t1w(), self.after.t1w())
        for side, visit, t1w in zip(("before", "after"), (self.before, self.after), images):
            folder = visit.folder
            if folder is None:
                folder = scratch / side
                writeResult(visit.nodes, folder)
            options += [f"--{side}", str(folder), f"--{side}-label", visit.label]
            if None not in images:
                options += [f"--{side}-t1", writeVolume(t1w, ijkToRas(t1w), scratch / f"{side}.nrrd", _("T1w"))]
        return [*options, "--spacing", f"{self._spacing():.3g}", "--out", str(scratch / "change")]

    def load(self, scratch: Path) -> dict[str, Any]:
        """Load the comparison as nodes.

        Args:
            scratch: temporary folder of the job.

        Returns:
            Nodes of the comparison by role.

        Raises:
            SynthesisError: the map of the later visit was deleted, or a file cannot be loaded.
        """
        nodes = self.after.nodes
        if "dvr" not in nodes:
            raise SynthesisError(_("The myelin map was removed from the scene before the comparison finished."))
        return loadChange(scratch / "change", nodes)

    def _spacing(self) -> float:
        """Return the voxel size of the half-way space, mm: 1, or the smallest voxel edge of the later map if larger."""
        finest = float(np.min(self.after.nodes["dvr"].GetSpacing()))
        return min(max(finest, 1.0), 5.0)
