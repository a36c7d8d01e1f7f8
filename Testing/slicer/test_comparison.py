"""Before and after in the views, on real slice nodes and Slicer's own layout logic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from MedEnhanceSlicer import comparison, outputs
from MedEnhanceSlicer.nodeWatch import NodeWatch
from MedEnhanceSlicer.resultNode import ResultNode

from Testing.gui.standins import layout
from Testing.slicer.grids import add_volume
from Testing.slicer.results import denoised, segmented
from Testing.slicer.saving import through_bundle


@pytest.fixture
def window(scene: Any) -> Iterator[layout.LayoutManager]:
    yield layout.open_window()
    layout.close_window()


def view(name: str) -> Any:
    widget = slicer.app.layoutManager().sliceWidget(name)
    assert widget is not None
    return widget.sliceLogic()


def test_without_a_window_there_is_nothing_to_lay_out(scene: Any) -> None:
    side = comparison.SideBySide()
    assert not side.isPossible and not side.isShown and side.layoutNode is None
    side.leave()


def test_a_maximized_view_gives_way_to_another_layout(window: layout.LayoutManager) -> None:
    side, node = comparison.SideBySide(), window.layoutLogic().GetLayoutNode()
    result = ResultNode(denoised(add_volume()))
    for name, change in (("Red", lambda: side.show(result)), (comparison.AFTER, side.leave)):
        node.AddMaximizedViewNode(view(name).GetSliceNode())
        change()
        assert node.GetNumberOfMaximizedViewNodes() == 0


def test_side_by_side_shows_the_same_slice_of_both(window: layout.LayoutManager) -> None:
    node = add_volume()
    output = denoised(node)
    red = view("Red").GetSliceNode()
    red.SetSliceOffset(43.25)
    side = comparison.SideBySide()
    before = window.layout
    side.show(ResultNode(output))
    assert side.isShown and window.sliceViewNames() == ("MedEnhanceBefore", "MedEnhanceAfter")
    left, right = view(comparison.BEFORE), view(comparison.AFTER)
    assert left.GetSliceCompositeNode().GetBackgroundVolumeID() == node.GetID()
    assert right.GetSliceCompositeNode().GetBackgroundVolumeID() == output.GetID()
    first, second = left.GetSliceNode(), right.GetSliceNode()
    assert first.GetSliceOffset() == pytest.approx(43.25)
    assert second.GetSliceOffset() == pytest.approx(43.25)
    assert np.allclose(first.GetFieldOfView(), second.GetFieldOfView())
    assert first.GetViewGroup() == second.GetViewGroup() != red.GetViewGroup()
    for logic in (left, right):
        assert logic.GetSliceCompositeNode().GetLinkedControl()
    side.leave()
    assert window.layout == before and not side.isShown


def test_a_slice_beside_the_volume_is_not_shown(window: layout.LayoutManager) -> None:
    node = add_volume()
    view("Red").GetSliceNode().SetSliceOffset(4000.0)
    comparison.SideBySide().show(ResultNode(denoised(node)))
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    for name in (comparison.BEFORE, comparison.AFTER):
        assert bounds[4] < view(name).GetSliceNode().GetSliceOffset() < bounds[5]


def test_the_layout_can_be_shown_again(window: layout.LayoutManager) -> None:
    output = denoised(add_volume())
    side = comparison.SideBySide()
    window.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    for _ in range(2):
        side.show(ResultNode(output))
        side.show(ResultNode(output))
        side.leave()
        assert window.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView


def test_a_segmentation_is_shown_on_the_right_only(window: layout.LayoutManager) -> None:
    node = add_volume()
    result = ResultNode(segmented(node))
    side = comparison.SideBySide()
    side.show(result)
    display = result.node.GetDisplayNode()
    left, right = (view(n).GetSliceNode() for n in (comparison.BEFORE, comparison.AFTER))
    assert not display.IsDisplayableInView(left.GetID())
    assert display.IsDisplayableInView(right.GetID())
    side.leave()
    side.release()
    assert display.IsDisplayableInView(left.GetID())


def test_where_a_segmentation_was_shown_is_restored(
    window: layout.LayoutManager, scene: Any, tmp_path: Path
) -> None:
    node = add_volume()
    result = ResultNode(segmented(node))
    red = view("Red").GetSliceNode().GetID()
    result.node.GetDisplayNode().AddViewNodeID(red)
    side = comparison.SideBySide()
    side.show(result)
    side.show(result)
    through_bundle(scene, tmp_path)
    display = scene.GetFirstNodeByName("Head segmentation").GetDisplayNode()
    assert display.GetNumberOfViewNodeIDs() > 1
    comparison.SideBySide().release()
    assert display.GetNumberOfViewNodeIDs() == 1 and display.GetNthViewNodeID(0) == red
    assert display.GetAttribute(comparison.VIEWS_ATTRIBUTE) is None


def test_a_new_result_lies_below_what_the_user_laid_over(window: layout.LayoutManager) -> None:
    node, overlay = add_volume(), add_volume("Overlay")
    first = denoised(node)
    red = view("Red").GetSliceCompositeNode()
    red.SetForegroundVolumeID(overlay.GetID())
    red.SetForegroundOpacity(0.4)
    outputs.show(first)
    assert red.GetBackgroundVolumeID() == first.GetID()
    assert red.GetForegroundVolumeID() == overlay.GetID()
    assert red.GetForegroundOpacity() == pytest.approx(0.4)
    for covering in (node, first):
        red.SetForegroundVolumeID(covering.GetID())
        second = denoised(node)
        outputs.show(second)
        assert red.GetBackgroundVolumeID() == second.GetID()
        assert red.GetForegroundVolumeID() is None


def test_fading_leaves_the_side_by_side_views_alone(window: layout.LayoutManager) -> None:
    node = add_volume()
    result = ResultNode(denoised(node))
    comparison.SideBySide().show(result)
    comparison.fade(result, 0.3)
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    assert red.GetBackgroundVolumeID() == node.GetID()
    assert red.GetForegroundVolumeID() == result.node.GetID()
    assert red.GetForegroundOpacity() == pytest.approx(0.3)
    left = view(comparison.BEFORE).GetSliceCompositeNode()
    assert left.GetForegroundVolumeID() is None


def test_a_segmentation_fades(window: layout.LayoutManager) -> None:
    result = ResultNode(segmented(add_volume()))
    comparison.fade(result, 0.25)
    assert result.node.GetDisplayNode().GetOpacity() == pytest.approx(0.25)
    outputs.show(result.node)
    assert result.node.GetDisplayNode().GetOpacity() == 1.0


def test_every_view_is_centred(window: layout.LayoutManager) -> None:
    comparison.centreViews((10.0, -20.0, 30.0))
    for name in ("Red", "Green", "Yellow"):
        to_ras = view(name).GetSliceNode().GetSliceToRAS()
        assert [to_ras.GetElement(row, 3) for row in range(3)] == pytest.approx([10, -20, 30])


def test_the_layout_is_watched(window: layout.LayoutManager) -> None:
    told: list[int] = []
    watch = NodeWatch(lambda: told.append(window.layout))
    watch.follow(window.layoutLogic().GetLayoutNode())
    window.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    assert told[-1] == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
    count = len(told)
    watch.follow(None)
    window.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    assert len(told) == count


def test_a_scene_that_was_saved_side_by_side_opens_so(
    window: layout.LayoutManager, scene: Any, tmp_path: Path
) -> None:
    side = comparison.SideBySide()
    side.show(ResultNode(denoised(add_volume())))
    saved = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(saved)
    layout.close_window()
    restarted = layout.open_window()
    comparison.registerLayout()
    assert scene.ReadFromMRB(saved, True)
    assert restarted.sliceViewNames() == ("MedEnhanceBefore", "MedEnhanceAfter")


def test_without_a_window_no_layout_is_registered(scene: Any) -> None:
    comparison.registerLayout()
    assert scene.GetNumberOfNodesByClass("vtkMRMLLayoutNode") == 0
