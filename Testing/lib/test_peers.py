"""Programs of others: each is called rightly, and its absence is said in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


@pytest.mark.parametrize("modality", ["MR", "CT"])
@pytest.mark.parametrize("has_method", [True, False])
def test_dipy_is_told_noise_and_its_kind(
    monkeypatch: pytest.MonkeyPatch, modality: str, has_method: bool
) -> None:
    told: dict[str, Any] = {}

    def nlmeans(arr: Any, sigma: float, **how: Any) -> Any:
        told.update(arr=arr, sigma=sigma, **how)
        return arr

    def newer(arr: Any, sigma: float, *, method: str, **how: Any) -> Any:
        return nlmeans(arr, sigma, method=method, **how)

    module = SimpleNamespace(nlmeans=newer if has_method else nlmeans)
    monkeypatch.setitem(sys.modules, "dipy.denoise.nlmeans", module)
    (method,) = peers.peers_of(Task.DENOISE, ["peer-dipy-nlmeans"])
    voxels = _halves(-1000.0 if modality == "CT" else 100.0, 400.0)
    result = method.run(_volume(voxels, modality), DenoiseOptions(noise=SIGMA)).volume
    np.testing.assert_array_equal(result.voxels, voxels)
    assert told.pop("arr").min() == (0 if modality == "CT" else 100)
    variant = {"method": "classic"} if has_method else {}
    radii = {"patch_radius": 1, "block_radius": 2}
    is_mr = modality == "MR"
    assert told == {"sigma": SIGMA, "rician": is_mr, "num_threads": 1, **radii, **variant}


class FakeAnts:
    """Gives back what it gets; the images that each call was given, and how, are in ``told``."""

    def __init__(self) -> None:
        self.told: dict[str, tuple[list[FakeImage], dict[str, Any]]] = {}

    def from_numpy(self, voxels: np.ndarray) -> FakeImage:
        return FakeImage(voxels)

    def denoise_image(self, image: FakeImage, **how: Any) -> FakeImage:
        self.told["denoise"] = [image], how
        return image

    def n4_bias_field_correction(self, image: FakeImage, mask: FakeImage) -> FakeImage:
        self.told["n4"] = [image, mask], {}
        return FakeImage(image.voxels + 1)

    def atropos(self, image: FakeImage, x: FakeImage, **how: Any) -> dict[str, FakeImage]:
        self.told["atropos"] = [image, x], how
        return {"segmentation": x}


class FakeImage:
    spacing: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __init__(self, voxels: np.ndarray) -> None:
        self.voxels = voxels

    def set_spacing(self, spacing: tuple[float, ...]) -> None:
        self.spacing = spacing

    def numpy(self) -> np.ndarray:
        return self.voxels


@pytest.fixture
def ants(monkeypatch: pytest.MonkeyPatch) -> FakeAnts:
    fake = FakeAnts()
    monkeypatch.setitem(sys.modules, "ants", fake)  # type: ignore[arg-type]
    monkeypatch.setenv(packages.ITK_THREADS, "1")
    return fake


@pytest.mark.parametrize(("modality", "model"), [("MR", "Rician"), ("CT", "Gaussian")])
def test_ants_is_told_the_kind_of_noise_and_sees_no_border(
    ants: FakeAnts, modality: str, model: str
) -> None:
    (method,) = peers.peers_of(Task.DENOISE, ["peer-ants-denoise"])
    voxels = _halves(-1000.0 if modality == "CT" else 100.0, 400.0)
    result = method.run(_volume(voxels, modality), DenoiseOptions(noise=SIGMA)).volume
    np.testing.assert_array_equal(result.voxels, voxels)
    (image,), how = ants.told["denoise"]
    assert how == {"noise_model": model}
    assert image.voxels.min() == (0 if modality == "CT" else 100)
    assert image.voxels.shape == tuple(n + 10 for n in SHAPE)


def test_atropos_is_told_where_the_brain_is(ants: FakeAnts) -> None:
    voxels = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    volume = Volume(voxels, Geometry(SHAPE[::-1], (1.0, 2.0, 3.0)), "MR")
    brain = voxels > 0.5
    (method,) = peers.peers_of(Task.SEGMENT, [peers.ATROPOS])
    found = peers.told_the_brain(method, brain).run(volume, SegmentOptions()).labelmap
    np.testing.assert_array_equal(found.voxels, brain)
    for call, expected in (("n4", voxels), ("atropos", voxels + 1)):
        (image, mask), _ = ants.told[call]
        np.testing.assert_array_equal(image.numpy().T, expected)
        np.testing.assert_array_equal(mask.numpy().T, brain)
        assert mask.spacing == (1.0, 2.0, 3.0)
    assert ants.told["n4"][0][0].spacing == (1.0, 2.0, 3.0)
    assert ants.told["atropos"][1]["i"] == "KMeans[3]"


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
