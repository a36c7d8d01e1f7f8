"""The panel shows what belongs to the task, and stores what the user sets in the scene."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import slicer

from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.options import DenoiseOptions, SegmentOptions, SuperResolutionOptions
from Testing.gui.driver import OpenPanel, PanelDriver
from Testing.gui.fakes import FakeWorker, catalog
from Testing.gui.volumes import add_head
from Testing.slicer_scene import set_modality


def shown(panel: PanelDriver, *names: str) -> list[bool]:
    return [bool(getattr(panel.ui, name).visible) for name in names]


def test_an_empty_scene_asks_for_a_volume(open_panel: OpenPanel) -> None:
    panel = open_panel()
    assert not panel.ui.applyButton.enabled
    assert "Load or select a volume" in panel.ui.applyButton.toolTip
    assert not panel.ui.suitabilityLabel.visible
    assert panel.ui.useLabel.text.startswith("Research use only")


def test_a_volume_loaded_later_is_selected(open_panel: OpenPanel) -> None:
    panel = open_panel()
    node = add_head()
    panel.breathe()
    assert panel.ui.inputSelector.currentNode() is node
    assert panel.ui.applyButton.enabled


def test_only_scalar_volumes_are_offered(panel: PanelDriver) -> None:
    for kind in ("LabelMap", "Vector"):
        slicer.mrmlScene.AddNewNodeByClass(f"vtkMRML{kind}VolumeNode", kind)
    assert panel.ui.inputSelector.nodeCount() == 1


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        ("inputVolume", "ScalarVolume"),
        ("guideVolume", "ScalarVolume"),
        ("region", "MarkupsROI"),
        ("sequence", "Sequence"),
        ("outputVolume", "ScalarVolume"),
        ("outputSegmentation", "Segmentation"),
    ],
)
def test_no_neighbour_takes_the_place_of_a_chosen_node_that_is_removed(
    panel: PanelDriver, parameter: str, kind: str
) -> None:
    for name in ("One", "Two", "Three"):
        slicer.mrmlScene.AddNewNodeByClass(f"vtkMRML{kind}Node", name)
    setattr(panel.parameters, parameter, slicer.util.getNode("Two"))
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("Two"))
    assert getattr(panel.parameters, parameter) is None
    assert panel.widget.boundWidgets()[parameter].currentNode() is None


@pytest.mark.parametrize(
    ("task", "visible"), [("Denoise", 0), ("Super-resolution", 1), ("Segment", 2)]
)
def test_settings_follow_the_task(panel: PanelDriver, task: str, visible: int) -> None:
    panel.choose_task(task)
    expected = [index == visible for index in range(3)]
    assert shown(panel, "denoiseWidget", "superResolutionWidget", "segmentWidget") == expected
    is_segment = visible == 2
    assert shown(panel, "outputVolumeSelector", "outputSegmentationSelector") == [
        not is_segment,
        is_segment,
    ]


def test_denoise_options_reach_the_process(panel: PanelDriver, worker: FakeWorker) -> None:
    assert not panel.ui.noiseLevelSpinBox.visible
    panel.choose("noiseComboBox", "By hand")
    assert panel.ui.noiseLevelSpinBox.visible
    panel.set_number("noiseLevelSpinBox", 12.5)
    panel.set_number("strengthSlider", 0.4)
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.choose("deviceComboBox", "CPU")
    panel.apply()
    assert worker.jobs[-1][3] == DenoiseOptions(device="cpu", strength=0.4, noise=12.5)


def test_noise_of_a_volume_that_is_scaled_to_one(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.choose("noiseComboBox", "By hand")
    panel.type_number("noiseLevelSpinBox", "0.0375")
    panel.apply()
    assert worker.jobs[-1][3].noise == pytest.approx(0.0375)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("Isotropic", SuperResolutionOptions()),
        ("Spacing", SuperResolutionOptions(spacing=(0.5, 1.0, 0.75))),
        ("Factor", SuperResolutionOptions(factor=(1.0, 1.0, 3.0))),
    ],
)
def test_super_resolution_options_reach_the_process(
    panel: PanelDriver, worker: FakeWorker, choice: str, expected: SuperResolutionOptions
) -> None:
    panel.choose_task("Super-resolution")
    panel.choose("resolutionComboBox", choice)
    assert panel.ui.targetLabel.visible
    assert shown(panel, "spacingWidget", "factorWidget") == [
        choice == "Spacing",
        choice == "Factor",
    ]
    if choice == "Spacing":
        panel.set_number("spacingISpinBox", 0.5)
        panel.set_number("spacingKSpinBox", 0.75)
    if choice == "Factor":
        panel.set_number("factorKSpinBox", 3)
    panel.apply()
    assert worker.jobs[-1][3] == expected


@pytest.mark.parametrize("text", ["0.75", "12.5", "3"])
def test_numbers_can_be_typed(panel: PanelDriver, worker: FakeWorker, text: str) -> None:
    """Also when the click on Apply does not take the field's focus, as on macOS."""
    panel.choose_task("Super-resolution")
    panel.choose("resolutionComboBox", "Spacing")
    panel.type_number("spacingKSpinBox", text)
    panel.apply()
    assert worker.jobs[-1][3].spacing == (1.0, 1.0, float(text))


