"""The three tasks through the one public call, on tiny networks and on the filters."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from MedEnhanceLib import Catalog, Geometry, Volume, enhance
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import (
    CancelledError,
    MedEnhanceError,
    OptionsError,
    UnsuitableError,
    VolumeError,
)
from MedEnhanceLib.filters import FILTERS
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.options import DenoiseOptions, SegmentOptions
from MedEnhanceLib.result import Result
from MedEnhanceLib.tasks.masked import ct_padding
from MedEnhanceLib.tasks.tidying import fill_holes, keep_largest

from .conftest import OBLIQUE, head_like, places_of

ALL_MODELS = [
    ("denoise", "tiny-denoiser"),
    ("denoise", "filter-median"),
    ("denoise", "filter-anisotropic-diffusion"),
    ("denoise", "filter-non-local-means"),
    ("super-resolution", "tiny-resolver"),
    ("super-resolution", "filter-bspline"),
    ("super-resolution", "filter-lanczos"),
    ("segment", "tiny-unet"),
    ("segment", "filter-otsu"),
    ("segment", "filter-gaussian-mixture"),
]


@pytest.mark.parametrize(("task", "model"), ALL_MODELS)
def test_every_model_keeps_the_place_and_the_input(
    catalog: Catalog, head: Volume, task: str, model: str
) -> None:
    before = head.voxels.copy()
    result = enhance(head, task, model, catalog=catalog)
    assert np.array_equal(head.voxels, before)
    assert result.output.voxels.shape == result.output.geometry.shape
    assert np.allclose(result.output.geometry.extent, head.geometry.extent)
    corner = head.geometry.to_world([-0.5] * 3) - result.output.geometry.to_world([-0.5] * 3)
    assert np.abs(corner).max() < 1e-4
    assert result.evidence
    assert result.provenance["model"] == model
    with pytest.raises(OptionsError, match="This result is a"):
        _ = result.volume if task == "segment" else result.labelmap
    json.dumps(result.report())


@pytest.mark.parametrize(
    "direction",
    [
        ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
        ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
        ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
        OBLIQUE,
    ],
)
def test_segmentation_finds_the_same_place_however_the_axes_run(
    catalog: Catalog, direction: tuple
) -> None:
    """The label's centre must be the bright ball's centre in millimetres."""
    geometry = Geometry((28, 24, 20), (1.2, 1.0, 1.4), (5, -7, 11), direction)
    points = places_of(geometry)
    centre = geometry.to_world([17, 8, 12])
    ball = (np.linalg.norm(points - centre, axis=1) < 6).reshape(geometry.shape)
    voxels = np.where(ball, 900, 100) + np.random.default_rng(0).normal(0, 5, geometry.shape)
    result = enhance(Volume(voxels, geometry, "MR"), "segment", "filter-otsu", catalog=catalog)
    found = np.argwhere(result.labelmap.voxels == 3)[:, ::-1]
    assert np.abs(geometry.to_world(found).mean(axis=0) - centre).max() < 0.5

    turned = enhance(Volume(voxels, geometry, "MR"), "segment", "tiny-unet", catalog=catalog)
    assert turned.labelmap.geometry == geometry


def test_network_labels_do_not_depend_on_axis_order(catalog: Catalog) -> None:
    """The same patient stored in two axis orders gets the same labels, voxel for voxel."""
    voxels = head_like((20, 24, 28))
    stored = Volume(voxels, Geometry((28, 24, 20)), "MR")
    flipped = Volume(
        voxels[::-1].transpose(0, 2, 1),
        Geometry((24, 28, 20), (1, 1, 1), (0, 0, 19), ((0, 1, 0), (1, 0, 0), (0, 0, -1))),
        "MR",
    )
    options = SegmentOptions(keep_largest=False, fill_holes=False)
    first = enhance(stored, "segment", "tiny-unet", options, catalog=catalog).labelmap.voxels
    second = enhance(flipped, "segment", "tiny-unet", options, catalog=catalog).labelmap.voxels
    assert len(np.unique(first)) > 1
    assert np.array_equal(second[::-1].transpose(0, 2, 1), first)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The channels that a network gets."""
    channels: list[Any] = []

    def unchanged(_forward: object, given: list[Any], _tile: None) -> np.ndarray:
        channels.extend(given)
        return np.array(given[0])

    monkeypatch.setattr("MedEnhanceLib.engine.inference.regress", unchanged)
    return channels


