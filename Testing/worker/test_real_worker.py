"""The process as it is started in earnest, running one of the shipped classical filters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib.errors import BundleError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.volume import Volume
from MedEnhanceLib.worker import Worker


@pytest.fixture
def ball() -> Volume:
    """A bright ball in noise."""
    k, j, i = np.mgrid[:24, :32, :32] - np.array([12, 16, 16]).reshape(3, 1, 1, 1)
    clean = np.where(k**2 + j**2 + i**2 < 100, 500.0, 20.0)
    noisy = clean + np.random.default_rng(0).normal(0, 15, clean.shape)
    return Volume(np.abs(noisy).astype(np.float32), Geometry((32, 32, 24)), "MR")


def test_denoising_from_another_folder(
    ball: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    # Neither where the caller is nor what lies there may matter.
    (tmp_path / "MedEnhanceLib.py").write_text("raise SystemExit('the wrong library')")
    monkeypatch.chdir(tmp_path)
    with Worker() as worker:
        worker.submit(ball, "denoise", "filter-median", {"strength": 1.0})
        result = worker.wait()
        assert result.volume.geometry == ball.geometry
        assert result.provenance["model"] == "filter-median"
        middle = (slice(10, 14), slice(14, 18), slice(14, 18))
        assert result.volume.voxels[middle].std() < 0.7 * ball.voxels[middle].std()
        worker.submit(ball, "denoise", "no-such-model")
        with pytest.raises(BundleError, match="no-such-model"):
            worker.wait()
    assert list(temporary.iterdir()) == []
