"""The benchmark measures what it says: goals, turns, the same answer whichever way."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from MedEnhanceLib import Catalog, Volume
from MedEnhanceLib.acquisition import PARTS
from MedEnhanceLib.benchmark import memory, runs
from MedEnhanceLib.benchmark import networks as networks_in_turn
from MedEnhanceLib.benchmark.networks import Peak, against_monai, pieces_and_whole
from MedEnhanceLib.benchmark.rows import Row
from MedEnhanceLib.benchmark.suite import LARGEST_CT, Plan, large_ct, parts, smaller
from MedEnhanceLib.benchmark.timing import Timed, interleaved
from MedEnhanceLib.bundle import Bundle, read_bundle
from MedEnhanceLib.engine import forward
from MedEnhanceLib.engine.benchmark import networks
from MedEnhanceLib.engine.benchmark.networks import Contest
from MedEnhanceLib.task import Task
from Testing.lib.conftest import denoiser_bundle, unet_bundle


@pytest.fixture
def denoiser(tmp_path: Path) -> Bundle:
    return read_bundle(denoiser_bundle(tmp_path))


@pytest.mark.parametrize(
    ("value", "is_upper", "met"), [(1.0, True, True), (1.2, True, False), (1.2, False, True)]
)
def test_a_goal_is_the_most_or_the_least(value: float, is_upper: bool, met: bool) -> None:
    assert Row("a", "b", value, "x", 1.1, is_upper).met is met
    assert Row("a", "b", value, "x").met is None


def test_ways_take_turns_and_the_least_time_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, turns = [0.0], []

    def way(name: str, seconds: list[float]) -> str:
        turns.append(name)
        clock[0] += seconds.pop(0)
        return name

    monkeypatch.setattr("time.process_time", lambda: clock[0])
    slow, fast = [5.0, 4.0], [1.0, 2.0]
    found = interleaved({"a": lambda: way("a", slow), "b": lambda: way("b", fast)}, 2)
    assert turns == ["a", "b", "a", "b"]
    assert {name: timed.seconds for name, timed in found.items()} == {"a": 4.0, "b": 1.0}
    assert found["a"].answer == "a"


def test_all_ways_give_the_same(denoiser: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "WINDOW", (48, 32, 32))  # one window that holds all of it
    contest = Contest(denoiser, (48, 32, 32))
    contest.forward.precision = torch.float32
    whole = contest.whole()
    assert np.abs(contest.engine() - whole).max() < 1e-5
    assert np.abs(contest.sliding_window() - whole).max() < 1e-5
    assert contest.flops_per_voxel() > 1000


def test_a_network_that_gives_parts_of_slices_is_measured_too() -> None:
    bundle = Catalog.default().find("mr-super-resolution")
    assert isinstance(bundle, Bundle)
    contest = Contest(bundle, (32, 32, 32))
    contest.forward.precision = torch.float32
    assert contest.engine().shape == (PARTS, 32, 32, 32)
    assert np.abs(contest.engine() - contest.whole()).max() < 1e-5


def test_operations_of_a_network_that_sees_the_whole_are_those_on_the_phantom() -> None:
    bundle = Catalog.default().find("mr-brain-tissue-unet")
    assert isinstance(bundle, Bundle)
    contest = Contest(bundle, (64, 72, 64))
    assert len({contest.flops_per_voxel() for _ in range(3)}) == 1


def test_pieces_are_compared_and_held_against_the_peak(denoiser: Bundle) -> None:
    peak = Peak()
    peak.gflops = 1e6
    rows = {r.measure: r for r in pieces_and_whole(denoiser, (32, 32, 32), peak, 1)}
    assert rows["pieces - whole pass, largest"].met
    assert rows["pieces / whole pass"].value > 0
    assert not rows["network / its convolutions at peak"].met  # nothing reaches a PFLOP/s


@pytest.mark.parametrize(("monai", "met"), [(14.0, True), (2.0, False)])
def test_monai_is_so_many_times_slower(
    denoiser: Bundle, monkeypatch: pytest.MonkeyPatch, monai: float, met: bool
) -> None:
    taken = {"engine": Timed(2.0, None), "monai": Timed(monai, None)}
    monkeypatch.setattr("MedEnhanceLib.benchmark.networks.interleaved", lambda *_: taken)
    (row,) = against_monai(denoiser, (32, 32, 32), 1)
    assert row.value == monai / 2 and row.met is met


class FakeWorker:
    """Its jobs take the seconds that it is given, one of them for the network."""

    pid = None

    def __init__(self, clock: list[float], seconds: list[float]) -> None:
        self.clock, self.seconds = clock, seconds

    def submit(self, volume: Volume, *_: Any) -> None:
        self.depth = len(volume.voxels)

    def wait(self) -> Any:
        self.clock[0] += self.seconds.pop(0)
        return SimpleNamespace(provenance={"network_seconds": 1.0, "network_core_seconds": 0.5})

    def close(self) -> None:
        assert not self.seconds and self.depth == runs.PREVIEW_SLICES


def test_runs_of_a_worker_are_told_beyond_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    worker = FakeWorker(clock, [5.0, 1.25, 0.75, 0.25, 0.5])
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr("MedEnhanceLib.worker.Worker", lambda: worker)
    second, first, preview = runs.worker("a model", (16, 16, 16))
    assert "second run" in second.measure and second.value == 0.25
    assert "first run" in first.measure and first.value == 3.75
    assert "preview" in preview.measure and preview.value == 0.25


@pytest.mark.parametrize("held", [1234.0, None])
def test_memory_of_a_run_is_that_of_a_process_of_its_own(
    denoiser: Bundle, monkeypatch: pytest.MonkeyPatch, held: float | None
) -> None:
    asked: list[memory.Case] = []

    def measured(case: memory.Case) -> memory.Peak:
        asked.append(case)
        return memory.Peak(held, 1.0)

    monkeypatch.setattr(memory, "measured_alone", measured)
    plan = Plan((), denoiser, (16,) * 3, 48, frozenset(), 1)
    (part,) = [part for part in parts(plan) if part.title.startswith("memory")]
    assert [row.value for row in part.measure()] == ([] if held is None else [held])
    assert [(case.model, case.shape) for case in asked] == [(denoiser.id, (48, 48, 48))]


@pytest.mark.parametrize("chosen", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("task", ["denoise", "segment"])
def test_what_half_precision_loses_is_told(
    chosen: torch.dtype, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = denoiser_bundle if task == "denoise" else unet_bundle
    monkeypatch.setattr(forward, "choose_precision", lambda *_: chosen)
    (row,) = networks_in_turn.in_half_precision(read_bundle(make(tmp_path)), (32, 32, 32))
    assert row.unit == ("dB" if task == "denoise" else "1 - Dice")
    if chosen is torch.float32:
        assert row.value == 0 and row.met is None and "float32 is chosen" in row.note
    else:
        assert row.value != 0 and abs(row.value) < 1 and row.met is not None
        assert "bfloat16" in row.note


def test_labels_are_not_called_right_where_nothing_was_labelled(
    denoiser: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = dataclasses.replace(denoiser, task=Task.SEGMENT)
    monkeypatch.setattr(forward, "choose_precision", lambda *_: torch.bfloat16)
    monkeypatch.setattr(Contest, "engine", lambda self: np.zeros(self.shape, np.uint8))
    (row,) = networks_in_turn.in_half_precision(segmenter, (32, 32, 32))
    assert row.met is None and "0 voxels labelled" in row.note


def test_quality_lost_is_the_difference_of_psnr() -> None:
    clean = np.linspace(0, 1, 1000)
    exact, fast = clean + 0.01, clean + 0.02
    lost = networks_in_turn._psnr_lost(clean, exact, fast)
    assert lost == pytest.approx(20 * np.log10(2))


def test_a_whole_run_is_told_phase_by_phase() -> None:
    (row,) = runs.whole_run("mr-denoise-residual", (32, 32, 32))
    assert row.value > 1
    for phase in ("reading", "removing noise", "measuring what changed", "writing"):
        assert phase in row.note


def test_volumes_shrink_to_multiples() -> None:
    assert smaller((176, 256, 256), 10**9) == (176, 256, 256)
    shape = smaller((176, 256, 256), 3_400_000)
    assert all(n % 16 == 0 for n in shape) and 2_000_000 < np.prod(shape) <= 3_400_000


def test_slow_networks_are_not_compared_with_monai_unasked(denoiser: Bundle) -> None:
    def titles(slow: frozenset[str]) -> list[str]:
        return [p.title for p in parts(Plan((denoiser,), None, (32,) * 3, 32, slow, 1))]

    assert any("MONAI" in title for title in titles(frozenset()))
    assert not any("MONAI" in title for title in titles(frozenset({denoiser.id})))


def test_a_large_ct_is_held_against_its_memory_and_smaller_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def measured(case: memory.Case) -> memory.Peak:
        assert case.modality == "CT"
        voxels = float(np.prod(case.shape))
        return memory.Peak(7000.0 if case.shape == LARGEST_CT else 100.0, 1e-6 * voxels**1.1)

    monkeypatch.setattr(memory, "measured_alone", measured)
    peak, growth = large_ct("ct-model")
    assert peak.value == 7000 and peak.met is False
    assert growth.value == pytest.approx(1.1) and growth.met is False
    assert "512x512x600" in growth.note and "64x64x64" in growth.note


def test_one_size_alone_tells_no_growth(denoiser: Bundle) -> None:
    for cube, is_measured in ((64, False), (96, True)):
        todo = parts(Plan((), denoiser, (32,) * 3, cube, frozenset(), 1))
        assert any(part.title == "cost against size" for part in todo) is is_measured
    (row,) = runs.growth("filter-median", (64, 96))
    assert row.goal is not None and "96x96x96" in row.note
