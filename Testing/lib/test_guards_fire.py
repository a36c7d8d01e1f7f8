"""Models that do wrong are caught by the evidence; the one that was trained is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from MedEnhanceLib import Catalog, Geometry, Result, Volume, enhance, read_volume
from MedEnhanceLib.engine.networks import NoiseAwareDenoiser
from MedEnhanceLib.quality.added_detail import unaccounted_voxels
from MedEnhanceLib.quality.evidence import structure_warning
from MedEnhanceLib.quality.removed_signal import RemovedSignal

from .conftest import write_bundle

NETWORKS = "MedEnhanceLib.engine.networks"
SHIPPED = Path("Resources/Models/mr-denoise-residual")
RADIUS = 3


def blob(shape: Any) -> torch.Tensor:
    """A ball of ones, of RADIUS voxels, in the middle."""
    axes = [torch.arange(n) - n // 2 for n in shape]
    squares = [axis.square() for axis in axes]
    k, j, i = torch.meshgrid(*squares, indexing="ij")
    return (k + j + i <= RADIUS**2).float()


class Smoother(torch.nn.Module):
    """The mean over 5 x 5 x 5 voxels: no noise, and no anatomy either."""

    def __init__(self) -> None:
        super().__init__()
        self.blur = torch.nn.Conv3d(1, 1, 5, padding=2, padding_mode="replicate", bias=False)
        torch.nn.init.constant_(self.blur.weight, 1 / 125)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.blur(image[:, :1])


class Painter(torch.nn.Module):
    """The shipped denoiser, which adds (or takes away) a ball in the middle."""

    def __init__(self, amount: float, width: int, below: int, blocks: int) -> None:
        super().__init__()
        self.inner = NoiseAwareDenoiser(width, below, blocks)
        self.amount = amount

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.inner(image) + self.amount * blob(image.shape[2:]).to(image)


class Resolver(torch.nn.Module):
    """Leaves the interpolated image as it is, but for a ball in the middle."""

    painted = staticmethod(blob)

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))
        self.amount = amount

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.scale * image[:, :1] + self.amount * self.painted(image.shape[2:]).to(image)


def striped(shape: tuple[int, ...]) -> torch.Tensor:
    """The ball in stripes that thick slices average away."""
    stripes = torch.tensor([1.0, -2.0, 1.0]).repeat(shape[0] // 3 + 1)[: shape[0]]
    return blob(shape) * stripes[:, None, None]


class Ghost(Resolver):
    """The same with stripes."""

    painted = staticmethod(striped)


@pytest.fixture(autouse=True)
def known_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (Smoother, Painter, Resolver, Ghost):
        monkeypatch.setattr(f"{NETWORKS}.{kind.__name__}", kind, raising=False)


@pytest.fixture
def scan(root: Path) -> Volume:
    """A real scan of a hippocampus."""
    volume = read_volume(root / "Resources/SampleData/hippocampus_t1.nii.gz")
    return Volume(volume.voxels, volume.geometry, "MR")


def run(tmp_path: Path, volume: Volume, network: torch.nn.Module, task: str, **more: Any) -> Result:
    definition = {"_target_": f"{NETWORKS}.{type(network).__name__}", **more}
    channels = ["image", "noise"] if isinstance(network, Painter) else ["image"]
    facts = {"channels": channels, "normalisation": "robust_peak", "multiple": 4}
    write_bundle(
        tmp_path / "models" / "wrong", network, definition, task=task, modality="MR", input=facts
    )
    catalog = Catalog.default(extra_folders=[tmp_path / "models"])
    return enhance(volume, task, "wrong", {"device": "cpu"}, catalog=catalog)


def painter(root: Path, amount: float) -> tuple[Painter, dict[str, Any]]:
    definition = json.loads((root / SHIPPED / "configs/inference.json").read_text())["network_def"]
    sizes = {name: definition[name] for name in ("width", "below", "blocks")}
    network = Painter(amount, **sizes)
    state = torch.load(root / SHIPPED / "models/model.pt", weights_only=True)
    network.inner.load_state_dict(state)
    return network, {"amount": amount, **sizes}


def said(result: Result, words: str) -> bool:
    return any(words in sentence for sentence in result.warnings)


def test_a_faithful_model_is_left_in_peace(tmp_path: Path, root: Path, scan: Volume) -> None:
    network, arguments = painter(root, 0.0)
    result = run(tmp_path, scan, network, "denoise", **arguments)
    assert not said(result, "removed signal")


def test_one_trained_against_a_critic_is_left_in_peace(scan: Volume) -> None:
    result = enhance(scan, "denoise", "mr-denoise-adversarial", {"device": "cpu"})
    assert not said(result, "removed signal") and not said(result, "taken away or put in")


def test_an_over_smoothing_model_is_caught(tmp_path: Path, scan: Volume) -> None:
    assert said(run(tmp_path, scan, Smoother(), "denoise"), "removed signal shows structure")


@pytest.mark.parametrize("amount", [0.2, -0.2])
def test_a_model_that_paints_or_erases_is_caught(
    tmp_path: Path, root: Path, scan: Volume, amount: float
) -> None:
    """A ball of 7 voxels across is a fraction of a percent of the object, but no noise."""
    network, arguments = painter(root, amount)
    result = run(tmp_path, scan, network, "denoise", **arguments)
    assert said(result, "taken away or put in")


def test_only_what_shows_structure_is_named() -> None:
    (edges,) = structure_warning(RemovedSignal(0.5, 0.0, 0, 0.0))
    (places,) = structure_warning(RemovedSignal(0.0, 3.0, 0, 0.0))
    assert "correlation with edges 0.50" in edges and "%" not in edges
    assert "in 3.0 % of the object" in places and "edges" not in places


def thick(noise: float) -> Volume:
    """Smooth tissue in slices of 3 mm."""
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, n) for n in (16, 40, 40)], indexing="ij")
    clean = 700 * np.exp(-2 * (k**2 + j**2 + i**2))
    voxels = np.abs(clean + np.random.default_rng(0).normal(0, noise, clean.shape))
    return Volume(voxels.astype(np.float32), Geometry((40, 40, 16), (1, 1, 3)), "MR")


def difference_in_the_middle(result: Result, honest: Result) -> float:
    """In percent of the peak, where the ball was put."""
    apart = np.abs(result.volume.voxels - honest.volume.voxels)
    inside = blob(apart.shape).numpy() > 0
    return float(apart[inside].mean() / 7)


@pytest.mark.parametrize("noise", [3.0, 30.0])
def test_what_a_resolver_paints_is_undone_or_told(tmp_path: Path, noise: float) -> None:
    volume = thick(noise)
    honest = run(tmp_path / "honest", volume, Resolver(0.0), "super-resolution", amount=0.0)
    painted = run(tmp_path / "painted", volume, Resolver(0.6), "super-resolution", amount=0.6)
    assert not said(honest, "invented")
    assert said(painted, "invented") or difference_in_the_middle(painted, honest) < 12


@pytest.mark.parametrize("noise", [3.0, 30.0])
def test_detail_that_the_input_cannot_contradict_is_told(tmp_path: Path, noise: float) -> None:
    """It vanishes in thick slices; but around it the input is even."""
    painted = run(tmp_path, thick(noise), Ghost(0.15), "super-resolution", amount=0.15)
    assert said(painted, "input is even")


@pytest.mark.parametrize(
    ("percent", "sigma", "is_told"), [(1, 0, False), (4, 0, True), (4, 1, True), (4, 2, False)]
)
def test_neither_a_network_s_own_error_nor_noise_is_detail(
    percent: int, sigma: float, is_told: bool
) -> None:
    plain = np.zeros((24, 24, 24), np.float32)
    plain[8:16, 8:16, 8:16] = 100
    rippled = plain + percent * (np.indices(plain.shape).sum(axis=0) % 2)
    found = unaccounted_voxels(plain, rippled.astype(np.float32), (2, 1, 1), sigma)
    assert (found > 0) == is_told


@pytest.mark.parametrize(("axis", "found"), [(0, 1), (1, 1), (2, 0)])
def test_what_lies_within_a_slice_accounts_for_detail(axis: int, found: int) -> None:
    """Four voxels beside an edge, where slices along the last axis are four voxels thick."""
    plain = np.zeros((24, 24, 24), np.float32)
    np.moveaxis(plain, axis, 0)[12:] = 100
    after = plain.copy()
    np.moveaxis(after, axis, 0)[8, 12, 12] = 20
    assert unaccounted_voxels(plain, after, (1, 1, 4), sigma=0) == found


def test_a_resolver_that_cannot_be_corrected_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second line: were the correction to fail, the check after it would say so."""
    monkeypatch.setattr(
        "MedEnhanceLib.tasks.super_resolution.made_consistent", lambda coarse, fine, *_: fine
    )
    painted = run(tmp_path, thick(3.0), Resolver(0.6), "super-resolution", amount=0.6)
    assert said(painted, "invented")
