"""A slice view of Slicer, off screen."""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from numpy.typing import NDArray

from MedEnhanceLib.pictures.slices import Slice
from Testing.views.off_screen import OffScreenView

MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
)
LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))
"""The patient's sides at the negative and the positive end of each axis of RAS."""


class SliceView(OffScreenView):
    """Shows a volume, and what else is in the scene, in a plane.

    :param name: of the view, such as "Red"; unique in the scene.
    :param orientation: "Axial", "Coronal" or "Sagittal".
    :param size: width and height in pixels.
    """

    def __init__(
        self, application: Any, name: str, orientation: str, size: tuple[int, int]
    ) -> None:
        import slicer

        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        super().__init__(application, factory, MANAGERS, size)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self._size = size
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        application.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(application.GetMRMLScene())
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(orientation)
        self.node.SetRulerType(slicer.vtkMRMLAbstractViewNode.RulerTypeThin)
        self.node.SetRulerColor(slicer.vtkMRMLAbstractViewNode.RulerColorYellow)
        self.logic.ResizeSliceNode(*size)
        # Overlays are drawn in the order in which they are added: the image must be the first.
        self._mapper = self._add_image()
        self.show(self.node)

    def _add_image(self) -> Any:
        """The layers, blended by the slice logic, behind all else; they are 0 to 255 already."""
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)
        return mapper

    def look_at(self, volume: Any, width_mm: float, centre: tuple[float, float, float]) -> None:
        """Show a volume in the plane of its voxels that is nearest to the view's orientation.

        :param volume: vtkMRMLScalarVolumeNode.
        :param width_mm: of the part that is shown.
        :param centre: RAS millimetres of the point in the middle of the picture.
        """
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        self.logic.RotateSliceToLowestVolumeAxes(False)
        columns, rows = self._size
        self.node.SetFieldOfView(width_mm, width_mm * rows / columns, 1.0)
        self.node.JumpSliceByCentering(*centre)

    def picture(self) -> Slice:
        """The view as it is now, with the letters of the directions at its edges."""
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        return Slice(self.pixels(), (1.0, 1.0), edges_of(self.node))


def edges_of(slice_node: Any) -> tuple[str, str]:
    """Letters of where the left and the upper edge of a slice view point to in the patient."""
    matrix = slice_node.GetSliceToRAS()
    to_right, to_top = (
        np.array([matrix.GetElement(row, column) for row in range(3)]) for column in (0, 1)
    )
    return direction_letter(-to_right), direction_letter(to_top)


def direction_letter(direction: NDArray[np.floating]) -> str:
    """Where in the patient a direction in RAS points to, mostly."""
    axis = int(np.argmax(np.abs(direction)))
    return LETTERS[axis][int(direction[axis] > 0)]