def test_a_noise_level_that_is_stated_is_told_as_it_is(
    catalog: Catalog, head: Volume, seen: list[Any]
) -> None:
    enhance(head, "denoise", "tiny-denoiser", {"noise": 9.0}, catalog=catalog)
    assert seen[1] == 9 / robust_peak(head.voxels)


def test_a_network_sees_some_of_the_masked_air(catalog: Catalog, seen: list[Any]) -> None:
    voxels = np.zeros((24, 40, 40), np.float32)
    voxels[6:20, 8:30, 8:30] = head_like((14, 22, 22))
    enhance(Volume(voxels, Geometry((40, 40, 24))), "denoise", "tiny-denoiser", catalog=catalog)
    assert np.array_equal(seen[0], voxels[2:24, 4:34, 4:34] / np.float32(robust_peak(voxels)))


def test_strength_blends(catalog: Catalog, head: Volume) -> None:
    full, half, none = (
        enhance(head, "denoise", "filter-median", DenoiseOptions(strength=s), catalog=catalog)
        for s in (1, 0.5, 0)
    )
    assert np.allclose(none.volume.voxels, head.voxels)
    assert np.allclose(half.volume.voxels, (head.voxels + full.volume.voxels) / 2, atol=1e-3)


def test_denoising_keeps_masked_air_and_units(catalog: Catalog) -> None:
    voxels = np.zeros((24, 40, 40), np.int16)
    voxels[4:20, 8:30, 8:30] = head_like((16, 22, 22)).astype(np.int16)
    volume = Volume(voxels, Geometry((40, 40, 24)), "MR", "units")
    result = enhance(volume, "denoise", "tiny-denoiser", catalog=catalog).volume
    assert result.units == "units"
    assert result.voxels.dtype == np.float32
    assert (result.voxels[:2] == 0).all()
    assert result.voxels.min() >= 0


@pytest.mark.parametrize("fill", [-3024, -2000, -1024])
@pytest.mark.parametrize("factor", [1, 2])
def test_the_padding_of_a_ct_comes_back_and_changes_nothing_else(
    catalog: Catalog, fill: int, factor: int
) -> None:
    """Outside of their circle scanners fill with what is no CT value."""
    refining = "super-resolution", "filter-bspline", {"factor": (factor, factor, 1)}
    how = refining if factor > 1 else ("denoise", "filter-non-local-means", None)
    body = (head_like((16, 40, 40)) * 2 - 1000).astype(np.int16)
    rows, columns = np.ogrid[:40, :40]
    outside = np.broadcast_to((rows - 20) ** 2 + (columns - 20) ** 2 > 17**2, body.shape)

    def enhanced(value: int) -> Result:
        filled = Volume(np.where(outside, np.int16(value), body), Geometry((40, 40, 16)), "CT")
        return enhance(filled, *how, catalog=catalog)

    padded, with_air = enhanced(fill), enhanced(-1000)
    beyond = outside.repeat(factor, axis=1).repeat(factor, axis=2)
    assert (padded.volume.voxels[beyond] == fill).all()
    assert np.array_equal(padded.volume.voxels[~beyond], with_air.volume.voxels[~beyond])
    assert padded.evidence == with_air.evidence


@pytest.mark.parametrize(
    "how",
    [("denoise", "filter-median"), ("super-resolution", "filter-bspline", {"factor": (1, 1, 2)})],
)
@pytest.mark.parametrize("stated", ["CT", ""])
def test_the_evidence_of_ct_is_in_hu_and_its_output_states_no_more_than_its_input(
    catalog: Catalog, stated: str, how: tuple[Any, ...]
) -> None:
    body = Volume(head_like() * 1.75 - 1000, Geometry((28, 24, 20)), stated)
    result = enhance(body, *how, catalog=catalog)
    assert {m.unit for m in result.evidence if m.name.startswith(("Noise", "Mean"))} == {"HU"}
    assert (result.volume.modality, result.volume.units) == (stated, "")


def test_single_voxels_of_air_are_no_padding() -> None:
    noisy = np.random.default_rng(0).normal(-1000, 60, (40, 60, 60))
    assert (noisy <= -1024).mean() > 0.3
    assert ct_padding(noisy) is None


def test_filters_remove_noise_and_evidence_says_so(catalog: Catalog, head: Volume) -> None:
    result = enhance(head, "denoise", "filter-non-local-means", catalog=catalog)
    noise = next(m for m in result.evidence if m.name == "Noise")
    assert noise.before == pytest.approx(20, rel=0.2)
    assert noise.after is not None
    assert noise.after < noise.before / 2


