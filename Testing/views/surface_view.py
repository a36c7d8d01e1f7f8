"""A 3D view of Slicer, off screen."""

from __future__ import annotations

from typing import Any

from MedEnhanceLib.pictures.slices import Slice
from Testing.views.off_screen import OffScreenView

MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLOrientationMarkerDisplayableManager",
)


class SurfaceView(OffScreenView):
    """Shows the surfaces in the scene.

    :param name: of the view; unique in the scene.
    :param size: width and height in pixels.
    """

    def __init__(self, application: Any, name: str, size: tuple[int, int]) -> None:
        import slicer

        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        super().__init__(application, factory, MANAGERS, size)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(application)
        application.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(application.GetMRMLScene())
        self.node = self.logic.AddViewNode(name)
        self.node.SetBoxVisible(False)
        self.node.SetAxisLabelsVisible(False)
        self.node.SetOrientationMarkerType(slicer.vtkMRMLAbstractViewNode.OrientationMarkerTypeAxes)
        self.show(self.node)

    def look_from(self, direction: int, zoom: float = 1.0) -> None:
        """Look at all there is from a side of the patient.

        :param direction: of vtkMRMLCameraNode, such as its `Left`.
        """
        name = "vtkMRMLCameraDisplayableManager"
        camera = self.managers.GetDisplayableManagerByClassName(name).GetCameraNode()
        self.window.Render()
        camera.RotateTo(direction)
        self.renderer.ResetCamera()
        self.renderer.GetActiveCamera().Zoom(zoom)
        camera.ResetClippingRange()

    def picture(self) -> Slice:
        """The view as it is now."""
        return Slice(self.pixels(), (1.0, 1.0), ("", ""))
