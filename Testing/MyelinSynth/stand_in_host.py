"""A stand-in for the Slicer application around a real MRML scene: Qt by PySide6, spoken to as PythonQt is.

Strict: an object answers to the names that slicer_api.json gives for its class and to no other; properties are
attributes, `connect` takes a signature. Test-only code, and only as much as the module uses.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import json
import sys
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import slicer
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets
from stand_in_parameters import WithinRange, parameterNodeWrapper
from stand_in_proxy import Proxy, native
from stand_in_views import LayoutManager
from stand_in_widgets import STAND_INS, MRMLWidget, NodeComboBox

if sys.version_info < (3, 12):  # PySide6 6.12 gives back references that it never took; later Pythons do not mind
    _spare = [None, True, False] * 1_000_000
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(_spare))  # so that these are never given back


class Application:
    """slicer.app."""

    def __init__(self, host: Host, folder: Path) -> None:
        self._host, self._receivers = host, {"startupCompleted()": [], "aboutToQuit()": []}
        self._focus: dict[Any, Any] = {}
        self._pauses = 0  # how often rendering was paused and not yet resumed
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

    def pauseRender(self) -> None:
        self._pauses += 1

    def resumeRender(self) -> None:
        assert self._pauses > 0, "Slicer warns of this"
        self._pauses -= 1

    def setOverrideCursor(self, cursor: Any) -> None:
        self._host.qt.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        self._host.qt.restoreOverrideCursor()


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
            if name.rsplit(".", 1)[-1] in {"MyelinSynth", "parameters", "logic", "cases"} or hasattr(
                sys.modules[name], "qt"
            ):
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
