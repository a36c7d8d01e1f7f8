"""Strength changed afterwards: exact, in place, and without touching the input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from MedEnhanceSlicer import blending, differenceMap, resultMaps
from MedEnhanceSlicer.bridge import volumeFromNode
from MedEnhanceSlicer.resultNode import ResultNode
from MedEnhanceSlicer.resultNotes import inputNote

from MedEnhanceLib.provenance import voxel_hash
from MedEnhanceLib.volume import Volume
from Testing.slicer.grids import add_volume, world_point
from Testing.slicer.results import cloned, denoised, super_resolved
from Testing.slicer.saving import through_bundle


def voxels(node: Any) -> Any:
    return slicer.util.arrayFromVolume(node)


@pytest.mark.parametrize("made_with", [1.0, 0.4])
def test_any_strength_is_had_from_any_other(scene: Any, made_with: float) -> None:
    node = add_volume()
    before = voxels(node).copy()
    result = ResultNode(denoised(node, made_with))
    blend = blending.Blend(result)
    for strength in (0.0, 0.25, 1.0):
        blend.apply(strength)
        assert np.allclose(voxels(result.node), before * (1 - 0.5 * strength), atol=1e-3)
        assert result.strength == strength
        assert result.provenance["strength_after_blending"] == strength
    assert result.provenance["options"]["strength"] == made_with
    assert np.array_equal(voxels(node), before) and voxels(node).dtype == before.dtype


def test_reset_and_keep(scene: Any) -> None:
    result = ResultNode(denoised(add_volume()))
    blend = blending.Blend(result)
    full = voxels(result.node).copy()
    assert not blend.isChanged
    blend.apply(0.3)
    assert blend.isChanged
    blend.reset()
    assert np.allclose(voxels(result.node), full, atol=1e-3) and not blend.isChanged
    blend.apply(0.3)
    blend.keep()
    blend.apply(0.9)
    blend.reset()
    assert result.strength == 0.3


def test_views_hear_of_it_and_the_map_follows(scene: Any) -> None:
    node = add_volume()
    result = ResultNode(denoised(node))
    removed = differenceMap.showRemovedSignal(result)
    nodes = (result.node, removed)
    times = [volume.GetImageData().GetPointData().GetScalars().GetMTime() for volume in nodes]
    blending.Blend(result).apply(0.5)
    assert np.allclose(voxels(removed), voxels(node) * 0.25, atol=1e-3)
    for volume, time in zip(nodes, times, strict=True):
        assert volume.GetImageData().GetPointData().GetScalars().GetMTime() > time


def test_the_uncertainty_follows(scene: Any) -> None:
    node = add_volume()
    result = ResultNode(denoised(node))
    unsure = slicer.util.addVolumeFromArray(np.full(voxels(node).shape, 4, np.float32))
    result.node.SetNodeReferenceID("MedEnhance.Uncertainty", unsure.GetID())
    blend = blending.Blend(result)
    for strength in (0.0, 0.5):
        blend.apply(strength)
        assert np.allclose(voxels(unsure), 4 * strength)


def test_maps_of_the_original_do_not_follow_a_clone(scene: Any, tmp_path: Path) -> None:
    node = add_volume()
    original = ResultNode(denoised(node))
    removed = differenceMap.showRemovedSignal(original)
    unsure = Volume(np.full(voxels(node).shape, 4, np.float32), volumeFromNode(node).geometry)
    resultMaps.storeUncertainty(unsure, original.node)
    before = voxels(removed).copy()
    cloned(original.node)
    through_bundle(scene, tmp_path)
    original, clone = (
        ResultNode(scene.GetFirstNodeByName(name)) for name in ("Head denoised", "Clone")
    )
    blending.Blend(clone).apply(0.3)
    assert np.array_equal(voxels(differenceMap.removedNode(original)), before)
    assert (voxels(original.uncertaintyNode) == 4).all()
    assert clone.uncertaintyNode is None
    own = differenceMap.showRemovedSignal(clone)
    assert own is not differenceMap.removedNode(original)
    blending.Blend(clone).apply(0.5)
    assert np.allclose(voxels(own), before * 0.5, atol=1e-3)


def test_it_works_after_loading_the_scene(scene: Any, tmp_path: Path) -> None:
    node = add_volume()
    before = voxels(node).copy()
    blending.Blend(ResultNode(denoised(node))).apply(0.5)
    through_bundle(scene, tmp_path)
    result = ResultNode(scene.GetFirstNodeByName("Head denoised"))
    assert result.strength == 0.5 and blending.blendable(result)
    blending.Blend(result).apply(1.0)
    assert np.allclose(voxels(result.node), before * 0.5, atol=1e-3)


def test_a_result_of_a_region(scene: Any) -> None:
    node = add_volume()
    before = voxels(node).copy()
    output = denoised(node)
    part = np.ascontiguousarray(voxels(output)[1:4, 2:6, 3:7])
    origin = world_point(node, (3, 2, 1))
    slicer.util.updateVolumeFromArray(output, part)
    output.SetOrigin(*origin)
    assert not blending.blendable(ResultNode(output))
    output.SetAttribute("MedEnhance.Region", '{"start_ijk": [3, 2, 1], "size_ijk": [4, 4, 3]}')
    result = ResultNode(output)
    blending.Blend(result).apply(0.2)
    assert np.allclose(voxels(output), 0.9 * before[1:4, 2:6, 3:7], atol=1e-3)
    removed = differenceMap.showRemovedSignal(result)
    assert np.allclose(voxels(removed), 0.1 * before[1:4, 2:6, 3:7], atol=1e-3)
    assert np.allclose(world_point(removed, (0, 0, 0)), origin)


def test_what_cannot_be_blended(scene: Any) -> None:
    node = add_volume()
    assert not blending.blendable(ResultNode(super_resolved(node)))
    assert not blending.blendable(ResultNode(denoised(node, strength=0.0)))
    result = ResultNode(denoised(node))
    assert blending.blendable(result)
    scene.RemoveNode(node)
    assert not blending.blendable(result)


def test_frames_that_are_played_are_neither_blended_nor_mapped(scene: Any) -> None:
    slicer.vtkSlicerSequencesLogic().SetMRMLScene(scene)
    result = ResultNode(denoised(add_volume()))
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode")
    sequence.SetDataNodeAtValue(result.node, "0")
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    assert blending.blendable(result) and differenceMap.hasRemovedSignal(result)
    browser.AddProxyNode(result.node, sequence, False)
    assert not blending.blendable(result) and not differenceMap.hasRemovedSignal(result)
    assert inputNote(result) == ""


def test_a_changed_input_is_noticed(scene: Any) -> None:
    node = add_volume()
    result = ResultNode(of_this_input(denoised(node), node))
    assert blending.blendable(result) and inputNote(result) == ""
    voxels(node)[0, 0, 0] += 1
    slicer.util.arrayFromVolumeModified(node)
    assert not blending.blendable(result) and result.inputVolume is None
    assert "no longer, what the model saw" in inputNote(result)
    voxels(node)[0, 0, 0] -= 1
    slicer.util.arrayFromVolumeModified(node)
    assert blending.blendable(result)


def test_several_steps_are_compared_with_the_first_ones_input_but_not_blended(scene: Any) -> None:
    node = add_volume()
    output = denoised(node)
    output.SetAttribute("MedEnhance.FirstInput", voxel_hash(volumeFromNode(node)))
    output.SetAttribute("MedEnhance.Provenance", '{"input_sha256": "that between the steps"}')
    result = ResultNode(output)
    assert differenceMap.hasRemovedSignal(result) and inputNote(result) == ""
    assert not blending.blendable(result)


def of_this_input(output: Any, node: Any) -> Any:
    """A result that knows the voxels it was made of, as those of real runs do."""
    output.SetAttribute("MedEnhance.Provenance", provenance_of(node))
    return output


def provenance_of(node: Any) -> str:
    return json.dumps({"input_sha256": voxel_hash(volumeFromNode(node))})
