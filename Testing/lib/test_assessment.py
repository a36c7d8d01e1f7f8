"""Suitability and the checks on voxels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from MedEnhanceLib import Geometry, Volume, read_volume, suitability
from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.assessment import check_noise_level, known_modality, modality_of
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.filters import FILTERS
from MedEnhanceLib.hounsfield import looks_like_shifted_ct
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.slice_brightness import alternation_percent
from MedEnhanceLib.task import Task

from .conftest import head_like

CT = Bundle("c", "CT model", Task.DENOISE, "CNN", "CT", ranges={"noise_hu": (10, 80)})
MR = Bundle("m", "MR model", Task.DENOISE, "CNN", "MR", ranges={"spacing_mm": (0.5, 2.0)})


def volume(voxels: np.ndarray, modality: str = "", spacing: float = 1.0) -> Volume:
    size = voxels.shape[::-1][:3]
    return Volume(voxels, Geometry(size, (spacing,) * 3), modality)


def test_good() -> None:
    assert suitability(volume(head_like(), "MR"), MR).verdict == "good"


@pytest.mark.parametrize(
    ("voxels", "word"),
    [
        (np.full((8, 8, 8), 3.0), "All voxels have the value 3"),
        (np.array([np.nan, 1.0, 2.0, np.inf] * 16).reshape(4, 4, 4), "32 voxels are NaN"),
        (np.zeros((1, 1, 9)) + np.arange(9), "less than one slice"),
    ],
)
def test_voxels_that_nobody_can_use(voxels: np.ndarray, word: str) -> None:
    verdict = suitability(volume(voxels), MR)
    assert verdict.verdict == "refused"
    assert word in verdict.reasons[0]


def test_channels_are_refused() -> None:
    four = Volume(np.random.rand(3, 4, 4, 4), Geometry((4, 4, 4)))
    assert "3 channels" in suitability(four, MR).reasons[0]


def test_ct_is_refused_by_an_mr_model_from_tag_or_from_values() -> None:
    hounsfield = (head_like() * 1.75 - 1000).astype(np.int16)
    assert modality_of(volume(hounsfield)) == "CT"
    for ct in (volume(hounsfield), volume(head_like(), "CT")):
        verdict = suitability(ct, MR)
        assert verdict.verdict == "refused"
        assert "made for MR" in verdict.reasons[0]


def test_mr_is_refused_by_a_ct_model_from_tag_or_from_values() -> None:
    for mr, words in ((volume(head_like(), "MR"), "made for CT"), (volume(head_like()), "rescale")):
        verdict = suitability(mr, CT)
        assert verdict.verdict == "refused"
        assert words in verdict.reasons[0]


@pytest.mark.parametrize(("sigma", "word"), [(2, "already clean"), (150, "more than the 80 HU")])
def test_noise_of_ct_warns_in_hu(sigma: float, word: str) -> None:
    noise = np.random.default_rng(0).normal(0, sigma, (20, 64, 64))
    body = np.where(np.arange(64) < 16, -1000, 50) + noise
    assert word in suitability(volume(body, "CT"), CT).reasons[0]
    usual = body + np.random.default_rng(1).normal(0, 30, body.shape)
    if sigma < 10:
        assert suitability(volume(usual, "CT"), CT).verdict == "good"


def test_a_limb_without_much_air_is_ct_and_ringing_is_not() -> None:
    rng = np.random.default_rng(0)
    muscle_and_fat = np.where(rng.random((40, 40, 40)) < 0.2, -90, 50).astype(np.int16)
    muscle_and_fat[20, 20, 20] = -650
    assert modality_of(volume(muscle_and_fat)) == "CT"
    ringing = head_like((40, 40, 40))
    ringing[20, 20, :3] = -250
    assert modality_of(volume(ringing)) == ""


def test_values_below_zero_are_no_ct_where_no_tissue_is_in_hounsfield_units() -> None:
    """Phase images, field maps, and MR that was scaled to have a mean of zero."""
    rng = np.random.default_rng(0)
    phase = rng.integers(-4096, 4096, (20, 30, 30)).astype(np.int16)
    quiet_phase = np.where(rng.random(phase.shape) < 0.5, rng.normal(0, 100, phase.shape), phase)
    field_map = rng.normal(0, 80, (20, 30, 30))
    scaled = 1000 * (head_like() - 400) / 400
    for voxels in (phase, quiet_phase, field_map, scaled, head_like() - 300):
        assert modality_of(volume(voxels)) == ""
        assert "below zero" in suitability(volume(voxels), MR).reasons[0]


def test_padding_and_lung_do_not_hide_a_ct() -> None:
    rng = np.random.default_rng(0)
    body = np.where(rng.random((20, 30, 30)) < 0.5, 50.0, -850.0) + rng.normal(0, 30, (20, 30, 30))
    body[:, :, :8] = -3024
    assert modality_of(volume(body.astype(np.int16))) == "CT"


def test_segmentation_is_refused_as_an_image() -> None:
    labels = np.round(head_like(sigma=0) / 300).astype(np.uint8)
    labels[0, 0, 0] = 0
    assert "looks like a segmentation" in suitability(volume(labels), MR).reasons[0]


def test_more_noise_than_signal_is_refused() -> None:
    check_noise_level(volume(head_like()), 400)
    with pytest.raises(OptionsError, match=r"noise level of 3000 is more than .* go up to"):
        check_noise_level(volume(head_like()), 3000)


@pytest.mark.parametrize("level", [1e-300, 1e-25, 1e-6])
def test_noise_beyond_all_digits_is_refused(level: float) -> None:
    check_noise_level(volume(head_like()), 1e-3)
    with pytest.raises(OptionsError, match="is nothing beside the volume's values"):
        check_noise_level(volume(100 * head_like()), level)


def test_spacing_noise_and_slices_warn() -> None:
    assert "outside" in suitability(volume(head_like(), "MR", 3.0), MR).reasons[0]
    assert "one slice" in suitability(volume(head_like((1, 30, 30)), "MR"), MR).reasons[0]
    noisy = Bundle("n", "N", Task.DENOISE, "CNN", "MR", ranges={"noise_percent": (1, 9)})
    assert "more than" in suitability(volume(head_like(sigma=300), "MR"), noisy).reasons[0]
    assert "42.9 % of the peak" in suitability(volume(head_like(), "MR"), noisy, 400).reasons[0]
    clean = head_like((24, 24, 24), sigma=0.5)
    assert "already clean" in suitability(volume(clean, "MR"), noisy).reasons[0]


@pytest.mark.parametrize(("percent", "warns"), [(11, False), (13, True)])
def test_noise_is_judged_by_the_peak_without_it(root: Path, percent: float, warns: bool) -> None:
    """Nor by the peak of an implant."""
    trained = Bundle("n", "N", Task.DENOISE, "CNN", "MR", ranges={"noise_percent": (0.5, 11)})
    scan = read_volume(root / "Resources/SampleData/mr_head_t1.nii.gz")
    sigma = percent / 100 * robust_peak(scan.voxels)
    noisy = add_rician_noise(scan.voxels, sigma, np.random.default_rng(1))
    noisy[6:16, :30, :30] = 2000
    said = suitability(volume(noisy, "MR"), trained).reasons
    assert any("more than" in sentence for sentence in said) == warns


def two_legs(between: int) -> NDArray[np.float32]:
    """Soft tissue with noise of 20 HU at both sides of air that has none."""
    legs = np.full((20, 64, 128 + between), -1000, np.float32)
    noise = np.random.default_rng(0).normal(0, 20, (20, 64, 128))
    legs[..., :64], legs[..., 64 + between :] = 50 + noise[..., :64], 50 + noise[..., 64:]
    return legs


def test_noise_of_ct_is_judged_where_there_is_tissue() -> None:
    assert suitability(volume(two_legs(200), "CT"), CT).verdict == "good"


def test_noise_of_mr_is_judged_where_there_is_an_image() -> None:
    trained = Bundle("n", "N", Task.DENOISE, "CNN", "MR", ranges={"noise_percent": (2, 11)})
    padded = np.pad(head_like(sigma=40) + 1, ((0, 0), (0, 200), (0, 60)))
    assert suitability(volume(padded, "MR"), trained).verdict == "good"
    below = suitability(volume(head_like(sigma=40) - 3000, "MR"), trained).reasons
    assert not any("already clean" in reason for reason in below)


def test_a_saturated_image_is_told_and_its_noise_is_not_zero() -> None:
    trained = Bundle("n", "N", Task.DENOISE, "CNN", "MR", ranges={"noise_percent": (2, 11)})
    head = head_like(sigma=40)
    windowed = np.minimum(head, np.percentile(head, 85))
    (reason,) = suitability(volume(windowed, "MR"), trained).reasons
    assert "15 % of the voxels have the largest value" in reason
    (reason,) = suitability(volume(np.minimum(head_like(sigma=1), 300), "MR"), trained).reasons
    assert "already clean" not in reason
    assert suitability(volume(head, "MR"), trained).verdict == "good"


def test_the_noise_of_what_is_labelled_is_judged_by_its_level_alone() -> None:
    trained = Bundle("s", "S", Task.SEGMENT, "CNN", "MR", ranges={"noise_percent": (0, 10)})
    (reason,) = suitability(volume(head_like(sigma=150), "MR"), trained).reasons
    assert "more than the 10 %" in reason
    windowed = np.minimum(head_like(sigma=40), 600)
    assert suitability(volume(windowed, "MR"), trained).verdict == "good"


@pytest.mark.parametrize(("share", "warns"), [(1.0, False), (0.95, True)])
@pytest.mark.parametrize("axis", [0, 2])
def test_slices_that_are_dark_in_turn_are_told(
    root: Path, share: float, warns: bool, axis: int
) -> None:
    refiner = Bundle("r", "R", Task.SUPER_RESOLUTION, "CNN", "MR")
    scan = read_volume(root / "Resources/SampleData/mr_head_t1.nii.gz")
    slices = scan.voxels.astype(np.float32)
    slices[1::2] *= share
    spacing = [3.0 if a == axis else 1.0 for a in range(3)]
    voxels = np.moveaxis(slices, 0, axis)
    thick = Volume(voxels, Geometry(voxels.shape[::-1], spacing[::-1]), "MR")
    said = suitability(thick, refiner).reasons
    assert any("some 5 % darker" in sentence for sentence in said) == warns
    assert not any("darker" in sentence for sentence in suitability(thick, MR).reasons)


def test_doubled_slices_that_become_brighter_do_not_alternate() -> None:
    tissue = np.random.default_rng(0).normal(500, 10, (12, 48, 48))
    drifting = tissue * 1.08 ** np.arange(12)[:, None, None]
    assert alternation_percent(drifting.repeat(2, axis=0)) == 0
    drifting[::2] *= 0.9
    assert alternation_percent(drifting) > 8


def test_field_of_view_is_refused_with_the_way_out() -> None:
    crop = Bundle("s", "S", Task.SEGMENT, "CNN", "MR", ranges={"extent_mm": (10, 15)})
    verdict = suitability(volume(head_like(), "MR"), crop)
    assert verdict.verdict == "refused"
    assert "Crop Volume" in verdict.reasons[0]


def test_shipped_filters_take_anything_sensible() -> None:
    for model in FILTERS:
        assert suitability(volume(head_like()), model).verdict == "good"


def test_what_looks_like_ct_is_warned_of_where_it_is_said_to_be_mr() -> None:
    hounsfield = (head_like() * 1.75 - 1000).astype(np.int16)
    assert "as fat and air have in CT" in suitability(volume(hounsfield, "MR"), MR).reasons[0]
    assert known_modality(volume(hounsfield, "MR"), MR) == ("MR", "stated")
    assert known_modality(volume(hounsfield), MR) == ("CT", "by its values")
    assert known_modality(volume(head_like()), MR) == ("MR", "as the model's")


def test_ct_is_judged_by_all_of_its_columns() -> None:
    hounsfield = np.random.default_rng(0).normal(40, 15, (20, 20, 101)).astype(np.float32)
    hounsfield[..., 40:60] -= 1040
    assert known_modality(volume(hounsfield), MR) == ("CT", "by its values")


def test_mr_to_which_1000_was_added_is_no_ct() -> None:
    assert not looks_like_shifted_ct(head_like() / 8 + 1000)
    rng = np.random.default_rng(0)
    limb = np.where(rng.random((40, 40, 40)) < 0.2, -90, 50) + 1024
    assert looks_like_shifted_ct(limb.astype(np.int16))


def test_ct_to_which_1024_was_added_need_not_have_fat() -> None:
    tissue = head_like() > 300
    brain = np.random.default_rng(0).normal(1024 + 30, 10, tissue.shape)
    assert looks_like_shifted_ct(np.where(tissue, brain, 0))
    assert not looks_like_shifted_ct(brain)
    skull = head_like() > 750
    assert not looks_like_shifted_ct(np.where(skull, 3000, np.where(tissue, brain, 0)))


def test_a_guessed_modality_is_told_as_a_guess() -> None:
    hounsfield = (head_like() * 1.75 - 1000).astype(np.int16)
    assert "looks like CT" in suitability(volume(hounsfield), MR).reasons[0]
    assert "The volume is CT" in suitability(volume(hounsfield, "CT"), MR).reasons[0]
    taken = "taken for CT because of its values; state its modality"
    assert taken in suitability(volume(hounsfield), CT).reasons[0]
    assert not any(taken in said for said in suitability(volume(hounsfield, "CT"), CT).reasons)
    airless = np.abs(hounsfield) + 1
    assert [known_modality(volume(airless), model)[0] for model in (CT, MR)] == ["CT", "MR"]
