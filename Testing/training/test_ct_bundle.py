"""The shipped CT denoiser on the sample scan, as a user runs it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from MedEnhanceLib import Catalog, Geometry, Volume, enhance, suitability
from MedEnhanceLib.ct_noise import estimate_ct_noise
from MedEnhanceLib.io import read_volume
from MedEnhanceLib.resources import sample_folder
from training.ct_data import tissue

MODEL = "ct-denoise-residual"


@pytest.fixture(scope="module")
def thigh() -> Volume:
    """A part of the sample, without any word that it is CT."""
    whole = read_volume(sample_folder() / "ct_thigh.nii.gz")
    voxels = np.ascontiguousarray(whole.voxels[10:20, 32:, 32:])
    return Volume(voxels, Geometry(voxels.shape[::-1], whole.geometry.spacing))


def test_each_modality_gets_its_own_model(thigh: Volume) -> None:
    catalog = Catalog.default()
    head = read_volume(sample_folder() / "mr_head_t1.nii.gz")
    assert catalog.best("denoise", thigh).id == MODEL
    assert catalog.best("denoise", head).modality == "MR"
    assert suitability(head, catalog.find(MODEL)).verdict == "refused"
    assert suitability(thigh, catalog.find("mr-denoise-residual")).verdict == "refused"


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_ct_without_negative_values_is_known_by_its_soft_tissue(thigh: Volume, kind: type) -> None:
    catalog = Catalog.default()
    shifted = thigh.with_voxels((thigh.voxels + 1024).clip(0).astype(kind))
    verdict = suitability(shifted, catalog.find("mr-denoise-residual"))
    assert verdict.verdict == "warning" and "subtract 1024" in verdict.reasons[0]
    head = read_volume(sample_folder() / "mr_head_t1.nii.gz")
    for scale in (1, 10, 15, 20, 40):
        mr = head.with_voxels(head.voxels.astype(np.float32) * scale)
        for reason in suitability(mr, catalog.find("mr-denoise-residual")).reasons:
            assert "1024" not in reason


def test_whole_sample_without_warnings() -> None:
    """With little air and a bone; the slices are few to be quick."""
    whole = read_volume(sample_folder() / "ct_thigh.nii.gz")
    voxels = np.ascontiguousarray(whole.voxels[12:18])
    part = Volume(voxels, Geometry(voxels.shape[::-1], whole.geometry.spacing), "CT", "HU")
    result = enhance(part, "denoise")
    assert result.warnings == ()
    tissue_mean = next(m for m in result.evidence if m.name == "Mean of homogeneous tissue")
    assert tissue_mean.before == pytest.approx(50, abs=60)


def test_real_noise_goes_and_means_and_bone_stay(thigh: Volume) -> None:
    result = enhance(thigh, "denoise")
    assert result.provenance["model"] == MODEL
    (only,) = result.warnings
    assert "taken for CT because of its values" in only
    before, after = thigh.voxels.astype(np.float32), result.volume.voxels
    assert estimate_ct_noise(after) < 0.5 * estimate_ct_noise(before)
    soft = tissue(after, "soft tissue")
    assert abs(float((after - before)[soft].mean())) < 1
    bone = tissue(after, "bone")
    assert float(np.abs(after - before)[bone].mean()) < 10


def test_ct_without_air_is_denoised_as_ct_when_its_model_is_named(thigh: Volume) -> None:
    muscle = thigh.with_voxels(thigh.voxels.clip(-124))
    told = enhance(replace(muscle, modality="CT"), "denoise", MODEL)
    named = enhance(muscle, "denoise", MODEL)
    assert np.array_equal(told.volume.voxels, named.volume.voxels)
    assert [m.name for m in told.evidence] == [m.name for m in named.evidence]
    assert named.volume.modality == "" and told.volume.modality == "CT"
