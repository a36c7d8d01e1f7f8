"""How unsure a network is: of what it gives for mirror images, told in volumes and slices."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib import Catalog, Volume, enhance
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.engine.inference import classify_with_doubt
from MedEnhanceLib.engine.networks import SliceSplitter
from MedEnhanceLib.engine.scores import mirrored_probabilities, probabilities
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.mirrors import MIRRORS, Axes, fair_mirrors
from MedEnhanceLib.options import DenoiseOptions, RunOptions, options_from_json
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.result import Progress, Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.tasks.ensemble import (
    mirrored,
    over_mirrors,
    told_of_spread,
    uncertainty_evidence,
)
from MedEnhanceLib.tasks.network import open_network
from MedEnhanceLib.tasks.tidying import becoming
from MedEnhanceLib.volume import Label

from .conftest import randomised, resolver_bundle, unet_bundle

OWN = np.arange(256, dtype=np.uint8)
"""Each label stays itself."""
UNSURE = {"uncertainty": True}


class NoForward:
    done = 0


def test_mean_and_spread_over_the_mirrors() -> None:
    outputs = np.random.default_rng(0).normal(1e5, 3, (4, 2, 3, 4)).astype(np.float32)
    answers = iter(outputs.copy())
    mean, spread = over_mirrors(lambda axes: next(answers), NoForward(), Reporter())  # type: ignore[arg-type]
    np.testing.assert_allclose(mean, outputs.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(spread, outputs.std(axis=0), rtol=0.02)


def test_mirroring_is_its_own_inverse() -> None:
    array = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(mirrored(mirrored(array, (1,)), (1,)), array)
    assert np.array_equal(mirrored(array, (2,)), array[:, :, ::-1])


def test_evidence_names_the_worst_slices_of_the_object() -> None:
    uncertainty = np.zeros((6, 4, 4), np.float32)
    uncertainty[2], uncertainty[4], uncertainty[5] = 3, 5, 9
    inside = np.ones(uncertainty.shape, bool)
    inside[5] = False
    inside[5, 0, 0] = True  # a slice with hardly anything of the object does not count
    whole, *slices = uncertainty_evidence(uncertainty, inside, "HU", "how unsure")
    assert whole.after == pytest.approx(uncertainty[inside].mean())
    assert [m.name for m in slices][:2] == [
        "Mean uncertainty in slice 4",
        "Mean uncertainty in slice 2",
    ]
    assert [m.after for m in slices][:2] == [5, 3]


@pytest.mark.parametrize(
    ("task", "model"), [("denoise", "tiny-denoiser"), ("super-resolution", "tiny-resolver")]
)
def test_images_come_with_their_spread(
    catalog: Catalog, head: Volume, task: str, model: str
) -> None:
    plain = enhance(head, task, model, catalog=catalog)
    assert plain.uncertainty is None
    fractions: list[float] = []

    def note(progress: Progress) -> None:
        fractions.append(progress.fraction)

    result = enhance(head, task, model, UNSURE, catalog=catalog, progress=note)
    assert result.uncertainty is not None
    assert result.uncertainty.geometry == result.volume.geometry
    assert result.uncertainty.voxels.min() >= 0 < result.uncertainty.voxels.max()
    # The mean of the mirrors is another image than the plain one, but not far from it.
    change = np.abs(result.volume.voxels - plain.volume.voxels)
    assert 0 < change.mean() < 4 * result.uncertainty.voxels.mean() + 1
    assert any(m.name.startswith("Mean uncertainty in slice") for m in result.evidence)
    assert fractions == sorted(fractions)


@pytest.mark.parametrize(
    ("task", "model"), [("denoise", "tiny-denoiser"), ("super-resolution", "tiny-resolver")]
)
def test_masked_out_air_is_sure(catalog: Catalog, head: Volume, task: str, model: str) -> None:
    masked = head.with_voxels(np.where(head.voxels > 300, head.voxels, 0))
    result = enhance(masked, task, model, UNSURE, catalog=catalog)
    assert result.uncertainty is not None
    corner = (slice(0, 2),) * 3
    assert not result.uncertainty.voxels[corner].any()
    assert result.uncertainty.voxels.any()


def test_a_symmetric_kernel_is_not_called_sure(tmp_path: Path, head: Volume) -> None:
    """It divides slices linearly, so that all mirror images are divided alike."""
    network = SliceSplitter(width=6, blocks=1)
    randomised(network.linear, std=0.01)
    resolver_bundle(tmp_path, network=network)
    catalog = Catalog.default(extra_folders=[tmp_path])
    options = {**UNSURE, "factor": (1, 1, 2)}
    result = enhance(head, "super-resolution", "tiny-resolver", options, catalog=catalog)
    assert any("says nothing of how sure" in warning for warning in result.warnings)


def test_a_spread_is_not_called_rounding() -> None:
    mean = np.full((4, 4, 4), 0.5, np.float32)
    assert told_of_spread(mean, mean * np.float32(1e-3)) == ()


def test_spread_is_in_the_volumes_unit_and_follows_the_strength(
    catalog: Catalog, head: Volume
) -> None:
    whole = enhance(head, "denoise", "tiny-denoiser", UNSURE, catalog=catalog)
    full = whole.uncertainty
    bright = head.with_voxels(head.voxels * 10)
    tenfold = enhance(bright, "denoise", "tiny-denoiser", UNSURE, catalog=catalog).uncertainty
    weaker = enhance(head, "denoise", "tiny-denoiser", {**UNSURE, "strength": 0.5}, catalog=catalog)
    half = weaker.uncertainty
    assert full is not None and tenfold is not None and half is not None
    np.testing.assert_allclose(tenfold.voxels, 10 * full.voxels, rtol=0.05, atol=0.5)
    np.testing.assert_allclose(half.voxels, 0.5 * full.voxels, rtol=1e-4, atol=1e-4)
    # What is measured is that of full strength, as the note says of all of it.
    measured = [[m.after for m in r.evidence if m.name == "Uncertainty"] for r in (whole, weaker)]
    assert measured[0] == measured[1] != [] and "full strength" in weaker.note


def test_the_spread_of_finer_slices_is_that_of_what_the_mirrors_give(
    catalog: Catalog, head: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = "MedEnhanceLib.tasks.super_resolution"
    monkeypatch.setattr(f"{task}.made_consistent", lambda coarse, fine, *_: fine)
    how = {"factor": (1, 1, 2), "profile_width": 1.0, "denoise": False}

    def given(axes: Axes, **more: bool) -> Result:
        seen = head.with_voxels(mirrored(head.voxels, axes))
        return enhance(seen, "super-resolution", "tiny-resolver", {**how, **more}, catalog=catalog)

    answers = [mirrored(given(axes).volume.voxels, axes) for axes in MIRRORS]
    spread = given((), uncertainty=True).uncertainty
    assert spread is not None
    tissue = answers[0] > 300  # where no answer is cut off at zero
    np.testing.assert_allclose(spread.voxels[tissue], np.std(answers, axis=0)[tissue], rtol=0.01)


def test_a_mirrored_volume_gets_the_mirrored_answer(catalog: Catalog, head: Volume) -> None:
    """The ensemble is symmetric: that is what its mean is better for."""
    even = head.with_voxels(np.maximum(head.voxels, 1))
    flipped = even.with_voxels(even.voxels[:, :, ::-1])
    options = DenoiseOptions(uncertainty=True, noise=20.0)
    first = enhance(even, "denoise", "tiny-denoiser", options, catalog=catalog)
    second = enhance(flipped, "denoise", "tiny-denoiser", options, catalog=catalog)
    plain = [
        enhance(v, "denoise", "tiny-denoiser", {"noise": 20.0}, catalog=catalog).volume.voxels
        for v in (even, flipped)
    ]
    asymmetry = np.abs(first.volume.voxels - second.volume.voxels[:, :, ::-1]).mean()
    assert asymmetry < 0.8 * np.abs(plain[0] - plain[1][:, :, ::-1]).mean()


def test_filters_cannot_say_how_sure_they_are(catalog: Catalog, head: Volume) -> None:
    with pytest.raises(OptionsError, match="'filter-median' is a classical filter"):
        enhance(head, "denoise", "filter-median", UNSURE, catalog=catalog)
    with pytest.raises(OptionsError, match="must be true or false"):
        options_from_json(Task.DENOISE, {"uncertainty": "yes"})


def test_labels_come_with_their_doubt(catalog: Catalog, head: Volume) -> None:
    result = enhance(head, "segment", "tiny-unet", UNSURE, catalog=catalog)
    doubt = result.uncertainty
    assert doubt is not None and doubt.geometry == head.geometry
    assert doubt.voxels.min() >= 0 and doubt.voxels.max() <= 2 / 3 + 1e-5  # of three classes
    assert doubt.voxels.std() > 0
    assert any(m.name == "Uncertainty" for m in result.evidence)


def test_doubt_in_patches_is_that_of_the_whole(catalog: Catalog) -> None:
    """Where one patch holds all, blending changes nothing; the slabs must tell the same story."""
    bundle = catalog.find("tiny-unet")
    assert isinstance(bundle, Bundle)
    forward = open_network(bundle, RunOptions(), Reporter())
    image = np.random.default_rng(0).normal(size=(20, 24, 28)).astype(np.float32)
    labels, doubt = classify_with_doubt(forward, [image], None, OWN)
    batch = image[None, None]
    scores = np.mean(
        [
            np.flip(probabilities(forward(np.ascontiguousarray(np.flip(batch, a)))), a)
            for a in ((), (-1,))  # it was trained in one orientation: left and right only
        ],
        axis=0,
    )[0]
    np.testing.assert_allclose(doubt, 1 - scores.max(axis=0), atol=1e-5)
    assert np.array_equal(labels, scores.argmax(axis=0))
    tiled, unsure = classify_with_doubt(forward, [image], 16, OWN)
    assert (tiled == labels).mean() > 0.9
    assert np.abs(unsure - doubt).mean() < 0.1


@pytest.mark.parametrize("tile", [None, 16])
def test_no_doubt_is_cast_by_what_ends_up_as_the_same_label(
    catalog: Catalog, tile: int | None
) -> None:
    """Of a brain, no tissue doubts another; nor does one unwanted label another or the rest."""
    bundle = catalog.find("tiny-unet")
    assert isinstance(bundle, Bundle)
    forward = open_network(bundle, RunOptions(), Reporter())
    image = np.random.default_rng(0).normal(size=(20, 24, 28)).astype(np.float32)
    whole = becoming([Label(3, "Whole", union=(1, 2))])
    labels, doubt = classify_with_doubt(forward, [image], tile, whole)
    _, of_background = classify_with_doubt(forward, [image], tile, becoming([]))
    _, of_each = classify_with_doubt(forward, [image], tile, OWN)
    assert of_background.max() < 1e-6
    assert len(np.unique(labels)) == 3
    assert (doubt[labels > 0] < of_each[labels > 0]).all()
    np.testing.assert_allclose(doubt[labels == 0], of_each[labels == 0], atol=1e-6)


def test_doubt_is_that_of_the_labels_asked_for(tmp_path: Path, head: Volume) -> None:
    labels = [{"value": 1, "name": "First"}, {"value": 2, "name": "Second"}]
    unet_bundle(tmp_path, labels=[*labels, {"value": 3, "name": "Whole", "union": [1, 2]}])
    catalog = Catalog.default(extra_folders=[tmp_path])

    def doubt_of(*labels: int) -> np.ndarray:
        options = {**UNSURE, "labels": labels}
        found = enhance(head, "segment", "tiny-unet", options, catalog=catalog).uncertainty
        assert found is not None
        return found.voxels

    each, first, whole = doubt_of(1, 2), doubt_of(1), doubt_of(3)
    assert first.mean() < each.mean() and whole.mean() < each.mean()
    assert not np.allclose(first, whole)


def test_what_was_left_out_is_doubted(catalog: Catalog, head: Volume) -> None:
    as_found = {**UNSURE, "keep_largest": False, "fill_holes": False}
    found = enhance(head, "segment", "tiny-unet", as_found, catalog=catalog)
    tidy = enhance(head, "segment", "tiny-unet", UNSURE, catalog=catalog)
    changed = found.output.voxels != tidy.output.voxels
    assert changed.any()
    before, after = found.uncertainty, tidy.uncertainty
    assert before is not None and after is not None
    np.testing.assert_allclose(after.voxels[changed], 1 - before.voxels[changed], atol=1e-6)
    assert np.array_equal(after.voxels[~changed], before.voxels[~changed])


def test_one_output_becomes_two_classes() -> None:
    yes = probabilities(np.array([[[[[2.0]]]]], np.float32))
    np.testing.assert_allclose(yes.ravel(), [1 / (1 + np.exp(2)), 1 / (1 + np.exp(-2))], rtol=1e-6)


def test_only_mirrors_in_which_a_head_is_still_a_head(catalog: Catalog) -> None:
    bundle = catalog.find("tiny-unet")
    assert isinstance(bundle, Bundle)
    assert fair_mirrors(bundle) == ((), (2,))
    ijk = dataclasses.replace(bundle.input, axis_order="ijk", orientation="PIR")
    assert fair_mirrors(dataclasses.replace(bundle, input=ijk)) == ((), (2,))
    free = dataclasses.replace(bundle.input, orientation=None)
    assert len(fair_mirrors(dataclasses.replace(bundle, input=free))) == 4
    assert fair_mirrors(dataclasses.replace(bundle, is_described=False)) == ((),)


@pytest.mark.parametrize(
    ("name", "has_side"),
    [("Left part", True), ("Hippocampus_R", True), ("lh-cortex", True), ("Liver", False),
     ("Clavicle", False), ("Bright", False)],
)  # fmt: skip
def test_labels_that_name_a_side_are_not_mirrored(
    catalog: Catalog, name: str, has_side: bool
) -> None:
    bundle = catalog.find("tiny-unet")
    assert isinstance(bundle, Bundle)
    sided = dataclasses.replace(bundle, labels=(Label(1, name), Label(2, "Other")))
    assert (fair_mirrors(sided) == ((),)) is has_side


def test_mirrors_do_not_see_what_a_network_made_of_its_input() -> None:
    def score(batch: np.ndarray) -> np.ndarray:
        batch -= 1
        return np.concatenate([-batch, batch], axis=1)

    batch = np.random.default_rng(0).normal(1, 1, (1, 1, 4, 4, 4)).astype(np.float32)
    once = mirrored_probabilities(score, ((),), batch.copy())
    np.testing.assert_allclose(mirrored_probabilities(score, MIRRORS, batch), once, rtol=1e-5)
