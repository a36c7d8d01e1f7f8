"""Programs of others: each is called rightly, and its absence is said in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from MedEnhanceLib import Geometry, LabelMap, Volume, write_image
from MedEnhanceLib.acquisition import add_ct_noise, add_rician_noise
from MedEnhanceLib.cli.main import app
from MedEnhanceLib.errors import DependencyError, OptionsError
from MedEnhanceLib.evaluation import peers
from MedEnhanceLib.evaluation.peers import packages
from MedEnhanceLib.options import DenoiseOptions, SegmentOptions
from MedEnhanceLib.quality.metrics import rmse
from MedEnhanceLib.quality.segmentation_metrics import dice
from MedEnhanceLib.task import Task

SHAPE = (10, 12, 16)
SIGMA = 50.0
DENOISERS = {"peer-dipy-nlmeans": "dipy", "peer-ants-denoise": "ants", "peer-bm4d": "bm4d"}


def _volume(voxels: np.ndarray, modality: str = "MR") -> Volume:
    return Volume(voxels.astype(np.float32), Geometry(voxels.shape[::-1]), modality)


def _halves(low: float, high: float) -> np.ndarray:
    """A bright and a dark half: edges to keep, flat parts to clean."""
    return np.where(np.arange(SHAPE[2]) < SHAPE[2] // 2, low, high) * np.ones(SHAPE)


@pytest.mark.parametrize(("peer", "needed"), DENOISERS.items())
def test_mr_noise_falls(peer: str, needed: str) -> None:
    pytest.importorskip(needed)
    clean = _halves(300.0, 600.0)
    noisy = add_rician_noise(clean, SIGMA, np.random.default_rng(0))
    (method,) = peers.peers_of(Task.DENOISE, [peer])
    result = method.run(_volume(noisy), DenoiseOptions(noise=SIGMA)).volume
    assert result.voxels.dtype == np.float32
    assert rmse(clean, result.voxels) < 0.6 * rmse(clean, noisy)


# ANTs takes too much off beside bright tissue.
@pytest.mark.parametrize("peer", ["peer-dipy-nlmeans", "peer-bm4d"])
def test_the_rician_bias_goes(peer: str) -> None:
    pytest.importorskip(DENOISERS[peer])
    clean = np.full(SHAPE, 60.0)
    noisy = add_rician_noise(clean, SIGMA, np.random.default_rng(0))
    (method,) = peers.peers_of(Task.DENOISE, [peer])
    result = method.run(_volume(noisy), DenoiseOptions(noise=SIGMA)).volume.voxels
    assert noisy.mean() > 80
    assert result.mean() == pytest.approx(60, abs=8)


@pytest.mark.parametrize(("peer", "needed"), DENOISERS.items())
def test_ct_keeps_its_hounsfield_units(peer: str, needed: str) -> None:
    pytest.importorskip(needed)
    clean = _halves(-1000.0, 40.0)
    noisy = add_ct_noise(clean, SIGMA, np.random.default_rng(0))
    (method,) = peers.peers_of(Task.DENOISE, [peer])
    result = method.run(_volume(noisy, "CT"), DenoiseOptions(noise=SIGMA)).volume.voxels
    for value in (-1000, 40):
        assert result[clean == value].mean() == pytest.approx(value, abs=15)
    assert rmse(clean, result) < rmse(clean, noisy)


def test_atropos_finds_three_classes_in_the_brain_only() -> None:
    pytest.importorskip("ants")
    truth = np.zeros((24, 24, 24), np.uint8)
    truth[4:20, 4:20, 4:9], truth[4:20, 4:20, 9:15], truth[4:20, 4:20, 15:20] = 1, 2, 3
    voxels = np.array([50.0, 200.0, 400.0, 600.0])[truth]
    noisy = voxels + np.random.default_rng(0).normal(0, 15, truth.shape)
    (method,) = peers.peers_of(Task.SEGMENT, [peers.ATROPOS])
    within = peers.told_the_brain(method, truth > 0)
    found = within.run(_volume(noisy), SegmentOptions()).labelmap
    assert not found.voxels[truth == 0].any()
    for value in (1, 2, 3):
        assert dice(truth == value, found.voxels == value) > 0.95
    with pytest.raises(OptionsError, match="--brain-mask"):
        method.run(_volume(noisy), SegmentOptions())


def test_atropos_on_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("ants")
    truth = np.zeros((24, 24, 24), np.uint8)
    truth[4:20, 4:20, 4:9], truth[4:20, 4:20, 9:15], truth[4:20, 4:20, 15:20] = 1, 2, 3
    image = _volume(np.array([50.0, 200.0, 400.0, 600.0])[truth])
    write_image(image, tmp_path / "i.nii")
    write_image(LabelMap(truth, image.geometry), tmp_path / "l.nii")
    done = CliRunner().invoke(app, ["evaluate", "segment", str(tmp_path / "i.nii"), "--reference",
        str(tmp_path / "l.nii"), "--model", "peer-atropos"])  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "peer-atropos" in done.stdout and "label 3" in done.stdout


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(packages.importlib, "import_module", missing)
    with pytest.raises(DependencyError, match=r"'antspyx'.*pip install medenhance\[bench\]"):
        peers.peers_of(Task.DENOISE, ["peer-ants-denoise"])


def test_only_installed_peers_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "is_installed", lambda name: name == "dipy")
    assert peers.peer_ids(Task.DENOISE) == ["peer-dipy-nlmeans"]
    assert peers.peer_ids(Task.DENOISE, installed=False) == ["peer-ants-denoise", "peer-bm4d"]


def test_versions_are_those_of_the_packages_used() -> None:
    assert peers.distributions(["peer-atropos", "filter-median", "peer-bm4d"]) == [
        "antspyx",
        "bm4d",
    ]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(OptionsError, match="peer-nobody"):
        peers.peers_of(Task.DENOISE, ["peer-nobody"])
    with pytest.raises(OptionsError, match="is for segment"):
        peers.peers_of(Task.DENOISE, ["peer-atropos"])
