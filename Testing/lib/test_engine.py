"""The engine: exact tiles, blended tiles, slices, memory running out, cancelling, bad output."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from MedEnhanceLib.acquisition import PARTS
from MedEnhanceLib.bundle import Bundle, read_bundle
from MedEnhanceLib.engine import device, forward, inference, patches, scores
from MedEnhanceLib.errors import CancelledError, DeviceError, InferenceError
from MedEnhanceLib.options import DenoiseOptions, SegmentOptions
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.resources import models_folder

from .conftest import head_like, randomised, resolver_bundle, unet_bundle, write_bundle


def run(bundle: Bundle, voxels: np.ndarray, tile: int | None = None, **changes: Any) -> np.ndarray:
    passes = forward.Forward(bundle, DenoiseOptions(device="cpu", precision="float32"), Reporter())
    for name, value in changes.items():
        setattr(passes, name, value)
    return inference.regress(passes, [voxels, 0.05], tile)


def whole_pass(bundle: Bundle, voxels: np.ndarray) -> np.ndarray:
    """One pass of the plain network, without any of the engine."""
    from MedEnhanceLib.engine.loading import load_network

    network = load_network(bundle, torch.device("cpu"))
    padded = np.pad(voxels, [(0, -n % 4) for n in voxels.shape], mode="edge")
    channels = np.stack([padded, np.full_like(padded, 0.05)])[None]
    with torch.inference_mode():
        output = network(torch.from_numpy(channels))[0, 0].numpy()
    return output[tuple(slice(0, n) for n in voxels.shape)]


@pytest.mark.parametrize("shape", [(40, 44, 36), (39, 41, 37), (3, 20, 30), (52, 10, 11)])
@pytest.mark.parametrize("tile", [None, 16])
def test_exact_tiles_equal_one_pass(
    denoiser: Bundle, shape: tuple[int, int, int], tile: int | None
) -> None:
    voxels = head_like(shape) / 900
    expected = whole_pass(denoiser, voxels)
    assert np.abs(expected - voxels).max() > 1e-3  # the network does something
    assert np.abs(run(denoiser, voxels, tile) - expected).max() < 1e-5


def test_declared_halo_is_the_receptive_field(denoiser: Bundle) -> None:
    """A change further away than the halo has no effect; one at its rim has."""
    voxels = head_like((48, 48, 48)) / 900
    before = whole_pass(denoiser, voxels)
    changed = voxels.copy()
    changed[24, 24, 24] += 5
    touched = np.argwhere(whole_pass(denoiser, changed) != before)
    assert denoiser.halo is not None
    assert np.abs(touched - 24).max() <= denoiser.halo
    assert np.abs(touched - 24).max() >= denoiser.halo - 2


def test_out_of_memory_halves_the_boxes_and_says_so(
    denoiser: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = head_like((120, 24, 24)) / 900
    expected = whole_pass(denoiser, voxels)
    plain = forward.Forward._pass
    refused = []

    def small_memory(self: forward.Forward, batch: np.ndarray) -> np.ndarray:
        if batch[0, 0].size > 50_000:
            refused.append(batch.shape)
            raise torch.OutOfMemoryError("out of memory")
        return plain(self, batch)

    monkeypatch.setattr(forward.Forward, "_pass", small_memory)
    monkeypatch.setattr(forward.Forward, "open_stream", lambda self: None)
    passes = forward.Forward(
        denoiser, DenoiseOptions(device="cpu", precision="float32"), Reporter()
    )
    found = inference.regress(passes, [voxels, 0.05], None)
    assert refused
    assert np.abs(found - expected).max() < 1e-5
    assert passes.notes == ["Memory was short, so the volume was worked on in smaller pieces."]


@pytest.mark.parametrize("shape", [(84, 20, 16), (39, 21, 18)])
def test_out_of_memory_amid_slabs_keeps_what_is_done(
    denoiser: Bundle, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int]
) -> None:
    voxels = head_like(shape) / 900
    expected = whole_pass(denoiser, voxels)
    plain = forward.Forward.push
    pushed: list[int] = []

    def runs_out(self: forward.Forward, stream: Any, slab: np.ndarray, last: bool) -> Any:
        pushed.append(slab.shape[2])
        if len(pushed) >= 3 and slab.shape[2] > 4:
            raise torch.OutOfMemoryError("out of memory")
        return plain(self, stream, slab, last)

    monkeypatch.setattr(forward.Forward, "push", runs_out)
    passes = forward.Forward(
        denoiser, DenoiseOptions(device="cpu", precision="float32"), Reporter()
    )
    found = inference.regress(passes, [voxels, 0.05], None)
    assert pushed[0] > 4 and pushed[-2] == 4
    assert np.abs(found - expected).max() < 1e-5
    assert passes.notes == ["Memory was short, so the volume was worked on in smaller pieces."]


@pytest.mark.parametrize("way", ["_pass", "push"])
def test_out_of_memory_to_the_end_is_one_sentence(
    denoiser: Bundle, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    def no_memory(*_: Any) -> np.ndarray:
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(forward.Forward, "_pass", no_memory)
    monkeypatch.setattr(forward.Forward, "push", no_memory)
    if way == "_pass":
        monkeypatch.setattr(forward.Forward, "open_stream", lambda self: None)
    with pytest.raises(DeviceError, match="not enough memory"):
        run(denoiser, head_like((20, 20, 20)) / 900)


def test_where_no_slab_fits_tiles_do(denoiser: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = head_like((40, 44, 36)) / 900
    expected = whole_pass(denoiser, voxels)

    def no_memory(*_: Any) -> np.ndarray:
        raise MemoryError

    monkeypatch.setattr(forward.Forward, "push", no_memory)
    assert np.abs(run(denoiser, voxels) - expected).max() < 1e-5


def test_progress_grows_and_cancel_takes_effect_inside_a_pass(denoiser: Bundle) -> None:
    seen: list[float] = []
    reporter = Reporter(lambda progress: seen.append(progress.fraction))
    reporter.phase("network", 1.0)
    passes = forward.Forward(denoiser, DenoiseOptions(device="cpu", precision="float32"), reporter)
    inference.regress(passes, [head_like() / 900, 0.05], None)
    assert seen == sorted(seen)
    assert len(seen) > 3
    assert seen[-1] == 1.0

    seen.clear()
    passes.reporter = Reporter(cancel=lambda: True)
    with pytest.raises(CancelledError):
        inference.regress(passes, [head_like() / 900, 0.05], None)


class Neighbours(torch.nn.Module):
    """Tells its channels apart: 100 x below + 10 x here + above."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = torch.nn.Conv2d(3, 1, 1, bias=False)
        self.mix.weight.data[:] = torch.tensor([100.0, 10.0, 1.0]).reshape(1, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mix(x)


@pytest.fixture
def neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setattr("MedEnhanceLib.engine.networks.Neighbours", Neighbours, raising=False)
    return read_bundle(
        write_bundle(
            tmp_path / "slices",
            Neighbours(),
            {"_target_": "MedEnhanceLib.engine.networks.Neighbours"},
            task="denoise",
            input={"dimensions": 2, "neighbours": 1, "channels": ["image"], "multiple": 4},
        )
    )


@pytest.mark.parametrize("way", ["slab by slab", "in tiles", "blended", "slice by slice"])
def test_nan_output_is_refused(
    denoiser: Bundle,
    neighbours: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    bundles = {"blended": read_bundle(unet_bundle(tmp_path)), "slice by slice": neighbours}
    bundle = bundles.get(way, denoiser)
    if way == "in tiles":
        monkeypatch.setattr(forward.Forward, "open_stream", lambda self: None)
    passes = forward.Forward(bundle, DenoiseOptions(device="cpu", precision="float32"), Reporter())
    channels = [np.full((8, 8, 8), np.nan, np.float32), 0.05][: len(bundle.input.channels)]
    with pytest.raises(InferenceError, match="NaN or infinite"):
        inference.regress(passes, channels, None)


def test_slices_get_their_neighbours_as_channels(neighbours: Bundle) -> None:
    voxels = np.arange(10, dtype=np.float32)[:, None, None] * np.ones((10, 5, 7), np.float32)
    options = DenoiseOptions(device="cpu", precision="float32")
    found = inference.regress(forward.Forward(neighbours, options, Reporter()), [voxels], None)
    index = np.arange(10)
    expected = 100 * np.clip(index - 1, 0, 9) + 10 * index + np.clip(index + 1, 0, 9)
    assert found.shape == voxels.shape
    assert np.allclose(found, expected[:, None, None])


def test_blended_classes_equal_one_pass_where_patches_agree(tmp_path: Path) -> None:
    """A network that only looks at its own voxel must be blind to how it is tiled."""
    network = randomised(torch.nn.Conv3d(1, 3, 1), seed=4)
    definition = {"_target_": "monai.networks.nets.Stub"}
    labels = [{"value": 1, "name": "A"}, {"value": 2, "name": "B"}]
    facts = {"task": "segment", "labels": labels}
    bundle = read_bundle(write_bundle(tmp_path / "b", network, definition, **facts))
    bundle = dataclasses.replace(bundle, patch=(16, 16, 16))
    voxels = head_like((37, 20, 41)) / 900 - 0.4
    expected = network(torch.from_numpy(voxels)[None, None])[0].argmax(0).numpy()

    passes = forward.Forward.__new__(forward.Forward)
    passes.bundle, passes.multiple, passes.dimensions = bundle, 1, 3
    passes.reporter, passes.notes, passes.steps, passes.done = Reporter(), [], 1, 0
    passes.network, passes.device, passes.precision = network, torch.device("cpu"), torch.float32
    passes.most_voxels = int(17**3 / patches.COMFORTABLE_SHARE)
    found = inference.classify(passes, [voxels], None)
    assert passes.done > 8
    assert set(np.unique(found)) == set(np.unique(expected))
    assert (found == expected).mean() > 0.9999  # ties in rounding only


def test_a_network_that_needs_the_whole_volume_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = read_bundle(models_folder() / "mr-hippocampus-unet", shipped=True)
    passes = forward.Forward(bundle, SegmentOptions(), Reporter())
    shape = (112, 100, 130)
    assert len(patches.blended_plan(passes, shape, 32)) > 1
    monkeypatch.setattr(type(passes.network), "needs_whole_volume", True, raising=False)
    (box,) = patches.blended_plan(passes, shape, 32)
    assert all(edge >= n for edge, n in zip(box.shape, shape, strict=True))


@pytest.mark.parametrize(("norm", "local"), [("batch", True), ("instance", False)])
def test_networks_that_look_around_only_get_large_patches(
    tmp_path: Path, norm: str, local: bool
) -> None:
    bundle = read_bundle(unet_bundle(tmp_path, norm=norm, patch=[16, 16, 16]))
    passes = forward.Forward(bundle, SegmentOptions(device="cpu"), Reporter())
    assert patches.is_local(passes.network) == local
    assert len(patches.blended_plan(passes, (40, 44, 36), None)) == (1 if local else 36)
    for tile in (16, 64):  # no patch is larger than those trained on
        assert len(patches.blended_plan(passes, (40, 44, 36), tile)) == 36


def test_large_patches_label_as_one_pass_does(tmp_path: Path) -> None:
    bundle = read_bundle(unet_bundle(tmp_path, norm="batch", patch=[24, 24, 24]))
    passes = forward.Forward(bundle, SegmentOptions(device="cpu"), Reporter())
    voxels = head_like((56, 60, 52)) / 900
    whole = inference.classify(passes, [voxels], None)
    passes.most_voxels, passes.done = int(40_000 / patches.COMFORTABLE_SHARE), 0
    tiled = inference.classify(passes, [voxels], None)
    assert passes.done > 4
    assert len(np.unique(whole)) > 1
    assert (tiled == whole).mean() > 0.99


OWN = np.arange(256, dtype=np.uint8)
"""Each label stays itself."""


def test_many_classes_are_labelled_without_blending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hundred classes a slab of scores would take gigabytes; nearly the same labels."""
    bundle = read_bundle(unet_bundle(tmp_path, norm="batch", patch=[24, 24, 24]))
    passes = forward.Forward(bundle, SegmentOptions(device="cpu"), Reporter())
    passes.most_voxels = int(40_000 / patches.COMFORTABLE_SHARE)
    voxels = head_like((56, 60, 52)) / 900
    blended, doubt = inference.classify_with_doubt(passes, [voxels], None, OWN)
    monkeypatch.setattr(scores, "MOST_SLAB_BYTES", 1000)
    nearest, nearest_doubt = inference.classify_with_doubt(passes, [voxels], None, OWN)
    assert (nearest == blended).mean() > 0.99
    assert np.abs(nearest_doubt - doubt).mean() < 0.01


def test_unet_volume_smaller_than_its_patch_is_one_pass(tmp_path: Path) -> None:
    bundle = read_bundle(unet_bundle(tmp_path, patch=[64, 64, 64]))
    passes = forward.Forward(bundle, SegmentOptions(device="cpu"), Reporter())
    labels = inference.classify(passes, [head_like((21, 24, 27)) / 900], None)
    assert passes.done == 1
    assert labels.shape == (21, 24, 27)
    assert labels.max() <= 2


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(DeviceError, match="Choose --device cpu"):
        device.choose_device("mps")


def test_auto_takes_a_device_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "why_unusable", lambda name: "" if name == "cpu" else "broken")
    assert device.choose_device("auto").type == "cpu"


def test_a_device_that_computes_wrongly_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torch.nn.functional.conv3d
    calls = iter([1.0, 1.5])
    monkeypatch.setattr(torch.nn.functional, "conv3d", lambda *a, **k: right(*a, **k) * next(calls))
    assert "wrongly" in device._test_kernel(torch.device("cpu"))


def test_half_precision_of_the_shipped_denoiser_stays_close() -> None:
    """Within 0.02 dB of float32, on the way to the clean image."""
    bundle = read_bundle(models_folder() / "mr-denoise-residual", shipped=True)
    clean, noisy = head_like((24, 24, 24), sigma=0) / 900, head_like((24, 24, 24), sigma=45) / 900
    options = DenoiseOptions(device="cpu", precision="bfloat16")
    passes = forward.Forward(bundle, options, Reporter())
    half = inference.regress(passes, [noisy, 0.05], None)
    assert passes.precision_name == "bfloat16"
    full = run(bundle, noisy)
    assert not np.array_equal(half, full)
    errors = [np.mean((image - clean) ** 2) for image in (half, full)]
    assert abs(10 * np.log10(errors[0] / errors[1])) < 0.02


def test_a_shipped_network_is_built_without_what_takes_seconds_to_import() -> None:
    """MONAI's parser and torch's compiler, which the first Apply would wait for."""
    code = (
        "import sys\n"
        "from MedEnhanceLib import enhance\n"
        "from MedEnhanceLib.benchmark.phantoms import head\n"
        "result = enhance(head((24, 32, 32)), 'denoise', 'mr-denoise-residual')\n"
        "assert 'network_seconds' in result.provenance\n"
        "print([name for name in ('monai', 'torch._dynamo') if name in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("tile", [None, 16])
@pytest.mark.parametrize("has_stream", [True, False])
def test_all_outputs_come_in_pieces_as_in_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tile: int | None, has_stream: bool
) -> None:
    bundle = read_bundle(resolver_bundle(tmp_path))
    if not has_stream:
        monkeypatch.setattr(forward.Forward, "open_stream", lambda self: None)
    passes = forward.Forward(bundle, DenoiseOptions(device="cpu", precision="float32"), Reporter())
    voxels = head_like((38, 40, 42)) / 900
    channels = [voxels, 0.5, 0.01, 1.0]
    batch = np.stack([np.full_like(voxels, channel) for channel in channels])[None]
    with torch.inference_mode():
        expected = passes.network(torch.from_numpy(batch))[0].numpy()
    found = inference.regress_all(passes, channels, tile, PARTS)
    assert found.shape == expected.shape == (PARTS, *voxels.shape)
    assert np.abs(found - expected).max() < 1e-5
    assert min(np.abs(expected[n] - expected[n - 1]).max() for n in range(PARTS)) > 1e-3
    for wanted in (1, 5):
        with pytest.raises(InferenceError, match=f"has 4 outputs, .* need {wanted};"):
            inference.regress_all(passes, channels, tile, wanted)


@pytest.mark.parametrize(
    ("labels", "counts"), [(["A"], "2 or 1"), (["A", "B", "C"], "4")], ids=["one", "three"]
)
@pytest.mark.parametrize("classify", ["classify", "classify_with_doubt"])
def test_scores_of_other_labels_than_the_bundle_names(
    tmp_path: Path, labels: list[str], counts: str, classify: str
) -> None:
    """A network of three scores, so of two labels."""
    rows = [{"value": n, "name": name} for n, name in enumerate(labels, 1)]
    bundle = read_bundle(unet_bundle(tmp_path, labels=rows))
    passes = forward.Forward(bundle, SegmentOptions(device="cpu"), Reporter())
    doubted = [OWN] if classify == "classify_with_doubt" else []
    with pytest.raises(InferenceError, match=f"has 3 outputs, .* need {counts};"):
        getattr(inference, classify)(passes, [head_like((21, 24, 27))], None, *doubted)


def test_a_union_has_no_score_of_its_own(tmp_path: Path) -> None:
    rows = [{"value": 1, "name": "A"}, {"value": 2, "name": "B"}]
    whole = {"value": 3, "name": "Whole", "union": [1, 2]}
    bundle = read_bundle(unet_bundle(tmp_path, labels=[*rows, whole]))
    assert scores.score_counts(bundle) == (3,)
