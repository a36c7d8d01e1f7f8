"""What networks of strangers give: an image that can be handed over, or one sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from MedEnhanceLib import Catalog, Volume, enhance
from MedEnhanceLib.bundle import Bundle, read_bundle
from MedEnhanceLib.engine.calling import called
from MedEnhanceLib.errors import InferenceError
from MedEnhanceLib.task import Task

from .conftest import unet_bundle, write_bundle

BATCH = torch.rand(1, 1, 8, 8, 8)
BAD_OUTPUTS = {
    "no channels": (lambda x: x[:, 0], "keep the size"),
    "one number": (lambda x: x.mean(), "keep the size"),
    "two images": (lambda x: torch.cat([x, x]), "keep the size"),
    "complex numbers": (lambda x: torch.complex(x, x), "type torch.complex64"),
    "truth values": (lambda x: x > 0.5, "type torch.bool"),
    "whole numbers": (lambda x: x.int(), "type torch.int32"),
    "nothing": (lambda x: [], "gives a list"),
    "a table": (lambda x: {"out": x}, "gives a dict"),
}


class Giving(torch.nn.Module):
    """Gives what a function makes of its input."""

    def __init__(self, make: Any) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: torch.Tensor) -> Any:
        return self.make(x)


@pytest.mark.parametrize("case", BAD_OUTPUTS)
def test_what_is_no_image_is_refused(denoiser: Bundle, case: str) -> None:
    make, words = BAD_OUTPUTS[case]
    with pytest.raises(InferenceError, match=words):
        called(denoiser, Giving(make), BATCH)


def test_scores_may_be_whole_numbers_or_truth_values(denoiser: Bundle) -> None:
    labeller = dataclasses.replace(denoiser, task=Task.SEGMENT)
    for case in ("whole numbers", "truth values"):
        make, _ = BAD_OUTPUTS[case]
        assert torch.equal(called(labeller, Giving(make), BATCH), make(BATCH))


def test_memory_that_runs_out_is_no_failure_of_the_network(denoiser: Bundle) -> None:
    def no_memory(x: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        called(denoiser, Giving(no_memory), BATCH)


@pytest.mark.parametrize(
    "definition",
    [{"spatial_dims": 2}, {"in_channels": 2}, {"channels": [4, 8, 8, 8, 8], "strides": [2] * 4}],
    ids=["of slices", "of two images", "of another multiple"],
)
def test_a_network_that_does_not_fit_its_description(
    tmp_path: Path, head: Volume, definition: dict[str, Any]
) -> None:
    from monai.networks.nets import UNet

    plain = read_bundle(unet_bundle(tmp_path / "plain")).network
    arguments = {**(plain or {}), **definition}
    target = arguments.pop("_target_")
    facts = {"labels": [{"value": n, "name": str(n)} for n in (1, 2)], "input": {"multiple": 6}}
    place = tmp_path / "models" / "misfit"
    write_bundle(
        place, UNet(**arguments), {"_target_": target, **arguments}, task="segment", **facts
    )
    catalog = Catalog.default(extra_folders=[place])
    with pytest.raises(InferenceError, match=r"'misfit' failed on an input of size 1 x 1 .*check"):
        enhance(head, "segment", "misfit", catalog=catalog)


Making = Callable[[str, Callable[[torch.Tensor], torch.Tensor]], Catalog]


@pytest.fixture
def making(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Making:
    """A catalogue with a model of a task, called "vast", that gives what a function makes."""

    def make(task: str, function: Callable[[torch.Tensor], torch.Tensor]) -> Catalog:
        network = Giving(function)
        monkeypatch.setattr("MedEnhanceLib.engine.loading._build", lambda bundle: network)
        definition = {"_target_": "MedEnhanceLib.engine.networks.Vast"}
        scaled = {"normalisation": "robust_peak"}
        folder = write_bundle(tmp_path / "vast", network, definition, task=task, input=scaled)
        return Catalog.default(extra_folders=[folder])

    return make


@pytest.mark.parametrize("task", ["denoise", "super-resolution"])
@pytest.mark.parametrize(("largest", "unsure"), [(1e36, False), (1e36, True), (1e15, False)])
def test_values_that_cannot_be_computed_with_are_not_handed_over(
    making: Making, head: Volume, task: str, largest: float, unsure: bool
) -> None:
    """Finite on the network's scale, but not, or hardly, in the volume's unit."""
    catalog = making(task, lambda x: x * largest)
    with pytest.raises(InferenceError, match="in the volume's unit, which cannot be computed"):
        enhance(head, task, "vast", {"uncertainty": unsure}, catalog=catalog)


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_an_infinite_spread_is_not_handed_over(making: Making, head: Volume) -> None:
    """Of a volume of tiny values, so that the output itself is nothing out of the ordinary."""
    catalog = making("denoise", lambda x: torch.cumsum(x, -1) * 1e24)
    tiny = head.with_voxels(head.voxels * np.float32(1e-15))
    enhance(tiny, "denoise", "vast", catalog=catalog)
    with pytest.raises(InferenceError, match="to inf in the volume's unit"):
        enhance(tiny, "denoise", "vast", {"uncertainty": True}, catalog=catalog)
