"""CT is worsened with its own kind of noise and judged in Hounsfield units."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib import Geometry, Volume
from MedEnhanceLib.acquisition import add_ct_noise, ct_noise_amplitude
from MedEnhanceLib.costs import measured
from MedEnhanceLib.evaluation import denoising
from MedEnhanceLib.evaluation.acquiring import Acquisition, thick_case
from MedEnhanceLib.evaluation.scoring import Scorer
from MedEnhanceLib.evaluation.subjects import (
    NOISY_REFERENCE,
    Subject,
    averaged,
    middle,
    read_subjects,
)
from MedEnhanceLib.io import write_image
from MedEnhanceLib.quality.ct_metrics import CT_RANGE_HU, ct_values
from MedEnhanceLib.task import Task


def _neighbours(noise: np.ndarray, axis: int) -> float:
    first, second = (np.take(noise, range(*r), axis).ravel() for r in ((0, 63), (1, 64)))
    return float(np.corrcoef(first, second)[0, 1])


class TestNoise:
    noise = add_ct_noise(np.zeros((24, 64, 64)), 40, np.random.default_rng(0))

    def test_its_strength_is_that_stated(self) -> None:
        assert self.noise.std() == pytest.approx(40, rel=0.02)
        assert abs(self.noise.mean()) < 0.1
        assert self.noise.dtype == np.float32

    def test_it_is_correlated_within_the_slice_only(self) -> None:
        assert _neighbours(self.noise, 1) > 0.2
        assert _neighbours(self.noise, 2) == pytest.approx(_neighbours(self.noise, 1), abs=0.03)
        between = np.corrcoef(self.noise[:-1].ravel(), self.noise[1:].ravel())[0, 1]
        assert abs(between) < 0.02

    def test_its_spectrum_is_a_band(self) -> None:
        amplitude = ct_noise_amplitude((64, 64))
        assert amplitude[0, 0] == 0 and amplitude[32, 0] == pytest.approx(0, abs=1e-9)
        assert 0.1 < np.fft.fftfreq(64)[amplitude[:32, 0].argmax()] < 0.25
        assert np.mean(amplitude**2) == pytest.approx(1)

    def test_a_negative_level_is_refused(self) -> None:
        with pytest.raises(ValueError, match="-1"):
            add_ct_noise(np.zeros((2, 4, 4)), -1, np.random.default_rng(0))


def _chest() -> Volume:
    voxels = np.full((12, 40, 40), -1000.0, np.float32)
    voxels[:, 8:32, 8:32] = 40
    voxels[:, 12:20, 12:20] = -800
    voxels[:, 24:28, 24:28] = 700
    return Volume(voxels, Geometry((40, 40, 12), (0.7, 0.7, 2.5)), "CT", "HU")


class TestJudging:
    def test_each_tissue_has_its_own_error_and_shift(self) -> None:
        chest = _chest().voxels
        off = chest + np.select([chest < -950, chest < -500, chest < 200], [-30.0, 20.0, 5.0], -7.0)
        values = ct_values(chest, off)
        assert values["shift_hu_air"] == pytest.approx(-30)
        assert values["shift_hu_lung"] == values["rmse_hu_lung"] == pytest.approx(20)
        assert values["shift_hu_soft"] == pytest.approx(5)
        assert values["shift_hu_bone"] == pytest.approx(-7)
        assert values["rmse_hu_bone"] == pytest.approx(7)

    def test_tissue_that_is_not_there_has_none(self) -> None:
        assert ct_values(np.zeros((4, 8, 8)), np.zeros((4, 8, 8)))["rmse_hu_bone"] is None

    @pytest.mark.parametrize(("value", "tissue"), [(-950, "lung"), (-150, "soft"), (200, "bone")])
    def test_the_least_value_of_a_tissue_is_its_own(self, value: float, tissue: str) -> None:
        voxels = np.full((4, 8, 8), value, np.float32)
        told = {name for name, error in ct_values(voxels, voxels).items() if error is not None}
        assert told == {f"rmse_hu_{tissue}", f"shift_hu_{tissue}"}

    def test_the_peak_is_a_fixed_range_and_air_does_not_count(self) -> None:
        chest = _chest()
        worse = np.where(chest.voxels < -950, -900, chest.voxels + 20).astype(np.float32)
        values = Scorer(chest, CT_RANGE_HU).values(worse)
        assert values["rmse"] == pytest.approx(20)
        assert values["psnr_db"] == pytest.approx(20 * np.log10(2000 / 20))

    def test_the_noise_is_that_of_ct(self) -> None:
        case = denoising.noisy_case(Subject.of("chest", _chest()), 2, seed=0)
        assert case.sigma == 40 and case.kind == denoising.CORRELATED
        assert case.condition == "noise 2 % (40 HU)"
        air = case.noisy.voxels[case.clean.voxels == -1000]
        assert air.mean() == pytest.approx(-1000, abs=5) and air.std() > 30


class TestReferences:
    def test_a_noisy_reference_is_marked(self) -> None:
        rng = np.random.default_rng(0)
        ramp = np.linspace(300, 900, 32)[:, None, None] * np.ones((32, 32, 32))
        volume = Volume((ramp + rng.normal(0, 20, ramp.shape)).astype(np.float32),
                        Geometry((32, 32, 32)), "MR")  # fmt: skip
        subject = Subject.of("scan", volume)
        assert subject.own_noise == pytest.approx(20, rel=0.15)
        assert denoising.noisy_case(subject, 3, 0).note == NOISY_REFERENCE
        assert denoising.noisy_case(subject, 9, 0).note == ""
        notes = [thick_case(subject, Acquisition(noise_percent=p)).note for p in (0, 3, 9)]
        assert notes == ["", NOISY_REFERENCE, ""]

    def test_thick_slices_are_averaged_within_the_slice(self) -> None:
        quiet = averaged(Volume(_chest().voxels.repeat(2, 0), Geometry((40, 40, 24), (1, 1, 3))))
        assert quiet.geometry.size == (20, 20, 24)

    def test_the_middle_of_a_ct_without_air_is_still_ct(self, tmp_path: Path) -> None:
        voxels = np.full((32, 32, 32), -1000, np.int16)
        voxels[4:28, 4:28, 4:28] = np.linspace(-90, 60, 24).astype(np.int16)
        write_image(Volume(voxels, Geometry((32, 32, 32))), tmp_path / "v.nii")
        (subject,) = read_subjects([tmp_path / "v.nii"], edge=16)
        assert subject.volume.voxels.min() > -200
        assert subject.name == "volume 1"
        assert denoising.noisy_case(subject, 3, 0).kind == denoising.CORRELATED

    def test_the_middle_keeps_its_place_and_the_peak_of_the_whole(self, tmp_path: Path) -> None:
        voxels = np.ones((30, 40, 50), np.float32)
        voxels[:4] = 900
        voxels[15, 20, 25] = 7
        volume = Volume(voxels, Geometry((50, 40, 30), (1, 2, 3), (5, 6, 7)))
        part = middle(volume, 16)
        assert part.geometry.size == (16, 16, 16)
        k, j, i = np.argwhere(part.voxels == 7)[0]
        np.testing.assert_allclose(
            part.geometry.to_world((i, j, k)), volume.geometry.to_world((25, 20, 15))
        )
        write_image(volume, tmp_path / "v.nii")
        (subject,) = read_subjects([tmp_path / "v.nii"], edge=16)
        assert subject.peak == 900 and subject.volume.geometry.size == (16, 16, 16)


def test_time_of_children_counts() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    _, cost = measured(lambda: subprocess.run([sys.executable, "-c", busy], check=True))
    assert cost.core_seconds >= 0.25


def test_tasks_without_peers_are_named() -> None:
    from MedEnhanceLib.evaluation.peers import peer_ids

    assert peer_ids(Task.SUPER_RESOLUTION) == []
