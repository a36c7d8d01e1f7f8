"""Several volumes, one after another: failures, cancelling, resuming, saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import slicer

from MedEnhanceLib.errors import CancelledError, OptionsError, VolumeError
from Testing.slicer.chains import MEDIAN, add_noise, kill_process, noise, pump, volume_names

SLOW = "filter-non-local-means"


def statuses(logic: Any) -> list[str]:
    from MedEnhanceSlicer.caseQueue import QueueState

    state = QueueState(logic.getParameterNode().parameterNode)
    return [case.status for case in state.cases]


def add_flat(name: str) -> Any:
    """A volume that no model takes."""
    return slicer.util.addVolumeFromArray(noise() * 0 + 7, name=name)


def test_a_failure_does_not_stop_the_rest_and_is_told(scene: Any, logic: Any) -> None:
    volumes = [add_noise("A"), add_flat("B"), add_noise("C", seed=2)]
    queue = logic.queue(volumes, "denoise", model=MEDIAN, options={"strength": 0.5})
    assert [case.status for case in queue.cases] == ["done", "failed", "done"]
    assert queue.cases[1].message.startswith("All voxels have the value 7")
    assert queue.result(0).GetName() == "A denoised (filtered)"
    assert queue.result(1) is None
    assert queue.result(2).GetNodeReference("MedEnhance.Input") is volumes[2]
    assert len(volume_names()) == 5


def test_what_is_no_image_fails_by_itself(scene: Any, logic: Any) -> None:
    labels = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty")
    queue = logic.queue([labels, empty, add_noise()], "denoise", model=MEDIAN)
    assert [case.status for case in queue.cases] == ["failed", "failed", "done"]
    assert queue.cases[0].message.startswith("'Labels' is a label map")
    assert queue.cases[1].message.startswith("'Empty' holds no voxels")


def test_a_queue_of_one(scene: Any, logic: Any) -> None:
    heard: list[str] = []
    queue = logic.queue(
        add_noise(), "denoise", model=MEDIAN, onEvent=lambda c: heard.append(str(c))
    )
    assert [case.status for case in queue.cases] == ["done"]
    assert "<QueueChain 'the queue': running, 0%, Case 1 of 1>" in heard
    assert heard[-1] == "<QueueChain 'the queue': done, 100%, Case 1 of 1>"


def test_a_queue_of_recipes(scene: Any, logic: Any) -> None:
    steps = [{"task": "denoise", "model": MEDIAN}, {"task": "segment", "model": "filter-otsu"}]
    heard: list[tuple[float, str]] = []
    queue = logic.queue(
        [add_noise("A"), add_noise("B", seed=1)],
        steps=steps,
        onEvent=lambda c: c.progress and heard.append((c.progress.fraction, c.progress.phase)),
    )
    assert [queue.result(i).GetName() for i in (0, 1)] == [
        f"{name} denoised segmentation (filtered)" for name in "AB"
    ]
    fractions = [fraction for fraction, _phase in heard]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any(phase.startswith("Case 2 of 2, Step 1 of 2 (denoise)") for _f, phase in heard)


def test_cancelled_and_resumed(scene: Any, logic: Any) -> None:
    volumes = [add_noise(name, seed=seed) for seed, name in enumerate("ABC")]
    chain = logic.queue(volumes, "denoise", model=MEDIAN, wait=False)
    pump(logic, lambda: statuses(logic)[0] == "done")
    chain.cancel()
    with pytest.raises(CancelledError):
        chain.wait()
    after = statuses(logic)
    assert after[0] == "done" and after[2] == "waiting" and "running" not in after
    made = len(volume_names())
    queue = logic.resumeQueue()
    assert [case.status for case in queue.cases] == ["done"] * 3
    assert len(volume_names()) == made + 3 - after.count("done")
    with pytest.raises(OptionsError, match="Nothing is left"):
        logic.resumeQueue()


def test_a_killed_process_costs_one_case(scene: Any, logic: Any) -> None:
    large = slicer.util.addVolumeFromArray(noise((48, 128, 128)), name="Large")
    volumes = [large, add_noise("B")]
    chain = logic.queue(volumes, "denoise", model=SLOW, wait=False)
    pump(logic, lambda: chain.job is not None and chain.job.progress is not None)
    kill_process(logic)
    queue = chain.wait()
    assert [case.status for case in queue.cases] == ["failed", "done"]
    assert "ended unexpectedly" in queue.cases[0].message


def test_volumes_deleted_while_the_queue_runs(scene: Any, logic: Any) -> None:
    large = slicer.util.addVolumeFromArray(noise((48, 128, 128)), name="Large")
    volumes = [large, add_noise("B"), add_noise("C")]
    chain = logic.queue(volumes, "denoise", model=SLOW, wait=False)
    pump(logic, lambda: chain.job is not None and chain.job.progress is not None)
    scene.RemoveNode(volumes[1])
    scene.RemoveNode(large)
    queue = chain.wait()
    assert [case.status for case in queue.cases] == ["failed", "failed", "done"]
    assert all("removed from the scene" in case.message for case in queue.cases[:2])
    assert volume_names() == ["C", "C denoised (filtered)"]


def test_a_region_that_is_removed_fails_the_cases_to_come(scene: Any, logic: Any) -> None:
    region = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Region")
    region.SetCenter(12, 12, 8)
    region.SetSize(18, 18, 12)
    volumes = [add_noise(name, seed=seed) for seed, name in enumerate("AB")]
    chain = logic.queue(volumes, "denoise", model=MEDIAN, region=region, wait=False)
    pump(logic, lambda: chain.job is not None)
    scene.RemoveNode(region)
    for queue in (chain.wait(), logic.resumeQueue()):
        assert [case.status for case in queue.cases] == ["done", "failed"]
        assert queue.cases[1].message.startswith("The region of the queue was removed")
    assert volume_names() == ["A", "B", "A denoised (filtered)"]


def test_the_scene_closed_while_the_queue_runs(scene: Any, logic: Any) -> None:
    chain = logic.queue([add_noise("A"), add_noise("B")], "denoise", model=MEDIAN, wait=False)
    pump(logic, lambda: statuses(logic)[0] == "done")
    scene.Clear(0)
    with pytest.raises(CancelledError, match="scene was closed"):
        chain.wait()
    assert statuses(logic) == [] and volume_names() == []


def test_a_saved_queue_goes_on_in_the_loaded_scene(scene: Any, logic: Any, tmp_path: Path) -> None:
    volumes = [add_noise(name, seed=seed) for seed, name in enumerate("ABC")]
    for volume in volumes:
        volume.AddDefaultStorageNode()
    markups = slicer.vtkSlicerMarkupsLogic()
    markups.SetMRMLScene(scene)
    region = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Region")
    region.SetCenter(12, 12, 8)
    region.SetSize(18, 18, 12)
    region.AddDefaultStorageNode()
    chain = logic.queue(volumes, "denoise", MEDIAN, {"strength": 0.5}, region=region, wait=False)
    pump(logic, lambda: statuses(logic)[0] == "done")
    slicer.util.getNode("A denoised (filtered)").AddDefaultStorageNode()
    running = logic.getParameterNode().parameterNode.GetParameter("queue")
    assert '"running"' in running or '"waiting"' in running
    bundle = tmp_path / "unfinished.mrb"
    assert scene.WriteToMRB(str(bundle))
    scene.Clear(0)
    with pytest.raises(CancelledError):
        chain.wait()
    assert scene.ReadFromMRB(str(bundle))
    assert "running" not in statuses(logic)
    queue = logic.resumeQueue()
    assert [case.status for case in queue.cases] == ["done"] * 3, queue.cases
    assert queue.volume(1).GetName() == "B"
    assert [queue.result(i).GetName() for i in range(3)] == [
        f"{name} denoised (filtered)" for name in "ABC"
    ]
    assert slicer.util.arrayFromVolume(queue.result(2)).shape[1:] == (19, 19)


def test_a_queue_goes_on_with_its_own_volumes_when_another_scene_is_added(
    scene: Any, logic: Any, tmp_path: Path
) -> None:
    """Which has a queue and a region of its own, to which the parameter node refers then."""
    markups = slicer.vtkSlicerMarkupsLogic()
    markups.SetMRMLScene(scene)
    others = [add_noise(f"Other {name}", seed=9) for name in "AB"]
    region = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Region")
    region.SetCenter(12, 12, 8)
    region.SetSize(18, 18, 12)
    for node in (*others, region):
        node.AddDefaultStorageNode()
    logic.queue(others, "denoise", model=MEDIAN, region=region)
    assert scene.WriteToMRB(str(tmp_path / "other.mrb"))
    scene.Clear(0)
    volumes = [add_noise(name, seed=seed) for seed, name in enumerate("AB")]
    chain = logic.queue(volumes, "denoise", model=MEDIAN, wait=False)
    pump(logic, lambda: chain.job is not None)
    assert scene.ReadFromMRB(str(tmp_path / "other.mrb"), False)
    queue = chain.wait()
    assert [case.status for case in queue.cases] == ["done"] * 2
    assert [queue.indexOf(volume) for volume in volumes] == [0, 1]
    results = [queue.result(index) for index in range(2)]
    assert [node.GetNodeReference("MedEnhance.Input") for node in results] == volumes
    shapes = {slicer.util.arrayFromVolume(node).shape for node in (*results, *volumes)}
    assert len(shapes) == 1, "the region of the other scene was not taken"


def test_a_queue_that_cannot_begin_says_why(scene: Any, logic: Any) -> None:
    node = add_noise()
    with pytest.raises(OptionsError, match="either a task or steps"):
        logic.queue([node])
    with pytest.raises(OptionsError, match="tick at least one"):
        logic.queue([], "denoise")
    for volumes in (None, "Head", [node, None]):
        with pytest.raises(VolumeError, match=r"(None|'Head') is no volume; give a node"):
            logic.queue(volumes, "denoise")
    with pytest.raises(OptionsError, match="Nothing is left"):
        logic.resumeQueue()
    assert statuses(logic) == [] and not logic.runner.busy


def test_a_queue_that_cannot_begin_leaves_the_one_before(scene: Any, logic: Any) -> None:
    before = logic.queue([add_noise("A")], "denoise", model=MEDIAN)
    for region in ("R", before.volume(0)):
        with pytest.raises(VolumeError, match=r"is no region|not a region of interest"):
            logic.queue([add_noise("B")], "denoise", region=region)
    after = logic._queueState()
    assert [case.name for case in after.cases] == ["A"] and after.steps == before.steps
    assert after.volume(0) is before.volume(0) and after.result(0) is before.result(0)


def test_text_of_another_version_is_no_queue(scene: Any, logic: Any) -> None:
    node = logic.getParameterNode().parameterNode
    for text in ("{", "[]", '{"cases": [{"volume": 1}]}', '{"cases": [{"name": "A"}]}'):
        node.SetParameter("queue", text)
        assert statuses(logic) == []
