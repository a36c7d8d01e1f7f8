"""Contrast to noise: two tissues, the same voxels before and after, and none where there is one."""

from __future__ import annotations

import numpy as np
import pytest

from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.quality.evidence import denoise_evidence
from MedEnhanceLib.quality.tissue_contrast import tissue_contrast
from MedEnhanceLib.result import Measure

SHAPE = (40, 48, 52)
SIGMA = 20.0
EVERYWHERE = np.ones(SHAPE, bool)


def _halves(dark: float, bright: float, sigma: float = 0.0) -> np.ndarray:
    voxels = np.full(SHAPE, dark, np.float32)
    voxels[:, :, 26:] = bright
    return voxels + np.random.default_rng(0).normal(0, 1, SHAPE).astype(np.float32) * sigma


@pytest.mark.parametrize("is_mr", [True, False])
def test_contrast_is_told_over_the_noise_before_and_after(is_mr: bool) -> None:
    before, after = _halves(400, 700, SIGMA), _halves(410, 690, SIGMA / 4)
    before[:14] = after[:14] = 0 if is_mr else -1000  # air
    measures, _ = denoise_evidence(before, after, SIGMA, is_mr, Geometry(SHAPE[::-1]), "")
    found: dict[str, Measure] = {m.name: m for m in measures}
    contrast, noise = found["Contrast to noise"], found["Noise"]
    assert noise.after is not None
    assert contrast.before == pytest.approx(300 / SIGMA, rel=0.02)
    assert contrast.after == pytest.approx(280 / noise.after, rel=0.02)


def test_the_voxels_after_decide_which_tissue_is_which() -> None:
    before, after = _halves(400, 430, SIGMA), _halves(400, 430, 1)
    assert tissue_contrast(before, after, EVERYWHERE) == pytest.approx((30, 30), rel=0.05)


def test_whole_numbers_do_not_wrap_around() -> None:
    voxels = _halves(10, 250).astype(np.uint8)
    assert tissue_contrast(voxels, voxels, EVERYWHERE) == (240, 240)


def test_where_there_are_no_two_tissues_there_is_no_contrast() -> None:
    few = _halves(400, 400)
    few[:1] = 900
    for after in (_halves(400, 400, SIGMA), few, _halves(400, 400)):
        assert tissue_contrast(after, after, EVERYWHERE) is None
    assert tissue_contrast(few, few, ~EVERYWHERE) is None
