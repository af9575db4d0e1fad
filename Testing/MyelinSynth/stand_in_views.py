"""Slice views of the stand-in host: real layout and slice logics, windows that are never drawn. Test-only code."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore

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


class ThreeDWidget:
    """qMRMLThreeDWidget and its view: a window with a renderer, never drawn."""

    def __init__(self) -> None:
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.AddRenderer(vtk.vtkRenderer())

    def threeDView(self) -> ThreeDWidget:
        return self

    def renderWindow(self) -> Any:
        return self._window

    def scheduleRender(self) -> None: ...


class LayoutManager:
    """slicer.app.layoutManager(): the real layout logic, and a slice logic for every slice view of a layout.

    A view that is new has FIRST_SHAPE until the next turn of the event loop, as in the application.
    """

    def __init__(self, application: Any) -> None:
        self._application, self._sliceLogics = application, {}
        self.threeDViewCount, self._solid = 1, ThreeDWidget()
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

    def threeDWidget(self, _index: int) -> ThreeDWidget:
        return self._solid

    def resetSliceViews(self) -> None:
        for logic in self._sliceLogics.values():
            logic.FitSliceToBackground()

    def sliceViewNames(self) -> list[str]:
        """Every view that was ever made, as in the application; those of the layout are mapped."""
        made = [logic.GetSliceNode() for logic in self._sliceLogics.values() if logic.GetMRMLScene() is not None]
        return [node.GetLayoutName() for node in made if node is not None]

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
        mapped = {node.GetID() for node in self._nodes("vtkMRMLSliceNode")}
        for identifier, logic in self._sliceLogics.items():
            if logic.GetSliceNode() is not None:
                logic.GetSliceNode().SetMappedInLayout(identifier in mapped)  # as qMRMLLayoutManager does
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