def test_evidence_does_not_depend_on_the_noise_that_is_told() -> None:
    """The filter does the same for any level, even if it were said to go by it."""
    voxels = head_like((32, 32, 32), sigma=4)
    voxels[:, ::4, ::4] += 500
    volume = Volume(voxels, Geometry((32, 32, 32)), "MR")
    deaf = next(f for f in FILTERS if f.id == "filter-anisotropic-diffusion")
    catalog = Catalog((deaf, dataclasses.replace(deaf, id="hearing", uses_noise=True)), ())
    alone, near, far, unheard = (
        enhance(volume, "denoise", model, {"noise": told}, catalog=catalog)
        for model, told in (("hearing", None), ("hearing", 5.0), ("hearing", 90.0), (deaf.id, 90.0))
    )
    assert far.evidence[:-1] == near.evidence[:-1] == alone.evidence == unheard.evidence
    assert (far.evidence[-1].name, far.evidence[-1].before) == ("Noise that was told", 90)
    assert near.warnings == alone.warnings == unheard.warnings != ()
    assert far.warnings[:-1] == alone.warnings and "level told, 90," in far.warnings[-1]


def test_over_smoothing_is_called_out(catalog: Catalog) -> None:
    """A median takes thin bright lines away; the removed signal then shows them."""
    voxels = head_like((32, 32, 32), sigma=4)
    voxels[:, ::4, ::4] += 500
    volume = Volume(voxels, Geometry((32, 32, 32)), "MR")
    result = enhance(volume, "denoise", "filter-median", catalog=catalog)
    assert any("shows structure" in w for w in result.warnings)
    plain = enhance(
        Volume(head_like((32, 32, 32)), volume.geometry, "MR"),
        "denoise",
        "filter-non-local-means",
        catalog=catalog,
    )
    assert not any("shows structure" in w for w in plain.warnings)


def test_a_volume_without_noise_is_left_alone(catalog: Catalog) -> None:
    volume = Volume(
        np.kron(np.arange(1, 28.0).reshape(3, 3, 3), np.ones((16, 16, 16))),
        Geometry((48, 48, 48)),
        "MR",
    )
    result = enhance(volume, "denoise", "filter-median", catalog=catalog)
    assert np.array_equal(result.volume.voxels, volume.voxels)
    assert "No noise" in result.warnings[-1]


def test_one_slice_comes_back_in_place_but_cannot_be_refined(catalog: Catalog) -> None:
    volume = Volume(head_like((1, 40, 40)), Geometry((40, 40, 1), (1, 1, 5), (1, 2, 3)), "MR")
    result = enhance(volume, "denoise", "tiny-denoiser", catalog=catalog)
    assert result.volume.geometry == volume.geometry
    assert any("one slice" in w for w in result.warnings)
    with pytest.raises(OptionsError, match="one voxel along z"):
        enhance(volume, "super-resolution", "tiny-resolver", catalog=catalog)
    with pytest.raises(UnsuitableError, match="one slice"):
        enhance(volume, "segment", "tiny-unet", catalog=catalog)


def test_labels_wanted(catalog: Catalog, head: Volume) -> None:
    options = SegmentOptions(labels=(2,))
    result = enhance(head, "segment", "filter-otsu", options, catalog=catalog).labelmap
    assert set(np.unique(result.voxels)) <= {0, 2}
    assert [label.value for label in result.labels] == [2]
    with pytest.raises(OptionsError, match="no label 7"):
        enhance(head, "segment", "filter-otsu", SegmentOptions(labels=(7,)), catalog=catalog)


def test_a_filter_keeps_all_pieces_and_says_so(head: Volume) -> None:
    result = enhance(head, "segment", "filter-otsu", {"keep_largest": True})
    assert result.provenance["options"]["keep_largest"] is False


