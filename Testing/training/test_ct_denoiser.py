"""The network for CT and what it is taught with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from MedEnhanceLib.engine.networks import CtDenoiser
from MedEnhanceLib.engine.networks.ct_denoiser import (
    CAUTION,
    TAP_COUNT,
    TAPS,
    fold,
    slice_mean,
    smoothed,
    unfold,
    weighted_mean,
    widened,
)
from training.ct_data import CtReference, CtScan, central_part, quiet_reference, tissue
from training.ct_denoising import (
    CtDenoising,
    class_weights,
    noise_library,
    soft_tissue_gain,
)


def awake(width: int = 4, blocks: int = 1) -> CtDenoiser:
    """With random weights everywhere, the last layer's too."""
    torch.manual_seed(0)
    network = CtDenoiser(width, blocks)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.double().eval()


def test_folding_is_undone_by_unfolding() -> None:
    x = torch.rand(2, 3, 5, 6, 8)
    assert fold(x).shape == (2, 12, 5, 3, 4)
    assert torch.equal(unfold(fold(x)), x)


@pytest.mark.parametrize(("count", "step"), [(3, 1), (5, 1), (3, 4)])
def test_means_stay_within_the_slice(count: int, step: int) -> None:
    x = torch.zeros(1, 1, 3, 21, 21)
    x[0, 0, 1, 10, 10] = 1
    mean = slice_mean(x, count, step)
    assert mean[0, 0, 1].sum() == pytest.approx(1)
    assert mean[0, 0, 1, 10, 10 + step] == pytest.approx(1 / count**2)
    assert mean[0, 0, 0].abs().max() == mean[0, 0, 2].abs().max() == 0
    assert torch.allclose(slice_mean(torch.full_like(x, 4.0), count, step), torch.tensor(4.0))


def test_weighted_mean_takes_each_tap_from_its_place() -> None:
    """All weight on one tap must give what lies at its offset in its image."""
    image = torch.rand(1, 1, 8, 16, 16)
    sources = smoothed(image)
    inner = (..., slice(3, -3), slice(4, -4), slice(4, -4))
    taps = [(name, offset) for name, offsets in TAPS for offset in offsets]
    assert len(taps) == TAP_COUNT
    for tap in (0, 4, 7, 9, 12, 13, 17, 20, 22, 25, 28):
        name, offset = taps[tap]
        logits = [torch.zeros(1, 4, 8, 8, 8) for _ in taps]
        logits[tap] += 60
        expected = torch.roll(sources[name], [-o for o in offset], dims=(2, 3, 4))
        found = unfold(weighted_mean(logits, widened(sources)))
        torch.testing.assert_close(found[inner], expected[inner])


def test_an_untrained_network_averages_and_keeps_constants() -> None:
    x = torch.rand(1, 2, 6, 12, 12)
    assert CtDenoiser(8, 1)(x).std() < 0.7 * x[:, :1].std()
    constant = torch.full_like(x, 0.4)
    torch.testing.assert_close(CtDenoiser(8, 1)(constant), constant[:, :1])


def test_offset_and_scale_pass_through() -> None:
    """Soft tissue, lung and contrast agent are treated alike, whatever their HU."""
    network = awake()
    x = torch.rand(1, 2, 4, 12, 12, dtype=torch.float64) + 0.1
    moved = torch.cat([x[:, :1] * 3 - 0.8, x[:, 1:] * 3], dim=1)
    with torch.inference_mode():
        torch.testing.assert_close(network(moved), network(x) * 3 - 0.8)


def test_once_trained_it_is_cautious() -> None:
    """It works as a network in training would that was told less noise."""
    network = awake()
    x = torch.rand(1, 2, 4, 12, 12, dtype=torch.float64) + 0.1
    less = x * torch.tensor([1.0, CAUTION], dtype=torch.float64).reshape(1, 2, 1, 1, 1)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), network.train()(less))


def test_no_noise_means_no_change() -> None:
    x = torch.rand(1, 2, 4, 8, 8, dtype=torch.float64)
    x[:, 1] = 0
    with torch.inference_mode():
        assert torch.equal(awake()(x), x[:, :1])


@pytest.mark.parametrize("axis", [2, 4])
def test_no_voxel_beyond_the_halo_matters(axis: int) -> None:
    network = awake()
    shape = [1, 2, 6, 6, 6]
    shape[axis] = 2 * network.halo + 8
    x = torch.rand(shape, dtype=torch.float64) + 0.1
    changed, middle = x.clone(), shape[axis] // 2
    changed.select(axis, middle)[:] += 0.5
    with torch.inference_mode():
        moved = (network(x) - network(changed)).abs()
    moved = moved.amax(dim=[a for a in range(5) if a != axis]) > 1e-12
    reached = moved.nonzero().ravel()
    assert middle - reached.min() <= network.halo
    assert reached.max() - middle <= network.halo
    if axis == 4:  # across slices the network sees less far
        assert reached.max() - reached.min() >= network.halo


