"""Pictures of the part for more than one in its states, in out/panel, to be looked at."""

from __future__ import annotations

import pytest
import slicer

from Testing.gui.batch import add_recipe, add_sequence, answer, with_batch
from Testing.gui.driver import PanelDriver
from Testing.gui.fakes import FakeWorker
from Testing.gui.test_panel_pictures import assert_picture
from Testing.gui.volumes import add_head

LONG = "T1 MPRAGE sagittal 1 mm isotropic, session 2"


@pytest.fixture
def panel(panel: PanelDriver) -> PanelDriver:
    return with_batch(panel)


def only_batch(panel: PanelDriver) -> None:
    """Fold what is above, so that the picture shows the part itself."""
    for name in ("settings", "preview", "output"):
        getattr(panel.ui, name + "CollapsibleButton").collapsed = True
    panel.breathe()


def test_empty(panel: PanelDriver) -> None:
    only_batch(panel)
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("Head"))
    assert_picture(panel, "40-batch-empty")


def test_recipe_and_queue(panel: PanelDriver, worker: FakeWorker) -> None:
    only_batch(panel)
    for name in (LONG, "FLAIR", "T2"):
        add_head(name)
    panel.breathe()
    add_recipe(panel)
    add_sequence()
    panel.choose("sequenceSelector", "Perfusion")
    assert_picture(panel, "41-batch-recipe")
    assert_picture(panel, "41-batch-recipe-narrow", 300)
    panel.click("queueRecipeCheckBox")
    panel.click("tickAllButton")
    panel.click("runQueueButton")
    answer(panel, worker, 3)
    panel.wait_until(lambda: len(worker.jobs) == 4)
    worker.report(0.4, "network", 48)
    panel.wait_until(lambda: "network" in panel.status)
    assert_picture(panel, "42-batch-queue-running")
    worker.fail("The GPU ran out of memory (8.1 GB needed, 6 GB free); choose the CPU.")
    panel.wait_until(lambda: len(worker.jobs) == 5)
    panel.click("cancelQueueButton")
    panel.wait_for_end()
    assert_picture(panel, "43-batch-queue-cancelled")
    panel.click("resumeQueueButton")
    panel.wait_until(lambda: len(worker.jobs) == 6)
    worker.fail("The GPU ran out of memory (8.1 GB needed, 6 GB free); choose the CPU.")
    answer(panel, worker, 10)
    panel.wait_for_end()
    assert_picture(panel, "44-batch-one-failure")
    assert_picture(panel, "44-batch-one-failure-narrow", 300)


def test_dark(dark: None, panel: PanelDriver, worker: FakeWorker) -> None:
    only_batch(panel)
    add_head("FLAIR")
    panel.breathe()
    panel.click("addStepButton")
    panel.click("tickAllButton")
    panel.click("runQueueButton")
    answer(panel, worker, 2)
    panel.wait_for_end()
    panel.click("pasteRecipeButton")
    assert_picture(panel, "45-batch-dark")


def test_region_and_guide(panel: PanelDriver) -> None:
    panel.ui.batchCollapsibleButton.collapsed = True
    region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Region")
    region.SetCenter(12, 12, 6)
    region.SetSize(18, 18, 6)
    panel.choose("regionSelector", "Region")
    far = add_head("Far")
    far.SetOrigin(300, 0, 0)
    panel.choose("guideSelector", "Far")
    assert_picture(panel, "46-region-and-guide")
    assert_picture(panel, "46-region-and-guide-narrow", 300)
