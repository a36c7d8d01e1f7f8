"""What is done when memory is short: smaller pieces first, then the CPU, then one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from MedEnhanceLib.bundle import read_bundle
from MedEnhanceLib.engine import forward, inference
from MedEnhanceLib.errors import DeviceError
from MedEnhanceLib.options import DenoiseOptions, SegmentOptions
from MedEnhanceLib.progress import Reporter

from .conftest import denoiser_bundle, head_like, linux_only, unet_bundle


def test_a_small_device_gets_small_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same result from the pieces that a device of 20 MB allows."""
    bundle = read_bundle(denoiser_bundle(tmp_path))
    voxels = head_like((56, 60, 52)) / 900
    whole, few = _regressed(bundle, voxels)
    monkeypatch.setattr(forward, "budget_bytes", lambda device: 20_000_000)
    pieces, many = _regressed(bundle, voxels)
    assert many > 2 * few
    assert np.abs(pieces - whole).max() < 1e-5


def _regressed(bundle: Any, voxels: np.ndarray) -> tuple[np.ndarray, int]:
    passes = forward.Forward(bundle, DenoiseOptions(device="cpu", precision="float32"), Reporter())
    return inference.regress(passes, [voxels, *_numbers(bundle)], None), passes.done


def _numbers(bundle: Any) -> list[float]:
    """The channels of a bundle beside the image."""
    known = {"noise": 0.05, "factor": 0.5, "profile": 1.0}
    return [known[name] for name in bundle.input.channels[1:]]


CHILD = """
import json, os, resource, sys
from pathlib import Path
import numpy as np, torch
from MedEnhanceLib.bundle import read_bundle
from MedEnhanceLib.engine import forward, inference
from MedEnhanceLib.errors import MedEnhanceError
from MedEnhanceLib.options import DenoiseOptions
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.system_memory import PROC, _fields

torch.set_num_threads(1)
folder, image, result, share, way, *numbers = sys.argv[1:]
run = getattr(inference, way)
voxels, numbers = np.load(image), [float(n) for n in numbers]
options = DenoiseOptions(device="cpu", precision="float32")
passes = forward.Forward(read_bundle(Path(folder)), options, Reporter())
run(passes, [voxels[:16, :16, :16], *numbers], None)
passes.notes.clear()
passes.done = 0

def address_space(name):
    return _fields(PROC / "self/status")[name]

def forked(work, *arguments):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, json.dumps(work(*arguments)).encode())
        os._exit(0)
    os.close(writing)
    answer = os.fdopen(reading).read()
    os.wait()
    return json.loads(answer)

def need():
    held = address_space("VmSize")
    run(passes, [voxels, *numbers], None)
    return address_space("VmPeak") - held

def limited(room):
    limit = address_space("VmSize") + room
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        np.save(result, run(passes, [voxels, *numbers], None))
        return {"notes": passes.notes, "passes": passes.done}
    except MedEnhanceError as error:
        return {"error": str(error)}

print(json.dumps(forked(limited, int(float(share) * forked(need)))))
"""


SMALLER_PIECES = "Memory was short, so the volume was worked on in smaller pieces."


SHARES = (0.8, 0.75, 0.7, 0.85, 0.9, 0.65)
"""Of the memory that a run takes when there is plenty."""


@linux_only
def test_a_real_limit_leads_to_smaller_pieces(tmp_path: Path) -> None:
    """Planned for plenty; what the system refuses is done in thinner slabs.

    How much address space the allocator wastes differs from run to run: at the same limit a run
    may fit as it is, or not at all. Whatever is handed over has to be right.
    """
    bundle = read_bundle(denoiser_bundle(tmp_path))
    # So large that what the network holds is more than what computing takes at any size.
    voxels = head_like((96, 160, 160)) / 900
    expected, passes = _regressed(bundle, voxels)
    for share in SHARES:
        answer = _limited(bundle, voxels, tmp_path, share)
        if "error" in answer:
            assert "not enough memory" in answer["error"]
            continue
        assert np.abs(np.load(tmp_path / "result.npy") - expected).max() < 1e-5
        if answer["notes"]:
            break
    assert answer.get("notes") == [SMALLER_PIECES]
    assert answer["passes"] > passes


@linux_only
def test_a_real_limit_leads_to_smaller_patches(tmp_path: Path) -> None:
    """As above, of a network that is given patches which are blended."""
    bundle = read_bundle(unet_bundle(tmp_path, norm="batch", patch=[64, 64, 64]))
    voxels = head_like((96, 160, 160)) / 900
    passes = forward.Forward(bundle, DenoiseOptions(device="cpu", precision="float32"), Reporter())
    expected = inference.classify(passes, [voxels], None)
    for share in SHARES:
        answer = _limited(bundle, voxels, tmp_path, share, "classify")
        if "error" in answer:
            assert "not enough memory" in answer["error"]
            continue
        assert (np.load(tmp_path / "result.npy") == expected).mean() > 0.99
        if answer["notes"]:
            break
    assert answer.get("notes") == [SMALLER_PIECES]
    assert answer["passes"] > passes.done


