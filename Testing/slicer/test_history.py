"""A result made of a result tells of all that was done to the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from MedEnhanceSlicer import outputs
from MedEnhanceSlicer.bridge import volumeFromNode
from MedEnhanceSlicer.reportFile import reportOf
from MedEnhanceSlicer.resultNode import ResultNode

from MedEnhanceLib.provenance import voxel_hash
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task
from Testing.slicer.grids import add_volume
from Testing.slicer.results import segmented
from Testing.slicer.saving import through_bundle


def by_network(node: Any, warning: str = "Too much was removed.") -> Any:
    """A result of denoising that a network has made, of which something is warned."""
    volume = volumeFromNode(node)
    after = volume.with_voxels(volume.voxels * 0.5)
    made = {"model": "mr-denoise", "weights_sha256": "0123", "input_sha256": voxel_hash(volume)}
    result = Result(Task.DENOISE, after, (), made, (warning,))
    return outputs.storeResult(result, node, f"{node.GetName()} denoised")


def test_a_later_result_tells_of_runs_and_warnings_before_it(scene: Any, tmp_path: Path) -> None:
    name = segmented(by_network(by_network(add_volume(), "It is noisy."))).GetName()
    for _saved in (False, True):
        result = ResultNode(scene.GetFirstNodeByName(name))
        report = reportOf(result)
        assert report.use.startswith("AI-processed")
        assert ("Earlier steps", "mr-denoise, mr-denoise") in report.facts
        assert report.warnings == ("It is noisy.", "Too much was removed.")
        through_bundle(scene, tmp_path)


def test_a_result_of_an_image_that_nothing_was_done_to_has_no_earlier_steps(scene: Any) -> None:
    output = segmented(add_volume())
    assert output.GetAttribute("MedEnhance.Steps") is None
    assert ResultNode(output).warnings == []


def test_what_an_earlier_run_was_given_is_not_taken_for_the_input(scene: Any) -> None:
    node = add_volume()
    first = by_network(node)
    result = ResultNode(by_network(first))
    assert result.inputVolume is not None and result.isOfOneStep
    slicer.util.updateVolumeFromArray(first, slicer.util.arrayFromVolume(node))
    assert result.inputVolume is None
