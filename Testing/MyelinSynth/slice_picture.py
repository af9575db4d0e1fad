"""Views without the application: Slicer's own slice logic and displayable managers, drawn by Mesa in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

MANAGERS = ("vtkMRMLSegmentationsDisplayableManager2D", "vtkMRMLColorLegendDisplayableManager")
MANAGERS_3D = ("vtkMRMLModelDisplayableManager", "vtkMRMLSegmentationsDisplayableManager3D")


def canRender() -> bool:
    """Whether an off-screen window of Mesa can be made here."""
    return vtk.vtkRenderWindow().GetClassName() == "vtkOSOpenGLRenderWindow"


def grab(window: vtk.vtkRenderWindow, path: Path | None = None) -> np.ndarray:
    """Draw a window: uint8 (height, width, 3), first row at the top; written as PNG where a path is given."""
    from vtk.util.numpy_support import vtk_to_numpy

    window.Render()
    shot = vtk.vtkWindowToImageFilter()
    shot.SetInput(window)
    shot.ReadFrontBufferOff()
    shot.Update()
    if path is not None:
        writer = vtk.vtkPNGWriter()
        writer.SetFileName(str(path))
        writer.SetInputConnection(shot.GetOutputPort())
        writer.Write()
    image = shot.GetOutput()
    width, height, _depth = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1].copy()


class SliceView:
    """One slice view of `size` (width, height) pixels, `millimetres` wide, centred on a world point.

    >>> view = SliceView(application, "Axial", centre); view.picture(); view.colourAt(point)          # doctest: +SKIP
    """

    def __init__(
        self,
        application: Any,
        orientation: str,
        centre: Any,
        size: tuple[int, int] = (400, 400),
        millimetres: float = 60.0,
        name: str = "Red",
        node: Any = None,
    ) -> None:
        """node: a slice node of a layout, drawn as it is framed; where None, a new one is made."""
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application.logic)
        self.logic.SetMRMLScene(application.scene)
        if node is None:
            self.node = self.logic.AddSliceNode(name)
            self.node.SetOrientation(orientation)
            self.node.SetDimensions(*size, 1)
            self.node.SetFieldOfView(millimetres, millimetres * size[1] / size[0], 1.0)
            self.node.JumpSliceByCentering(*centre)
        else:
            self.node, size = node, tuple(node.GetDimensions()[:2])
            self.logic.SetSliceNode(node)
        self._application = application
        if application.logic.GetSliceLogics() is None:
            application.logic.SetSliceLogics(vtk.vtkCollection())
        application.logic.GetSliceLogics().AddItem(self.logic)  # where the legend looks for what a view shows
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetNumberOfLayers(2)
        self.window.SetSize(*size)
        self.renderer = vtk.vtkRenderer()
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)
        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application.logic)
        for manager in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self.managers = factory.InstantiateDisplayableManagers(self.renderer)
        self.managers.SetMRMLDisplayableNode(self.node)

    def picture(self, path: Path | None = None) -> np.ndarray:
        """Draw it: uint8 (height, width, 3), first row at the top; written as PNG where a path is given."""
        self.logic.UpdatePipeline()
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        self._pixels = grab(self.window, path)
        return self._pixels

    def pixelOf(self, point: Any) -> tuple[int, int]:
        """(row from the top, column) where a world point is drawn."""
        matrix = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), matrix)
        x, y, _z, _one = matrix.MultiplyPoint([*map(float, point), 1.0])
        return self._pixels.shape[0] - 1 - round(y), round(x)

    def colourAt(self, point: Any) -> np.ndarray:
        """Colour in [0, 1] at a world point of the last picture."""
        return self._pixels[self.pixelOf(point)] / 255

    def close(self) -> None:
        """Let go of the window and the scene."""
        self.managers.SetMRMLDisplayableNode(None)
        self._application.logic.GetSliceLogics().RemoveItem(self.logic)
        self.window.Finalize()
        self.logic.SetMRMLScene(None)


class ThreeDView:
    """The 3D view, seen from `direction` (mm RAS, towards the viewer) with `millimetres` from bottom to top."""

    def __init__(
        self,
        application: Any,
        centre: Any,
        direction: Any,
        size: tuple[int, int] = (400, 400),
        millimetres: float = 60.0,
    ) -> None:
        nodes = [one for one in slicer.util.getNodesByClass("vtkMRMLViewNode") if one.GetLayoutName() == "1"]
        self.node = nodes[0] if nodes else slicer.vtkMRMLViewNode()
        if not nodes:
            self.node.SetLayoutName("1")
            application.scene.AddNode(self.node)
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.renderer = vtk.vtkRenderer()
        self.renderer.SetUseDepthPeeling(True)
        self.renderer.SetBackground(0.756, 0.765, 0.909)
        self.renderer.SetBackground2(0.455, 0.471, 0.745)
        self.renderer.SetGradientBackground(True)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(application.logic)
        for manager in MANAGERS_3D:
            if not factory.IsDisplayableManagerRegistered(manager):
                factory.RegisterDisplayableManager(manager)
        self.managers = factory.InstantiateDisplayableManagers(self.renderer)
        self.managers.SetMRMLDisplayableNode(self.node)
        centre, direction = np.asarray(centre, float), np.asarray(direction, float)
        camera = self.renderer.GetActiveCamera()
        camera.SetFocalPoint(*centre)
        camera.SetPosition(*(centre + 300 * direction / np.linalg.norm(direction)))
        camera.SetViewUp(*((0, 1, 0) if not direction[:2].any() else (0, 0, 1)))
        camera.ParallelProjectionOn()
        camera.SetParallelScale(millimetres / 2)

    def picture(self, path: Path | None = None) -> np.ndarray:
        """Draw it, as SliceView does."""
        self.renderer.ResetCameraClippingRange()
        self._pixels = grab(self.window, path)
        return self._pixels

    def colourAt(self, point: Any) -> np.ndarray:
        """Colour in [0, 1] where a world point is drawn in the last picture, whatever stands before it."""
        self.renderer.SetWorldPoint(*point, 1.0)
        self.renderer.WorldToDisplay()
        x, y, _z = self.renderer.GetDisplayPoint()
        return self._pixels[self._pixels.shape[0] - 1 - round(y), round(x)] / 255

    def close(self) -> None:
        """Let go of the window and the scene."""
        self.managers.SetMRMLDisplayableNode(None)
        self.window.Finalize()
