"""A view of Slicer without a window: a view node and the displayable managers that draw for it.

Slicer's own C++ classes do the drawing, those that its application drives. VTK falls back to EGL
and Mesa's software renderer where there is no display.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import vtk
from numpy.typing import NDArray
from vtk.util.numpy_support import vtk_to_numpy

PICTURE_SAMPLES = 8
"""Samples per pixel, so that lines and surfaces have smooth edges."""


class OffScreenView:
    """A render window in memory, in which displayable managers draw what is in the scene.

    :param factory: displayable manager factory of Slicer for this kind of view.
    :param managers: class names of the displayable managers.
    :param size: width and height in pixels.
    """

    def __init__(
        self, application: Any, factory: Any, managers: Sequence[str], size: tuple[int, int]
    ) -> None:
        import slicer

        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.SetMultiSamples(PICTURE_SAMPLES)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        # Some displayable managers ask the window for its interactor; nobody interacts.
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self.window)
        factory.SetMRMLApplicationLogic(application)
        for name in managers:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.Initialize(factory, self.renderer)

    def show(self, view_node: Any) -> None:
        """Let the displayable managers draw what this view node is to show."""
        self.managers.SetMRMLDisplayableNode(view_node)

    def pixels(self) -> NDArray[np.uint8]:
        """What is to be seen now: (row, column, 3) bytes, the first row on top."""
        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        image = grab.GetOutput()
        width, height, _ = image.GetDimensions()
        values = vtk_to_numpy(image.GetPointData().GetScalars())
        return np.ascontiguousarray(values.reshape(height, width, -1)[::-1, :, :3])


def application_logic(scene: Any) -> Any:
    """What the views need to know of the application: its scene and the usual orientations."""
    import slicer

    application = slicer.vtkMRMLApplicationLogic()
    application.SetSliceLogics(vtk.vtkCollection())
    application.SetViewLogics(vtk.vtkCollection())
    application.SetMRMLScene(scene)
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    return application
