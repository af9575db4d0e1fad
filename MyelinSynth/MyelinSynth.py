"""MyelinSynth: synthesize a myelin map from T1w and FLAIR, and review it lesion by lesion."""

import logging
import sys
from typing import Any

import qt
import slicer
import vtk
from MyelinSynthLib.compare.panel import ComparePanel
from MyelinSynthLib.display import framing, layouts
from MyelinSynthLib.display import views as display
from MyelinSynthLib.display.panel import DisplayPanel
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.export.panel import ExportPanel
from MyelinSynthLib.logic import MyelinSynthLogic
from MyelinSynthLib.model.panel import ModelPanel
from MyelinSynthLib.patient.panel import PatientPanel
from MyelinSynthLib.patient.sampledata import registerSampleData
from MyelinSynthLib.review.panel import ReviewPanel
from MyelinSynthLib.review.worklist_panel import WorklistPanel
from MyelinSynthLib.run.opening import ResultOpener
from MyelinSynthLib.run.outcome import OutcomeSentence
from MyelinSynthLib.run.panel import RunPanel
from MyelinSynthLib.scene import provenance
from MyelinSynthLib.scene.parameters import Alignment, setInputNode
from MyelinSynthLib.selftest.cases import MyelinSynthTest
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

__all__ = ["MyelinSynth", "MyelinSynthLogic", "MyelinSynthTest", "MyelinSynthWidget"]  # what the application looks for

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
