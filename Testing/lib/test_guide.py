"""A second contrast that guides the denoising: brought into place, used, and accounted for."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib import Catalog, Geometry, Volume, enhance
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.engine.networks import GuidedDenoiser
from MedEnhanceLib.errors import MedEnhanceError, OptionsError, UnsuitableError, VolumeError
from MedEnhanceLib.guide import guide_on_grid
from MedEnhanceLib.provenance import voxel_hash
from MedEnhanceLib.tasks.denoise import _guide_channels
from MedEnhanceLib.tiles import whole

from .conftest import OBLIQUE, denoiser_bundle, head_like, places_of, randomised, write_bundle

TARGET = "MedEnhanceLib.engine.networks.GuidedDenoiser"
PLAIN = {"width": 4, "below": 4, "blocks": 1, "first_width": 4, "first_below": 4, "first_blocks": 1}
SIZES = {"width": 4, "plain": PLAIN}


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """A guided denoiser, which comes first in the list, and a plain one."""
    monkeypatch.setattr("MedEnhanceLib.catalog.models_folder", lambda: tmp_path / "none")
    monkeypatch.setenv("MEDENHANCE_MODELS", str(tmp_path / "user"))
    network = randomised(GuidedDenoiser(**SIZES))
    write_bundle(
        tmp_path / "models" / "a-guided",
        network,
        {"_target_": TARGET, **SIZES},
        task="denoise",
        modality="MR",
        halo=network.halo,
        input={
            "channels": ["image", "noise", "guide", "guide_noise"],
            "normalisation": "robust_peak",
            "multiple": 4,
        },
    )
    denoiser_bundle(tmp_path / "models")
    return Catalog.default(extra_folders=[tmp_path / "models"])


@pytest.fixture
def guide(head: Volume) -> Volume:
    """The same head in another contrast on a finer grid of the same field of view."""
    geometry = head.geometry.resized((42, 48, 30))
    voxels = 1200 - head_like(geometry.shape, sigma=10)
    return Volume(voxels, geometry, "MR")


def test_a_guide_comes_to_lie_where_it_belongs() -> None:
    """A ball at one place in millimetres, on two grids that share neither axes nor spacing."""
    image = ball(Geometry((30, 34, 38), (1.0, 1.1, 0.9), (-14.0, -17.0, -15.0)))
    turned = ball(Geometry((40, 36, 44), (0.8, 1.0, 0.7), (-8.0, -25.0, -17.0), OBLIQUE))
    aligned = guide_on_grid(turned, image)
    inside = aligned.reached
    assert np.corrcoef(aligned.voxels[inside], image.voxels[inside])[0, 1] > 0.97
    assert (aligned.voxels[~inside] == 0).all() and (~inside).any()


def ball(geometry: Geometry) -> Volume:
    points = places_of(geometry)
    distance = np.linalg.norm(points - [2.0, 1.0, 3.0], axis=1).reshape(geometry.shape)
    return Volume(100 + 900 / (1 + np.exp(distance - 7)), geometry, "MR")


def test_a_finer_guide_is_averaged_over_the_voxels() -> None:
    """Interpolating alone would keep the fine guide's noise; averaging four voxels halves it."""
    rng = np.random.default_rng(0)
    coarse = Volume(500 + rng.normal(0, 1, (16, 16, 16)), Geometry((16, 16, 16), (2, 2, 1)), "MR")
    fine = Volume(500 + rng.normal(0, 8, (16, 32, 32)), coarse.geometry.resized((32, 32, 16)))
    assert guide_on_grid(fine, coarse).voxels.std() == pytest.approx(4, rel=0.1)


def test_coverage_is_measured_on_the_object(head: Volume, guide: Volume) -> None:
    assert guide_on_grid(guide, head, register=False).coverage_percent == 100
    half = guide.geometry.cropped((0, 0, 0), (42, 48, 15))
    part = guide_on_grid(Volume(guide.voxels[:15], half, "MR"), head, register=False)
    assert part.coverage_percent == pytest.approx(50, abs=4)
    assert "only 5" in part.warnings[0] or "only 4" in part.warnings[0]


def test_a_guide_is_used_and_accounted_for(catalog: Catalog, head: Volume, guide: Volume) -> None:
    in_place = {"register_guide": False}
    guided = enhance(head, "denoise", "auto", in_place, guide=guide, catalog=catalog)
    assert guided.provenance["model"] == "a-guided"
    assert guided.provenance["guide_sha256"] == voxel_hash(guide)
    assert guided.provenance["input_sha256"] == voxel_hash(head)
    (coverage,) = [m for m in guided.evidence if m.name == "Guide: coverage"]
    assert coverage.after == 100
    alone = enhance(head, "denoise", "a-guided", catalog=catalog)
    assert not np.allclose(guided.volume.voxels, alone.volume.voxels)
    assert "guide_sha256" not in alone.provenance
    assert any("was given no guide" in w for w in alone.warnings)
    assert not any("guide" in w for w in guided.warnings)


