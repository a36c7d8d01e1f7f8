"""`slicer.app.layoutManager()` of an application with a window, over Slicer's own layout logic.

The stand-in application has no window until `open_window()`; `close_window()` takes it away again.
"""

from __future__ import annotations

from typing import Any


class SliceWidget:
    """A slice view as far as its logic goes."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()


class LayoutManager:
    """Makes a view, with its composite node, for every slice node that the layout asks for."""

    def __init__(self, scene: Any) -> None:
        import slicer

        self._scene = scene
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLScene(scene)
        self._widgets: dict[str, SliceWidget] = {}
        # After the logic, which asks for the nodes of the views.
        self._tag = self.layoutLogic().GetLayoutNode().AddObserver("ModifiedEvent", self._map, -1.0)
        self.layoutLogic().GetLayoutNode().SetViewArrangement(
            slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
        )
        for name in self.sliceViewNames():
            self.sliceWidget(name)

    def layoutLogic(self) -> Any:
        return self._logic

    @property
    def layout(self) -> int:
        return int(self._logic.GetLayoutNode().GetViewArrangement())

    def setLayout(self, layout: int) -> None:
        if layout != self.layout:
            self._logic.GetLayoutNode().RemoveAllMaximizedViewNodes()
            self._logic.GetLayoutNode().SetViewArrangement(layout)

    def sliceViewNames(self) -> tuple[str, ...]:
        views = self._logic.GetViewNodes()
        nodes = [views.GetItemAsObject(i) for i in range(views.GetNumberOfItems())]
        return tuple(n.GetLayoutName() for n in nodes if n.IsA("vtkMRMLSliceNode"))

    def sliceWidget(self, name: str) -> SliceWidget | None:
        import slicer

        if name not in self.sliceViewNames():
            return None
        if name not in self._widgets:
            logic = slicer.vtkMRMLSliceLogic()
            logic.SetMRMLScene(self._scene)
            logic.SetSliceNode(self._scene.GetSingletonNode(name, "vtkMRMLSliceNode"))
            self._widgets[name] = SliceWidget(logic)
        return self._widgets[name]

    def _map(self, _caller: Any, _event: str) -> None:
        """Tell the views whether they are in the layout, as Slicer's factory of views does."""
        import slicer

        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode", self._scene):
            node.SetMappedInLayout(node.GetLayoutName() in self.sliceViewNames())

    def close(self) -> None:
        """Let go of the scene, whose nodes would otherwise tell logics that are no more."""
        for widget in self._widgets.values():
            widget.sliceLogic().SetMRMLScene(None)
        self._logic.GetLayoutNode().RemoveObserver(self._tag)
        self._logic.SetMRMLScene(None)


def open_window() -> LayoutManager:
    """From now on the application has views."""
    import slicer

    manager = LayoutManager(slicer.mrmlScene)
    slicer.app.views = manager
    return manager


def close_window() -> None:
    """From now on it has none."""
    import slicer

    slicer.app.views.close()
    slicer.app.views = None
