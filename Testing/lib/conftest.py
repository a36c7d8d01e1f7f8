"""A tiny catalogue of real bundles with untrained weights, so that the engine runs in moments."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch

from MedEnhanceLib import Catalog, Geometry, Volume
from MedEnhanceLib.bundle import Bundle, read_bundle
from MedEnhanceLib.engine.networks import NoiseAwareDenoiser, SliceSplitter
from MedEnhanceLib.tasks.network import open_network

OBLIQUE = (
    (0.9362933635841992, -0.27509584731824366, 0.21835066314633444),
    (0.28962947762551555, 0.9564250858492325, -0.036957013524625036),
    (-0.19866933079506122, 0.0978433950072557, 0.9751703272018158),
)
LABELS = [
    {"value": 1, "name": "First", "color": [200, 0, 0]},
    {"value": 2, "name": "Second", "color": [0, 200, 0]},
]

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="limits of the address space are Linux's"
)


Network = TypeVar("Network", bound=torch.nn.Module)


def places_of(geometry: Geometry) -> np.ndarray:
    """LPS millimetres of all voxels (n, 3), in the order of an array (k, j, i)."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in geometry.shape], indexing="ij"))[::-1]
    return geometry.to_world(index.reshape(3, -1).T)


def write_bundle(
    folder: Path, network: torch.nn.Module | None, definition: dict[str, Any], **facts: Any
) -> Path:
    """A bundle folder around a network's present weights."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    if network is not None:
        torch.save(network.state_dict(), folder / "models" / "model.pt")
        facts.setdefault(
            "sha256", hashlib.sha256((folder / "models" / "model.pt").read_bytes()).hexdigest()
        )
    facts.setdefault("id", folder.name)
    metadata = {"version": "0.0.1", "name": folder.name, "medenhance": facts}
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    (folder / "configs" / "inference.json").write_text(json.dumps({"network_def": definition}))
    return folder


def randomised(network: Network, seed: int = 0, std: float = 0.08) -> Network:
    """Weights drawn afresh, the last layer too, so that the output is not trivial."""
    torch.manual_seed(seed)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return network


def denoiser_bundle(root: Path, name: str = "tiny-denoiser", **facts: Any) -> Path:
    network = randomised(NoiseAwareDenoiser(width=6, below=6, blocks=1))
    return write_bundle(
        root / name,
        network,
        {
            "_target_": "MedEnhanceLib.engine.networks.NoiseAwareDenoiser",
            "width": 6,
            "below": 6,
            "blocks": 1,
        },
        **{
            "task": "denoise",
            "modality": "MR",
            "halo": network.halo,
            "input": {
                "channels": ["image", "noise"],
                "normalisation": "robust_peak",
                "multiple": 4,
            },
            **facts,
        },
    )


def resolver_bundle(
    root: Path, name: str = "tiny-resolver", network: SliceSplitter | None = None, **facts: Any
) -> Path:
    if network is None:
        network = randomised(SliceSplitter(width=6, blocks=1), std=0.03)
    return write_bundle(
        root / name,
        network,
        {
            "_target_": "MedEnhanceLib.engine.networks.SliceSplitter",
            "width": 6,
            "blocks": 1,
        },
        **{
            "task": "super-resolution",
            "modality": "MR",
            "halo": network.halo,
            "ranges": {"factor": [1.3, 4]},
            "input": {
                "channels": ["image", "factor", "noise", "profile"],
                "normalisation": "robust_peak",
                "multiple": 2,
                "thick_slices": True,
            },
            **facts,
        },
    )


def unet_bundle(root: Path, name: str = "tiny-unet", norm: str = "instance", **facts: Any) -> Path:
    arguments = {
        "norm": norm,
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 3,
        "channels": [4, 8],
        "strides": [2],
    }
    from monai.networks.nets import UNet

    torch.manual_seed(1)
    network = UNet(**arguments)
    return write_bundle(
        root / name,
        network,
        {"_target_": "monai.networks.nets.UNet", **arguments},
        **{
            "task": "segment",
            "modality": "MR",
            "labels": LABELS,
            "input": {
                "channels": ["image"],
                "normalisation": "zscore_nonzero",
                "multiple": 2,
                "orientation": "RAS",
                "spacing_mm": [1, 1, 1],
            },
            **facts,
        },
    )


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """One tiny bundle per task, and the filters; nothing that is shipped."""
    monkeypatch.setattr("MedEnhanceLib.catalog.models_folder", lambda: tmp_path / "none")
    monkeypatch.setenv("MEDENHANCE_MODELS", str(tmp_path / "user"))
    denoiser_bundle(tmp_path / "models")
    resolver_bundle(tmp_path / "models", denoiser="tiny-denoiser")
    unet_bundle(tmp_path / "models")
    return Catalog.default(extra_folders=[tmp_path / "models"])


@pytest.fixture
def denoiser(tmp_path: Path) -> Bundle:
    return read_bundle(denoiser_bundle(tmp_path))


def head_like(shape: tuple[int, int, int] = (20, 24, 28), sigma: float = 20.0) -> np.ndarray:
    """A bright ball with a brighter core in noisy air, (k, j, i) float32."""
    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in grid))
    clean = 600.0 * (radius < 0.8) + 300.0 * (radius < 0.4)
    rng = np.random.default_rng(3)
    return np.hypot(clean + rng.normal(0, sigma, shape), rng.normal(0, sigma, shape)).astype(
        np.float32
    )


@pytest.fixture
def head() -> Volume:
    """A small oblique, anisotropic MR-like volume."""
    voxels = head_like()
    geometry = Geometry((28, 24, 20), (0.9, 1.1, 1.7), (-30.0, 12.0, 44.0), OBLIQUE)
    return Volume(voxels, geometry, "MR")


def opened_short_of_memory(*arguments: Any) -> Any:
    """What `open_network` gives, as if it had taken 100 s in smaller pieces."""
    network = open_network(*arguments)
    network.note_smaller_pieces()
    network.seconds = 100.0
    return network