def test_more_than_crumbs_that_are_left_out_is_told(
    catalog: Catalog, head: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.zeros(head.voxels.shape, np.uint8)
    labels[1:8, 1:8, 1:8] = labels[10:16, 10:16, 10:16] = 1
    labels[1:8, 10:17, 1:8], labels[18, 1, 1] = 2, 2
    monkeypatch.setattr("MedEnhanceLib.tasks.segment.network_labels", lambda *_: labels)
    for only_largest, expected in ((True, 1), (False, 0)):
        options = {"keep_largest": only_largest}
        result = enhance(head, "segment", "tiny-unet", options, catalog=catalog)
        told = [w for w in result.warnings if "were left out" in w]
        assert len(told) == expected
        assert all("0.36 ml of 'First' (39 % of it)" in sentence for sentence in told)


def test_keep_largest_and_fill_holes() -> None:
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[1:6, 1:6, 1:6] = 1
    labels[3, 3, 3] = 0
    labels[8, 8, 8] = 1
    labels[7, 1, 1] = 2
    kept = keep_largest(labels, [(1,), (2,)])
    assert kept[8, 8, 8] == 0
    assert kept[7, 1, 1] == 2
    assert fill_holes(kept)[3, 3, 3] == 1
    assert (fill_holes(np.zeros((4, 4, 4), np.uint8)) == 0).all()


@pytest.mark.parametrize(
    ("task", "model"),
    [("denoise", "filter-median"), ("super-resolution", "filter-bspline"),
     ("segment", "filter-otsu")],
)  # fmt: skip
def test_a_run_ends_at_its_end(catalog: Catalog, head: Volume, task: str, model: str) -> None:
    fractions: list[float] = []
    options = {"factor": (1, 1, 2)} if task == "super-resolution" else None
    enhance(
        head, task, model, options, catalog=catalog,
        progress=lambda progress: fractions.append(progress.fraction),
    )  # fmt: skip
    assert fractions == sorted(fractions) and fractions[-1] == 1


def test_what_is_no_volume_is_named(catalog: Catalog, head: Volume) -> None:
    with pytest.raises(
        VolumeError, match=r"The volume is of type ndarray, not a Volume; .* read_volume"
    ):
        enhance(head.voxels, "denoise", catalog=catalog)  # type: ignore[arg-type]
    with pytest.raises(VolumeError, match="The guide is of type ndarray, not a Volume"):
        enhance(head, "denoise", guide=head.voxels, catalog=catalog)  # type: ignore[arg-type]


def test_cancel_and_progress(catalog: Catalog, head: Volume) -> None:
    fractions: list[float] = []
    enhance(
        head,
        "denoise",
        "tiny-denoiser",
        catalog=catalog,
        progress=lambda progress: fractions.append(progress.fraction),
    )
    assert fractions == sorted(fractions) and fractions[-1] == 1
    for model in ("tiny-denoiser", "filter-non-local-means"):
        asked = iter([False] * 4 + [True])
        with pytest.raises(CancelledError):
            enhance(head, "denoise", model, catalog=catalog, cancel=lambda a=asked: next(a))


def test_wrong_uses_are_named(catalog: Catalog, head: Volume) -> None:
    with pytest.raises(OptionsError, match="is for segment"):
        enhance(head, "denoise", "filter-otsu", catalog=catalog)
    with pytest.raises(OptionsError, match="no task 'sharpen'"):
        enhance(head, "sharpen", catalog=catalog)
    with pytest.raises(OptionsError, match="not the options"):
        enhance(head, "denoise", options=SegmentOptions(), catalog=catalog)
    with pytest.raises(OptionsError, match="'power'"):
        enhance(head, "denoise", options={"power": 3}, catalog=catalog)
    ct = dataclasses.replace(head, modality="CT")
    with pytest.raises(UnsuitableError, match="made for MR"):
        enhance(ct, "denoise", "tiny-denoiser", catalog=catalog)


@pytest.mark.parametrize(
    "voxels",
    [
        np.full((4, 4, 4), np.nan),
        np.full((4, 4, 4), 7),
        np.arange(4.0).reshape(1, 1, 4),
    ],
)
def test_bad_voxels_are_one_sentence(catalog: Catalog, voxels: np.ndarray) -> None:
    volume = Volume(voxels, Geometry(voxels.shape[::-1]))
    with pytest.raises(MedEnhanceError):
        enhance(volume, "denoise", catalog=catalog)


def test_bundles_from_elsewhere_get_their_axes_in_their_own_order(
    catalog: Catalog, head: Volume
) -> None:
    """The same network called with the axes reversed sees the reversed volume."""
    bundle = catalog.find("tiny-unet")
    assert isinstance(bundle, Bundle)
    spec = dataclasses.replace(bundle.input, orientation=None, spacing_mm=None)
    ours = dataclasses.replace(bundle, input=spec)
    theirs = dataclasses.replace(
        bundle, id="theirs", input=dataclasses.replace(spec, axis_order="ijk")
    )
    reverse = Volume(head.voxels.T, Geometry(head.geometry.shape), "MR")
    options = SegmentOptions(keep_largest=False, fill_holes=False)
    expected = enhance(reverse, "segment", "tiny-unet", options, catalog=Catalog((ours,)))
    found = enhance(head, "segment", "theirs", options, catalog=Catalog((theirs,)))
    assert np.array_equal(found.labelmap.voxels, expected.labelmap.voxels.T)
