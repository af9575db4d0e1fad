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
from .patient.studies import volumeByName
from .run.results import Outputs
from .run.synthesis import Synthesis
from .scene import provenance
from .scene.parameters import Alignment, MyelinSynthParameterNode, inputNode, setInputNode
from .words import _


class MyelinSynthLogic(ScriptedLoadableModuleLogic):
    """All that the module does, without a GUI.

    >>> outputs = MyelinSynthLogic().synthesize(t1w, flair, lesions)                        # doctest: +SKIP
    >>> outputs.dvr, outputs.table                                                          # doctest: +SKIP
    >>> MyelinSynthLogic().synthesizeInBackground(Patient(t1w, flair), finished=print)      # doctest: +SKIP
    """

    def getParameterNode(self) -> Any:
        """The choices of the scene."""
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
        """Make the map of one patient and wait for it: nodes in, Outputs out. Raises SynthesisError.

        lesions, brain: segmentation or (label) volume; dvr: measured DVR; flairToT1: None to register, "identity", or a
        linear transform node; further: volumes by input (t2w, mtr, ...) for models that need them; options: model,
        device, flips, uncertainty, findLesions, onStep, onLog of `Synthesis`.
        """
        return self.synthesis(Patient(t1w, flair, lesions, dvr, brain, flairToT1, further or {}), **options).run()

    def synthesizeInBackground(
        self,
        patient: Patient,
        finished: Callable[[Outputs], None],
        failed: Callable[[SynthesisError], None] | None = None,
        **options: Any,
    ) -> Any:
        """Begin to make the map of a `Patient` and return at once; `finished` gets the Outputs, `failed` the error."""
        from .run.background import Background

        return Background(self.synthesis(patient, **options), finished, failed)

    def synthesis(self, patient: Patient, **options: Any) -> Synthesis:
        """A Synthesis to `start` and to `pump` by hand."""
        return Synthesis(patient, folder=slicer.app.temporaryPath, **options)

    def patientOf(self, parameterNode: Any, further: Sequence[str] = ()) -> Patient:
        """The nodes that are chosen. further: names of the inputs that the model needs beside T1w and FLAIR."""
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
        """What is missing, cannot work or is suspicious in the choices: `checks.Problem`s."""
        problems = findProblems(self.patientOf(parameterNode, further))
        if parameterNode.alignment == Alignment.TRANSFORM and parameterNode.transform is None:
            problems.append(Problem("transform", _("Choose the transform, or another alignment.")))
        return problems

    def chooseByName(self, parameterNode: Any, further: Sequence[str] = ()) -> None:
        """Choose the volumes whose names say T1, FLAIR or a further input where nothing is chosen yet."""
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

    def chosenRun(self, parameterNode: Any) -> dict[str, Any]:
        """Nodes by role of one run in the scene: of the chosen T1w where it has one, of any T1w otherwise; the run that
        was chosen last, or the latest. Empty where there is none."""
        runs = provenance.runs(slicer.mrmlScene)
        if parameterNode is not None and parameterNode.t1w is not None:
            runs = provenance.runs(slicer.mrmlScene, parameterNode.t1w) or runs
        changes = provenance.runs(slicer.mrmlScene, role="change_map")  # that were opened without a result, too
        runs = runs or changes
        chosen = parameterNode.run if parameterNode is not None and parameterNode.run in [*runs, *changes] else None
        return provenance.nodesOfRun(slicer.mrmlScene, chosen or runs[-1]) if runs else {}

    def show(self, mapNode: Any) -> None:
        """The map over the T1w in every slice view, with its colour bar, for scripts; the panel has its own way."""
        shown = Shown()
        shown.take(provenance.sameRun(mapNode))
        shown.apply()
        display.addLegend(mapNode)
