"""A stand-in for the Slicer application around a real MRML scene: Qt by PySide6, spoken to as PythonQt is.

Strict: an object answers to the names that slicer_api.json gives for its class and to no other; properties are
attributes, `connect` takes a signature. Test-only code, and only as much as the module uses.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import inspect
import json
import sys
import traceback
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets
from stand_in_parameters import WithinRange, parameterNodeWrapper

if sys.version_info < (3, 12):  # PySide6 6.12 gives back references that it never took; later Pythons do not mind
    _spare = [None, True, False] * 1_000_000
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_spare))  # so that these are never given back

NODE_EVENTS = ("NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent", "EndImportEvent")


class CollapsibleButton(QtWidgets.QWidget):
    """ctkCollapsibleButton: its contents only."""

    _collapsed = False

    def _set(self, collapsed: bool) -> None:
        self._collapsed = collapsed
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setProperty("folded", collapsed)

    collapsed = QtCore.Property(bool, lambda self: self._collapsed, _set)


class DirectoryButton(QtWidgets.QPushButton):
    """ctkDirectoryButton: choosing is up to the test. The signal says every folder that is set, by code as well."""

    directorySelected = QtCore.Signal(str)
    _folder = ""

    def _set(self, folder: str) -> None:
        self._folder = folder
        self.directorySelected.emit(folder)

    directory = QtCore.Property(str, lambda self: self._folder, _set)


class SliderWidget(QtWidgets.QDoubleSpinBox):
    """ctkSliderWidget: the number only."""


class NodeComboBox(QtWidgets.QComboBox):
    """qMRMLNodeComboBox: the nodes of exactly the classes that are named, and `none`."""

    currentNodeChanged = QtCore.Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._nodes: list[Any] = [None]
        self._scene: Any = None
        self._tags: list[int] = []
        self.currentIndexChanged.connect(lambda _index: self.currentNodeChanged.emit(self.currentNode()))

    def setMRMLScene(self, scene: Any) -> None:
        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        events = [getattr(slicer.vtkMRMLScene, name) for name in NODE_EVENTS] if scene else []
        self._tags = [scene.AddObserver(event, self.refill) for event in events]
        self.refill()

    def refill(self, *_event: Any) -> None:
        chosen = self.currentNode()
        classes = self.property("nodeTypes") or []
        nodes = self._scene.GetNodes() if self._scene else None
        every = [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())] if nodes else []
        self._nodes = [None] + [
            node for node in every if node.GetClassName() in classes and not node.GetHideFromEditors()
        ]
        self.blockSignals(True)
        self.clear()
        self.addItems(["" if node is None else node.GetName() for node in self._nodes])
        self.setCurrentIndex(self._nodes.index(chosen) if chosen in self._nodes else 0)
        self.blockSignals(False)
        if self.currentNode() is not chosen:
            self.currentNodeChanged.emit(self.currentNode())

    def currentNode(self) -> Any:
        return self._nodes[self.currentIndex()] if 0 <= self.currentIndex() < len(self._nodes) else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentIndex(self._nodes.index(node) if node in self._nodes else 0)


class MRMLWidget(QtWidgets.QWidget):
    """qMRMLWidget: hands its scene on, as the connections of the .ui file say."""

    receivers: typing.ClassVar[list[str]] = []

    def setMRMLScene(self, scene: Any) -> None:
        for name in self.receivers:
            self.findChild(NodeComboBox, name).setMRMLScene(scene)


STAND_INS = {
    "ctkCollapsibleButton": CollapsibleButton,
    "ctkDirectoryButton": DirectoryButton,
    "ctkSliderWidget": SliderWidget,
    "qMRMLNodeComboBox": NodeComboBox,
    "qMRMLWidget": MRMLWidget,
}


def native(given: typing.Iterable[Any], name: str) -> list[Any]:
    """What PythonQt hands to Qt: it takes Python's own numbers and texts, but none of numpy's, and no Path."""
    given = list(given)
    for one in [part for whole in given for part in (whole if isinstance(whole, (list, tuple)) else (whole,))]:
        known = isinstance(one, (Proxy, enum.Enum)) or hasattr(one, "IsA")
        if not (one is None or known or type(one) in (bool, int, float, str)):
            raise TypeError(f"in the application {name} takes no {type(one).__name__}")
    return [one._real if isinstance(one, Proxy) else one for one in given]


class Signal:
    """A signal of a proxied object."""

    def __init__(self, owner: Proxy, signature: str) -> None:
        self._owner, self._signature = owner, signature

    def connect(self, receiver: Callable[..., Any]) -> None:
        self._owner.connect(self._signature, receiver)

    def disconnect(self, receiver: Callable[..., Any]) -> None:
        self._owner.disconnect(self._signature, receiver)


class Proxy:
    """An object of Qt as PythonQt shows it."""

    def __init__(self, host: Host, real: Any, name: str) -> None:
        object.__setattr__(self, "_host", host)
        object.__setattr__(self, "_real", real)
        object.__setattr__(self, "_class", name)
        object.__setattr__(self, "_known", host.described(name))
        object.__setattr__(self, "_slots", {})

    def __getattr__(self, name: str) -> Any:
        known = self._known
        if name in ("inherits", "property"):  # PythonQt gives them to every object
            return getattr(self._real, name)
        if name in known["properties"]:
            value = self._real.property(name)
            return value if value is not None else getattr(self._real, name)()
        if name in known["methods"] | {slot.split("(")[0] for slot in known["slots"]}:
            return lambda *given: self._call(name, given)
        signatures = [signal for signal in known["signals"] if signal.split("(")[0] == name]
        if signatures:
            return Signal(self, signatures[0])
        raise AttributeError(f"in the application a {self._class} has no {name}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._known["properties"]:
            raise AttributeError(f"in the application a {self._class} has no property {name}")
        self._real.setProperty(name, *native([value], name))

    def _call(self, name: str, given: tuple[Any, ...]) -> Any:
        found = getattr(self._real, name)(*native(given, name))
        kinds = (QtWidgets.QHeaderView, QtWidgets.QTableWidgetItem, QtGui.QAction, QtWidgets.QLayout)
        return Proxy(self._host, found, type(found).__name__) if isinstance(found, kinds) else found

    def connect(self, signature: str, receiver: Callable[..., Any]) -> None:
        listed = self._known["signals"] or {f"{name}({signature.split('(')[1]}" for name in self._known["methods"]}
        if signature not in listed:  # of some classes the description gives bare names alone
            raise AttributeError(f"in the application a {self._class} has no signal {signature}")
        slot = self._host.guarded(receiver)
        self._slots[signature, receiver] = slot
        getattr(self._real, signature.split("(")[0]).connect(slot)

    def disconnect(self, signature: str, receiver: Callable[..., Any]) -> None:
        getattr(self._real, signature.split("(")[0]).disconnect(self._slots.pop((signature, receiver)))


class Application:
    """slicer.app."""

    def __init__(self, host: Host, folder: Path) -> None:
        self._host, self._receivers = host, {"startupCompleted()": [], "aboutToQuit()": []}
        self._focus: dict[Any, Any] = {}
        self.temporaryPath = str(folder)
        self.applicationVersion = "stand-in"
        self.slicerUserSettingsFilePath = str(folder.parent / "settings" / "Slicer.ini")

    def connect(self, signature: str, receiver: Callable[..., Any]) -> None:
        if signature == "focusChanged(QWidget*,QWidget*)":
            slot = self._host.guarded(
                lambda *widgets: receiver(*(one and Proxy(self._host, one, "QWidget") for one in widgets))
            )
            self._focus[receiver] = slot
            self._host.qt.focusChanged.connect(slot)
        else:
            self._receivers[signature].append(receiver)

    def disconnect(self, signature: str, receiver: Callable[..., Any]) -> None:
        assert signature == "focusChanged(QWidget*,QWidget*)"
        self._host.qt.focusChanged.disconnect(self._focus.pop(receiver))

    def focusWidget(self) -> Any:
        widget = self._host.qt.focusWidget()
        return widget and Proxy(self._host, widget, "QWidget")

    def startupCompleted(self) -> None:
        """The application has started."""
        for receiver in self._receivers["startupCompleted()"]:
            receiver()

    def aboutToQuit(self) -> None:
        """The application is about to quit."""
        for receiver in self._receivers["aboutToQuit()"]:
            receiver()

    def userSettings(self) -> Proxy:
        path = self.slicerUserSettingsFilePath
        return Proxy(self._host, QtCore.QSettings(path, QtCore.QSettings.Format.IniFormat), "QSettings")

    def layoutManager(self) -> LayoutManager | None:
        """None while there is no main window; see Host.openViews."""
        return self._host.views

    def testingEnabled(self) -> bool:
        return False

    def processEvents(self) -> None:
        self._host.qt.processEvents()

    def setOverrideCursor(self, cursor: Any) -> None:
        self._host.qt.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        self._host.qt.restoreOverrideCursor()


# Pixels of the slice views as they were in the real application, 1480 x 1021 for all views together; all others square
SHAPES = {
    "T1w": (491, 1021),
    "FLAIR": (491, 1021),
    "Myelin": (491, 1021),
    "MeasuredDVR": (368, 1021),
    "ChangeBefore": (491, 1021),
    "ChangeAfter": (491, 1021),
    "Change": (491, 1021),
}
FIRST_SHAPE = (256, 256)  # before the window manager has laid the view out


class SliceControllers:
    """What the application does when a volume that a view shows is removed: qMRMLSliceControllerWidget chooses another
    one for the view, and the display nodes go with their volume."""

    def __init__(self) -> None:
        self._displays: list[Any] = []
        events = slicer.vtkMRMLScene
        self._tags = [
            slicer.mrmlScene.AddObserver(events.NodeAboutToBeRemovedEvent, self._aboutToBeRemoved),
            slicer.mrmlScene.AddObserver(events.NodeRemovedEvent, self._removed),
        ]

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _aboutToBeRemoved(self, _caller: Any, _event: str, node: Any) -> None:
        if slicer.mrmlScene.IsClosing() or not node.IsA("vtkMRMLVolumeNode"):
            return
        self._displays = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
        others = [
            one
            for one in slicer.util.getNodesByClass("vtkMRMLVolumeNode")
            if one is not node and not one.GetHideFromEditors()
        ]
        other = others[-1].GetID() if others else None
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if composite.GetBackgroundVolumeID() == node.GetID():
                composite.SetBackgroundVolumeID(other)
            if composite.GetForegroundVolumeID() == node.GetID():
                composite.SetForegroundVolumeID(other)
                composite.SetForegroundOpacity(1.0)

    def _removed(self, *_event: Any) -> None:
        displays, self._displays = self._displays, []
        for node in displays:
            if node is not None and slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node)

    def close(self) -> None:
        for tag in self._tags:
            slicer.mrmlScene.RemoveObserver(tag)


class SliceWidget:
    """qMRMLSliceWidget and its view: a window with a renderer, never drawn."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.AddRenderer(vtk.vtkRenderer())
        self._interactor = vtk.vtkGenericRenderWindowInteractor()

    def sliceView(self) -> SliceWidget:
        return self

    def renderWindow(self) -> Any:
        return self._window

    def interactor(self) -> Any:
        return self._interactor

    def scheduleRender(self) -> None: ...

    def setFocus(self) -> None: ...

    def mrmlSliceNode(self) -> Any:
        nodes = slicer.util.getNodesByClass("vtkMRMLSliceNode")
        return next(node for node in nodes if node.GetLayoutName() == self._name)


