"""What denoisers are compared with: classical filters and BM4D.

None of them changes from model to model, and BM4D takes minutes. So what they made of a block is
kept, under a hash of the block, the noise level and the code that made it. BM4D is run by
`training.tables.fill_bm4d` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from MedEnhanceLib import Volume
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.costs import measured
from MedEnhanceLib.evaluation import peers, variance_stabilisation
from MedEnhanceLib.evaluation.methods import Method, methods_of
from MedEnhanceLib.filters import denoising as filters
from MedEnhanceLib.options import DenoiseOptions
from MedEnhanceLib.task import Task
from training.data import FloatArray
from training.fingerprint import fingerprint
from training.whole_files import written_whole

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
    path = place(cache, noisy, filter_id, code, sigma)
    return kept(path, lambda: run(method, noisy, sigma))


def by_bm4d(
    noisy: Volume, sigma: float, cache: Path = CACHE, make: bool = False
) -> Denoised | None:
    """By BM4D, told the true noise level; None where it is not in the cache.

    Args:
        make: run it when it is not in the cache; a minute for a block of 64 x 64 x 64 voxels.
    """
    if BM4D not in peers.peer_ids(Task.DENOISE):
        return None
    code = version("bm4d").encode()
    for module in (peers.bm4d, variance_stabilisation):
        code += Path(str(module.__file__)).read_bytes()
    path = place(cache, noisy, BM4D, code, sigma)
    if not make and not path.exists():
        return None
    return kept(path, lambda: run(peers.peers_of(Task.DENOISE, [BM4D])[0], noisy, sigma))


def run(method: Method, noisy: Volume, sigma: float | None) -> Denoised:
    """By any method; it estimates the noise level when that is None."""
    result, cost = measured(lambda: method.run(noisy, DenoiseOptions(noise=sigma)))
    return Denoised(result.volume.voxels, 1e6 * cost.core_seconds / noisy.voxels.size)


def place(cache: Path, noisy: Volume, name: str, code: bytes, sigma: float) -> Path:
    """Where a method's result is kept: a name that changes with all it depends on."""
    about = f"{name} {sigma:.6g} {noisy.voxels.shape} {noisy.modality}".encode()
    return cache / f"{name}-{fingerprint(about, code, noisy.voxels)}.npz"


def kept(path: Path, make: Callable[[], Denoised]) -> Denoised:
    """What is kept there, or is made now and kept."""
    if path.exists():
        with np.load(path) as file:
            return Denoised(file["voxels"], float(file["core_us"]))
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        np.savez(partial, voxels=made.voxels, core_us=made.core_us)
    return made
