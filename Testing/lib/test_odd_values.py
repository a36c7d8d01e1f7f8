"""Volumes whose numbers are unusual: below zero, of few bits, huge, tiny."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib import Geometry, Label, LabelMap, Volume, enhance, suitability, write_image
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.errors import OptionsError, UnsuitableError, VolumeError
from MedEnhanceLib.filters import FILTERS
from MedEnhanceLib.intensity import otsu_threshold
from MedEnhanceLib.options import SuperResolutionOptions
from MedEnhanceLib.pictures.colouring import diverging, grey
from MedEnhanceLib.quality.evidence import denoise_evidence
from MedEnhanceLib.quality.sharpness import edge_mask, edge_sharpness, gradient_magnitude
from MedEnhanceLib.report import report_bytes, report_of
from MedEnhanceLib.task import Task
from MedEnhanceLib.tasks.finer_grid import target_geometry

from .conftest import head_like

FILTERS_ALONE = Catalog(FILTERS)
CT = Bundle("c", "CT model", Task.DENOISE, "CNN", "CT")


def volume(voxels: np.ndarray, modality: str = "") -> Volume:
    return Volume(voxels, Geometry(voxels.shape[::-1]), modality)


@pytest.mark.parametrize("value", [1, 200, 2**40, 2**63])
def test_labels_of_any_size_have_a_volume(value: int) -> None:
    voxels = np.zeros((2, 3, 4), np.min_scalar_type(value))
    voxels[0, 0, :2] = value
    table = (Label(value, "Here"), Label(value + 1, "Nowhere"))
    found = LabelMap(voxels, Geometry((4, 3, 2), (1, 2, 5)), table).volumes_ml()
    assert found == {"Here": pytest.approx(0.02), "Nowhere": 0}


def test_labels_are_1_or_more_and_background_is_0() -> None:
    with pytest.raises(VolumeError, match="smallest voxel is -3"):
        LabelMap(np.full((2, 3, 4), -3), Geometry((4, 3, 2)))
    with pytest.raises(VolumeError, match="'Air' has the value 0"):
        Label(0, "Air")


def test_voxels_need_a_geometry() -> None:
    with pytest.raises(VolumeError, match="NoneType, not a Geometry"):
        Volume(np.zeros((2, 3, 4)), None)


def test_non_local_means_keep_the_sign_of_what_is_no_magnitude() -> None:
    """A CT without air is not known as CT, and its fat must not become bright."""
    clean = np.full((10, 20, 20), -100.0)
    clean[:, 10:] = 60
    noisy = clean + np.random.default_rng(0).normal(0, 8, clean.shape)
    result = enhance(volume(noisy), "denoise", "filter-non-local-means", catalog=FILTERS_ALONE)
    assert np.abs(result.volume.voxels - clean).max() < 30
    assert not any("moved" in warning for warning in result.warnings)


def test_truth_values_are_zeros_and_ones() -> None:
    mask = np.random.default_rng(0).random((12, 24, 24)) > 0.5
    given = volume(mask)
    assert given.voxels.dtype == np.uint8 and (given.voxels == mask).all()
    result = enhance(given, "denoise", "filter-median", catalog=FILTERS_ALONE)
    assert result.volume.voxels.max() <= 1


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint8, np.float64])
def test_sharpness_does_not_depend_on_the_number_type(kind: type) -> None:
    """From the least to the largest of a type there are more steps than it can count."""
    ends = (np.iinfo(kind).min, np.iinfo(kind).max) if kind is not np.float64 else (-1, 1)
    voxels = np.where(head_like() > 300, ends[1], ends[0]).astype(kind)
    geometry = Geometry(voxels.shape[::-1])

    def sharpness(image: np.ndarray) -> float:
        gradient = gradient_magnitude(image, geometry)
        return edge_sharpness(edge_mask(gradient), gradient, image)

    assert sharpness(voxels) == pytest.approx(sharpness(voxels.astype(np.float32)), rel=1e-4)


@pytest.mark.parametrize("factor", [1e16, 1e-22])
def test_values_beyond_computing_are_refused(factor: float) -> None:
    with pytest.raises(VolumeError, match="multiply"):
        enhance(volume(head_like() * factor), "denoise", "filter-median", catalog=FILTERS_ALONE)


@pytest.mark.parametrize("model", ["filter-median", "filter-gaussian-mixture"])
def test_a_large_offset_leaves_few_numbers_between_the_values(model: str) -> None:
    task = next(f.task for f in FILTERS if f.id == model)
    voxels = head_like((24, 24, 24)) + np.float32(1e8)
    assert len(np.unique(voxels)) < 256
    result = enhance(volume(voxels), task, model, catalog=FILTERS_ALONE)
    assert np.ptp(result.output.voxels) > 0


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_threshold_does_not_move_with_the_offset(kind: type) -> None:
    voxels = np.arange(0, 1024, 8).astype(kind) ** 2 // 1024
    assert otsu_threshold(voxels + kind(1e7)) == otsu_threshold(voxels) + 1e7
    assert otsu_threshold(np.full(9, 1e15, kind)) == pytest.approx(1e15)


def test_tiny_values_are_shown_and_judged_as_others_are() -> None:
    values = np.array([[0.0, 1.0]])
    assert grey(values * 1e-12, 0, 1e-12).tolist() == grey(values, 0, 1).tolist()
    assert diverging(values * 1e-12, 1e-12).tolist() == diverging(values, 1).tolist()
    before = (head_like() * 1e-9).astype(np.float32)
    geometry = Geometry(before.shape[::-1])
    _, warnings = denoise_evidence(before, before * np.float32(0.97), 5e-8, True, geometry, "")
    assert any("moved by 3.0 %" in warning for warning in warnings)


def test_without_any_noise_left_nothing_is_told_over_it() -> None:
    clean, noisy = head_like(sigma=0), head_like()
    measures, _ = denoise_evidence(noisy, clean, 20, True, Geometry(clean.shape[::-1]), "")
    told = {m.name: m.after for m in measures}
    assert told["Noise"] == 0
    assert told["Signal to noise"] is None and told["Contrast to noise"] is None


def test_the_least_whole_number_is_large_too() -> None:
    voxels = np.zeros((8, 10, 10), np.int16)
    voxels[3:5] = np.iinfo(np.int16).min
    result = enhance(
        volume(voxels), "super-resolution", "filter-bspline", {"factor": (1, 1, 2)},
        catalog=FILTERS_ALONE,
    )  # fmt: skip
    (misfit,) = [m.after for m in result.evidence if m.name == "Data consistency"]
    assert misfit is not None and 0 < misfit < 100


@pytest.mark.parametrize("task", ["denoise", "super-resolution", "segment"])
def test_an_image_below_zero_has_a_report(task: str) -> None:
    before = volume((head_like() - 5000).astype(np.float32))
    model = {"denoise": "filter-median", "super-resolution": "filter-bspline"}
    options = {"factor": (1, 1, 2)} if task == "super-resolution" else None
    result = enhance(before, task, model.get(task, "filter-otsu"), options, catalog=FILTERS_ALONE)
    report = report_of(
        result.task, before, result.output, result.evidence, result.provenance, result.warnings
    )
    assert b"<img" in report_bytes(report, ".html")


def test_ct_that_was_not_rescaled_is_told() -> None:
    stored = np.where(head_like() > 300, 1064, 24).astype(np.int16)
    stored[:2] += np.arange(stored.shape[1], dtype=np.int16)[:, None]
    verdict = suitability(volume(stored, "CT"), CT)
    assert "below zero" in " ".join(verdict.reasons)
    rescaled = suitability(volume((stored - 1024).astype(np.int16), "CT"), CT)
    assert "below zero" not in " ".join(rescaled.reasons)


def test_a_factor_that_rounds_to_as_many_slices_is_nothing_to_refine() -> None:
    with pytest.raises(OptionsError, match="nothing to refine"):
        target_geometry(Geometry((20, 20, 3)), SuperResolutionOptions(factor=(1, 1, 1.1)))


def test_the_profile_of_an_axis_that_was_not_refined_is_not_told() -> None:
    few = volume(head_like((8, 32, 32)))
    options = {"factor": (1, 2, 1.06)}
    result = enhance(few, "super-resolution", "filter-bspline", options, catalog=FILTERS_ALONE)
    assert result.volume.voxels.shape == (8, 64, 32)
    told = [m.name for m in result.evidence if m.name.startswith("Slice profile")]
    assert told == ["Slice profile along y"]


def test_a_wish_for_denoising_that_nothing_can_fulfil_is_told() -> None:
    options = SuperResolutionOptions(factor=(1, 1, 2), denoise=True)
    with pytest.raises(OptionsError, match="filter-bspline"):
        enhance(
            volume(head_like()), "super-resolution", "filter-bspline", options,
            catalog=FILTERS_ALONE,
        )  # fmt: skip


def test_a_mixture_of_half_floats_is_that_of_floats() -> None:
    whole = np.round(head_like() / 8).astype(np.float32)
    first, second = (
        enhance(volume(v), "segment", "filter-gaussian-mixture", catalog=FILTERS_ALONE)
        for v in (whole, whole.astype(np.float16))
    )
    assert np.array_equal(first.labelmap.voxels, second.labelmap.voxels)
    assert len(np.unique(first.labelmap.voxels)) == 4


def test_values_that_the_file_cannot_hold_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="1e\\+300"):
        write_image(volume(np.linspace(0, 1e300, 64).reshape(4, 4, 4)), tmp_path / "o.nrrd")
    assert list(tmp_path.iterdir()) == []


def test_a_filter_is_not_said_to_sharpen() -> None:
    result = enhance(
        volume(head_like()), "super-resolution", "filter-bspline", {"factor": (1, 1, 2)},
        catalog=FILTERS_ALONE,
    )  # fmt: skip
    (profile,) = [m for m in result.evidence if m.name == "Slice profile along z"]
    assert "sharpened" not in profile.meaning


def test_only_mr_is_freed_of_the_rician_bias() -> None:
    noisy = 20 + np.random.default_rng(0).normal(0, 4, (8, 20, 20)).astype(np.float32)
    emission, magnitude = (
        enhance(
            volume(noisy, modality), "denoise", "filter-non-local-means", {"noise": 4.0},
            catalog=FILTERS_ALONE,
        ).volume.voxels.mean()
        for modality in ("PT", "MR")
    )  # fmt: skip
    assert emission == pytest.approx(20, abs=0.1)
    assert magnitude < 19.7


def test_one_bright_voxel_does_not_hide_what_disagrees_with_the_input() -> None:
    """The misfit is told over the peak; as a share of the spike it would be next to nothing."""
    misfits = []
    for brightest in (0.0, 1e5):
        voxels = head_like((16, 32, 32)).astype(np.float32)
        voxels[8, 16, 16] = max(voxels[8, 16, 16], brightest)
        scan = Volume(voxels, Geometry((32, 32, 16), (1, 1, 2)))
        options = SuperResolutionOptions(factor=(1, 1, 2), profile_width=1.0)
        found = enhance(scan, "super-resolution", "filter-bspline", options)
        misfits += [m.after for m in found.evidence if m.name == "Data consistency"]
    assert misfits[1] > misfits[0] > 0


@pytest.mark.parametrize("task", ["denoise", "super-resolution"])
def test_a_pattern_that_passes_for_more_noise_than_there_is_signal_is_refused(task: str) -> None:
    squares = np.where(np.indices((16, 24, 24)).sum(axis=0) % 2, 300.0, 100.0)
    image = Volume(squares, Geometry((24, 24, 16), (1, 1, 3)), "MR")
    with pytest.raises(UnsuitableError, match="more than the volume's own values"):
        enhance(image, task, catalog=FILTERS_ALONE)
    if task == "denoise":
        told = enhance(image, task, "filter-median", {"noise": 2.0}, catalog=FILTERS_ALONE)
        assert told.volume.voxels.max() <= 300
