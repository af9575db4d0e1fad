# ruff: noqa: PT009 - the self-test is a unittest that runs in the application
"""MyelinSynth: synthesize a myelin map from T1w and FLAIR, and review it lesion by lesion."""

import contextlib
import logging
import sys
from pathlib import Path
from typing import Any

import qt
import slicer
import vtk
from MyelinSynthLib.compare.panel import ComparePanel
from MyelinSynthLib.display import framing, layouts
from MyelinSynthLib.display import views as display
from MyelinSynthLib.display.panel import DisplayPanel
from MyelinSynthLib.display.shown import Shown
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.export.panel import ExportPanel
from MyelinSynthLib.model.panel import ModelPanel
from MyelinSynthLib.patient.checks import Problem, findProblems
from MyelinSynthLib.patient.exchange import ALIGNED, checkPatient
from MyelinSynthLib.patient.nodes import Patient
from MyelinSynthLib.patient.panel import PatientPanel
from MyelinSynthLib.patient.sampledata import registerSampleData
from MyelinSynthLib.patient.studies import volumeByName
from MyelinSynthLib.review.panel import ReviewPanel
from MyelinSynthLib.review.table import Review
from MyelinSynthLib.review.worklist_panel import WorklistPanel
from MyelinSynthLib.run.opening import ResultOpener
from MyelinSynthLib.run.outcome import OutcomeSentence
from MyelinSynthLib.run.panel import RunPanel
from MyelinSynthLib.run.synthesis import Synthesis
from MyelinSynthLib.scene import provenance
from MyelinSynthLib.scene.parameters import Alignment, MyelinSynthParameterNode, inputNode, setInputNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

NAMES_MILLISECONDS = 200  # after a volume was added: a reader names it and its neighbours meanwhile (ours)


class MyelinSynth(ScriptedLoadableModule):
    """Description of the module for the application."""

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
            "Implements the curricular GAN of Soulier et al. (2024). The bundled model was trained on simulated "
            "patients only."
        )
        slicer.app.connect("startupCompleted()", self.onStartupCompleted)

    def onStartupCompleted(self):
        """Every module is there: offer the layouts, and the sample patient in the Sample Data module."""
        if slicer.app.layoutManager() is not None:
            layouts.registerLayouts(slicer.app.layoutManager().layoutLogic().GetLayoutNode())
        try:
            import SampleData
        except ImportError:
            return  # an application built without it; the panel has a button, too
        try:
            registerSampleData(SampleData.SampleDataLogic)
        except SynthesisError as error:
            logging.warning(f"MyelinSynth: {error}")


class MyelinSynthWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel, from top to bottom in the order a person works."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: MyelinSynthLogic  # from setup on
        self.outcome: OutcomeSentence
        self.exportPanel: Any = None  # the last that setup makes
        self._parameterNode: Any = None  # of this scene, while the module is open
        self._guiTag = None
        self._t1w = None
        self._namesTimer = qt.QTimer()
        self._namesTimer.setSingleShot(True)
        self._namesTimer.setInterval(NAMES_MILLISECONDS)
        self._namesTimer.connect("timeout()", self.onNamed)

    def setup(self):
        """Build the panel; needs neither a main window nor PyTorch."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/MyelinSynth.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = MyelinSynthLogic()
        self.patientPanel = PatientPanel(self.ui, self.onSamplePatient)
        self.modelPanel = ModelPanel(self.ui, self.onModel)
        self.runPanel = RunPanel(self.ui, self.beginSynthesis, self.showOutputs, self.onDevice)
        self.opener = ResultOpener(self.ui, self.chosenPatient, self.showOutputs)
        self.displayPanel = DisplayPanel(self.ui, lambda: self.reviewPanel.position())
        self.reviewPanel = ReviewPanel(self.ui, self.onReviewed, self.displayPanel)
        self.outcome = OutcomeSentence(self.ui, self.beginReview)
        self.comparePanel = ComparePanel(self.ui, self.onCompare, self.onChange)
        self.ui.sideBySideButton.connect("clicked(bool)", self.leaveComparison)
        self.ui.fourUpButton.connect("clicked(bool)", self.leaveComparison)
        self.ui.lesions3dButton.connect("clicked(bool)", self.leaveComparison)
        self.ui.plotsButton.connect("clicked(bool)", self.leaveComparison)
        self.ui.previousLayoutButton.connect("clicked(bool)", self.leaveComparison)
        self.worklistPanel = WorklistPanel(self.ui, self.onWorklist)
        self.exportPanel = ExportPanel(self.ui)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, self.onNodeAdded)
        # Before Slicer's slice controllers, which put any other volume in place of one that is removed
        self.addObserver(
            slicer.mrmlScene, slicer.mrmlScene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved, priority=10.0
        )
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved)
        self.initializeParameterNode()

    def cleanup(self):
        """Called when the application closes or the module is reloaded."""
        if self.exportPanel is None:
            self.removeObservers()  # setup did not come to its end
            return
        self._namesTimer.stop()
        self.runPanel.stop()
        self.comparePanel.stop()
        self.patientPanel.forget()
        self.reviewPanel.close()
        self.displayPanel.setOpen(False)
        self.displayPanel.close()
        self.setParameterNode(None)
        self.removeObservers()

    def onReload(self):
        """The button Reload of developers: the module's library and TrainingCore are read again, too."""
        for name in [name for name in sys.modules if name.split(".")[0] in ("MyelinSynthLib", "TrainingCore")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def enter(self):
        """The module is opened."""
        self.initializeParameterNode()
        self.displayPanel.setOpen(True)
        self.reviewPanel.setOpen(True)
        self.runPanel.askForDevices()

    def exit(self):
        """Another module is opened: a synthesis continues, fields, keys and the lesion table rest."""
        self.displayPanel.setOpen(False)
        self.reviewPanel.setOpen(False)
        self.setParameterNode(None)

    def onSceneStartClose(self, _caller=None, _event=None):
        """Stop the synthesis and release all nodes of the closing scene."""
        self.runPanel.sceneCloses()
        self.comparePanel.sceneCloses()
        self.patientPanel.forget()
        self._namesTimer.stop()
        self.showNodes({})
        self.displayPanel.close()
        self.worklistPanel.forget()
        self._t1w = None
        self.setParameterNode(None)

    def onSceneEndClose(self, _caller=None, _event=None):
        """An empty scene: begin again."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, _caller=None, _event=None):
        """A scene was opened: resume the review that was saved with it."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAdded(self, _caller, _event, node):
        """Somebody loads volumes while the panel is open: choose by name once they have their names."""
        if node.IsA("vtkMRMLScalarVolumeNode") and self.parent.isEntered and not slicer.mrmlScene.IsImporting():
            self._namesTimer.start()

    def onNamed(self):
        """The volumes that were added have their names."""
        if self._parameterNode is not None:
            self.logic.chooseByName(self._parameterNode, self.furtherInputs())

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, _caller, _event, node):
        """Remove a volume from the views before it is deleted."""
        self.displayPanel.release(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, _caller, _event, node):
        """Display, review and export let go of what was deleted, whichever module it was deleted in."""
        shown = [*self.displayPanel.nodes.values(), *self.reviewPanel.nodes.values()]
        if any(node is shownNode for shownNode in shown):
            self.showReview()

    def initializeParameterNode(self):
        """Take the choices of this scene, choosing volumes by their names where nothing was chosen."""
        self.setParameterNode(self.logic.getParameterNode())
        self.logic.chooseByName(self._parameterNode, self.furtherInputs())
        self.showReview()

    def setParameterNode(self, parameterNode):
        """Connect the fields to a parameter node, or to none."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onChoice)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.modelPanel.choose(parameterNode.model)
            self.runPanel.chooseDevice(parameterNode.device)
            self.addObserver(parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self.onChoice)
            self.onChoice()

    def onChoice(self, _caller=None, _event=None):
        """Show missing or suspicious inputs, and enable the button only if synthesis is possible."""
        if self._parameterNode is None:
            return
        further = self.furtherInputs()
        self.patientPanel.selectors.offer(further, self._parameterNode)
        patient = self.logic.patientOf(self._parameterNode, further)
        problems = self.logic.problemsOf(self._parameterNode, further)
        ready = self.patientPanel.show(patient, problems)
        self.patientPanel.showLesionSource(patient.lesions is not None, self._parameterNode.findLesions)
        self.ui.synthesizeButton.enabled = self.runPanel.running or ready
        self.ui.openResultButton.enabled = ready
        self.ui.transformSelector.enabled = self._parameterNode.alignment == Alignment.TRANSFORM
        if patient.t1w is not self._t1w:
            self._t1w = patient.t1w
            self.logic.chooseByName(self._parameterNode, further)  # the images of the same study
            self.goToPatient()

    def goToPatient(self):
        """Another T1w was selected: if the scene has a map of it, show the map and resume its review."""
        nodes, shown = self.logic.chosenRun(self._parameterNode), self.displayPanel.nodes.get("dvr")
        if shown is not None and nodes.get("dvr", shown) is not shown:
            self._parameterNode.run = provenance.get(nodes["dvr"], "Run")
            self.showNodes(nodes)
            self.displayPanel.settle()

    def onSamplePatient(self, patient):
        """The sample patient was loaded: choose it, and show it."""
        self.choosePatient(patient)
        display.showInSlices(patient.t1w)
        if slicer.app.layoutManager() is not None:
            slicer.util.resetSliceViews()

    def choosePatient(self, patient):
        """Choose the nodes of a patient whose FLAIR is to be registered."""
        parameterNode = self._parameterNode or self.logic.getParameterNode()
        with slicer.util.NodeModify(parameterNode.parameterNode):
            for field in ("t1w", "flair", "lesions", "dvr", "brain"):
                setattr(parameterNode, field, getattr(patient, field))
            for name, node in patient.further.items():
                setInputNode(parameterNode, name, node)
            parameterNode.alignment = Alignment.REGISTER

    def onModel(self, path):
        """The user chose a model."""
        if self._parameterNode is not None:
            self._parameterNode.model = path
            self.logic.chooseByName(self._parameterNode, self.furtherInputs())

    def onDevice(self, device):
        """The user chose a device."""
        if self._parameterNode is not None:
            self._parameterNode.device = device

    def chosenPatient(self):
        """The nodes that are chosen."""
        return self.logic.patientOf(self._parameterNode or self.logic.getParameterNode(), self.furtherInputs())

    def furtherInputs(self):
        """Names of the images that the chosen model needs beside T1w and FLAIR."""
        return self.modelPanel.model.furtherInputs if self.modelPanel.model else ()

    def beginSynthesis(self, onStep, onLog):
        """Create the Synthesis for the current selection."""
        if self.modelPanel.model is None:
            raise SynthesisError(_("There is no model. Add one, or reinstall the extension."))
        if self.modelPanel.model.trouble:
            raise SynthesisError(self.modelPanel.model.trouble)
        chosen = self._parameterNode or self.logic.getParameterNode()
        return self.logic.synthesis(
            self.logic.patientOf(chosen, self.furtherInputs()),
            model=str(self.modelPanel.model.path),
            device=chosen.device,
            flips=chosen.flips,
            uncertainty=chosen.uncertainty,
            findLesions=chosen.findLesions,
            onStep=onStep,
            onLog=onLog,
        )

    def showOutputs(self, outputs):
        """Show the finished map and begin the review."""
        parameterNode = self._parameterNode or self.logic.getParameterNode()
        parameterNode.run = outputs.run
        self.reviewPanel.trust(outputs.run)
        self.showNodes(outputs.nodes())
        self.displayPanel.showResult()
        self.ui.patientSection.collapsed = self.ui.modelSection.collapsed = True
        self.ui.reviewSection.collapsed = False

    def onReviewed(self):
        """A decision was made, or lesions were measured again."""
        self.displayPanel.onReviewed()
        self.outcome.update()
        self.worklistPanel.onReviewed()

    def onWorklist(self, patient, outputs):
        """A patient of the worklist was opened: choose the images and go to the first lesion without a decision."""
        self.choosePatient(patient)
        self.showOutputs(outputs)
        self.beginReview()

    def beginReview(self):
        """Next: review. The images beside each other, close to the first lesion without a decision."""
        self.ui.patientSection.collapsed = self.ui.modelSection.collapsed = self.ui.synthesisSection.collapsed = True
        self.ui.reviewSection.collapsed = False
        framing.showCrosshair()
        self.ui.closelyBox.checked = True
        self.ui.sideBySideButton.click()
        self.reviewPanel.begin()

    def showReview(self):
        """The run that is chosen, or the latest."""
        self.showNodes(self.logic.chosenRun(self._parameterNode))

    def onCompare(self, comparing):
        """Show two visits and the change of their lesions, or the open result and its review."""
        if not comparing:
            self.leaveComparison()
            self.displayPanel.leaveComparison()
            return
        parameterNode = self._parameterNode or self.logic.getParameterNode()
        parameterNode.comparing = True
        self.showNodes(self.logic.chosenRun(parameterNode))
        self.displayPanel.compare()
        framing.showCrosshair()
        self.reviewPanel.begin()

    def onChange(self, nodes):
        """A comparison is in the scene: show it."""
        parameterNode = self._parameterNode or self.logic.getParameterNode()
        parameterNode.run = provenance.get(nodes["change_map"], "Run")
        self.ui.compareSection.collapsed = self.ui.reviewSection.collapsed = False
        self.onCompare(True)

    def leaveComparison(self, _checked=False):
        """Another layout shows the open result."""
        if self._parameterNode is not None and self._parameterNode.comparing:
            self._parameterNode.comparing = False
            if "dvr" not in self.displayPanel.nodes:
                self._parameterNode.run = ""  # a comparison that was opened by itself: back to the latest result
            self.showNodes(self.logic.chosenRun(self._parameterNode))
            self.reviewPanel.begin()

    def showNodes(self, nodes):
        """Display, review, comparison and export act on these nodes, by role."""
        chosen = self._parameterNode
        comparing = chosen is not None and chosen.comparing and "change_table" in nodes and "change_map" in nodes
        self.displayPanel.comparing = comparing
        for panel in (self.displayPanel, self.outcome, self.comparePanel, self.exportPanel):
            panel.show(nodes)
        self.comparePanel.setShown(comparing)
        twoVisits = {"table": nodes.get("change_table"), "dvr": nodes.get("change_map")}
        self.reviewPanel.show(twoVisits if comparing else nodes)
        self.reviewPanel.setTitles(self.comparePanel.titles() if comparing else {})


class MyelinSynthLogic(ScriptedLoadableModuleLogic):
    """All that the module does, without a GUI.

    >>> outputs = MyelinSynthLogic().synthesize(t1w, flair, lesions)                        # doctest: +SKIP
    >>> outputs.dvr, outputs.table                                                          # doctest: +SKIP
    >>> MyelinSynthLogic().synthesizeInBackground(Patient(t1w, flair), finished=print)      # doctest: +SKIP
    """

    def getParameterNode(self):
        """The choices of the scene."""
        return MyelinSynthParameterNode(super().getParameterNode())  # type: ignore[call-arg]  # its decorator's

    def synthesize(self, t1w, flair, lesions=None, dvr=None, brain=None, flairToT1=None, further=None, **options):
        """Make the map of one patient and wait for it: nodes in, Outputs out. Raises SynthesisError.

        lesions, brain: segmentation or (label) volume; dvr: measured DVR; flairToT1: None to register, "identity", or a
        linear transform node; further: volumes by input (t2w, mtr, ...) for models that need them; options: model,
        device, flips, uncertainty, findLesions, onStep, onLog of `Synthesis`.
        """
        return self.synthesis(Patient(t1w, flair, lesions, dvr, brain, flairToT1, further or {}), **options).run()

    def synthesizeInBackground(self, patient, finished, failed=None, **options):
        """Begin to make the map of a `Patient` and return at once; `finished` gets the Outputs, `failed` the error."""
        from MyelinSynthLib.run.background import Background

        return Background(self.synthesis(patient, **options), finished, failed)

    def synthesis(self, patient, **options):
        """A Synthesis to `start` and to `pump` by hand."""
        return Synthesis(patient, folder=slicer.app.temporaryPath, **options)

    def patientOf(self, parameterNode, further=()):
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

    def problemsOf(self, parameterNode, further=()):
        """What is missing, cannot work or is suspicious in the choices: `checks.Problem`s."""
        problems = findProblems(self.patientOf(parameterNode, further))
        if parameterNode.alignment == Alignment.TRANSFORM and parameterNode.transform is None:
            problems.append(Problem("transform", _("Choose the transform, or another alignment.")))
        return problems

    def chooseByName(self, parameterNode, further=()):
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

    def chosenRun(self, parameterNode):
        """Nodes by role of one run in the scene: of the chosen T1w where it has one, of any T1w otherwise; the run that
        was chosen last, or the latest. Empty where there is none."""
        runs = provenance.runs(slicer.mrmlScene)
        if parameterNode is not None and parameterNode.t1w is not None:
            runs = provenance.runs(slicer.mrmlScene, parameterNode.t1w) or runs
        changes = provenance.runs(slicer.mrmlScene, role="change_map")  # that were opened without a result, too
        runs = runs or changes
        chosen = parameterNode.run if parameterNode is not None and parameterNode.run in [*runs, *changes] else None
        return provenance.nodesOfRun(slicer.mrmlScene, chosen or runs[-1]) if runs else {}

    def show(self, mapNode):
        """The map over the T1w in every slice view, with its colour bar, for scripts; the panel has its own way."""
        shown = Shown()
        shown.take(provenance.sameRun(mapNode))
        shown.apply()
        display.addLegend(mapNode)


class MyelinSynthTest(ScriptedLoadableModuleTest):
    """Runs in the application, on data of its own, without PyTorch."""

    def setUp(self):
        """An empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run every test: for the Test button and the list of self-tests. ctest's runner finds the tests by their names
        and never comes here."""
        for name in sorted(name for name in dir(self) if name.startswith("test_")):
            self.setUp()
            getattr(self, name)()
            self.delayDisplay(f"{name} passed")
        self.setUp()

    def test_child_process(self):
        """Slicer's Python runs TrainingCore's commands, is heard, and stops."""
        from MyelinSynthLib.selftest.inputs import checkChildProcess

        checkChildProcess(self)

    def test_comparison(self):
        """Two visits: three views, the table of changes, and a saved scene."""
        from MyelinSynthLib.selftest.compare import checkComparison

        checkComparison(self)

    def test_export_and_reopening(self):
        """What is exported from a reopened scene is what was exported before."""
        from MyelinSynthLib.selftest.review import checkExportAndReopening

        checkExportAndReopening(self)

    def test_reopened_result(self):
        """An exported Result folder opens again with its review."""
        from MyelinSynthLib.selftest.review import checkReopenedResult

        checkReopenedResult(self)

    def test_found_lesions(self):
        """Lesions are added by a click, merged, split, and taken back."""
        from MyelinSynthLib.selftest.review import checkNetworkLesions

        checkNetworkLesions(self)

    def test_models(self):
        """The model of the extension is there."""
        from MyelinSynthLib.selftest.inputs import checkModels

        checkModels(self)

    def test_review_and_edits(self):
        """Decisions are kept, edited lesions are measured again."""
        from MyelinSynthLib.selftest.review import checkReviewAndEdits

        checkReviewAndEdits(self)

    def test_sample_data(self):
        """The Sample Data module offers the sample patient."""
        from MyelinSynthLib.selftest.inputs import checkSampleData

        checkSampleData(self)

    def test_sample_patient(self):
        """The sample patient can be synthesized as it is."""
        from MyelinSynthLib.selftest.inputs import checkSamplePatient

        checkSamplePatient(self)

    def test_views(self):
        """Layouts, fade, curtain, 3D and plots."""
        from MyelinSynthLib.selftest.review import checkViews

        checkViews(self)

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
        from MyelinSynthLib.review.table import ACCEPTED, fillTable

        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "lesions")
        fillTable(node, [{"id": 1.0, "mean_dvr": 0.9}, {"id": 2.0, "mean_dvr": None}], ("id", "mean_dvr"))
        Review(node).setState(1, ACCEPTED)
        self.assertEqual(Review(node).progress(), (1, 2))
        logging.info(f"MyelinSynth self-test on Slicer {slicer.app.applicationVersion}, {Path(__file__).name}")