def test_a_guide_too_small_to_be_registered_says_so(
    catalog: Catalog, head: Volume, guide: Volume
) -> None:
    guided = enhance(head, "denoise", guide=guide, catalog=catalog)
    assert any("guide could not be registered (scans of less" in w for w in guided.warnings)
    assert not any(m.name == "Guide: moved by" for m in guided.evidence)


def test_where_the_guide_ends_the_image_is_denoised_without_it(
    catalog: Catalog, head: Volume, guide: Volume
) -> None:
    half = guide.geometry.cropped((0, 0, 0), (42, 48, 15))
    partly = enhance(head, "denoise", guide=Volume(guide.voxels[:15], half, "MR"), catalog=catalog)
    alone = enhance(head, "denoise", "a-guided", catalog=catalog)
    same = partly.volume.voxels == alone.volume.voxels
    assert same[10:].all() and not same[:10].all()
    assert any("shows only" in w for w in partly.warnings)


def test_where_the_guide_ends_it_is_zero_on_every_scale(head: Volume, guide: Volume) -> None:
    half = guide.geometry.cropped((0, 0, 0), (42, 48, 15))
    part = guide_on_grid(Volume(guide.voxels[:15], half, "MR"), head, register=False)
    seen = _guide_channels(part, whole(head.voxels.shape), "zscore_nonzero")["guide"]
    assert isinstance(seen, np.ndarray)
    assert (seen[~part.reached] == 0).all() and (seen[part.reached] != 0).any()


def test_automatic_choice_takes_a_guided_model_only_with_a_guide(
    catalog: Catalog, head: Volume, guide: Volume
) -> None:
    assert catalog.best("denoise", head).id == "tiny-denoiser"
    assert catalog.best("denoise", head, guided=True).id == "a-guided"
    plain = Catalog(tuple(m for m in catalog.entries if not m.takes_guide))
    result = enhance(head, "denoise", guide=guide, catalog=plain)
    assert result.provenance["model"] == "tiny-denoiser"
    assert "guide_sha256" not in result.provenance
    assert any("takes no guide" in w for w in result.warnings)


def test_tiles_change_nothing(catalog: Catalog, head: Volume, guide: Volume) -> None:
    bundle = catalog.find("a-guided")
    assert isinstance(bundle, Bundle) and bundle.halo is not None
    whole = enhance(head, "denoise", "a-guided", guide=guide, catalog=catalog)
    tiled = enhance(head, "denoise", "a-guided", {"tile": 16}, guide=guide, catalog=catalog)
    np.testing.assert_allclose(tiled.volume.voxels, whole.volume.voxels, atol=0.5)


def test_guides_that_cannot_help_are_refused(catalog: Catalog, head: Volume, guide: Volume) -> None:
    away = Volume(guide.voxels, Geometry(guide.geometry.size, origin=(500, 0, 0)), "MR")
    with pytest.raises(UnsuitableError, match="lies beside the volume"):
        enhance(head, "denoise", guide=away, catalog=catalog)
    with pytest.raises(UnsuitableError, match="guide is CT"):
        ct = dataclasses.replace(guide, modality="CT")
        enhance(head, "denoise", guide=ct, catalog=catalog)
    halves = np.zeros(guide.voxels.shape, np.uint8)
    halves[15:] = 1
    for voxels, words in (
        (-1 - guide.voxels, "The guide cannot be used: the brightest voxel is"),
        (halves, "The guide looks like a segmentation"),
    ):
        with pytest.raises(MedEnhanceError, match=words):
            enhance(head, "denoise", guide=guide.with_voxels(voxels), catalog=catalog)
    with pytest.raises(UnsuitableError, match="The guide is the volume itself"):
        enhance(head, "denoise", guide=head, catalog=catalog)
    with pytest.raises(VolumeError, match="The guide cannot be used: all voxels have"):
        constant = guide.with_voxels(np.full_like(guide.voxels, 3))
        enhance(head, "denoise", guide=constant, catalog=catalog)
    masked = guide.voxels.copy()
    for value in (0, 40):
        masked[:, :, 1:] = value
        with pytest.raises(UnsuitableError, match=r"constant where .* shows nothing of its obj"):
            enhance(head, "denoise", guide=guide.with_voxels(masked), catalog=catalog)
    with pytest.raises(OptionsError, match="denoising only, not in segment"):
        enhance(head, "segment", guide=guide, catalog=catalog)
