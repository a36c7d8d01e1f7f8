"""What denoisers are compared with: classical filters and, where installed, BM4D.

None of them changes from model to model, and BM4D takes minutes. So what they made of a block is
kept, under a hash of the block, the noise level and the code that made it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from MedEnhanceLib import Volume
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.evaluation import peers, variance_stabilisation
from MedEnhanceLib.evaluation.costs import measured
from MedEnhanceLib.evaluation.methods import Method, methods_of
from MedEnhanceLib.filters import denoising as filters
from MedEnhanceLib.options import DenoiseOptions
from MedEnhanceLib.task import Task
from training.data import FloatArray

CACHE = Path("runs/bench/cache")
BM4D = "peer-bm4d"
BM4D_TITLE = "BM4D with variance stabilisation"


@dataclass(frozen=True, eq=False)
class Denoised:
    """What a method made of a noisy block, (k, j, i), and core-microseconds per voxel."""

    voxels: FloatArray
    core_us: float


def filtered(noisy: Volume, filter_id: str, sigma: float, cache: Path = CACHE) -> Denoised:
    """By a classical filter, told the true noise level."""
    (method,) = methods_of(Catalog.default(), Task.DENOISE, [filter_id])
    code = Path(filters.__file__).read_bytes()
    return kept(noisy, filter_id, code, sigma, lambda: run(method, noisy, sigma), cache)


def by_bm4d(noisy: Volume, sigma: float, cache: Path = CACHE) -> Denoised | None:
    """By BM4D, told the true noise level; None where it is not installed."""
    if BM4D not in peers.peer_ids(Task.DENOISE):
        return None
    code = version("bm4d").encode()
    for module in (peers.bm4d, variance_stabilisation):
        code += Path(str(module.__file__)).read_bytes()
    return kept(
        noisy,
        BM4D,
        code,
        sigma,
        lambda: run(peers.peers_of(Task.DENOISE, [BM4D])[0], noisy, sigma),
        cache,
    )


def run(method: Method, noisy: Volume, sigma: float | None) -> Denoised:
    """By any method; it estimates the noise level when that is None."""
    result, cost = measured(lambda: method.run(noisy, DenoiseOptions(noise=sigma)))
    return Denoised(result.volume.voxels, 1e6 * cost.core_seconds / noisy.voxels.size)


def kept(
    noisy: Volume,
    name: str,
    code: bytes,
    sigma: float,
    make: Callable[[], Denoised],
    cache: Path,
) -> Denoised:
    """What was made of the same voxels by the same code before, or is made now."""
    about = f"{name} {sigma:.6g} {noisy.voxels.shape} {noisy.modality}".encode()
    digest = hashlib.sha256(about + code + np.ascontiguousarray(noisy.voxels).tobytes())
    path = cache / f"{name}-{digest.hexdigest()[:24]}.npz"
    if path.exists():
        with np.load(path) as file:
            return Denoised(file["voxels"], float(file["core_us"]))
    made = make()
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(path, voxels=made.voxels, core_us=made.core_us)
    return made
