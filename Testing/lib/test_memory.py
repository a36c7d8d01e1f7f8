"""Memory: what a run may take, and what a network takes."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from MedEnhanceLib import slabs as slabs_module
from MedEnhanceLib import system_memory
from MedEnhanceLib.benchmark.memory import Case, measured_alone
from MedEnhanceLib.engine import memory
from MedEnhanceLib.engine.networks import NoiseAwareDenoiser
from MedEnhanceLib.engine.scores import Doubt, fill, mirrored_probabilities
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.noise import estimate_noise
from MedEnhanceLib.quality import sharpness
from MedEnhanceLib.quality.evidence import denoise_evidence, object_mask
from MedEnhanceLib.quality.sharpness import gradient_magnitude
from MedEnhanceLib.slabs import (
    filtered,
    mean_inside,
    over_slabs,
    sample,
    slabs,
    thin_sample,
    thinned,
)
from MedEnhanceLib.tiles import whole

from .conftest import head_like, linux_only

CPU = torch.device("cpu")


@pytest.mark.parametrize(("margin", "multiple"), [(0, 1), (1, 1), (3, 2)])
def test_slabs_cover_every_slice_once(
    margin: int, multiple: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slabs_module, "MOST_VOXELS", 5 * 12)
    shape = (53, 3, 4)
    number = np.arange(53)
    parts = list(slabs(shape, margin, multiple))
    assert len(parts) > 3
    assert np.array_equal(np.concatenate([number[p.core] for p in parts]), number)
    for part in parts:
        assert np.array_equal(number[part.grown][part.inner], number[part.core])
        assert part.grown.start == max(0, part.core.start - margin)
        assert part.core.start % multiple == 0


def test_slabs_are_answered_in_order_though_some_are_worked_on_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slabs_module, "MOST_VOXELS", 1)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    second_begun = threading.Event()

    def run(slab: slabs_module.Slab) -> int:
        if slab.core.start == 0:
            assert second_begun.wait(10)
        second_begun.set()
        return slab.core.start

    assert over_slabs(run, (20, 1, 1)) == list(range(20))


def test_what_goes_wrong_in_one_slab_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs_module, "MOST_VOXELS", 1)

    def run(slab: slabs_module.Slab) -> None:
        if slab.core.start == 7:
            raise MemoryError("the seventh")

    with pytest.raises(MemoryError, match="seventh"):
        over_slabs(run, (20, 1, 1))


def test_slab_by_slab_measures_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence, noise and edges of a volume do not depend on how it is cut."""
    before, after = head_like((60, 24, 28)), head_like((60, 24, 28), sigma=4)
    geometry = Geometry((28, 24, 60), (0.9, 1.1, 1.0))
    once = _measured(before, after, geometry)
    monkeypatch.setattr(slabs_module, "MOST_VOXELS", 24 * 28)
    in_slabs = _measured(before, after, geometry)
    assert once.keys() == in_slabs.keys()
    for name, value in once.items():
        assert in_slabs[name] == pytest.approx(value, rel=1e-4), name


def _measured(before: Any, after: Any, geometry: Geometry) -> dict[str, float]:
    measures, _ = denoise_evidence(before, after, 20.0, True, geometry, "")
    ct, _ = denoise_evidence(before, after, 20.0, False, geometry, "HU")
    found = {m.name: m.after or 0.0 for m in measures}
    found |= {f"CT {m.name}": m.after or 0.0 for m in ct}
    found["before"] = next(m.before or 0.0 for m in measures if m.name == "Edge sharpness")
    found["noise"] = estimate_noise(before)
    found["object mask"] = float(object_mask(before).sum())
    found["gradient"] = mean_inside(gradient_magnitude(before, geometry), before > 300)
    return found


def test_filters_see_beyond_their_slab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs_module, "MOST_VOXELS", 1)
    voxels = np.random.default_rng(0).random((40, 3, 3))

    def mean_of_three(part: np.ndarray) -> np.ndarray:
        padded = np.pad(part, [(1, 1), (0, 0), (0, 0)], mode="edge")
        return (padded[:-2] + padded[1:-1] + padded[2:]) / 3

    found = filtered(voxels, mean_of_three, 1)
    assert np.allclose(found, mean_of_three(voxels))


