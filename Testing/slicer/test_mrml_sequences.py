"""Volumes over time: every frame is worked on, in place, and the scene hears of it at the end."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import slicer
from MedEnhanceSlicer import bridge
from MedEnhanceSlicer.region import boxOfRegion, fitRegion
from MedEnhanceSlicer.resultNode import ResultNode
from MedEnhanceSlicer.resultNotes import inputNote

from MedEnhanceLib.errors import CancelledError, MedEnhanceError, OptionsError, VolumeError
from MedEnhanceLib.report.content import use_of
from Testing.slicer.chains import MEDIAN, noise, pump, volume_names
from Testing.slicer.grids import GRIDS, bent_transform, matrix
from Testing.slicer_scene import set_modality

TIMES = ("0", "12.5", "40")


@pytest.fixture
def sequences_logic(scene: Any) -> Any:
    """What shows the frames of sequences, as in the application."""
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(scene)
    return logic


def frame(seed: int, shape: tuple[int, int, int] = (8, 24, 24)) -> Any:
    node = slicer.vtkMRMLScalarVolumeNode()
    slicer.util.updateVolumeFromArray(node, noise(shape, seed))
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(GRIDS["oblique"]))
    return node


def add_sequence(frames: list[Any] | None = None, name: str = "Perfusion") -> Any:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    node.SetIndexName("time")
    node.SetIndexUnit("s")
    made = [frame(seed) for seed in range(len(TIMES))] if frames is None else frames
    for value, each in zip(TIMES, made, strict=False):
        node.SetDataNodeAtValue(each, value)
    return node


def add_browser(sequence: Any) -> Any:
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    return browser


def add_region(shown: Any) -> Any:
    """A region over the middle of the frames, half as wide, but for their few slices."""
    region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Region")
    fitRegion(region, shown)
    region.SetSize(18 * 0.9, 18 * 1.1, 4 * 2.3)
    return region


def index_values(sequence: Any) -> list[str]:
    return [sequence.GetNthIndexValue(n) for n in range(sequence.GetNumberOfDataNodes())]


def voxels_of(sequence: Any, index: int) -> Any:
    return slicer.util.arrayFromVolume(sequence.GetNthDataNode(index))


def test_every_frame_is_worked_on_in_place(scene: Any, logic: Any) -> None:
    sequence = add_sequence()
    before = [voxels_of(sequence, index).copy() for index in range(3)]
    heard: list[float] = []
    made = logic.processSequence(
        sequence,
        "denoise",
        model=MEDIAN,
        onEvent=lambda chain: heard.append(chain.progress.fraction if chain.progress else 0.0),
    )
    assert made.GetName() == "Perfusion denoised (filtered)"
    assert index_values(made) == list(TIMES)
    assert (made.GetIndexName(), made.GetIndexUnit()) == ("time", "s")
    assert made.GetNodeReference("MedEnhance.Input") is sequence
    geometry = bridge.geometryFromNode(sequence.GetNthDataNode(0))
    for index in range(3):
        assert np.array_equal(voxels_of(sequence, index), before[index])
        assert voxels_of(made, index)[:, :5, :5].std() < 0.6 * before[index][:, :5, :5].std()
        assert bridge.geometryFromNode(made.GetNthDataNode(index)).is_close(geometry)
    provenance = json.loads(made.GetNthDataNode(1).GetAttribute("MedEnhance.Provenance"))
    assert provenance["model"] == MEDIAN
    frames = json.loads(made.GetAttribute("MedEnhance.Frames"))
    assert [entry["index"] for entry in frames] == list(TIMES)
    assert frames[0]["provenance"]["model"] == MEDIAN
    assert heard == sorted(heard) and heard[-1] == 1.0
    assert volume_names() == []


@pytest.mark.parametrize("values", [("rest", "stress", "late"), ("0.0", "0.0004", "0.0008")])
def test_no_frame_is_lost_whatever_their_index(
    scene: Any, logic: Any, values: tuple[str, ...]
) -> None:
    sequence = add_sequence([])
    if values[0].isalpha():
        sequence.SetIndexType(slicer.vtkMRMLSequenceNode.TextIndex)
    sequence.SetNumericIndexValueTolerance(1e-6)
    for seed, value in enumerate(values):
        sequence.SetDataNodeAtValue(frame(seed), value)
    made = logic.processSequence(sequence, "denoise", model=MEDIAN)
    assert index_values(made) == list(values)
    assert not np.array_equal(voxels_of(made, 0), voxels_of(made, 1))


def test_frames_that_come_or_go_during_the_run_are_told(scene: Any, logic: Any) -> None:
    sequence = add_sequence()
    chain = logic.processSequence(sequence, "denoise", model=MEDIAN, wait=False)
    pump(logic, lambda: chain.partsDone == 1)
    sequence.SetDataNodeAtValue(frame(7), "-1")
    with pytest.raises(VolumeError, match="frames of 'Perfusion' were changed during the run"):
        chain.wait()
    assert scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 1


def test_the_frame_that_is_worked_on_is_removed(
    scene: Any, logic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MedEnhanceSlicer.sequences import FrameJob

    sequence, store = add_sequence(), FrameJob.store

    def store_too_late(job: Any, result: Any) -> Any:
        if job.index == 2:
            sequence.RemoveDataNodeAtValue(sequence.GetNthIndexValue(2))
        return store(job, result)

    monkeypatch.setattr(FrameJob, "store", store_too_late)
    with pytest.raises(VolumeError, match="frames of 'Perfusion' were changed during the run"):
        logic.processSequence(sequence, "denoise", model=MEDIAN)


def test_the_result_is_played_with_the_input(scene: Any, logic: Any, sequences_logic: Any) -> None:
    sequence = add_sequence()
    browser = add_browser(sequence)
    shown = browser.GetProxyNode(sequence)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Registration")
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix(np.eye(3))))
    shown.SetAndObserveTransformNodeID(parent.GetID())
    made = logic.processSequence(browser, "denoise", model=MEDIAN)
    assert browser.IsSynchronizedSequenceNodeID(made.GetID())
    assert browser.GetMasterSequenceNode() is sequence
    denoised = browser.GetProxyNode(made)
    assert denoised.GetParentTransformNode() is parent
    for index in (0, 2):
        browser.SetSelectedItemNumber(index)
        sequences_logic.UpdateProxyNodesFromSequences(browser)
        assert np.array_equal(slicer.util.arrayFromVolume(denoised), voxels_of(made, index))
        assert ResultNode(denoised).inputNode is shown


def test_frames_are_of_the_modality_of_those_they_were_made_of(
    scene: Any, logic: Any, sequences_logic: Any
) -> None:
    sequence = add_sequence()
    browser = add_browser(sequence)
    set_modality(browser.GetProxyNode(sequence), "PT")
    made = logic.processSequence(sequence, "denoise", model=MEDIAN)
    assert bridge.modalityOfNode(browser.GetProxyNode(made)) == ("PT", "")


def test_a_region_of_every_frame(scene: Any, logic: Any, sequences_logic: Any) -> None:
    sequence = add_sequence()
    shown = add_browser(sequence).GetProxyNode(sequence)
    parent = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Moved")
    parent.SetMatrixTransformToParent(
        slicer.util.vtkMatrixFromArray(matrix(np.eye(3), origin=(50.0, 0.0, 0.0)))
    )
    shown.SetAndObserveTransformNodeID(parent.GetID())
    region = add_region(shown)
    start, size = boxOfRegion(region, shown)
    made = logic.processSequence(sequence, "denoise", model=MEDIAN, region=region)
    expected = bridge.geometryFromNode(sequence.GetNthDataNode(2)).cropped(start, size)
    assert bridge.geometryFromNode(made.GetNthDataNode(2)).is_close(expected)
    assert size == (18, 18, 4)
    parent.SetMatrixTransformToParent(
        slicer.util.vtkMatrixFromArray(matrix(np.eye(3), origin=(900.0, 0.0, 0.0)))
    )
    region.SetAndObserveTransformNodeID(None)
    with pytest.raises(VolumeError, match="lies beside"):
        logic.processSequence(sequence, "denoise", model=MEDIAN, region=region)


def test_frames_are_compared_with_the_region_of_the_input(
    scene: Any, logic: Any, sequences_logic: Any
) -> None:
    sequence = add_sequence()
    browser = add_browser(sequence)
    region = add_region(browser.GetProxyNode(sequence))
    made = logic.processSequence(sequence, "denoise", model=MEDIAN, region=region)
    result = ResultNode(browser.GetProxyNode(made))
    assert inputNote(result) == "" and result.inputVolume.geometry.size == (18, 18, 4)


def test_frames_tell_of_what_was_done_before(scene: Any, logic: Any, sequences_logic: Any) -> None:
    first = logic.processSequence(add_sequence(), "denoise", model=MEDIAN)
    for index in range(3):
        network = json.dumps({"model": "network", "weights_sha256": "0123"})
        first.GetNthDataNode(index).SetAttribute("MedEnhance.Provenance", network)
    made = logic.processSequence(first, "segment", model="filter-otsu")
    assert made.GetName() == "Perfusion denoised segmentation (AI-processed)"
    result = ResultNode(made.GetNthDataNode(1))
    assert result.story["earlier_steps"] == "network"
    assert use_of(result.story).startswith("AI-processed")
    frames = json.loads(made.GetAttribute("MedEnhance.Frames"))
    assert frames[1]["steps"][0]["model"] == "network"


def test_a_region_that_is_dragged_during_the_run_counts_as_it_was(scene: Any, logic: Any) -> None:
    sequence = add_sequence()
    region = add_region(sequence.GetNthDataNode(0))
    chain = logic.processSequence(sequence, "denoise", model=MEDIAN, region=region, wait=False)
    pump(logic, lambda: chain.partsDone == 1)
    region.SetSize(900, 900, 900)
    made = chain.wait()
    first, *others = [bridge.geometryFromNode(made.GetNthDataNode(n)) for n in range(3)]
    assert first.size == (18, 18, 4) and all(first.is_close(other) for other in others)


def test_region_and_guide_are_refused_where_frames_are_shown_bent(
    scene: Any, logic: Any, sequences_logic: Any
) -> None:
    sequence = add_sequence()
    shown = add_browser(sequence).GetProxyNode(sequence)
    region, guide = add_region(shown), slicer.util.addVolumeFromArray(noise(seed=9), name="T1")
    shown.SetAndObserveTransformNodeID(bent_transform().GetID())
    for others in ({"region": region}, {"guideVolume": guide}):
        with pytest.raises(VolumeError, match="'Perfusion' is under the non-linear transform"):
            logic.processSequence(sequence, "denoise", model=MEDIAN, **others)


def test_frames_are_given_the_guide_where_they_are_shown(
    scene: Any, logic: Any, sequences_logic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequence = add_sequence()
    proxy = add_browser(sequence).GetProxyNode(sequence)
    guide = slicer.util.addVolumeFromArray(noise(seed=9), np.eye(4), "T1")
    moved = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    moved.SetMatrixTransformToParent(
        slicer.util.vtkMatrixFromArray(matrix(np.eye(3), origin=(0.0, 0.0, 7.0)))
    )
    proxy.SetAndObserveTransformNodeID(moved.GetID())
    logic.process(proxy, "denoise", MEDIAN)  # wakes the process
    guides: list[Any] = []
    submit = logic.runner._worker.submit

    def submitted(*arguments: Any, **named: Any) -> Any:
        guides.append(named["guide"])
        return submit(*arguments, **named)

    monkeypatch.setattr(logic.runner._worker, "submit", submitted)
    logic.processSequence(sequence, "denoise", MEDIAN, guideVolume=guide)
    assert len(guides) == len(TIMES)
    assert all(np.allclose(given.geometry.origin, (0, 0, -7)) for given in guides)


def test_segmentations_over_time(scene: Any, logic: Any, sequences_logic: Any) -> None:
    sequence = add_sequence()
    browser = add_browser(sequence)
    before = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLDisplayableNode")]
    made = logic.processSequence(sequence, "segment", model="filter-otsu")
    assert made.GetDataNodeClassName() == "vtkMRMLSegmentationNode"
    for index in range(3):
        segmentation = made.GetNthDataNode(index)
        assert segmentation.GetSegmentation().GetNumberOfSegments() >= 1
        assert segmentation.GetAttribute("MedEnhance.Task") == "segment"
    shown = browser.GetProxyNode(made)
    assert shown.GetSegmentation().GetNumberOfSegments() >= 1
    names = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLDisplayableNode")]
    assert set(names) - set(before) == {shown.GetName()}


def test_cancelling_leaves_nothing(scene: Any, logic: Any, sequences_logic: Any) -> None:
    sequence = add_sequence()
    browser = add_browser(sequence)
    count = scene.GetNumberOfNodes()
    chain = logic.processSequence(sequence, "denoise", model=MEDIAN, wait=False)
    pump(logic, lambda: chain.partsDone == 1)
    chain.cancel()
    with pytest.raises(CancelledError):
        chain.wait()
    assert scene.GetNumberOfNodes() == count
    assert browser.GetNumberOfSynchronizedSequenceNodes(True) == 1
    assert not logic.runner.busy


def test_a_bad_frame_is_named(scene: Any, logic: Any) -> None:
    flat = frame(0)
    slicer.util.arrayFromVolume(flat)[:] = 7
    sequence = add_sequence([frame(0), flat, frame(1)])
    with pytest.raises(VolumeError, match="Frame 2 of 3: All voxels have the value 7"):
        logic.processSequence(sequence, "denoise", model=MEDIAN)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 1


def test_the_sequence_deleted_during_the_run(scene: Any, logic: Any) -> None:
    sequence = add_sequence()
    chain = logic.processSequence(sequence, "denoise", model=MEDIAN, wait=False)
    pump(logic, lambda: chain.partsDone == 1)
    scene.RemoveNode(sequence)
    with pytest.raises(MedEnhanceError, match="removed from the scene"):
        chain.wait()
    assert scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode") == 0


def test_what_is_no_volume_sequence_is_refused(scene: Any, logic: Any) -> None:
    empty = add_sequence([], "Empty")
    transforms = add_sequence([slicer.vtkMRMLLinearTransformNode()], "Moves")
    volume = slicer.util.addVolumeFromArray(noise(), name="Head")
    for node, sentence in (
        (None, "No sequence is chosen"),
        ("Head", "'Head' is no sequence"),
        (empty, "'Empty' holds no frames"),
        (transforms, "not a scalar image"),
        (volume, "is a vtkMRMLScalarVolumeNode, not a sequence"),
    ):
        with pytest.raises(VolumeError, match=sentence):
            logic.processSequence(node, "denoise")
    with pytest.raises(OptionsError):
        logic.processSequence(add_sequence(), "denoise", options={"sigma": 1})
    assert not logic.runner.busy