@linux_only
def test_when_nothing_fits_one_sentence_says_so(tmp_path: Path) -> None:
    answer = _limited(read_bundle(denoiser_bundle(tmp_path)), head_like((96,) * 3), tmp_path, 0.1)
    assert "not enough memory for this volume even in the smallest pieces" in answer["error"]
    assert not (tmp_path / "result.npy").exists()


@pytest.mark.parametrize(("way", "argument"), [("classify", None), ("scores", 3)])
def test_patches_are_halved_until_they_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, argument: int | None
) -> None:
    """Then the CPU begins with the largest again."""
    bundle = read_bundle(unet_bundle(tmp_path))
    passes = forward.Forward(bundle, DenoiseOptions(device="cpu"), Reporter())
    seen: list[int | str] = []

    def no_memory(self: Any, batch: np.ndarray) -> np.ndarray:
        seen.append(max(batch.shape))
        raise torch.OutOfMemoryError("out of memory")

    def fall_back(self: Any) -> None:
        if "CPU" in seen:
            raise DeviceError("not even there")
        seen.append("CPU")

    monkeypatch.setattr(forward.Forward, "_pass", no_memory)
    monkeypatch.setattr(forward.Forward, "fall_back_to_cpu", fall_back)
    with pytest.raises(DeviceError):
        getattr(inference, way)(passes, [head_like((100, 90, 80))], argument)
    assert seen == [96, 48, 24, 16, "CPU", 96, 48, 24, 16]
    assert passes.notes == [SMALLER_PIECES]


def _limited(
    bundle: Any, voxels: np.ndarray, place: Path, share: float, way: str = "regress"
) -> dict[str, Any]:
    """What a process says that may take only a share of the memory that a run would take."""
    np.save(place / "image.npy", voxels)
    arguments = [bundle.folder, place / "image.npy", place / "result.npy", share, way]
    command = [sys.executable, "-c", CHILD, *map(str, [*arguments, *_numbers(bundle)])]
    # Every thread would keep address space of its own, more or less of it from run to run.
    alone = os.environ | {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def full_device(monkeypatch: pytest.MonkeyPatch) -> torch.device:
    """A device on which no pass finds memory."""
    device = torch.device("meta")
    for way in ("_pass", "push"):
        plain = getattr(forward.Forward, way)

        def run(self: forward.Forward, *inputs: Any, plain: Any = plain) -> Any:
            if self.device == device:
                raise torch.OutOfMemoryError("out of memory")
            return plain(self, *inputs)

        monkeypatch.setattr(forward.Forward, way, run)
    return device


@pytest.mark.parametrize("has_stream", [True, False])
def test_where_a_device_has_no_memory_at_all_the_cpu_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_device: torch.device, has_stream: bool
) -> None:
    if not has_stream:
        monkeypatch.setattr(forward.Forward, "open_stream", lambda self: None)
    options = DenoiseOptions(device="cpu", precision="float32")
    passes = forward.Forward(read_bundle(denoiser_bundle(tmp_path)), options, Reporter())
    channels = [head_like((20, 20, 24)) / 900, 0.05]
    expected = inference.regress(passes, channels, None)
    passes.device = full_device
    assert np.abs(inference.regress(passes, channels, None) - expected).max() < 1e-5
    assert passes.notes[-1] == "The meta device ran out of memory; the CPU was used."


def test_the_cpu_takes_over_where_no_patch_is_small_enough(
    tmp_path: Path, full_device: torch.device
) -> None:
    passes = forward.Forward(
        read_bundle(unet_bundle(tmp_path)), SegmentOptions(device="cpu"), Reporter()
    )
    channels = [head_like((20, 20, 24)) / 900]
    expected = inference.classify(passes, channels, None)
    passes.device = full_device
    assert np.array_equal(inference.classify(passes, channels, None), expected)
    assert passes.notes == [
        "Memory was short, so the volume was worked on in smaller pieces.",
        "The meta device ran out of memory; the CPU was used.",
    ]


def test_memory_that_is_short_before_the_first_piece_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any) -> torch.nn.Module:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")

    monkeypatch.setattr(forward, "load_network", load)
    bundle = read_bundle(denoiser_bundle(tmp_path))
    with pytest.raises(DeviceError, match="There is not enough memory"):
        forward.Forward(bundle, DenoiseOptions(device="cpu"), Reporter())
