"""What the module does without a GUI; scripts find it as `MyelinSynth.MyelinSynthLogic`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from .display import views as display
from .display.shown import Shown
from .errors import SynthesisError
from .patient.checks import Problem, findProblems
from .patient.exchange import ALIGNED
from .patient.nodes import Patient
from .patient.studies import areOfDifferentVisits, volumeByName
from .run.results import Outputs
from .run.synthesis import Synthesis
from .scene import provenance
from .scene.parameters import Alignment, MyelinSynthParameterNode, inputNode, setInputNode
from .words import _


class MyelinSynthLogic(ScriptedLoadableModuleLogic):
    """The functions of the module without a GUI.

    >>> outputs = MyelinSynthLogic().synthesize(t1w, flair, lesions)                        # doctest: +SKIP
    >>> outputs.dvr, outputs.table                                                          # doctest: +SKIP
    >>> MyelinSynthLogic().synthesizeInBackground(Patient(t1w, flair), finished=print)      # doctest: +SKIP
    """

    def getParameterNode(self) -> Any:
        """Return the choices of the scene."""
        return MyelinSynthParameterNode(super().getParameterNode())  # type: ignore[call-arg]  # its decorator's

    def synthesize(
        self,
        t1w: Any,
        flair: Any,
        lesions: Any = None,
        dvr: Any = None,
        brain: Any = None,
        flairToT1: Any = None,
        further: dict[str, Any] | None = None,
        **options: Any,
    ) -> Outputs:
        """Synthesize the myelin map of one patient and wait for it.

        Args:
            t1w: scalar volume.
            flair: scalar volume.
            lesions: segmentation, label map or scalar volume; None to segment lesions with a network.
            dvr: scalar volume of a measured DVR, or None.
            brain: segmentation, label map or scalar volume; None to compute a brain mask.
            flairToT1: None to register, "identity", or a linear transform node.
            further: volumes by input (t2w, mtr, ...) for models that need them.
            **options: model, device, flips, uncertainty, findLesions, onStep, onLog of `Synthesis`.

        Returns:
            `Outputs` with the new nodes.

        Raises:
            SynthesisError: an input is missing or unsuitable, or the synthesis failed.
        """
        return self.synthesis(Patient(t1w, flair, lesions, dvr, brain, flairToT1, further or {}), **options).run()

    def synthesizeInBackground(
        self,
        patient: Patient,
        finished: Callable[[Outputs], None],
        failed: Callable[[SynthesisError], None] | None = None,
        **options: Any,
    ) -> Any:
        """Start a synthesis and return at once.

        Args:
            patient: `Patient` with the nodes.
            finished: called with the `Outputs`.
            failed: called with the SynthesisError, also after cancelling; None to raise it in the event loop.
            **options: options of `Synthesis`.

        Returns:
            A `Background`, which can cancel it.

        Raises:
            SynthesisError: an input is missing or unsuitable.
        """
        from .run.background import Background

        return Background(self.synthesis(patient, **options), finished, failed)

    def synthesis(self, patient: Patient, **options: Any) -> Synthesis:
        """Return a Synthesis to `start` and to `pump` by hand.

        Args:
            patient: `Patient` with the nodes.
            **options: options of `Synthesis`.
        """
        return Synthesis(patient, folder=slicer.app.temporaryPath, **options)

    def patientOf(self, parameterNode: Any, further: Sequence[str] = ()) -> Patient:
        """Return the chosen nodes as a Patient.

        Args:
            parameterNode: MyelinSynthParameterNode of the scene.
            further: names of the inputs that the model needs besides T1w and FLAIR.
        """
        aligned = {Alignment.REGISTER: None, Alignment.ALIGNED: ALIGNED, Alignment.TRANSFORM: parameterNode.transform}
        return Patient(
            parameterNode.t1w,
            parameterNode.flair,
            parameterNode.lesions,
            parameterNode.dvr,
            parameterNode.brain,
            aligned[parameterNode.alignment],
            {name: inputNode(parameterNode, name) for name in further},
        )

    def problemsOf(self, parameterNode: Any, further: Sequence[str] = ()) -> list[Problem]:
        """Return the problems of the choices (`checks.Problem`).

        Args:
            parameterNode: MyelinSynthParameterNode of the scene.
            further: names of the inputs that the model needs besides T1w and FLAIR.
        """
        problems = findProblems(self.patientOf(parameterNode, further))
        if parameterNode.alignment == Alignment.TRANSFORM and parameterNode.transform is None:
            problems.append(Problem("transform", _("Choose the transform, or another alignment.")))
        return problems

    def chooseByName(self, parameterNode: Any, further: Sequence[str] = ()) -> None:
        """Choose volumes whose names say T1, FLAIR or a further input, for inputs without a choice.

        Args:
            parameterNode: MyelinSynthParameterNode of the scene; modified.
            further: names of the inputs that the model needs besides T1w and FLAIR.
        """
        for field, other in (("t1w", "flair"), ("flair", "t1w")):
            if getattr(parameterNode, field) is None:
                volume = volumeByName(field, getattr(parameterNode, other))
                if volume is not None:
                    setattr(parameterNode, field, volume)
        for name in further:
            if inputNode(parameterNode, name) is None:
                volume = volumeByName(name, parameterNode.t1w)
                if volume is not None:
                    setInputNode(parameterNode, name, volume)

    def clearOtherVisits(self, parameterNode: Any, before: Patient) -> None:
        """Clear choices that were made for another T1w and are known to be of another visit than the T1w now chosen.

        Args:
            parameterNode: MyelinSynthParameterNode of the scene; modified.
            before: the choices before the T1w was chosen; nodes chosen since then stay.
        """
        t1w = parameterNode.t1w
        for field in ("flair", "lesions", "dvr", "brain"):
            node = getattr(parameterNode, field)
            if node is not None and node is getattr(before, field) and areOfDifferentVisits(node, t1w):
                setattr(parameterNode, field, None)
        for name, node in before.further.items():
            if node is not None and node is inputNode(parameterNode, name) and areOfDifferentVisits(node, t1w):
                setInputNode(parameterNode, name, None)

    def chosenRun(self, parameterNode: Any) -> dict[str, Any]:
        """Return the nodes of the run to show: the one chosen last, else the latest, of the chosen T1w if it has any.

        Args:
            parameterNode: MyelinSynthParameterNode of the scene, or None.

        Returns:
            Nodes by role; empty if the scene has no run.
        """
        runs = provenance.runs(slicer.mrmlScene)
        if parameterNode is not None and parameterNode.t1w is not None:
            runs = provenance.runs(slicer.mrmlScene, parameterNode.t1w) or runs
        changes = provenance.runs(slicer.mrmlScene, role="change_map")  # that were opened without a result, too
        runs = runs or changes
        chosen = parameterNode.run if parameterNode is not None and parameterNode.run in [*runs, *changes] else None
        return provenance.nodesOfRun(slicer.mrmlScene, chosen or runs[-1]) if runs else {}

    def show(self, mapNode: Any) -> None:
        """Show a map over its T1w in every slice view, with its colour bar, for scripts.

        Args:
            mapNode: synthetic DVR map of a synthesis.
        """
        shown = Shown()
        shown.take(provenance.sameRun(mapNode))
        shown.apply()
        display.addLegend(mapNode)
