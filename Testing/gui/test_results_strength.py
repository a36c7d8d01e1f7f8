"""The results section, driven by clicks: the strength of a result, and what changes beside it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import slicer
from MedEnhanceSlicer.bridge import volumeFromNode

from MedEnhanceLib.provenance import voxel_hash
from Testing.gui.driver import PanelDriver
from Testing.gui.fakes import FakeWorker
from Testing.gui.results import blend, head, show
from Testing.gui.volumes import add_head
from Testing.slicer.results import denoised


@pytest.fixture
def panel(views: Any, panel: PanelDriver) -> PanelDriver:
    """In an application with views."""
    return panel


def test_strength_is_changed_kept_and_reset(panel: PanelDriver) -> None:
    before = slicer.util.arrayFromVolume(head()).copy()
    node = show(panel, denoised(head()))
    panel.choose("fadeComboBox", "Removed signal")
    removed = node.GetNodeReference("MedEnhance.Removed")
    assert not panel.ui.keepButton.enabled
    blend(panel, 0.4)
    assert np.allclose(slicer.util.arrayFromVolume(node), before * 0.8, atol=1e-3)
    assert np.allclose(slicer.util.arrayFromVolume(removed), before * 0.2, atol=1e-3)
    assert "shown at strength 0.4" in panel.ui.evidenceNoteLabel.text
    assert "0.4" in panel.ui.howMadeLabel.text
    panel.click("resetButton")
    assert np.allclose(slicer.util.arrayFromVolume(node), before * 0.5, atol=1e-3)
    assert not panel.ui.evidenceNoteLabel.visible
    blend(panel, 0.4)
    panel.click("keepButton")
    assert not panel.ui.resetButton.enabled
    blend(panel, 0.9)
    panel.click("resetButton")
    assert panel.ui.blendSlider.value == pytest.approx(0.4)
    assert np.array_equal(slicer.util.arrayFromVolume(head()), before)


def test_a_result_faded_to_nothing_can_be_had_back(panel: PanelDriver) -> None:
    before = slicer.util.arrayFromVolume(head()).copy()
    node = show(panel, denoised(head()))
    blend(panel, 0.0)
    assert np.allclose(slicer.util.arrayFromVolume(node), before, atol=1e-3)
    show(panel, denoised(head()))
    show(panel, node)
    assert panel.ui.blendWidget.visible and panel.ui.blendSlider.value == 0
    panel.click("resetButton")
    assert np.allclose(slicer.util.arrayFromVolume(node), before * 0.5, atol=1e-3)
    blend(panel, 0.0)
    slicer.util.arrayFromVolume(node)[...] = 7
    slicer.util.arrayFromVolumeModified(node)
    show(panel, node)
    assert not panel.ui.blendWidget.visible


def test_a_node_filled_again_starts_anew(panel: PanelDriver, worker: FakeWorker) -> None:
    target = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Target")
    panel.choose("outputVolumeSelector", "Target")
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert panel.ui.resultSelector.currentNode() is target
    panel.choose("fadeComboBox", "Removed signal")
    blend(panel, 0.3)
    slicer.util.arrayFromVolume(head())[...] += 100
    panel.apply()
    worker.succeed()
    panel.wait_for_end()
    assert panel.status.startswith("Done")
    assert target.GetAttribute("MedEnhance.Strength") is None
    assert panel.ui.blendSlider.value == 1.0
    assert target.GetNodeReference("MedEnhance.Removed") is None
    slicer.util.arrayFromVolume(target)[...] *= 0.5
    blend(panel, 0.5)
    before = slicer.util.arrayFromVolume(head())
    assert np.allclose(slicer.util.arrayFromVolume(target), before * 0.75, atol=1e-3)


def test_a_script_that_fills_the_shown_node_is_followed(panel: PanelDriver) -> None:
    before = slicer.util.arrayFromVolume(head()).copy()
    node = show(panel, denoised(head()))
    panel.choose("fadeComboBox", "Removed signal")
    blend(panel, 0.3)
    denoised(head(), full=before * 0.2, output=node)
    panel.widget.panel._results._strength._apply()
    assert np.allclose(slicer.util.arrayFromVolume(node), before * 0.2, atol=1e-3)
    panel.breathe()
    assert panel.ui.blendSlider.value == 1.0 and not panel.ui.resetButton.enabled
    assert panel.ui.fadeComboBox.currentText == "Before and after"
    assert not panel.ui.spotsListWidget.visible
    blend(panel, 0.5)
    assert np.allclose(slicer.util.arrayFromVolume(node), before * 0.6, atol=1e-3)


def test_a_script_may_fill_the_shown_node_with_another_shape(panel: PanelDriver) -> None:
    node = show(panel, denoised(head()))
    blend(panel, 0.3)
    denoised(add_head("Small", (6, 12, 12)), output=node)
    panel.breathe()
    blend(panel, 0.5)
    small = slicer.util.arrayFromVolume(slicer.util.getNode("Small"))
    assert np.allclose(slicer.util.arrayFromVolume(node), small * 0.75, atol=1e-3)


def test_an_input_that_changes_and_comes_back_is_followed(panel: PanelDriver) -> None:
    show(panel, denoised(head()))
    head().SetOrigin(10, 0, 0)
    panel.breathe()
    assert not panel.ui.blendWidget.visible and panel.ui.resultNoteLabel.visible
    assert panel.ui.fadeComboBox.count == 1
    head().SetOrigin(0, 0, 0)
    panel.breathe()
    assert panel.ui.blendWidget.visible and not panel.ui.resultNoteLabel.visible
    assert panel.ui.fadeComboBox.count == 2


def test_a_changed_input_stops_the_strength(panel: PanelDriver) -> None:
    node = denoised(head())
    node.SetAttribute("MedEnhance.Provenance", '{"input_sha256": "another"}')
    show(panel, node)
    assert not panel.ui.blendWidget.visible
    assert "no longer, what the model saw" in panel.ui.resultNoteLabel.text
    assert panel.ui.resultNoteLabel.visible


def test_an_input_that_changes_between_two_moves_stops_the_strength(panel: PanelDriver) -> None:
    node = denoised(head())
    told = {"input_sha256": voxel_hash(volumeFromNode(head()))}
    node.SetAttribute("MedEnhance.Provenance", json.dumps(told))
    show(panel, node)
    blend(panel, 0.4)
    voxels = slicer.util.arrayFromVolume(node).copy()
    slicer.util.arrayFromVolume(head())[...] += 1000
    slicer.util.arrayFromVolumeModified(head())
    panel.widget.panel._results._strength._apply()
    assert np.array_equal(slicer.util.arrayFromVolume(node), voxels)
