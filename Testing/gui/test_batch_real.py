"""The queue and a recipe from the panel over the real inference process."""

from __future__ import annotations

import os
import signal

import slicer

from Testing.gui.batch import cases, tick, tip, with_batch
from Testing.gui.driver import OpenPanel
from Testing.gui.test_panel_real import process_id
from Testing.gui.volumes import add_head, add_noise


def test_a_killed_process_costs_one_case_of_the_queue(open_panel: OpenPanel) -> None:
    add_noise("Large")
    add_head("B")
    panel = with_batch(open_panel())
    panel.choose_model("Non-local means")
    panel.click("tickAllButton")
    panel.click("runQueueButton")
    chain = panel.widget.panel.job
    panel.wait_until(lambda: chain.job is not None and chain.job.progress is not None)
    os.kill(process_id(panel), signal.SIGKILL)
    panel.wait_for_end()
    assert cases(panel)["Large"] == "failed" and cases(panel)["B"] == "done"
    assert "ended unexpectedly" in tip(panel, "Large")
    assert panel.status == "Queue: 1 done, 1 failed; the list tells why."


def test_a_volume_deleted_in_the_queue(open_panel: OpenPanel) -> None:
    large = add_noise("Large")
    for name in ("B", "C"):
        add_head(name)
    panel = with_batch(open_panel())
    panel.choose_model("Non-local means")
    for name in ("Large", "B", "C"):
        tick(panel, name)
    panel.click("runQueueButton")
    chain = panel.widget.panel.job
    panel.wait_until(lambda: chain.job is not None and chain.job.progress is not None)
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("B"))
    slicer.mrmlScene.RemoveNode(large)
    panel.wait_for_end()
    assert cases(panel) == {"C": "done", "C denoised (filtered)": ""}
    assert panel.status == "Queue: 1 done, 2 removed from the scene."


def test_a_recipe_with_a_real_process(open_panel: OpenPanel) -> None:
    add_head("Head", shape=(24, 40, 40))
    panel = with_batch(open_panel())
    panel.choose_model("Median")
    panel.click("addStepButton")
    panel.choose_task("Segment")
    panel.choose_model("Otsu")
    panel.click("addStepButton")
    panel.click("runRecipeButton")
    panel.wait_for_end()
    assert panel.status.startswith("Done: Head denoised segmentation (filtered)."), panel.status
    assert panel.ui.resultSelector.currentNode().GetName() == (
        "Head denoised segmentation (filtered)"
    )
    assert slicer.mrmlScene.GetFirstNodeByName("Head denoised (filtered)") is not None
