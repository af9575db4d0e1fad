"""Synthesis without a GUI: exports the input nodes, runs a child process, loads the result as nodes."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import slicer

from ..errors import SynthesisError
from ..patient.checks import titleOf
from ..patient.exchange import checkPatient, exportPatient
from ..patient.nodes import Patient
from ..words import _
from .job import Job
from .results import Outputs, loadResult

DEFAULT_MODEL = "demonstration"


class Synthesis(Job[Outputs]):
    """One synthesis of one patient.

    >>> synthesis = Synthesis(Patient(t1w, flair, lesions))                              # doctest: +SKIP
    >>> outputs = synthesis.run()                                                        # doctest: +SKIP
    """

    command = "synthesize"

    def __init__(
        self,
        patient: Patient,
        model: str = DEFAULT_MODEL,
        device: str = "auto",
        flips: bool = False,
        uncertainty: bool = False,
        findLesions: bool = True,
        **options: Any,
    ) -> None:
        """Prepare a synthesis; nothing runs yet.

        Args:
            patient: nodes to synthesize from; only read.
            model: name, folder or .zip file of a bundle.
            device: auto, cpu or cuda:N.
            flips: average with the prediction of the mirrored images.
            uncertainty: also estimate the SD of the map.
            findLesions: segment lesions with a network if the patient has no lesion mask.
            **options: options of `Job`.
        """
        super().__init__(**options)
        self.patient = patient
        self._options = ["--model", str(model), "--device", device] + ["--flips"] * flips
        self._options += ["--uncertainty"] * uncertainty
        if patient.lesions is None and not findLesions:
            self._options += ["--lesions", "none"]

    def check(self) -> None:
        """Check the patient's volumes.

        Raises:
            SynthesisError: a volume is missing or unsuitable.
        """
        self._checkPresent()
        problems = checkPatient(self.patient)
        if problems:
            raise SynthesisError(" ".join(problems))

    def writeInputs(self, scratch: Path) -> list[str]:
        """Write the patient's images and masks.

        Args:
            scratch: temporary folder of the job.

        Returns:
            Options of `synthesize`.
        """
        files = exportPatient(self.patient, scratch)
        return [*files, *self._options, "--out", str(scratch / "result")]

    def load(self, scratch: Path) -> Outputs:
        """Load the Result as nodes.

        Args:
            scratch: temporary folder of the job.

        Returns:
            The new nodes.
        """
        self._checkPresent()
        return loadResult(scratch / "result", self.patient, uuid.uuid4().hex)

    def _checkPresent(self) -> None:
        nodes = {"t1w": self.patient.t1w, "flair": self.patient.flair, **self.patient.further}
        for name, node in nodes.items():
            if node is not None and node.GetScene() is not slicer.mrmlScene:
                raise SynthesisError(
                    _("The {what} was removed from the scene before the synthesis finished.").format(what=titleOf(name))
                )
