"""Before and after: side by side in linked views, faded into each other, or in turns."""

import qt
import slicer

from .bridge import displayOf

LAYOUT_ID = 3817
"""Any number that no other layout has; Slicer keeps those below 1000 for itself."""
BEFORE, AFTER = "MedEnhanceBefore", "MedEnhanceAfter"
VIEW_GROUP = 3817
FLICKER_MS = 400
REGULAR_VIEW = "Red"
VIEWS_ATTRIBUTE = "MedEnhance.Views"
"""Where a segmentation that is kept out of a view was shown before; on its display node, since a
scene may be saved meanwhile."""


def layoutDescription():
    """Two slice views side by side; links hold within their own view group."""
    views = "".join(
        f"""
        <item><view class="vtkMRMLSliceNode" singletontag="{tag}">
          <property name="orientation" action="default">Axial</property>
          <property name="viewlabel" action="default">{label}</property>
          <property name="viewcolor" action="default">{color}</property>
          <property name="viewgroup" action="default">{VIEW_GROUP}</property>
        </view></item>"""
        for tag, label, color in ((BEFORE, "Before", "#0072B2"), (AFTER, "After", "#D55E00"))
    )
    return f'<layout type="horizontal" split="true">{views}</layout>'


def registerLayout():
    """Tell Slicer of the layout; a scene that was saved in it would open without any view else."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    layout = manager.layoutLogic().GetLayoutNode()
    if layout.IsLayoutDescription(LAYOUT_ID):
        layout.SetLayoutDescription(LAYOUT_ID, layoutDescription())
    else:
        layout.AddLayoutDescription(LAYOUT_ID, layoutDescription())


class SideBySide:
    """The layout with the input on the left and the result on the right."""

    def __init__(self):
        self._previousLayout = None

    @property
    def isPossible(self):
        """Whether there is a window with views at all."""
        return slicer.app.layoutManager() is not None

    @property
    def isShown(self):
        node = self.layoutNode
        return node is not None and node.GetViewArrangement() == LAYOUT_ID

    @property
    def layoutNode(self):
        manager = slicer.app.layoutManager()
        return None if manager is None else manager.layoutLogic().GetLayoutNode()

    def show(self, result):
        """Show a result beside its input; both views on the slice that was being looked at.

        :param result: ResultNode whose input is in the scene.
        """
        if not self.isShown:
            self._previousLayout = self.layoutNode.GetViewArrangement()
        registerLayout()
        switchTo(LAYOUT_ID)
        after = result.inputNode if result.isSegmentation else result.node
        left, right = (sliceLogic(tag) for tag in (BEFORE, AFTER))
        fill(left, result.inputNode)
        fill(right, after)
        align(left, right)
        # New views know their sizes only after Slicer has drawn them.
        qt.QTimer.singleShot(0, self._alignAgain)
        self.release()
        if result.isSegmentation:
            hideIn(left.GetSliceNode(), result.node)

    def leave(self):
        """Go back to the layout that was there before."""
        if self.isShown:
            usual = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
            previous = self._previousLayout
            switchTo(usual if previous is None else previous)

    def _alignAgain(self):
        if self.isShown:
            align(sliceLogic(BEFORE), sliceLogic(AFTER))

    def release(self):
        """Show segmentations that were kept out of the left view where they were shown before."""
        for display in slicer.util.getNodesByClass("vtkMRMLSegmentationDisplayNode"):
            before = display.GetAttribute(VIEWS_ATTRIBUTE)
            if before is not None:
                restrict(display, before.split())
                display.RemoveAttribute(VIEWS_ATTRIBUTE)


def switchTo(layout):
    """Show another layout by way of its manager, which takes back a maximized view first."""
    slicer.app.layoutManager().setLayout(layout)


def sliceLogic(name):
    """The logic of a slice view of the present layout."""
    return slicer.app.layoutManager().sliceWidget(name).sliceLogic()


def fill(logic, volumeNode):
    """Show nothing but one volume in a view, and link the view to those of its group."""
    composite = logic.GetSliceCompositeNode()
    composite.SetBackgroundVolumeID(volumeNode.GetID())
    composite.SetForegroundVolumeID(None)
    composite.SetLabelVolumeID(None)
    composite.SetLinkedControl(True)
    composite.SetHotLinkedControl(True)


def align(left, right):
    """Let both views show the same slice at the same zoom: the slice of the red view."""
    first, second = left.GetSliceNode(), right.GetSliceNode()
    looked = slicer.mrmlScene.GetSingletonNode(REGULAR_VIEW, "vtkMRMLSliceNode")
    if looked is not None:
        first.GetSliceToRAS().DeepCopy(looked.GetSliceToRAS())
        first.UpdateMatrices()
    left.FitSliceToAll()
    if looked is not None and reaches(left, looked.GetSliceOffset()):
        first.SetSliceOffset(looked.GetSliceOffset())
    second.GetSliceToRAS().DeepCopy(first.GetSliceToRAS())
    width, _height, depth = first.GetFieldOfView()
    columns, rows, _slices = second.GetDimensions()
    second.SetFieldOfView(width, width * rows / max(columns, 1), depth)
    second.UpdateMatrices()


def reaches(logic, offset):
    """Whether the volume of a slice view has a slice at this offset."""
    bounds = [0.0] * 6
    logic.GetLowestVolumeSliceBounds(bounds)
    return bounds[4] <= offset <= bounds[5]


def hideIn(hiddenView, segmentationNode):
    """Show a segmentation in every view but one, until it is released."""
    display = displayOf(segmentationNode)
    before = [display.GetNthViewNodeID(n) for n in range(display.GetNumberOfViewNodeIDs())]
    display.SetAttribute(VIEWS_ATTRIBUTE, " ".join(before))
    views = [
        view.GetID()
        for className in ("vtkMRMLSliceNode", "vtkMRMLViewNode")
        for view in slicer.util.getNodesByClass(className)
    ]
    restrict(display, [view for view in views if view != hiddenView.GetID()])


def restrict(display, viewIDs):
    """Show a display node in these views only; in all if there are none."""
    display.RemoveAllViewNodeIDs()
    for viewID in viewIDs:
        display.AddViewNodeID(viewID)


def ordinaryViews():
    """Composite nodes of the slice views other than those of the side-by-side layout."""
    return viewsBut(BEFORE, AFTER)


def viewsBut(*names):
    """Composite nodes of the slice views, but for some."""
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    return [node for node in composites if node.GetLayoutName() not in names]


def setLayers(background, foreground=None, opacity=0.0):
    """Show volumes in the ordinary views; the zoom stays.

    :param foreground: volume node laid over the background, or None.
    """
    for composite in ordinaryViews():
        composite.SetBackgroundVolumeID(background.GetID())
        composite.SetForegroundVolumeID(None if foreground is None else foreground.GetID())
        composite.SetForegroundOpacity(opacity)


def setBackground(volumeNode, isInTheWay):
    """Show a volume below what the user has laid over the ordinary views.

    :param isInTheWay: called with a node in the foreground; True when it is to be taken off.
    """
    for composite in ordinaryViews():
        composite.SetBackgroundVolumeID(volumeNode.GetID())
        shown = slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID() or "")
        if shown is not None and isInTheWay(shown):
            composite.SetForegroundVolumeID(None)


def fade(result, share):
    """Fade from the input (share 0) to the result (1) in the ordinary views."""
    hideMap()
    if result.isSegmentation:
        setLayers(result.inputNode)
        displayOf(result.node).SetOpacity(share)
    else:
        setLayers(result.inputNode, result.node, share)


def unfade(segmentationNode):
    """Show a segmentation that was faded as it is usual, in other modules and in saved scenes."""
    if slicer.mrmlScene.IsNodePresent(segmentationNode):
        displayOf(segmentationNode).SetOpacity(1.0)


def shownShare(result):
    """How much of the result, over its input, the ordinary views show now; 1 without a fade."""
    if result.isSegmentation:
        display = result.node.GetDisplayNode()
        return 1.0 if display is None else display.GetOpacity()
    layers = [None if each is None else each.GetID() for each in (result.inputNode, result.node)]
    for view in ordinaryViews():
        if [view.GetBackgroundVolumeID(), view.GetForegroundVolumeID()] == layers:
            return view.GetForegroundOpacity()
    return 1.0


def fadeMap(result, mapNode, share):
    """Lay a map over the result (over the input, under segments), in all views but the left one."""
    below = result.inputNode if result.isSegmentation else result.node
    if below is None:
        below = mapNode
    setLayers(below, mapNode, share)
    composite = compositeOf(AFTER)
    if composite is not None:
        composite.SetForegroundVolumeID(mapNode.GetID())
        composite.SetForegroundOpacity(share)


def hideMap():
    """Take a map off the right view of the side-by-side layout again."""
    composite = compositeOf(AFTER)
    if composite is not None:
        composite.SetForegroundVolumeID(None)


def compositeOf(viewName):
    """The composite node of a slice view, or None."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if composite.GetLayoutName() == viewName:
            return composite
    return None


def centreViews(point):
    """Let every slice view show a point in its middle.

    :param point: RAS millimetres in the world.
    """
    for view in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        view.JumpSliceByCentering(*point)


class Flicker:
    """Shows input and result in turns, which the eye compares better than pictures side by side.

    :param show: called with True for the result, False for the input.
    """

    def __init__(self, show):
        self._show = show
        self._isAfter = False
        self._timer = qt.QTimer()
        self._timer.setInterval(FLICKER_MS)
        self._timer.connect("timeout()", self._turn)

    @property
    def isOn(self):
        return bool(self._timer.active)

    def start(self):
        self._timer.start()

    def stop(self):
        self._timer.stop()

    def _turn(self):
        self._isAfter = not self._isAfter
        self._show(self._isAfter)
