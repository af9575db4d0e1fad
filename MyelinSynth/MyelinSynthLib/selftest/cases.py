# ruff: noqa: PT009 - the self-test is a unittest that runs in the application
"""The module's self-test; the application finds it as `MyelinSynth.MyelinSynthTest`."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import slicer
import vtk
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from ..display import views as display
from ..errors import SynthesisError
from ..logic import MyelinSynthLogic
from ..patient.exchange import checkPatient
from ..review.table import Review


class MyelinSynthTest(ScriptedLoadableModuleTest):
    """Runs in the application, on data of its own, without PyTorch."""

    def setUp(self) -> None:
        """An empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run every test: for the Test button and the list of self-tests. ctest's runner finds the tests by their names
        and never comes here."""
        for name in sorted(name for name in dir(self) if name.startswith("test_")):
            self.setUp()
            getattr(self, name)()
            self.delayDisplay(f"{name} passed")
        self.setUp()

    def test_child_process(self) -> None:
        """Slicer's Python runs TrainingCore's commands, is heard, and stops."""
        from .inputs import checkChildProcess

        checkChildProcess(self)

    def test_comparison(self) -> None:
        """Two visits: three views, the table of changes, and a saved scene."""
        from .compare import checkComparison

        checkComparison(self)

    def test_export_and_reopening(self) -> None:
        """What is exported from a reopened scene is what was exported before."""
        from .review import checkExportAndReopening

        checkExportAndReopening(self)

    def test_reopened_result(self) -> None:
        """An exported Result folder opens again with its review."""
        from .review import checkReopenedResult

        checkReopenedResult(self)

    def test_automatic_lesions(self) -> None:
        """Lesions are added by a click, merged, split, and taken back."""
        from .review import checkNetworkLesions

        checkNetworkLesions(self)

    def test_models(self) -> None:
        """The model of the extension is there."""
        from .inputs import checkModels

        checkModels(self)

    def test_review_and_edits(self) -> None:
        """Decisions are kept, edited lesions are measured again."""
        from .review import checkReviewAndEdits

        checkReviewAndEdits(self)

    def test_sample_data(self) -> None:
        """The Sample Data module offers the sample patient."""
        from .inputs import checkSampleData

        checkSampleData(self)

    def test_sample_patient(self) -> None:
        """The sample patient can be synthesized as it is."""
        from .inputs import checkSamplePatient

        checkSamplePatient(self)

    def test_views(self) -> None:
        """Layouts, fade, curtain, 3D and plots."""
        from .review import checkViews

        checkViews(self)

    def _volume(self, name: str, shift: float = 0.0) -> Any:
        import numpy as np

        matrix = vtk.vtkMatrix4x4()
        matrix.SetElement(0, 3, shift)
        array = np.random.default_rng(1).uniform(0.6, 1.4, (12, 14, 16)).astype(np.float32)
        return slicer.util.addVolumeFromArray(array, ijkToRAS=matrix, name=name)

    def test_bad_choices_are_reported(self) -> None:
        """Nothing chosen, the same volume twice, volumes that are far apart."""
        logic = MyelinSynthLogic()
        parameterNode = logic.getParameterNode()
        self.assertTrue(checkPatient(logic.patientOf(parameterNode)))
        parameterNode.t1w = parameterNode.flair = self._volume("T1w")
        self.assertEqual(len(checkPatient(logic.patientOf(parameterNode))), 1)
        with contextlib.suppress(SynthesisError):
            logic.synthesize(parameterNode.t1w, parameterNode.flair)
            self.fail("the same volume twice was accepted")
        parameterNode.flair = self._volume("FLAIR", 500.0)
        self.assertEqual(len(checkPatient(logic.patientOf(parameterNode))), 1)

    def test_fixed_display(self) -> None:
        """A map is always shown in the same window and colours."""
        volume = self._volume("map")
        display.showMap(volume)
        shown = volume.GetScalarVolumeDisplayNode()
        self.assertAlmostEqual(shown.GetWindowLevelMin(), display.DVR_WINDOW[0])
        self.assertAlmostEqual(shown.GetWindowLevelMax(), display.DVR_WINDOW[1])
        self.assertFalse(shown.GetAutoWindowLevel())
        self.assertEqual(shown.GetColorNode().GetName(), display.COLOUR_TABLE_NAME)

    def test_review_of_a_table(self) -> None:
        """Decisions are kept in the table node."""
        from ..review.table import ACCEPTED, fillTable

        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "lesions")
        fillTable(node, [{"id": 1.0, "mean_dvr": 0.9}, {"id": 2.0, "mean_dvr": None}], ("id", "mean_dvr"))
        Review(node).setState(1, ACCEPTED)
        self.assertEqual(Review(node).progress(), (1, 2))
        logging.info(f"MyelinSynth self-test on Slicer {slicer.app.applicationVersion}")