@pytest.mark.parametrize("columns", [64, 72, 96, 101, 105])
def test_samples_meet_all_columns_alike(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(slabs_module, "LARGEST_SAMPLE", 20_000)
    voxels = np.broadcast_to(np.arange(columns), (60, 40, columns))
    for found in (sample(voxels), thin_sample(voxels), thinned(voxels, 101)):
        counts = np.bincount(found, minlength=columns)
        assert counts.max() - counts.min() <= 1


def test_a_sample_of_nothing_is_empty() -> None:
    assert thin_sample(np.zeros((0, 4, 4))).size == 0
    assert thin_sample(np.zeros((4, 0, 4))).size == 0


def test_evidence_holds_few_copies_of_a_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peak of new numpy arrays in bytes per voxel; some 40 when all is held at once."""
    monkeypatch.setattr(slabs_module, "MOST_VOXELS", 100_000)
    monkeypatch.setattr(slabs_module, "LARGEST_SAMPLE", 100_000)
    monkeypatch.setattr(sharpness, "ENOUGH_VOXELS", 100_000)
    before = head_like((240, 64, 64))
    after = before * np.float32(0.98)
    geometry = Geometry((64, 64, 240))
    _, peak = _held_by(lambda: denoise_evidence(before, after, 20.0, True, geometry, ""))
    assert peak / before.size < 20


def test_scores_of_a_whole_volume_are_not_held_twice() -> None:
    """Beside a network's own output of all classes no other is made to label a volume."""
    shape = (24, 64, 64)
    scores = np.random.default_rng(0).random((6, *shape), np.float32)
    labels, weight = np.zeros(shape, np.uint8), np.ones(shape, np.float32)
    doubt = Doubt(np.zeros(shape, np.float32), np.arange(256, dtype=np.uint8))
    patches = iter([(whole(shape), scores, weight)])
    _, held = _held_by(lambda: fill(labels, doubt, patches))
    assert held < scores.nbytes / 6
    assert np.array_equal(labels, scores.argmax(axis=0))
    np.testing.assert_allclose(doubt.voxels, 1 - scores.max(axis=0) / scores.sum(axis=0), atol=1e-5)


def test_probabilities_of_mirror_images_are_held_once() -> None:
    batch = np.random.default_rng(0).random((1, 6, 24, 64, 64), np.float32)
    mirrors = ((), (2,))
    mean, held = _held_by(lambda: mirrored_probabilities(lambda x: x, mirrors, batch))
    # The mean, one pass, its mirrored input and what is reduced over the classes.
    assert held < 3.5 * batch.nbytes
    np.testing.assert_allclose(mean.sum(axis=1), 1, rtol=1e-5)


def _held_by(run: Callable[[], Any]) -> tuple[Any, int]:
    """What a run gives, and the most bytes of new numpy arrays during it."""
    tracemalloc.start()
    try:
        return run(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_what_a_network_holds_is_seen() -> None:
    """Three tensors at once: the input's product, its double, and their sum."""

    class Holder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.factor = torch.nn.Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            once = x * self.factor
            for _ in range(5):
                once = once + 1  # the old one is let go
            return once * 2 + once

    sample = torch.rand(1, 1, 16, 16, 16)
    ends, holder = 4 * (2 + 1), Holder()
    assert memory.bytes_per_voxel(holder, holder, sample) == pytest.approx(
        ends + memory.HIDDEN * 3 * 4
    )


def test_budget_follows_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 400_000_000)
    assert memory.budget_bytes(CPU) == 200_000_000
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 40)
    assert memory.budget_bytes(CPU) == memory.MOST_ON_CPU
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    assert memory.budget_bytes(CPU) == memory.MOST_ON_CPU


def test_free_memory_heeds_the_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_memory, "CONTROL_GROUP", tmp_path)
    unlimited = system_memory.available_bytes()
    (tmp_path / "memory.max").write_text("300000000\n")
    (tmp_path / "memory.current").write_text("120000000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 20000000\n")
    assert system_memory.available_bytes() == 200_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert system_memory.available_bytes() != 200_000_000
    assert unlimited is None or unlimited > 1_000_000


@pytest.mark.parametrize(
    ("line", "root", "limit", "used", "files"),
    [
        ("0::", "", "memory.max", "memory.current", "inactive_file"),
        (
            "4:cpu,memory:",
            "memory",
            "memory.limit_in_bytes",
            "memory.usage_in_bytes",
            "total_inactive_file",
        ),
    ],
    ids=["second version", "first version"],
)
def test_free_memory_heeds_the_queue(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    root: str,
    limit: str,
    used: str,
    files: str,
) -> None:
    """The limit of a job is that of one of the groups around the process."""
    monkeypatch.setattr(system_memory, "CONTROL_GROUP", tmp_path)
    monkeypatch.setattr(system_memory, "PROC", tmp_path / "proc")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"1:cpu:/x\n{line}/queue/job/step\n")
    for group, most in (("", "900000000"), ("queue/job", "300000000"), ("queue/job/step", "max")):
        folder = tmp_path / root / group
        folder.mkdir(parents=True, exist_ok=True)
        (folder / limit).write_text(f"{most}\n")
        (folder / used).write_text("120000000\n")
        (folder / "memory.stat").write_text(f"anon 1\n{files} 20000000\n")
    assert system_memory.available_bytes() == 200_000_000


@linux_only
def test_a_whole_run_takes_few_copies_of_its_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Input, filter, evidence and all, in a process of its own; 66 bytes a voxel when written.

    It does not run what is called like a library in the folder where it is started.
    """
    (tmp_path / "argparse.py").write_text("raise SystemExit(3)")
    (tmp_path / "numpy.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    case = Case("denoise", "filter-median", (128, 160, 160))
    peak = measured_alone(case).peak_mb
    assert peak is None or peak * 1e6 / (128 * 160 * 160) < 90


def test_memory_of_a_network_grows_with_its_voxels_only() -> None:
    """Whoever adds a layer that holds more than its neighbours shows it here."""
    sample = torch.rand(1, 2, 32, 32, 32)
    network = NoiseAwareDenoiser().eval()
    assert memory.bytes_per_voxel(network, network, sample) < 400
