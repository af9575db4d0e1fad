# ruff: noqa: PT009 - the self-test is a unittest that runs in the application
"""MyelinSynth: from T1w and FLAIR to a synthetic myelin map, and its review lesion by lesion."""

import contextlib
import logging
from pathlib import Path

import slicer
import vtk
from MyelinSynthLib import display, lesions, provenance
from MyelinSynthLib.checks import Problem, findProblems
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.exchange import ALIGNED, Patient, checkPatient
from MyelinSynthLib.install import ensureRequirements
from MyelinSynthLib.models import availableModels, modelCard, ownModelFolders
from MyelinSynthLib.parameters import Alignment, MyelinSynthParameterNode
from MyelinSynthLib.patientpanel import PatientPanel
from MyelinSynthLib.review import Review
from MyelinSynthLib.reviewpanel import ReviewPanel
from MyelinSynthLib.runpanel import RunPanel
from MyelinSynthLib.sampledata import registerSampleData
from MyelinSynthLib.synthesis import Synthesis
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class MyelinSynth(ScriptedLoadableModule):
    """What the application knows about the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MyelinSynth")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = []
        self.parent.contributors = ["The MyelinSynth founders"]
        self.parent.helpText = _(
            "Synthesizes a [11C]PiB DVR map of myelin from T1w and FLAIR MRI of a person with multiple sclerosis, and "
            "helps to review it lesion by lesion. Research use only, not for diagnosis."
        )
        self.parent.acknowledgementText = _(
            "Implements the curricular GAN of Soulier et al. (2024). The model that comes with it learnt from "
            "simulated patients alone."
        )
        slicer.app.connect("startupCompleted()", self.onStartupCompleted)

    def onStartupCompleted(self):
        """Every module is there: offer the sample patient in the Sample Data module."""
        try:
            import SampleData
        except ImportError:
            return  # an application built without it; the panel has a button, too
        registerSampleData(SampleData.SampleDataLogic)


class MyelinSynthWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel, from top to bottom in the order a person works."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None
        self._models = []

    def setup(self):
        """Build the panel; needs neither a main window nor PyTorch."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/MyelinSynth.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = MyelinSynthLogic()
        self.patientPanel = PatientPanel(self.ui, self.onSamplePatient)
        self.runPanel = RunPanel(self.ui, self.beginSynthesis, self.showOutputs)
        self.reviewPanel = ReviewPanel(self.ui, self.onReviewed)
        self.ui.modelBox.connect("currentIndexChanged(int)", self.onModel)
        self.ui.sideBySideButton.connect("clicked(bool)", self.onSideBySide)
        self.ui.colourByDvrBox.connect("toggled(bool)", self.onReviewed)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.fillModels()
        self.initializeParameterNode()

    def cleanup(self):
        """The application closes or the module is reloaded."""
        self.runPanel.stop()
        self.patientPanel.forget()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        """The module is opened."""
        self.initializeParameterNode()

    def exit(self):
        """Another module is opened: a synthesis goes on, the fields rest."""
        self.setParameterNode(None)

    def onSceneStartClose(self, _caller=None, _event=None):
        """What is under way belongs to the scene that closes."""
        self.runPanel.stop()
        self.patientPanel.forget()
        self.reviewPanel.show(None, None)
        self.setParameterNode(None)

    def onSceneEndClose(self, _caller=None, _event=None):
        """An empty scene: begin again."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, _caller=None, _event=None):
        """A scene was opened: a review that was saved with it goes on."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Take the choices of this scene, choosing volumes by their names where nothing was chosen."""
        self.setParameterNode(self.logic.getParameterNode())
        self.logic.chooseByName(self._parameterNode)
        self.showReview()

    def setParameterNode(self, parameterNode):
        """Connect the fields to a parameter node, or to none."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onChoice)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onChoice)
            self.onChoice()

    def onChoice(self, _caller=None, _event=None):
        """Say what is missing or suspicious, and offer the button only where it can work."""
        if self._parameterNode is None:
            return
        patient, problems = self.logic.patientOf(self._parameterNode), self.logic.problemsOf(self._parameterNode)
        ready = self.patientPanel.show(patient, problems)
        self.ui.synthesizeButton.enabled = self.runPanel.running or ready
        self.ui.transformSelector.enabled = self._parameterNode.alignment == Alignment.TRANSFORM
        display.setOpacity(self._parameterNode.opacity)

    def onSamplePatient(self, patient):
        """The sample patient was loaded: choose it, and show it."""
        parameterNode = self._parameterNode or self.logic.getParameterNode()
        for field in ("t1w", "flair", "lesions", "dvr"):
            setattr(parameterNode, field, getattr(patient, field))
        parameterNode.brain, parameterNode.alignment = None, Alignment.REGISTER
        display.showInSlices(patient.t1w)
        if slicer.app.layoutManager() is not None:
            slicer.util.resetSliceViews()

    def fillModels(self):
        """List the models that come with the extension."""
        self._models = availableModels(ownModelFolders())
        self.ui.modelBox.clear()
        self.ui.modelBox.addItems([model.name for model in self._models])

    def onModel(self, index):
        """Show the card of the chosen model."""
        self.ui.modelCard.text = modelCard(self._models[index]) if 0 <= index < len(self._models) else ""

    def beginSynthesis(self, onStep, onLog):
        """The Synthesis of what is chosen, installing what is missing first."""
        ensureRequirements()
        chosen = self._parameterNode
        index = self.ui.modelBox.currentIndex
        return self.logic.synthesis(
            self.logic.patientOf(chosen),
            model=str(self._models[index].path) if 0 <= index < len(self._models) else "demonstration",
            device=chosen.device.value,
            flips=chosen.flips,
            onStep=onStep,
            onLog=onLog,
        )

    def showOutputs(self, outputs):
        """The map is there: show it and begin the review."""
        self.logic.show(outputs.dvr, outputs.nodes().get("flair"))
        parameterNode = self._parameterNode or self.logic.getParameterNode()
        parameterNode.run = outputs.run
        self.showReview()

    def showReview(self):
        """The lesion table of the run that is chosen, or of the latest."""
        nodes = self.logic.chosenRun(self._parameterNode)
        self.reviewPanel.show(nodes.get("table"), nodes.get("dvr"))

    def onReviewed(self, _checked=False):
        """Colour the outlines by mean DVR or by review state."""
        nodes = self.logic.chosenRun(self._parameterNode)
        if "lesions" in nodes and "table" in nodes:
            by = "mean_dvr" if self.ui.colourByDvrBox.checked else "state"
            lesions.colourSegments(nodes["lesions"], Review(nodes["table"]), by)

    def onSideBySide(self, _checked=False):
        """T1w, FLAIR and map beside each other."""
        layoutManager = slicer.app.layoutManager()
        nodes = self.logic.chosenRun(self._parameterNode)
        if layoutManager is None or "dvr" not in nodes:
            return
        t1w = nodes["dvr"].GetNodeReference(provenance.T1W_REFERENCE)
        display.showSideBySide(layoutManager.layoutLogic().GetLayoutNode(), t1w, nodes.get("flair"), nodes["dvr"])
        slicer.util.resetSliceViews()


class MyelinSynthLogic(ScriptedLoadableModuleLogic):
    """All that the module does, without a GUI.

    >>> outputs = MyelinSynthLogic().synthesize(t1w, flair, lesions)                        # doctest: +SKIP
    >>> outputs.dvr, outputs.table                                                          # doctest: +SKIP
    """

    def getParameterNode(self):
        """The choices of the scene."""
        return MyelinSynthParameterNode(super().getParameterNode())

    def synthesize(self, t1w, flair, lesions=None, dvr=None, brain=None, flairToT1=None, **options):
        """Make the map of one patient and wait for it: nodes in, Outputs out. Raises SynthesisError.

        lesions, brain: segmentation or (label) volume; dvr: measured DVR; flairToT1: None to register, "identity", or a
        linear transform node; options: model, device, flips, onStep, onLog of `Synthesis`.
        """
        return self.synthesis(Patient(t1w, flair, lesions, dvr, brain, flairToT1), **options).run()

    def synthesis(self, patient, **options):
        """A Synthesis to start: for those who do not want to wait."""
        return Synthesis(patient, folder=slicer.app.temporaryPath, **options)

    def patientOf(self, parameterNode):
        """The nodes that are chosen."""
        aligned = {Alignment.REGISTER: None, Alignment.ALIGNED: ALIGNED, Alignment.TRANSFORM: parameterNode.transform}
        return Patient(
            parameterNode.t1w,
            parameterNode.flair,
            parameterNode.lesions,
            parameterNode.dvr,
            parameterNode.brain,
            aligned[parameterNode.alignment],
        )

    def problemsOf(self, parameterNode):
        """What is missing, cannot work or is suspicious in the choices: `checks.Problem`s."""
        problems = findProblems(self.patientOf(parameterNode))
        if parameterNode.alignment == Alignment.TRANSFORM and parameterNode.transform is None:
            problems.append(Problem("transform", _("Choose the transform, or another alignment.")))
        return problems

    def chooseByName(self, parameterNode):
        """Choose the volumes whose names say T1 and FLAIR where nothing is chosen yet."""
        volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        given = [node for node in volumes if not provenance.get(node, "Role")]
        for field, word in (("t1w", "t1"), ("flair", "flair")):
            matching = [node for node in given if word in node.GetName().lower()]
            if getattr(parameterNode, field) is None and len(matching) == 1:
                setattr(parameterNode, field, matching[0])

    def chosenRun(self, parameterNode):
        """Nodes by role of the run that is chosen, or of the latest one in the scene; empty where there is none."""
        runs = provenance.runs(slicer.mrmlScene)
        chosen = parameterNode.run if parameterNode is not None and parameterNode.run in runs else None
        return provenance.nodesOfRun(slicer.mrmlScene, chosen or runs[-1]) if runs else {}

    def show(self, mapNode, flair=None):
        """The map over the T1w in every slice view, with its colour bar."""
        t1w = mapNode.GetNodeReference(provenance.T1W_REFERENCE)
        display.showMap(mapNode)
        display.showInSlices(t1w, mapNode)
        display.addLegend(mapNode)
        if slicer.app.layoutManager() is not None:
            slicer.util.resetSliceViews()


class MyelinSynthTest(ScriptedLoadableModuleTest):
    """Runs in the application, on data of its own, without PyTorch."""

    def setUp(self):
        """An empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run every test."""
        for test in (self.test_bad_choices_are_said, self.test_fixed_display, self.test_review_of_a_table):
            self.setUp()
            test()
            self.delayDisplay(f"{test.__name__} passed")

    def _volume(self, name, shift=0.0):
        import numpy as np

        matrix = vtk.vtkMatrix4x4()
        matrix.SetElement(0, 3, shift)
        array = np.random.default_rng(1).uniform(0.6, 1.4, (12, 14, 16)).astype(np.float32)
        return slicer.util.addVolumeFromArray(array, ijkToRAS=matrix, name=name)

    def test_bad_choices_are_said(self):
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

    def test_fixed_display(self):
        """A map is always shown in the same window and colours."""
        volume = self._volume("map")
        display.showMap(volume)
        shown = volume.GetScalarVolumeDisplayNode()
        self.assertAlmostEqual(shown.GetWindowLevelMin(), display.DVR_WINDOW[0])
        self.assertAlmostEqual(shown.GetWindowLevelMax(), display.DVR_WINDOW[1])
        self.assertFalse(shown.GetAutoWindowLevel())
        self.assertEqual(shown.GetColorNode().GetName(), display.COLOUR_TABLE_NAME)

    def test_review_of_a_table(self):
        """Decisions are kept in the table node."""
        from MyelinSynthLib.review import ACCEPTED, fillTable

        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "lesions")
        fillTable(node, [{"id": 1.0, "mean_dvr": 0.9}, {"id": 2.0, "mean_dvr": None}], ("id", "mean_dvr"))
        Review(node).setState(1, ACCEPTED)
        self.assertEqual(Review(node).progress(), (1, 2))
        logging.info(f"MyelinSynth self-test on Slicer {slicer.app.applicationVersion}, {Path(__file__).name}")
