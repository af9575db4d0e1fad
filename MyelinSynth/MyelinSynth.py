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

NAMES_MILLISECONDS = 200  # delay after a volume was added, in which its reader sets names (ours)


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
        slicer.app.connect("startupCompleted()", self._onStartupCompleted)

    def _onStartupCompleted(self):
        """Register the layouts, and the sample patient in the Sample Data module, once all modules are loaded."""
        if slicer.app.layoutManager() is not None:
            layouts.registerLayouts(slicer.app.layoutManager().layoutLogic().GetLayoutNode())
        try:
            import SampleData
        except ImportError:
            return  # application built without Sample Data; the panel has a button, too
        try:
            registerSampleData(SampleData.SampleDataLogic)
        except SynthesisError as error:
            logging.warning(f"MyelinSynth: {error}")


class MyelinSynthWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The module panel, from top to bottom in the order of work."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic: MyelinSynthLogic  # set by setup
        self.outcome: OutcomeSentence
        self.exportPanel: Any = None  # set last by setup
        self._parameterNode: Any = None  # of this scene while the module is open, else None
        self._guiTag = None
        self._patient: Any = None  # choices at the last change
        self._beforeImport: set[str] = set()  # IDs of our nodes, while another scene is added
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
        self.patientPanel = PatientPanel(self.ui, self._onSamplePatient)
        self.modelPanel = ModelPanel(self.ui, self._onModel)
        self.runPanel = RunPanel(self.ui, self._beginSynthesis, self.showOutputs, self._onDevice)
        self.opener = ResultOpener(self.ui, self._chosenPatient, self.showOutputs)
        self.displayPanel = DisplayPanel(self.ui, lambda: self.reviewPanel.position())
        self.reviewPanel = ReviewPanel(self.ui, self._onReviewed, self.displayPanel)
        self.outcome = OutcomeSentence(self.ui, self.beginReview)
        self.comparePanel = ComparePanel(self.ui, self._onCompare, self.onChange)
        self.ui.sideBySideButton.connect("clicked(bool)", self._leaveComparison)
        self.ui.fourUpButton.connect("clicked(bool)", self._leaveComparison)
        self.ui.lesions3dButton.connect("clicked(bool)", self._leaveComparison)
        self.ui.plotsButton.connect("clicked(bool)", self._leaveComparison)
        self.ui.previousLayoutButton.connect("clicked(bool)", self._leaveComparison)
        self.worklistPanel = WorklistPanel(self.ui, self._onWorklist)
        self.exportPanel = ExportPanel(self.ui)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self._onSceneStartImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self._onSceneEndImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAddedEvent, self._onNodeAdded)
        # Before Slicer's slice controllers, which replace a removed volume with any other
        self.addObserver(
            slicer.mrmlScene, slicer.mrmlScene.NodeAboutToBeRemovedEvent, self._onNodeAboutToBeRemoved, priority=10.0
        )
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self._onNodeRemoved)
        self.initializeParameterNode()

    def cleanup(self):
        """Called when the application closes or the module is reloaded."""
        if self.exportPanel is None:
            self.removeObservers()  # setup failed
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
        """Reload the module's library and TrainingCore, too (Reload button of the developer mode)."""
        for name in [name for name in sys.modules if name.split(".")[0] in ("MyelinSynthLib", "TrainingCore")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def enter(self):
        """Connect the panel to the scene when the module is opened."""
        self.initializeParameterNode()
        self.displayPanel.setOpen(True)
        self.reviewPanel.setOpen(True)
        self.runPanel.askForDevices()

    def exit(self):
        """Disconnect the panel when another module is opened; a running synthesis continues."""
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
        self._patient = None
        self.setParameterNode(None)

    def onSceneEndClose(self, _caller=None, _event=None):
        """Connect the panel to the empty scene."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def _onSceneStartImport(self, _caller=None, _event=None):
        """Remember which nodes are not imported."""
        self._beforeImport = set(provenance.signed(slicer.mrmlScene))

    def _onSceneEndImport(self, _caller=None, _event=None):
        """Resume the review that was saved with the opened scene."""
        provenance.renameCopies(slicer.mrmlScene, self._beforeImport)
        self._beforeImport = set()
        if self.parent.isEntered:
            self.initializeParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAdded(self, _caller, _event, node):
        """Choose inputs by name soon after a volume was added while the panel is open."""
        if node.IsA("vtkMRMLScalarVolumeNode") and self.parent.isEntered and not slicer.mrmlScene.IsImporting():
            self._namesTimer.start()

    def onNamed(self):
        """Choose inputs by name, now that the added volumes have their names."""
        if self._parameterNode is not None:
            self.logic.chooseByName(self._parameterNode, self.furtherInputs())

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAboutToBeRemoved(self, _caller, _event, node):
        """Remove a volume from the views before it is deleted."""
        self.displayPanel.release(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeRemoved(self, _caller, _event, node):
        """Update display, review and export after one of their nodes was deleted in any module."""
        shown = [*self.displayPanel.nodes.values(), *self.reviewPanel.nodes.values()]
        if any(node is shownNode for shownNode in shown):
            self._showReview()

    def initializeParameterNode(self):
        """Connect to the choices of this scene, and choose inputs by name where nothing is chosen."""
        self.setParameterNode(self.logic.getParameterNode())
        self.logic.chooseByName(self._parameterNode, self.furtherInputs())
        self._showReview()

    def setParameterNode(self, parameterNode):
        """Connect the widgets to a parameter node.

        Args:
            parameterNode: MyelinSynthParameterNode of the scene; None to disconnect.
        """
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self._onChoice)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.modelPanel.choose(parameterNode.model)
            self.runPanel.chooseDevice(parameterNode.device)
            self.addObserver(parameterNode.parameterNode, vtk.vtkCommand.ModifiedEvent, self._onChoice)
            self._onChoice()

    def _onChoice(self, _caller=None, _event=None):
        """Show missing or suspicious inputs, and enable the button only if synthesis is possible."""
        if self._parameterNode is None or slicer.mrmlScene.IsImporting():  # its nodes may have no voxels yet
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
        before, self._patient = self._patient, patient
        if before is None or patient.t1w is not before.t1w:
            if before is not None and before.t1w is not None and patient.t1w is not None:
                self.logic.clearOtherVisits(self._parameterNode, before)
            self.logic.chooseByName(self._parameterNode, further)  # the images of the same visit
            self._goToPatient()

    def _goToPatient(self):
        """Show the map of the T1w that was selected, if the scene has one, and resume its review."""
        nodes, shown = self.logic.chosenRun(self._parameterNode), self.displayPanel.nodes.get("dvr")
        if shown is not None and nodes.get("dvr", shown) is not shown:
            self._parameterNode.run = provenance.get(nodes["dvr"], "Run")
            self.showNodes(nodes)
            self.displayPanel.settle()

    def _onSamplePatient(self, patient):
        """Choose and show the sample patient that was loaded."""
        self.choosePatient(patient)
        display.showInSlices(patient.t1w)
        if slicer.app.layoutManager() is not None:
            slicer.util.resetSliceViews()

    def choosePatient(self, patient):
        """Choose the nodes of a patient whose FLAIR is to be registered.

        Args:
            patient: `Patient` with the nodes.
        """
        parameterNode = self._parameterNode or self.logic.getParameterNode()
        self._patient = None  # all nodes are chosen together, so none is a left-over of the patient before
        with slicer.util.NodeModify(parameterNode.parameterNode):
            for field in ("t1w", "flair", "lesions", "dvr", "brain"):
                setattr(parameterNode, field, getattr(patient, field))
            for name, node in patient.further.items():
                setInputNode(parameterNode, name, node)
            parameterNode.alignment = Alignment.REGISTER

    def _onModel(self, path):
        """Store the model that the user chose."""
        if self._parameterNode is not None:
            self._parameterNode.model = path
            self.logic.chooseByName(self._parameterNode, self.furtherInputs())

    def _onDevice(self, device):
        """Store the device that the user chose."""
        if self._parameterNode is not None:
            self._parameterNode.device = device

    def _chosenPatient(self):
        """Return the chosen nodes."""
        return self.logic.patientOf(self._parameterNode or self.logic.getParameterNode(), self.furtherInputs())

    def furtherInputs(self):
        """Return the names of the images that the chosen model needs besides T1w and FLAIR."""
        return self.modelPanel.model.furtherInputs if self.modelPanel.model else ()

    def _beginSynthesis(self, onStep, onLog):
        """Create the Synthesis for the current choices."""
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
        """Show a finished or opened map and start the review.

        Args:
            outputs: `Outputs` of the synthesis.
        """
        parameterNode = self._parameterNode or self.logic.getParameterNode()
        parameterNode.run = outputs.run
        self.reviewPanel.trust(outputs.run)
        self.showNodes(outputs.nodes())
        self.displayPanel.showResult()
        self.ui.patientSection.collapsed = self.ui.modelSection.collapsed = True
        self.ui.reviewSection.collapsed = False

    def _onReviewed(self):
        """Update display, summary and worklist after a decision or a new measurement."""
        self.displayPanel.onReviewed()
        self.outcome.update()
        self.worklistPanel.onReviewed()

    def _onWorklist(self, patient, outputs):
        """Choose the images of the patient opened from the worklist, and go to the first unreviewed lesion."""
        self.choosePatient(patient)
        self.showOutputs(outputs)
        self.beginReview()

    def beginReview(self):
        """Start the review: images side by side, close to the first unreviewed lesion."""
        self.ui.patientSection.collapsed = self.ui.modelSection.collapsed = self.ui.synthesisSection.collapsed = True
        self.ui.reviewSection.collapsed = False
        framing.showCrosshair()
        self.ui.closelyBox.checked = True
        self.ui.sideBySideButton.click()
        self.reviewPanel.begin()

    def _showReview(self):
        """Show the chosen run, or the latest."""
        self.showNodes(self.logic.chosenRun(self._parameterNode or self.logic.getParameterNode()))

    def _onCompare(self, comparing):
        """Show two visits and the change of their lesions, or the open Result and its review."""
        if not comparing:
            self._leaveComparison()
            self.displayPanel.leaveComparison()
            return
        parameterNode = self._parameterNode or self.logic.getParameterNode()
        parameterNode.comparing = True
        self.showNodes(self.logic.chosenRun(parameterNode))
        self.displayPanel.compare()
        framing.showCrosshair()
        self.reviewPanel.begin()

    def onChange(self, nodes):
        """Show a comparison that was added to the scene.

        Args:
            nodes: nodes of the comparison by role.
        """
        parameterNode = self._parameterNode or self.logic.getParameterNode()
        parameterNode.run = provenance.get(nodes["change_map"], "Run")
        self.ui.compareSection.collapsed = self.ui.reviewSection.collapsed = False
        self._onCompare(True)

    def _leaveComparison(self, _checked=False):
        """Return from a comparison to the open Result when another layout is chosen."""
        if self._parameterNode is not None and self._parameterNode.comparing:
            self._parameterNode.comparing = False
            if "dvr" not in self.displayPanel.nodes:
                self._parameterNode.run = ""  # a comparison opened without its Result: back to the latest Result
            self.showNodes(self.logic.chosenRun(self._parameterNode))
            self.reviewPanel.begin()

    def showNodes(self, nodes):
        """Let display, review, comparison and export work on a synthesis.

        Args:
            nodes: nodes of one synthesis by role; empty for none.
        """
        chosen = self._parameterNode
        comparing = chosen is not None and chosen.comparing and "change_table" in nodes and "change_map" in nodes
        self.displayPanel.comparing = comparing
        for panel in (self.displayPanel, self.outcome, self.comparePanel, self.exportPanel):
            panel.show(nodes)
        self.comparePanel.setShown(comparing)
        twoVisits = {"table": nodes.get("change_table"), "dvr": nodes.get("change_map")}
        self.reviewPanel.show(twoVisits if comparing else nodes)
        self.reviewPanel.setTitles(self.comparePanel.titles() if comparing else {})