class LayoutManager:
    """slicer.app.layoutManager(): the real layout logic, and a slice logic for every slice view of a layout.

    A view that is new has FIRST_SHAPE until the next turn of the event loop, as in the application.
    """

    def __init__(self, application: Any) -> None:
        self._application, self._sliceLogics, self._resets = application, {}, 0
        self._widgets: dict[str, SliceWidget] = {}
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._controllers = SliceControllers()
        if application.logic.GetSliceLogics() is None:
            application.logic.SetSliceLogics(vtk.vtkCollection())
        node = self._logic.GetLayoutNode()
        self._tag = node.AddObserver("ModifiedEvent", self._refresh)
        node.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
        self._layOut()

    def layoutLogic(self) -> Any:
        return self._logic

    def resetThreeDViews(self) -> None:
        self._resets += 1

    def resetSliceViews(self) -> None:
        for logic in self._sliceLogics.values():
            logic.FitSliceToBackground()

    def sliceViewNames(self) -> list[str]:
        return [node.GetLayoutName() for node in self._nodes("vtkMRMLSliceNode")]

    def sliceWidget(self, name: str) -> SliceWidget:
        return self._widgets.setdefault(name, SliceWidget(name))

    def _nodes(self, className: str) -> list[Any]:
        nodes = self._logic.GetViewNodes()
        every = [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]
        return [node for node in every if node.IsA(className)]

    def _refresh(self, *_event: Any) -> None:
        fresh = [node for node in self._nodes("vtkMRMLSliceNode") if node.GetID() not in self._sliceLogics]
        for node in fresh:
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLApplicationLogic(self._application.logic)
            logic.SetMRMLScene(slicer.mrmlScene)
            logic.SetSliceNode(node)
            logic.ResizeSliceNode(*FIRST_SHAPE)
            self._application.logic.GetSliceLogics().AddItem(logic)
            self._sliceLogics[node.GetID()] = logic
        if fresh:
            QtCore.QTimer.singleShot(0, self._layOut)

    def _layOut(self) -> None:
        for logic in self._sliceLogics.values():
            if logic.GetMRMLScene() is not None:
                logic.ResizeSliceNode(*SHAPES.get(logic.GetSliceNode().GetLayoutName(), (730, 480)))

    def _close(self) -> None:
        self._controllers.close()
        for logic in self._sliceLogics.values():
            self._application.logic.GetSliceLogics().RemoveItem(logic)
            logic.SetMRMLScene(None)
        self._logic.GetLayoutNode().RemoveObserver(self._tag)
        self._logic.SetMRMLScene(None)


