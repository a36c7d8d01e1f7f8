"""How sharp a restored image is beside the clean one: as a loss, and as a measure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch

import numpy as np
import torch

from MedEnhanceLib.acquisition import add_rician_noise, apply_along, slice_matrix
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.slice_profile import USUAL_WIDTH
from training.data import FloatArray
from training.denoising import Denoising
from training.recipe import Recipe
from training.super_resolution import SuperResolution, divided, network_input

STRONGEST_SHARE = 0.05
"""Of the clean image's gradients; these voxels are its edges."""
LEAST_STEEPNESS = 1e-4
"""Share of the peak."""
EXAMPLE_NOISE, EXAMPLE_FACTOR = 0.05, 2
Example = tuple[FloatArray, FloatArray]
"""The restored and the clean image, (D, H, W)."""


def edge_loss(output: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of how steep the images are, times ``weight``.

    All are (B, 1, D, H, W). What is right on average is too flat where it cannot know on which
    side of a voxel an edge lies; the steepness of edges does not average away. Magnitudes of
    gradients, as in GMSD (Xue et al. 2014, doi:10.1109/TIP.2013.2293423).
    """
    difference = _steepness(output) - _steepness(target)
    return (difference.abs() * weight[:, :, 1:, 1:, 1:]).mean()


def _steepness(x: torch.Tensor) -> torch.Tensor:
    """Magnitude of the differences to the neighbours before, of all voxels but the first."""
    here = x[:, :, 1:, 1:, 1:]
    before = (x[:, :, :-1, 1:, 1:], x[:, :, 1:, :-1, 1:], x[:, :, 1:, 1:, :-1])
    squares = torch.stack([(here - other).square() for other in before]).sum(0)
    # The root has no slope at zero.
    return (squares + LEAST_STEEPNESS**2).sqrt()


def mean_edge_ratio(network: torch.nn.Module, recipe: Recipe) -> float:
    """Mean of :func:`edge_ratio` over the recipe's validation scans."""
    return float(np.mean([edge_ratio(*example) for example in examples(recipe, network)]))


@singledispatch
def examples(recipe: Recipe, network: torch.nn.Module) -> Iterator[Example]:
    """Validation scans, worsened in one typical way and restored by the network."""
    raise OptionsError(f"The recipe {type(recipe).__name__} has no edges to compare.")


@examples.register
def _noisy(recipe: Denoising, network: torch.nn.Module) -> Iterator[Example]:
    for reference in recipe.validation:
        noisy = add_rician_noise(reference.voxels, EXAMPLE_NOISE, np.random.default_rng(7))
        inputs = np.stack([noisy, np.full_like(noisy, EXAMPLE_NOISE)])
        with torch.inference_mode():
            output = network(torch.from_numpy(inputs[None]))[0, 0].numpy()
        yield output, reference.voxels


@examples.register
def _thick(recipe: SuperResolution, network: torch.nn.Module) -> Iterator[Example]:
    for block in recipe.validation:
        fine = len(block.voxels)
        thick = apply_along(slice_matrix(fine, fine // EXAMPLE_FACTOR), block.voxels, 0)
        inputs = network_input(thick, EXAMPLE_FACTOR, 0.0, USUAL_WIDTH)
        yield divided(network, inputs, fine), block.voxels


def edge_ratio(output: FloatArray, clean: FloatArray) -> float:
    """Edge energy of a restored image over that of the clean one: 1 is as sharp, below blurred.

    The energy is the squared gradient, summed where the clean image's is strongest.
    """
    wanted, found = _energy(clean), _energy(output)
    edges = wanted >= np.quantile(wanted, 1 - STRONGEST_SHARE)
    return float(found[edges].sum() / max(wanted[edges].sum(), np.finfo(np.float32).tiny))


def _energy(image: FloatArray) -> FloatArray:
    total = np.zeros_like(image)
    for axis in range(image.ndim):
        total += np.gradient(image, axis=axis) ** 2
    return total
