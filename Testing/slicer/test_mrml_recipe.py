"""Several steps on one volume: what is kept, how it is named, and what a failure leaves."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import slicer
from MedEnhanceSlicer import recipe
from MedEnhanceSlicer.differenceMap import hasRemovedSignal
from MedEnhanceSlicer.reportFile import reportOf
from MedEnhanceSlicer.resultNode import ResultNode
from MedEnhanceSlicer.resultNotes import inputNote, measuresNote

from MedEnhanceLib.errors import CancelledError, OptionsError, UnsuitableError, VolumeError
from Testing.slicer.chains import (
    MEDIAN,
    SHAPE_KJI,
    add_noise,
    display_nodes,
    pump,
    volume_names,
)
from Testing.slicer_scene import set_modality

DENOISE = {"task": "denoise", "model": MEDIAN, "options": {"strength": 0.5}}
SHARPEN = {"task": "super-resolution", "model": "filter-bspline", "options": {"factor": [1, 1, 2]}}
SEGMENT = {"task": "segment", "model": "filter-otsu"}


def test_each_step_works_on_what_the_one_before_has_made(scene: Any, logic: Any) -> None:
    node = add_noise()
    before = slicer.util.arrayFromVolume(node).copy()
    heard: list[str] = []
    output = logic.runRecipe(
        node,
        [DENOISE, SHARPEN, SEGMENT],
        onEvent=lambda chain: heard.append(chain.progress.phase if chain.progress else ""),
    )
    assert output.GetName() == "Head denoised super-resolved segmentation (filtered)"
    assert volume_names() == ["Head", "Head denoised super-resolved (filtered)"]
    sharp = slicer.util.getNode("Head denoised super-resolved (filtered)")
    k, j, i = SHAPE_KJI
    assert slicer.util.arrayFromVolume(sharp).shape == (2 * k, j, i)
    assert sharp.GetNodeReference("MedEnhance.Input") is node
    assert output.GetNodeReference("MedEnhance.Input") is sharp
    earlier = json.loads(output.GetAttribute("MedEnhance.Steps"))
    assert [step["model"] for step in earlier] == [MEDIAN, "filter-bspline"]
    assert earlier[0]["options"]["strength"] == 0.5
    assert json.loads(output.GetAttribute("MedEnhance.Provenance"))["model"] == "filter-otsu"
    assert np.array_equal(slicer.util.arrayFromVolume(node), before)
    assert any(phase.startswith("Step 2 of 3 (super-resolution)") for phase in heard)
    assert display_nodes() == {"Volume": 2, "Segmentation": 1}


def test_intermediate_results_are_kept_on_request(scene: Any, logic: Any) -> None:
    node = add_noise()
    output = logic.runRecipe(
        node, json.dumps([DENOISE, SHARPEN]), keepIntermediate=True, outputName="Fine"
    )
    assert volume_names() == ["Head", "Head denoised (filtered)", "Fine"]
    between = slicer.util.getNode("Head denoised (filtered)")
    assert output.GetNodeReference("MedEnhance.Input") is between
    assert between.GetAttribute("MedEnhance.Steps") is None


def test_a_result_tells_what_was_warned_of_on_the_way(scene: Any, logic: Any) -> None:
    strong = {**DENOISE, "options": {"strength": 1.0}}
    chain = logic.runRecipe(add_noise(), [strong, SHARPEN], wait=False)
    result = ResultNode(chain.wait())
    assert any("removed signal shows structure" in warning for warning in result.warnings)
    assert result.warnings == list(dict.fromkeys(chain.warnings))
    assert measuresNote(result).startswith("It was measured on the last step alone")


def test_a_report_knows_of_networks_in_earlier_steps(scene: Any, logic: Any) -> None:
    output = logic.runRecipe(add_noise(), [DENOISE, SHARPEN])
    assert reportOf(ResultNode(output)).use.startswith("Processed by a classical filter")
    output.SetAttribute("MedEnhance.Steps", json.dumps([{"weights_sha256": "0123"}]))
    assert reportOf(ResultNode(output)).use.startswith("AI-processed")


def test_a_node_that_is_filled_again_has_no_earlier_steps(scene: Any, logic: Any) -> None:
    node = add_noise()
    output = logic.runRecipe(node, [DENOISE, DENOISE])
    assert output.GetAttribute("MedEnhance.Steps") is not None
    logic.process(node, "denoise", model=MEDIAN, outputNode=output)
    assert output.GetAttribute("MedEnhance.Steps") is None


def test_steps_that_denoise_are_given_the_guide(scene: Any, logic: Any) -> None:
    node, guide = add_noise(), add_noise("T1", seed=1)
    chain = logic.runRecipe(node, [DENOISE, SHARPEN], wait=False, guideVolume=guide)
    pump(logic, lambda: chain.finished)
    # The median has no use for it, and says so; for sharpening a guide would be an error.
    assert chain.error is None
    assert [w for w in chain.warnings if "takes no guide" in w]


def test_a_guide_that_is_removed_ends_the_run(scene: Any, logic: Any) -> None:
    node, guide = add_noise(), add_noise("T1", seed=1)
    chain = logic.runRecipe(node, [DENOISE, DENOISE], wait=False, guideVolume=guide)
    scene.RemoveNode(guide)
    pump(logic, lambda: chain.finished)
    assert "'T1' was removed" in str(chain.error)
    assert volume_names() == ["Head"]


def test_without_a_volume_it_does_not_begin(scene: Any, logic: Any) -> None:
    with pytest.raises(VolumeError, match="No input volume is chosen"):
        logic.runRecipe(None, [DENOISE])
    assert not logic.runner.busy


def test_a_failing_step_is_named_and_leaves_nothing(scene: Any, logic: Any) -> None:
    node = add_noise()
    with pytest.raises(UnsuitableError, match=r"^Step 2 of 2 \(segment\): .* is for denoise"):
        logic.runRecipe(node, [DENOISE, {"task": "segment", "model": MEDIAN}])
    assert volume_names() == ["Head"]
    assert not logic.runner.busy


def test_a_later_step_knows_the_modality(scene: Any, logic: Any) -> None:
    node = add_noise()
    set_modality(node, "PT")
    network = {"task": "super-resolution", "model": "mr-super-resolution"}
    with pytest.raises(UnsuitableError, match=r"Step 2 of 2 .* The volume is PT"):
        logic.runRecipe(node, [DENOISE, network])
    assert volume_names() == ["Head"]


def test_cancelling_leaves_nothing(scene: Any, logic: Any) -> None:
    node = add_noise()
    chain = logic.runRecipe(node, [DENOISE, DENOISE, DENOISE], wait=False)
    pump(logic, lambda: chain.partsDone == 2)
    chain.cancel()
    with pytest.raises(CancelledError, match="cancelled"):
        chain.wait()
    assert chain.state == "cancelled" and volume_names() == ["Head"]


def test_an_intermediate_result_deleted_during_the_run(scene: Any, logic: Any) -> None:
    chain = logic.runRecipe(add_noise(), [DENOISE, SHARPEN], wait=False)
    pump(logic, lambda: chain.partsDone == 1)
    scene.RemoveNode(slicer.util.getNode("Head denoised (filtered)"))
    with pytest.raises(VolumeError, match="removed from the scene"):
        chain.wait()
    assert volume_names() == ["Head"]


def test_only_the_first_step_cuts_the_region_out(scene: Any, logic: Any) -> None:
    node = add_noise(shape=(12, 40, 40))
    region = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Region")
    region.SetCenter(20, 20, 12)
    region.SetSize(20, 18, 8)
    output = logic.runRecipe(node, [DENOISE, SHARPEN], region=region)
    size = slicer.util.arrayFromVolume(output).shape
    assert size[1:] == (19, 21) and size[0] in (8, 10)


def test_the_region_of_the_input_is_compared_with(scene: Any, logic: Any) -> None:
    node = add_noise(shape=(12, 40, 40))
    region = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Region")
    region.SetCenter(20, 20, 12)
    region.SetSize(20, 18, 8)
    result = ResultNode(logic.runRecipe(node, [DENOISE, DENOISE], region=region))
    assert inputNote(result) == "" and hasRemovedSignal(result)
    assert result.inputVolume.geometry.size[:2] == (21, 19)


def test_a_recipe_goes_on_from_what_was_done_before(scene: Any, logic: Any) -> None:
    first = logic.process(add_noise(), "denoise", model=MEDIAN)
    network = {**ResultNode(first).provenance, "weights_sha256": "0123", "model": "network"}
    first.SetAttribute("MedEnhance.Provenance", json.dumps(network))
    result = ResultNode(logic.runRecipe(first, [DENOISE, SHARPEN, SEGMENT]))
    assert result.node.GetName().endswith("denoised super-resolved segmentation (AI-processed)")
    assert result.story["earlier_steps"] == f"network, {MEDIAN}, filter-bspline"
    assert reportOf(result).use.startswith("AI-processed")
    sharp = ResultNode(result.inputNode)
    assert sharp.inputNode is first and inputNote(sharp) == ""


def test_a_run_keeps_others_out_until_its_end(scene: Any, logic: Any) -> None:
    from MedEnhanceLib.errors import WorkerError

    node = add_noise()
    chain = logic.runRecipe(node, [DENOISE, DENOISE], wait=False)
    for start in (lambda: logic.process(node, "denoise"), lambda: logic.runRecipe(node, [DENOISE])):
        with pytest.raises(WorkerError, match="still working on 'Head'"):
            start()
    chain.wait()
    assert logic.process(node, "denoise", model=MEDIAN) is not None


def test_the_process_closed_during_a_run(scene: Any, logic: Any) -> None:
    node = add_noise()
    chain = logic.runRecipe(node, [DENOISE] * 4, wait=False)
    pump(logic, lambda: chain.partsDone == 1)
    logic.close()
    assert chain.state == "cancelled" and "closed" in str(chain.error)
    assert volume_names() == ["Head"] and not logic.runner.busy


def test_the_scene_closed_during_a_run(scene: Any, logic: Any) -> None:
    chain = logic.runRecipe(add_noise(), [DENOISE] * 3, wait=False)
    pump(logic, lambda: chain.partsDone == 1)
    scene.Clear(0)
    with pytest.raises(CancelledError, match="scene was closed"):
        chain.wait()
    assert volume_names() == []


def test_recipes_that_make_no_sense_are_refused_in_words() -> None:
    for steps, sentence in (
        ([], "has no steps"),
        ("[", "no JSON in line 1"),
        ('"denoise"', "has no steps"),
        ([{"model": MEDIAN}], 'needs a "task"'),
        ([{"task": "sharpen"}], "no task 'sharpen'"),
        ([{"task": "denoise", "colour": 1}], 'not "colour"'),
        ([{"task": "denoise", "options": {"sigma": 1}}], "'sigma' does not belong"),
        ([{"task": "denoise", "options": {"strength": 3}}], "must be between 0 and 1"),
        ([{"task": "denoise", "model": 5}], "model is a text"),
        ([SEGMENT, DENOISE], "Step 1 is a segmentation"),
    ):
        with pytest.raises(OptionsError, match=sentence):
            recipe.stepsOf(steps)


def test_a_recipe_survives_as_text() -> None:
    steps = recipe.stepsOf([DENOISE, SEGMENT])
    assert recipe.stepsOf(recipe.textOf(steps)) == steps
