"""The panel and scenes that are closed, loaded and added while it is open."""

from __future__ import annotations

from typing import Any

import pytest
import slicer

from Testing.gui.driver import OpenPanel, PanelDriver
from Testing.gui.fakes import FakeWorker
from Testing.gui.volumes import add_head


def test_settings_survive_saving_the_scene(panel: PanelDriver, tmp_path: Any) -> None:
    panel.choose_task("Segment")
    panel.tick(1, False)
    scene = slicer.mrmlScene
    scene.GetFirstNodeByName("Head").AddDefaultStorageNode()
    bundle = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(bundle)
    scene.Clear(0)
    panel.breathe()
    assert panel.ui.inputSelector.currentNode() is None
    assert scene.ReadFromMRB(bundle)
    panel.breathe()
    assert panel.ui.segmentButton.checked and not panel.ui.denoiseButton.checked
    assert panel.parameters.labels == "1"
    assert panel.ui.inputSelector.currentNode().GetName() == "Head"


@pytest.mark.parametrize(
    ("name", "text"),
    [("task", "REGISTER"), ("strength", "much"), ("labels", "a,b"), ("queue", '{"cases": [{}]}')],
)
def test_settings_of_another_version_do_not_stop_the_panel(
    panel: PanelDriver, name: str, text: str
) -> None:
    panel.leave()
    panel.widget.logic.getParameterNode().parameterNode.SetParameter(name, text)
    panel.enter()
    panel.choose_task("Segment")
    assert panel.ui.applyButton.enabled
    panel.choose_task("Denoise")
    assert panel.ui.strengthSlider.value == 1.0


def test_settings_that_are_known_stay_beside_one_that_is_not(panel: PanelDriver) -> None:
    panel.leave()
    node = panel.widget.logic.getParameterNode().parameterNode
    node.SetParameter("device", "XPU")
    node.SetParameter("strength", "0.5")
    node.SetParameter("recipe", "[]")
    panel.enter()
    assert panel.parameters.device is type(panel.parameters.device).AUTOMATIC
    assert panel.parameters.strength == 0.5 and panel.parameters.recipe == "[]"


def test_settings_of_a_scene_are_not_replaced_by_those_of_the_last_run(
    panel: PanelDriver, worker: FakeWorker, tmp_path: Any
) -> None:
    panel.choose_task("Segment")
    # As a script may have written it: nothing but settings.
    node = panel.parameters.parameterNode
    for name in set(node.GetParameterNames()) - set(panel.parameters.allParameters):
        node.UnsetParameter(name)
    scene = slicer.mrmlScene
    scene.GetFirstNodeByName("Head").AddDefaultStorageNode()
    bundle = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(bundle)
    panel.choose_task("Super-resolution")
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    panel.leave()
    scene.Clear(0)
    assert scene.ReadFromMRB(bundle)
    panel.enter()
    assert panel.ui.segmentButton.checked


def test_a_volume_of_a_loaded_scene_is_selected(open_panel: OpenPanel, tmp_path: Any) -> None:
    add_head().AddDefaultStorageNode()
    scene = slicer.mrmlScene
    bundle = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(bundle)
    scene.Clear(0)
    panel = open_panel()
    assert panel.parameters.inputVolume is None
    assert scene.ReadFromMRB(bundle)
    panel.breathe()
    assert panel.ui.inputSelector.currentNode() is slicer.util.getNode("Head")
    assert panel.ui.applyButton.enabled


def test_a_scene_that_is_added_leaves_what_is_chosen(open_panel: OpenPanel, tmp_path: Any) -> None:
    add_head("Other patient").AddDefaultStorageNode()
    scene = slicer.mrmlScene
    bundle = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(bundle)
    scene.Clear(0)
    for name in ("First", "Second", "Guide"):
        add_head(name)
    region = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Region")
    panel = open_panel()
    for list_of_nodes, name in (("input", "Second"), ("guide", "Guide"), ("region", "Region")):
        panel.choose(list_of_nodes + "Selector", name)
    assert scene.ReadFromMRB(bundle, False)
    panel.breathe()
    parameters = panel.parameters
    chosen = (parameters.inputVolume, parameters.guideVolume, parameters.region)
    assert chosen == (slicer.util.getNode("Second"), slicer.util.getNode("Guide"), region)
    shown = [panel.ui.inputSelector, panel.ui.guideSelector, panel.ui.regionSelector]
    assert tuple(each.currentNode() for each in shown) == chosen


def test_a_scene_that_is_added_brings_its_settings(panel: PanelDriver, tmp_path: Any) -> None:
    add_head("Second")
    panel.choose("inputSelector", "Second")
    panel.choose_task("Segment")
    scene = slicer.mrmlScene
    for name in ("Head", "Second"):
        scene.GetFirstNodeByName(name).AddDefaultStorageNode()
    bundle = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(bundle)
    scene.Clear(0)
    add_head("Third")
    panel.choose_task("Denoise")
    assert scene.ReadFromMRB(bundle, False)
    panel.breathe()
    assert panel.ui.segmentButton.checked
    assert panel.parameters.inputVolume.GetName() == "Second"
    assert panel.ui.inputSelector.currentNode() is panel.parameters.inputVolume


def test_a_hidden_panel_does_not_follow_the_scene(panel: PanelDriver) -> None:
    panel.leave()
    slicer.mrmlScene.Clear(0)
    assert panel.parameters is None
    panel.enter()
    assert panel.parameters.inputVolume is None