def reference(shape: tuple[int, int, int] = (12, 72, 72)) -> CtReference:
    voxels = np.full(shape, 40, np.float32)
    voxels[:, :, :20], voxels[:, 30:40, 30:40] = -1000, 700
    return CtReference("made-up", voxels, voxels, 1.5, 5.0)


@pytest.fixture
def recipe() -> CtDenoising:
    """Without reading any scan."""
    made = CtDenoising.__new__(CtDenoising)
    made.batch_size, made.patch, made.levels = 3, (8, 32, 32), (10.0, 60.0)
    made.training = [reference()]
    noise = np.random.default_rng(0).standard_normal((2, 12, 72, 72))
    made.library = [noise.astype(np.float16)]
    return made


def test_batches_depend_on_the_generator_alone(recipe: CtDenoising) -> None:
    one, two = (recipe.batch(np.random.default_rng(4)) for _ in range(2))
    assert one.inputs.shape == (3, 2, 8, 32, 32)
    assert one.target.shape == one.weight.shape == (3, 1, 8, 32, 32)
    assert one.inputs.dtype == one.target.dtype == one.weight.dtype == torch.float32
    assert torch.equal(one.inputs, two.inputs)
    assert not torch.equal(one.inputs, recipe.batch(np.random.default_rng(5)).inputs)


def test_loss_is_in_units_of_the_noise(recipe: CtDenoising) -> None:
    """Giving the noisy image back costs about a Huber loss of standard normal errors."""
    batch = recipe.batch(np.random.default_rng(4))
    assert float(recipe.loss(batch.target, batch)) == 0
    assert 0.1 < float(recipe.loss(batch.inputs[:, :1], batch)) < 0.6


def test_told_noise_is_near_the_true_one(recipe: CtDenoising) -> None:
    ratios = []
    for seed in range(20):
        batch = recipe.batch(np.random.default_rng(seed))
        true = (batch.inputs[:, 0] - batch.target[:, 0]).std(dim=(1, 2, 3))
        ratios.extend((batch.inputs[:, 1, 0, 0, 0] / true).tolist())
    assert np.median(ratios) == pytest.approx(1.0, abs=0.12)


def test_classes_and_weights() -> None:
    voxels = np.array([-1000, -800, -300, 0, 500], np.float32)
    kinds = ("air", "lung", "soft tissue", "bone")
    assert [int(np.flatnonzero(tissue(voxels, kind))[0]) for kind in kinds] == [0, 1, 3, 4]
    weights = class_weights(voxels)
    assert weights[3] == weights.max()
    assert weights[0] == weights.min()


def test_references_are_quieter_than_their_scan() -> None:
    rng = np.random.default_rng(0)
    voxels = np.where(np.arange(66) < 20, -1000, 40) + rng.normal(0, 30, (14, 66, 66))
    scan = central_part(CtScan("made-up", voxels.astype(np.float32), (0.8, 0.8, 2.0)), (8, 64, 99))
    assert scan.voxels.shape == (8, 64, 64)
    assert np.array_equal(scan.voxels, voxels[3:11, 1:65, 1:65].astype(np.float32))
    made = quiet_reference(scan)
    assert made.voxels.shape == (4, 32, 32)
    assert made.pixel_mm == 1.6
    assert made.noise == pytest.approx(30 / np.sqrt(8), rel=0.2)
    soft = tissue(made.voxels, "soft tissue")
    assert made.cleaned[soft].std() < 0.6 * made.voxels[soft].std()


def test_gain_of_a_network_that_knows_the_answer() -> None:
    clean = reference().voxels
    noise = np.random.default_rng(0).normal(0, 20, clean.shape).astype(np.float32)

    class Halved(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :1] - torch.from_numpy(noise)[None, None] / 2000

    assert soft_tissue_gain(Halved(), clean, noise, 20.0) == pytest.approx(6.02, abs=0.05)


def test_noise_is_kept_for_the_reference_that_it_was_made_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.ct_denoising.CACHE", tmp_path)
    body = np.zeros((2, 24, 24), np.float32)
    body[:, :4] = -1000
    first = CtReference("scan", body, body, 1.0, 5.0)
    other = replace(first, cleaned=body + 20)
    noise = noise_library(first, 1, 3)
    np.testing.assert_array_equal(noise_library(first, 1, 3), noise)
    assert not np.array_equal(noise_library(other, 1, 3), noise)
    noise_library(replace(first, pixel_mm=2.0), 1, 3)
    assert len(list(tmp_path.iterdir())) == 3