def test_the_wanted_grid_is_told_before_apply(panel: PanelDriver) -> None:
    assert not panel.ui.targetLabel.visible
    panel.choose_task("Super-resolution")
    panel.choose("resolutionComboBox", "Factor")
    panel.set_number("factorKSpinBox", 3)
    expected = "1 x 1 x 1 mm becomes 1 x 1 x 0.333 mm, 24 x 24 x 36 voxels."
    assert panel.ui.targetLabel.text == expected
    panel.choose("resolutionComboBox", "Isotropic")
    assert panel.ui.targetLabel.text != expected


def test_a_grid_that_is_refused_is_told_before_apply(panel: PanelDriver) -> None:
    panel.choose_task("Super-resolution")
    panel.choose("resolutionComboBox", "Spacing")
    panel.set_number("spacingKSpinBox", 0.05)
    told = panel.ui.targetLabel.text
    assert panel.ui.applyButton.toolTip == told and "spacing" in told
    assert "#d55e00" in panel.ui.targetLabel.styleSheet
    slicer.util.addVolumeFromArray(np.full((4, 8, 8), 7.0), name="Constant")
    panel.choose("inputSelector", "Constant")
    panel.choose_model("MR super-resolution")
    assert "#d55e00" in panel.ui.targetLabel.styleSheet and panel.ui.targetLabel.visible
    assert not panel.ui.applyButton.enabled
    assert "All voxels have the value 7" in panel.ui.applyButton.toolTip
    panel.choose("inputSelector", "Head")
    panel.choose_task("Denoise")
    assert panel.ui.applyButton.toolTip.startswith("Run MR denoiser")


