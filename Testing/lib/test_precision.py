"""The precision is chosen by a self-check that is remembered, and is never a wrong one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from MedEnhanceLib.bundle import read_bundle
from MedEnhanceLib.engine import forward, precision, remembered
from MedEnhanceLib.engine.networks.tissue_net import FEATURES
from MedEnhanceLib.options import DenoiseOptions
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.resources import models_folder
from MedEnhanceLib.user_folders import CACHE_VARIABLE

CPU = torch.device("cpu")
SAMPLE = torch.rand(1, 2, 8, 8, 8)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(precision, "_candidates", lambda device: ("bfloat16", "float16"))
    return tmp_path / "cache"


class Counting(torch.nn.Conv3d):
    """Counts its passes."""

    def __init__(self) -> None:
        super().__init__(2, 1, 3, padding=1)
        self.passes = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.passes += 1
        return super().forward(x)


def fake_speeds(monkeypatch: pytest.MonkeyPatch, told: dict[str, tuple[float, float]]) -> None:
    """Formats with an error and a time, in place of what this machine would do."""

    def measured(network: object, sample: object, device: object, name: str) -> object:
        error, seconds = told[name]
        return torch.ones(4) + error, seconds

    monkeypatch.setattr(precision, "_pass", measured)


@pytest.mark.parametrize(
    ("half", "brain", "chosen"),
    [
        ((0.001, 0.3), (0.001, 0.5), torch.float16),
        ((0.5, 0.3), (0.001, 0.5), torch.bfloat16),
        ((float("nan"), 0.1), (0.5, 0.5), torch.float32),
        ((0.0, 0.99), (0.0, 1.2), torch.float32),
    ],
)
def test_the_fastest_right_one_is_taken(
    monkeypatch: pytest.MonkeyPatch,
    half: tuple[float, float],
    brain: tuple[float, float],
    chosen: torch.dtype,
) -> None:
    fake_speeds(monkeypatch, {"float32": (0.0, 1.0), "float16": half, "bfloat16": brain})
    network = torch.nn.Identity()
    assert precision.choose_precision("auto", network, SAMPLE, CPU, "abc") is chosen


def test_the_check_is_made_once_for_the_same_weights() -> None:
    network = Counting().eval()
    first = precision.choose_precision("auto", network, SAMPLE, CPU, "abc")
    passes = network.passes
    assert passes > 3
    assert precision.choose_precision("auto", network, SAMPLE, CPU, "abc") is first
    assert network.passes == passes
    precision.choose_precision("auto", network, SAMPLE, CPU, "other weights")
    assert network.passes > passes
    passes = network.passes
    precision.choose_precision("auto", network, SAMPLE / 2, CPU, "abc")
    assert network.passes > passes


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"answer": "float64"}'])
def test_a_damaged_memory_is_ignored(cache: Path, content: bytes) -> None:
    network = Counting().eval()
    precision.choose_precision("auto", network, SAMPLE, CPU, "abc")
    (file,) = cache.iterdir()
    file.write_bytes(content)
    passes = network.passes
    # Which one is the fastest may differ from one measurement to the next.
    assert (
        precision.choose_precision("auto", network, SAMPLE, CPU, "abc") in precision.NAMES.values()
    )
    assert network.passes > passes


def test_nothing_is_remembered_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    remembered.remember("question", "answer")
    assert remembered.recall("question") is None


def test_what_was_asked_for_is_taken_unchecked() -> None:
    network = Counting()
    assert precision.choose_precision("bfloat16", network, SAMPLE, CPU, "") is torch.bfloat16
    assert network.passes == 0


@pytest.mark.parametrize(
    ("model", "channels", "noise"),
    [("mr-denoise-guided", 4, [1, 3]), ("mr-brain-tissue-unet", FEATURES, [])],
)
def test_number_formats_are_tried_on_what_a_network_meets(
    model: str, channels: int, noise: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On noise as strong as the image bfloat16 is never right; without a brain it is no faster."""
    tried = []

    def choose(name: str, network: Any, sample: torch.Tensor, *_: Any) -> torch.dtype:
        with torch.inference_mode():
            exact = network(sample).float()
            with torch.autocast("cpu", torch.bfloat16):
                half = network(sample).float()
        tried.append(sample)
        assert 0 < (half - exact).abs().max() < precision.LARGEST_ERROR * exact.abs().max()
        return torch.float32

    monkeypatch.setattr(forward, "choose_precision", choose)
    bundle = read_bundle(models_folder() / model, shipped=True)
    forward.Forward(bundle, DenoiseOptions(device="cpu"), Reporter())
    (sample,) = tried
    assert sample.shape[1] == channels
    assert all(float(sample[:, number].max()) <= 0.1 for number in noise)
