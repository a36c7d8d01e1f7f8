"""The rows of the panel for the region of interest and the guide, and where the volume lies."""

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from MedEnhanceLib.errors import MedEnhanceError

from . import wording
from .bridge import checkVolumeNode, geometryFromNode, guideFromNode
from .parameters import TaskChoice
from .region import boxOfRegion, fitRegion, lieApart

SETTLE_MS = 250


class RegionSection(VTKObservationMixin):
    """Says what the region takes in and whether the guide can help, and follows what is moved.

    :param ui: child widgets by name, see slicer.util.childWidgetVariables.
    :param onMoved: called when the chosen region or volume was moved and has come to rest.
    """

    def __init__(self, ui, onMoved):
        VTKObservationMixin.__init__(self)
        self.ui = ui
        self._parameters = None
        self._followed = ()
        self._onMoved = onMoved
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(SETTLE_MS)
        self._timer.connect("timeout()", self._settled)
        ui.regionSelector.connect("nodeAddedByUser(vtkMRMLNode*)", self.onRegionAdded)

    def setParameters(self, parameters):
        """Follow another parameter node, or none while the scene is closed or the panel hidden."""
        self._parameters = parameters
        if parameters is None:
            self._timer.stop()
            self._follow()

    def update(self):
        """Show the guide's row for denoising, and what region and guide mean for the volume."""
        parameters = self._parameters
        if parameters is None:
            return
        self._follow(parameters.region, parameters.inputVolume)
        hasGuide = parameters.task is TaskChoice.DENOISE
        self.ui.guideLabel.visible = self.ui.guideSelector.visible = hasGuide
        label = self.ui.regionTextLabel
        warning = self._guideWarning() if hasGuide else ""
        label.text = " ".join(part for part in (self._regionText(), warning) if part)
        label.styleSheet = wording.bannerStyle("warning") if warning else ""
        label.visible = bool(label.text)

    def onRegionAdded(self, region):
        """Place a new region over the middle of the volume, so that there is something to drag."""
        node = self._parameters.inputVolume if self._parameters is not None else None
        try:
            checkVolumeNode(node)
            fitRegion(region, node)
            region.CreateDefaultDisplayNodes()
            region.GetDisplayNode().SetHandlesInteractive(True)
        except MedEnhanceError:
            # Without an image the user places it.
            return

    def _regionText(self):
        region, node = self._parameters.region, self._parameters.inputVolume
        if region is None or node is None:
            return ""
        try:
            size = boxOfRegion(region, node)[1]
            whole = geometryFromNode(node).size
        except MedEnhanceError:
            # The banner tells it.
            return ""
        return _("Works on {part} of {whole} voxels.").format(
            part=" x ".join(str(n) for n in size), whole=" x ".join(str(n) for n in whole)
        )

    def _guideWarning(self):
        guide, node = self._parameters.guideVolume, self._parameters.inputVolume
        if guide is None or node is None:
            return ""
        if guide is node:
            return _("The guide is the volume itself; choose another contrast.")
        try:
            guideFromNode(guide, node)
            apart = lieApart(node, guide)
        except MedEnhanceError as error:
            return str(error)
        if not apart:
            return ""
        return _(
            "The guide '{name}' lies beside the volume; register the two first, or choose another."
        ).format(name=guide.GetName())

    def _follow(self, *nodes):
        """Hear of it when one of these nodes is moved or gets other voxels."""
        if nodes == self._followed:
            return
        self.removeObservers()
        self._followed = nodes
        for node in nodes:
            for event in (
                vtk.vtkCommand.ModifiedEvent,
                slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
                slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
            ):
                if node is not None:
                    self.addObserver(node, event, self._moved)

    def _moved(self, caller, event):
        self._timer.start()

    def _settled(self):
        if self._parameters is not None:
            self._onMoved()
