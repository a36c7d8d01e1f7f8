"""The network that divides thick slices, and what is made of its parts."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from MedEnhanceLib.acquisition import PARTS, interpolation_matrix, joined_parts
from MedEnhanceLib.engine.networks.slice_splitter import LinearSplitting, SliceSplitter
from training.recipe import Batch
from training.super_resolution import fit_linearly, refined

from .conftest import awake


def test_splitting_leaves_constants_alone_and_heeds_factor_profile_and_noise() -> None:
    splitting = awake(LinearSplitting())
    constant = torch.full((2, 1, 9, 2, 2), 3.0, dtype=torch.float64)
    curve = torch.arange(9, dtype=torch.float64).reshape(1, 1, 9, 1, 1).expand_as(constant) ** 2
    half, one, none = (torch.full((2,), v, dtype=torch.float64) for v in (0.5, 1.0, 0.0))
    with torch.inference_mode():
        assert splitting(constant, half, one, none).abs().max() < 1e-9
        usual = splitting(curve, half, one, none)
        assert not torch.allclose(usual, splitting(curve, one, one, none))
        assert not torch.allclose(usual, splitting(curve, half, half, none))
        # Two kernels, one of which is added with the trust 1 / (1 + (noise / 0.02)^2).
        at = [splitting(curve, half, one, torch.full_like(one, n)) for n in (0.02, 1e6)]
        torch.testing.assert_close(at[0], (usual + at[1]) / 2)
        assert not torch.allclose(usual, at[1])
        mixed = splitting(curve, torch.stack([half[0], one[0]]), one, none)
        torch.testing.assert_close(mixed[0], usual[0])
        assert not torch.allclose(mixed[1], usual[1])


def test_slices_turned_around_are_divided_alike() -> None:
    splitting = awake(LinearSplitting())
    image = torch.rand(1, 1, 3, 4, 4, dtype=torch.float64)  # fewer slices than the kernel's reach
    facts = [torch.tensor([value], dtype=torch.float64) for value in (0.5, 1.0, 0.0)]
    turned = splitting(image.flip(2), *facts).flip((1, 2))
    torch.testing.assert_close(splitting(image, *facts), turned)


def test_an_untrained_network_repeats_its_slices() -> None:
    x = torch.rand(1, 4, 5, 6, 8)
    torch.testing.assert_close(SliceSplitter(8, 1)(x), x[:, :1].expand(-1, PARTS, -1, -1, -1))


def test_parts_are_joined_as_the_interpolation_does_it() -> None:
    rng = np.random.default_rng(0)
    parts = rng.random((PARTS, 5, 2, 3), dtype=np.float32)
    in_order = parts.swapaxes(0, 1).reshape(20, 2, 3)
    np.testing.assert_array_equal(joined_parts(parts, 20), in_order)
    for size in (6, 7, 10, 15, 19, 24):
        wanted = np.einsum("mn,nhw->mhw", interpolation_matrix(20, size, 1), in_order)
        np.testing.assert_allclose(joined_parts(parts, size), wanted, atol=1e-6)
        by_torch = refined(torch.from_numpy(parts[None]), size)[0, 0].numpy()
        np.testing.assert_allclose(by_torch, wanted, atol=1e-6)


def test_the_linear_part_is_fitted_to_what_blurred() -> None:
    """Least squares finds thin slices far better than repeating the thick ones does."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter1d(rng.random((48, 12, 12)), 3.0, axis=0, mode="reflect")
    sharp = smooth.astype(np.float32)
    thick = sharp.reshape(12, 4, 12, 12).mean(1)
    facts = (np.full_like(thick, fact) for fact in (1.0, 0.0, 1.0))
    inputs = torch.from_numpy(np.stack([thick, *facts])[None])
    batch = Batch(inputs, torch.from_numpy(sharp[None, None]), torch.ones(()))
    network = SliceSplitter(8, 1)
    fit_linearly(network, [batch])
    with torch.inference_mode():
        left = float((refined(network(inputs), 48) - batch.target).square().mean())
    assert left < 0.03 * float(np.mean((np.repeat(thick, 4, axis=0) - sharp) ** 2))
