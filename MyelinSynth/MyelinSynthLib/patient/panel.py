"""The Patient section: checks the selected inputs, and loads the sample patient."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import qt
import slicer

from ..errors import SynthesisError
from ..words import _
from .checks import Problem
from .contrast import swappedWarning
from .nodes import Patient
from .sampledata import loadSamplePatient
from .selectors import InputSelectors

LOOK_AFTER_MILLISECONDS = 300  # without another choice, so that choosing stays instant (ours)


class PatientPanel:
    """Shows problems below each selector; `choose` is called with the nodes of the sample patient."""

    def __init__(self, ui: Any, choose: Callable[[Patient], None]) -> None:
        self.ui, self._choose = ui, choose
        self._notes = {
            "t1w": ui.t1wNote,
            "flair": ui.flairNote,
            "lesions": ui.lesionsNote,
            "dvr": ui.dvrNote,
            "brain": ui.brainNote,
            "transform": ui.transformNote,
        }
        self.selectors = InputSelectors(ui)
        self._pair: tuple[Any, ...] = ()
        self._swapped = ""
        self._problems: list[Problem] = []
        self._patient: Patient | None = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(LOOK_AFTER_MILLISECONDS)
        self._timer.connect("timeout()", self._onLook)
        ui.samplePatientButton.connect("clicked(bool)", self._onSamplePatient)

    def show(self, patient: Patient, problems: Iterable[Problem]) -> bool:
        """Show the problems of a patient; the check for swapped images follows once the choice is stable.

        Args:
            patient: chosen nodes; kept until `forget`.
            problems: problems to show (`checks.findProblems`).

        Returns:
            True if synthesis is possible.
        """
        self._patient, self._problems = patient, list(problems)
        blocking = {problem.field for problem in self._problems if problem.blocking}
        pair = () if blocking & {"t1w", "flair"} else _stateOf(patient)
        if pair != self._pair:
            self._pair, self._swapped = pair, ""
            if pair:
                self._timer.start()
            else:
                self._timer.stop()
        self._write()
        return not blocking

    def showLesionSource(self, maskChosen: bool, find: bool) -> None:
        """Show where the lesions will come from.

        Args:
            maskChosen: a lesion mask is chosen, so the check box has no effect and is disabled.
            find: the network will segment lesions if no mask is chosen.
        """
        self.ui.findLesionsBox.enabled = not maskChosen
        # In the box: seen in the application, a selector whose noneDisplay is set chooses a node again
        words = _("Find lesions automatically") if find else _("Find lesions (off: no table)")
        self.ui.findLesionsBox.text = _("A lesion mask is given") if maskChosen else words

    def forget(self) -> None:
        """Drop the references to the patient's nodes, when the scene closes or another module opens."""
        self._timer.stop()
        self._patient, self._pair, self._swapped = None, (), ""

    def _onLook(self) -> None:
        """Check the voxels for swapped T1w and FLAIR."""
        if self._patient is None or not self._pair:
            return
        self._swapped = swappedWarning(self._patient.t1w, self._patient.flair)
        self._write()

    def _onSamplePatient(self, _checked: bool = False) -> None:
        """Load the sample patient and choose it."""
        with slicer.util.tryWithErrorDisplay(_("The sample patient could not be loaded."), waitCursor=True):
            try:
                patient = loadSamplePatient()
            except SynthesisError as error:
                slicer.util.errorDisplay(str(error), windowTitle=_("MyelinSynth"))
                return
            self._choose(patient)

    def _write(self) -> None:
        problems = [*self._problems, *([Problem("flair", self._swapped, False)] if self._swapped else [])]
        for field, note in (self._notes | self.selectors.notes()).items():
            words = [_sentence(problem) for problem in problems if problem.field == field]
            note.text = "\n".join(words)
            note.visible = bool(words)


def _sentence(problem: Problem) -> str:
    return problem.text if problem.blocking else _("Warning: {text}").format(text=problem.text)


def _stateOf(patient: Patient) -> tuple[Any, ...]:
    """Return a key that changes when another image is chosen, or its voxels or position change."""
    nodes = (patient.t1w, patient.flair)
    return tuple(
        (node.GetID(), node.GetImageData().GetMTime(), node.GetTransformNodeID() or "", tuple(node.GetOrigin()))
        for node in nodes
    )