def test_segment_options_reach_the_process(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.choose_task("Segment")
    panel.tick(0, False)
    panel.click("fillHolesCheckBox")
    panel.apply()
    assert worker.jobs[-1][3] == SegmentOptions(labels=(2,), keep_largest=True, fill_holes=False)


def test_ticks_do_not_outlive_their_model(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.choose_task("Segment")
    panel.tick(0, False)
    panel.choose_task("Denoise")
    panel.choose_task("Segment")
    assert panel.parameters.labels == "2"
    panel.choose_model("Otsu")
    assert panel.parameters.labels == ""
    panel.apply()
    assert worker.jobs[-1][3] == SegmentOptions()


def test_all_structures_are_wanted_by_default(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.choose_task("Segment")
    names = [panel.ui.labelsListWidget.item(row).text() for row in range(2)]
    assert names == ["Anterior hippocampus", "Posterior hippocampus"]
    panel.tick(0, False)
    panel.tick(0, True)
    panel.apply()
    assert worker.jobs[-1][3].labels is None


def test_the_best_model_is_preselected_and_can_be_changed(
    panel: PanelDriver, worker: FakeWorker
) -> None:
    assert panel.model == "Best fit: MR denoiser (residual CNN)"
    panel.choose_model("Median")
    assert panel.parameters.model == "filter-median"
    assert "middle value" in panel.ui.modelTextLabel.text
    panel.apply()
    assert worker.jobs[-1][2] == "filter-median"


def test_a_model_of_another_task_falls_back_to_automatic(panel: PanelDriver) -> None:
    panel.choose_model("Median")
    panel.choose_task("Segment")
    assert panel.model.startswith("Best fit")
    assert panel.ui.applyButton.enabled
    panel.choose_task("Denoise")
    assert panel.model == "Median 3x3x3 (filter)"


def test_models_are_found_by_any_of_their_words(panel: PanelDriver) -> None:
    panel.type("modelSearchLineEdit", "diffusion")
    panel.choose_model("Anisotropic diffusion")
    assert panel.parameters.model == "filter-anisotropic-diffusion"
    with pytest.raises(AssertionError, match="not shown"):
        panel.choose_model("Median")
    panel.type("modelSearchLineEdit", "")
    panel.choose_model("Median")


def test_the_card_tells_what_a_model_is_for(panel: PanelDriver) -> None:
    panel.ui.modelCardCollapsibleButton.collapsed = False
    card = panel.ui.modelCardLabel.text
    assert "brain" in card and "voxels 0.5 to 1.5 mm" in card


def test_the_card_tells_that_a_model_takes_whole_heads() -> None:
    from MedEnhanceSlicer import modelCard

    from MedEnhanceLib import Catalog

    card = modelCard.text(Catalog.default().find("mr-hippocampus-unet"))
    assert "a whole volume of 90 to 400 mm along each axis, in which it finds the left" in card


def test_the_card_names_the_comparators_that_there_are(panel: PanelDriver) -> None:
    from MedEnhanceSlicer import modelCard

    alone = {"condition": "T1", "metric": "Dice", "value": 0.9}
    first = {"comparator": "median", "comparator_value": 0.7}
    second = {"second_comparator": "BM4D", "second_value": 0.8}
    model = replace(catalog().entries[0], results=(alone | first | second, alone))
    card = modelCard.text(model)
    assert "T1: Dice 0.9 (median 0.7, BM4D 0.8)" in card
    assert "T1: Dice 0.9</p>" in card


def test_the_time_is_told_once_a_run_has_been_timed(panel: PanelDriver, worker: FakeWorker) -> None:
    assert "after the first run" in panel.ui.forecastLabel.text
    job = panel.apply()
    worker.succeed(seconds=30.0, peak_memory_mb=1200)
    panel.wait_for_end()
    assert job.state == "done"
    assert "About 30 s on: Automatic, 1.2 GB." in panel.ui.forecastLabel.text
    panel.apply()
    worker.succeed(seconds=0.1, unchanged=True)  # as when no noise was found, and nothing was run
    panel.wait_for_end()
    assert "About 30 s on: Automatic, 1.2 GB." in panel.ui.forecastLabel.text
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.click("uncertaintyCheckBox")
    assert "About 2 min 0 s" in panel.ui.forecastLabel.text
    panel.apply()
    assert worker.jobs[-1][3].uncertainty


def test_what_is_computed_how_is_in_the_options(panel: PanelDriver, worker: FakeWorker) -> None:
    panel.ui.setupCollapsibleButton.collapsed = False
    panel.choose("precisionComboBox", "32 bits")
    panel.set_number("tileSpinBox", 64)
    panel.apply()
    options = worker.jobs[-1][3]
    assert (options.precision, options.tile) == ("float32", 64)


def test_the_banner_warns_with_reasons(open_panel: OpenPanel, worker: FakeWorker) -> None:
    from MedEnhanceSlicer.jobs import JobRunner

    import MedEnhance

    add_head(spacing=4.0)
    panel = open_panel(MedEnhance.MedEnhanceLogic(JobRunner(worker), catalog()))
    assert "spacing 4 x 4 x 4 mm" in panel.ui.suitabilityLabel.text
    assert "#e69f00" in panel.ui.suitabilityLabel.styleSheet
    assert panel.ui.applyButton.enabled


def test_what_cannot_run_is_refused_before_apply(panel: PanelDriver) -> None:
    slicer.util.addVolumeFromArray(np.full((4, 8, 8), 7.0), name="Constant")
    panel.choose("inputSelector", "Constant")
    assert "All voxels have the value 7" in panel.ui.suitabilityLabel.text
    assert not panel.ui.applyButton.enabled
    assert "All voxels have the value 7" in panel.ui.applyButton.toolTip
    panel.choose("inputSelector", "Head")
    assert panel.ui.applyButton.enabled


def test_a_volume_is_judged_anew_only_when_it_or_the_models_are_others(
    panel: PanelDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[Any] = []
    choose = panel.widget.logic.choose
    monkeypatch.setattr(
        panel.widget.logic, "choose", lambda *given: judged.append(given) or choose(*given)
    )
    node = slicer.util.getNode("Head")
    node.SetAttribute("Seen", "yes")
    node.CreateDefaultDisplayNodes()
    panel.leave()
    panel.enter()
    panel.breathe()
    assert not judged
    logic = panel.widget.logic
    changes = (
        lambda: slicer.util.arrayFromVolumeModified(node),
        lambda: node.SetSpacing(2, 2, 2),
        lambda: set_modality(node, "CT"),
        lambda: monkeypatch.setattr(logic, "_catalog", Catalog(catalog().entries[1:])),
        lambda: panel.choose_model("Median"),
    )
    for number, change in enumerate(changes, start=1):
        change()
        panel.widget.panel.update()
        assert len(judged) == number


def test_settings_live_in_the_scene(panel: PanelDriver, open_panel: OpenPanel) -> None:
    panel.set_number("strengthSlider", 0.25)
    panel.choose("noiseComboBox", "By hand")
    panel.choose_model("Median")
    node = panel.widget.logic.getParameterNode().parameterNode
    assert node.GetParameter("strength") == "0.25"
    assert node.GetParameter("noise") == "BY_HAND"
    panel.leave()
    node.SetParameter("strength", "0.5")
    panel.enter()
    assert panel.ui.strengthSlider.value == 0.5
    assert panel.model == "Median 3x3x3 (filter)"
