"""Widgets of CTK and Slicer for the stand-in host, as far as the module uses them. Test-only code."""

from __future__ import annotations

import typing
from typing import Any

import slicer
from PySide6 import QtCore, QtWidgets

NODE_EVENTS = ("NodeAddedEvent", "NodeRemovedEvent", "EndCloseEvent", "EndImportEvent")


class CollapsibleButton(QtWidgets.QWidget):
    """ctkCollapsibleButton: its contents only. Unless told otherwise, it is never narrower than it would like to be."""

    _collapsed = False

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)

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