class SegmentEditor:
    """slicer.util.getModuleWidget("SegmentEditor"): what it was told; like the real one it shows the source alone."""

    def __init__(self, host: Host) -> None:
        self.told: dict[str, Any] = {}
        slots = {one.split("(")[0] for one in host.described("qMRMLSegmentEditorWidget")["slots"]}
        names = ("setSegmentationNode", "setSourceVolumeNode", "setCurrentSegmentID")
        assert set(names) <= slots
        self.editor = types.SimpleNamespace(**{name: functools.partial(self.told.__setitem__, name) for name in names})
        self.editor.setSourceVolumeNode = self._setSourceVolumeNode

    def _setSourceVolumeNode(self, node: Any) -> None:
        self.told["setSourceVolumeNode"] = node
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            composite.SetBackgroundVolumeID(node.GetID() if node else None)
            composite.SetForegroundVolumeID(None)


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: Any = None) -> None:
        self.parent = parent or types.SimpleNamespace(isEntered=True)
        self.layout = types.SimpleNamespace(addWidget=lambda widget: None)

    def resourcePath(self, name: str) -> str:
        return str(Path(inspect.getfile(type(self))).parent / "Resources" / name)

    def setup(self) -> None: ...

    def onReload(self) -> None: ...


class ScriptedLoadableModuleLogic:
    def getParameterNode(self) -> Any:
        node = slicer.mrmlScene.GetSingletonNode("MyelinSynth", "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag("MyelinSynth")
            node = slicer.mrmlScene.AddNode(node)
        return node


class Host:
    """The application around the scene of `slicer_scene.Application`; puts its modules in place while it is open."""

    def __init__(self, api: dict[str, Any], folder: Path) -> None:
        self.api, self.errors, self.messages, self.missing = api, [], [], []
        self.qt = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["stand-in", "-platform", "offscreen"])
        self._modules: dict[str, Any] = {}
        self._described: dict[str, Any] = {}
        self._utilities: dict[str, Any] = {}
        self.answers: list[Any] = []  # to questions and file dialogs, in their order
        self.views: LayoutManager | None = None
        self.questions, self.modules = list[str](), list[str]()  # that were asked, and selected
        self.segmentEditor = SegmentEditor(self)
        slicer.app = Application(self, folder)
        self._check(slicer.app, api["modules"]["slicer.app"])
        made = ("QTimer", "QLabel", "QTableWidgetItem", "QBrush", "QColor", "QShortcut", "QKeySequence", "QDockWidget")
        qt = {name: self._maker(name) for name in made}
        self.opened: list[str] = []  # addresses that were to be shown in a browser
        qt["QUrl"] = types.SimpleNamespace(fromLocalFile=lambda path: path)
        qt["QDesktopServices"] = types.SimpleNamespace(openUrl=self.opened.append)
        dialogs = dict.fromkeys(("getOpenFileName", "getExistingDirectory"), self._ask)
        assert set(dialogs) <= self.described("QFileDialog")["methods"]
        self._place("qt", Qt=QtCore.Qt, QFileDialog=types.SimpleNamespace(**dialogs), **qt)
        self._place("slicer.i18n", tr=lambda text: text, translate=lambda _context, text: text)
        kinds = [ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic]
        test = type(
            "ScriptedLoadableModuleTest",
            (__import__("unittest").TestCase,),
            {"delayDisplay": lambda *_: None, "runTest": lambda _: None},
        )
        self._place("slicer.ScriptedLoadableModule", **{kind.__name__: kind for kind in [*kinds, test]})
        self._place("slicer.parameterNodeWrapper", WithinRange=WithinRange, parameterNodeWrapper=parameterNodeWrapper)
        self._place("slicer.packaging", isPipInstallInProgress=lambda: False)
        from MyelinSynthLib.run import install

        self._install, self._isMet = install, install._isMet
        install._isMet = lambda requirement: str(requirement) not in self.missing
        slicer.qMRMLNodeComboBox = lambda: Proxy(self, NodeComboBox(), "qMRMLNodeComboBox")
        self._utility("loadUI", self.loadUI)
        self._utility("childWidgetVariables", lambda widget: types.SimpleNamespace(**self._widgets))
        self._utility("errorDisplay", lambda text, **_options: self.messages.append(text))
        self._utility("selectModule", self.modules.append)
        self.mainWindow: Any = None
        self._utility("mainWindow", lambda: self.mainWindow)
        self._utility("getModuleWidget", {"SegmentEditor": self.segmentEditor}.__getitem__)
        for question in ("confirmOkCancelDisplay", "confirmYesNoDisplay"):
            self._utility(question, self._ask)

    def close(self) -> None:
        """Take everything away again."""
        self._install._isMet = self._isMet
        if self.views is not None:
            self.views._close()
            self.mainWindow._real.close()
        for name in self._modules:
            sys.modules.pop(name, None)
        for name, before in self._utilities.items():
            setattr(slicer.util, name, before)
        for name in [one for one in sys.modules if one.split(".")[0] in {"MyelinSynth", "MyelinSynthLib"}]:
            if name.rsplit(".", 1)[-1] in {"MyelinSynth", "parameters"} or hasattr(sys.modules[name], "qt"):
                del sys.modules[name]
        del slicer.app, slicer.qMRMLNodeComboBox

    def described(self, name: str) -> dict[str, set[str]]:
        """What a class answers to in the application."""
        if name not in self._described:
            self._described[name] = self._describe(name)
        return self._described[name]

    def _describe(self, name: str) -> dict[str, set[str]]:
        full = next(key for key in self.api["classes"] if key.split(".", 1)[1] == name)
        entry = self.api["classes"][full]
        parts = [entry, self.api["classes"]["qt.QWidget"]] if entry.get("widget") else [entry]
        found = {
            kind: {one for part in parts for one in part.get(kind, ())} for kind in ("properties", "signals", "slots")
        }
        found["methods"] = {one for part in parts for kind in ("methods", "attributes") for one in part.get(kind, ())}
        return found

    def loadUI(self, path: str) -> Proxy:
        """Load a .ui file; its connections are made by MRMLWidget."""
        tree = ElementTree.parse(path)
        root = tree.getroot()
        MRMLWidget.receivers = [one.findtext("receiver") for one in root.iter("connection")]
        root.remove(root.find("connections"))
        classes = {node.get("name"): node.get("class") for node in root.iter("widget")}
        classes |= {node.get("name"): "QAction" for node in root.iter("action")}
        for node in root.iter():
            for key in ("class", "text"):
                value = node.get("class") if key == "class" else (node.text if node.tag == "class" else None)
                if value in STAND_INS:
                    node.set("class", STAND_INS[value].__name__) if key == "class" else setattr(
                        node, "text", STAND_INS[value].__name__
                    )
        loader = QtUiTools.QUiLoader()
        for kind in STAND_INS.values():
            loader.registerCustomWidget(kind)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        self.window = loader.load(buffer)
        found = [self.window, *self.window.findChildren(QtWidgets.QWidget), *self.window.findChildren(QtGui.QAction)]
        self._widgets = {
            one.objectName(): Proxy(self, one, classes[one.objectName()])
            for one in found
            if one.objectName() in classes
        }
        return self._widgets.pop(self.window.objectName())

    def guarded(self, receiver: Callable[..., Any]) -> Callable[..., None]:
        """A slot whose exceptions are kept, Qt would swallow them; like PythonQt's it takes the arguments it can."""
        try:
            kinds = [one.kind for one in inspect.signature(receiver).parameters.values()]
        except ValueError:
            kinds = [inspect.Parameter.VAR_POSITIONAL]
        every = inspect.Parameter.VAR_POSITIONAL in kinds
        accepted = sum(
            one in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD) for one in kinds
        )

        def slot(*given: Any) -> None:
            try:
                receiver(*(given if every else given[:accepted]))
            except Exception as error:
                traceback.print_exc()
                self.errors.append(error)

        return slot

    def _ask(self, *given: Any, **options: Any) -> Any:
        """A question or a file dialog: what the test has prepared is the answer."""
        self.questions.append(" ".join(str(one) for one in (*given, *options.values()) if one is not None))
        assert self.answers, f"nobody expected to be asked: {self.questions[-1]}"
        return self.answers.pop(0)

    def openViews(self, application: Any) -> LayoutManager:
        """Open a main window's views; without that the application runs as with --no-main-window."""
        self.views = LayoutManager(application)
        window = QtWidgets.QMainWindow()
        window.resize(1900, 1100)
        window.setCentralWidget(QtWidgets.QWidget())
        window.show()
        self.mainWindow = Proxy(self, window, "QMainWindow")
        self._check(self.views, self.api["modules"]["layoutManager"])
        return self.views

    def process(self) -> None:
        """Let Qt do what is waiting."""
        self.qt.processEvents()

    def _maker(self, name: str) -> Callable[..., Any]:
        kind = next(getattr(place, name) for place in (QtCore, QtGui, QtWidgets) if hasattr(place, name))
        return lambda *given: Proxy(self, kind(*native(given, name)), name)

    def _check(self, thing: Any, allowed: list[str]) -> None:
        strangers = [name for name in dir(thing) if not name.startswith("_") and name not in allowed]
        assert not strangers, f"the stand-in offers what the application does not: {strangers}"

    def _place(self, name: str, **content: Any) -> None:
        if name in self.api["modules"]:
            assert set(content) <= set(self.api["modules"][name]), name
        module = types.ModuleType(name)
        vars(module).update(content)
        self._modules[name] = sys.modules[name] = module

    def _utility(self, name: str, function: Callable[..., Any]) -> None:
        assert name in self.api["modules"]["slicer.util"], name
        self._utilities[name] = getattr(slicer.util, name)
        setattr(slicer.util, name, function)


def readApi(path: Path) -> dict[str, Any]:
    """slicer_api.json."""
    return json.loads(path.read_text(encoding="utf-8"))
