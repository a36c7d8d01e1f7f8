"""Measuring: the truth is worsened as stated, and the numbers are those of the truth."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib import Catalog, Geometry, Label, LabelMap, Volume
from MedEnhanceLib.acquisition import thick_slices
from MedEnhanceLib.errors import OptionsError, VolumeError
from MedEnhanceLib.evaluation import denoising, segmentation, super_resolution
from MedEnhanceLib.evaluation.acquiring import Acquisition, thick_case
from MedEnhanceLib.evaluation.methods import Method, Row, methods_of, suited
from MedEnhanceLib.evaluation.scoring import Scorer, cheaper
from MedEnhanceLib.evaluation.subjects import Subject, averaged
from MedEnhanceLib.intensity import robust_peak
from MedEnhanceLib.options import DenoiseOptions, SegmentOptions, SuperResolutionOptions
from MedEnhanceLib.quality.metrics import foreground, psnr
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task

ROOT = Path(__file__).resolve().parents[2]
SHAPE = (16, 20, 24)


def made_up(shape: tuple[int, int, int] = SHAPE) -> Volume:
    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    radius = np.sqrt(sum(g**2 for g in grid))
    voxels = 500.0 * (radius < 0.8) + 400.0 * (radius < 0.4) + 20 * np.sin(9 * grid[0])
    return Volume(
        np.maximum(voxels, 0).astype(np.float32),
        Geometry(shape[::-1], (1.0, 1.2, 1.5), (-9.0, 4.0, 30.0)),
    )


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.default()


def _fixed(name: str, voxels: np.ndarray) -> Method:
    """A method that always gives the same voxels."""

    def run(volume: Volume, options: object) -> Result:
        return Result(Task.DENOISE, volume.with_voxels(voxels))

    return Method(name, run)


class TestDenoising:
    def test_the_noise_is_that_stated_and_always_the_same(self) -> None:
        flat = Volume(np.full((30, 30, 30), 1000.0, np.float32), Geometry((30, 30, 30)))
        first = denoising.noisy_case(Subject("flat", flat, 1000.0), 5, seed=0)
        again = denoising.noisy_case(Subject("flat", flat, 1000.0), 5, seed=0)
        other = denoising.noisy_case(Subject("flat", flat, 1000.0), 5, seed=1)
        np.testing.assert_array_equal(first.noisy.voxels, again.noisy.voxels)
        assert not np.array_equal(first.noisy.voxels, other.noisy.voxels)
        assert first.sigma == 50
        assert first.noisy.voxels.std() == pytest.approx(50, rel=0.02)

    def test_a_perfect_method_is_perfect_and_an_idle_one_is_the_input(self) -> None:
        case = denoising.noisy_case(Subject.of("phantom", made_up()), 9, seed=0)
        methods = [_fixed("perfect", case.clean.voxels), _fixed("idle", case.noisy.voxels)]
        rows, _ = denoising.evaluate_case(case, methods, DenoiseOptions())
        values = {row.method: row.values for row in rows}
        assert values["perfect"]["psnr_db"] == np.inf
        assert values["perfect"]["sharpness_percent"] == pytest.approx(100)
        assert values["idle"]["psnr_db"] == values["input"]["psnr_db"]
        expected = psnr(
            case.clean.voxels,
            case.noisy.voxels,
            case.peak,
            foreground(case.clean.voxels, case.peak),
        )
        assert values["input"]["psnr_db"] == pytest.approx(expected)

    def test_filters_are_told_the_true_noise_and_models_are_not(self) -> None:
        case = denoising.noisy_case(Subject.of("phantom", made_up()), 5, seed=0)
        told: dict[str, float | None] = {}

        class Trained(Method):
            is_trained = True

        def run(volume: Volume, options: DenoiseOptions) -> Result:
            told[options.device] = options.noise
            return Result(Task.DENOISE, volume)

        for method, device in ((Method("filter", run), "cpu"), (Trained("net", run), "mps")):
            denoising.evaluate_case(case, [method], DenoiseOptions(device=device))
        assert told == {"cpu": case.sigma, "mps": None}
        denoising.evaluate_case(
            case, [Trained("net", run)], DenoiseOptions(device="mps"), true_noise_for_models=True
        )
        assert told["mps"] == case.sigma

    def test_repeats_take_turns_and_the_least_cost_counts(self) -> None:
        case = denoising.noisy_case(Subject.of("phantom", made_up()), 5, seed=0)
        turns: list[str] = []

        def named(name: str) -> Method:
            return Method(name, lambda v, o: turns.append(name) or Result(Task.DENOISE, v))

        denoising.evaluate_case(case, [named("a"), named("b")], DenoiseOptions(), repeats=2)
        assert turns == ["a", "b", "a", "b"]
        row = Row("s", "c", "m", {"core_seconds": 2.0, "peak_mb": 9.0})
        least = {"core_seconds": 1.0, "core_us_per_voxel": 2.0, "peak_mb": 5.0}
        assert cheaper(row, 1.0, 5.0, 500_000).values == least
        assert cheaper(row, 3.0, 5.0, 500_000) is row


def test_sharpness_is_on_the_scale_of_the_reference() -> None:
    """A bright speck away from the edges changes the image's own peak, but no edge."""
    phantom = made_up((20, 20, 20))
    specks = phantom.voxels.copy()
    specks[:2, :2, :2] = 5000
    scorer = Scorer(phantom, robust_peak(phantom.voxels))
    assert scorer.values(specks)["sharpness_percent"] == pytest.approx(100, abs=1)
    half = scorer.values(phantom.voxels / 2)
    assert half["sharpness_percent"] == pytest.approx(50)


class TestQuieting:
    def test_averaging_lowers_noise_and_stays_in_place(self) -> None:
        rng = np.random.default_rng(0)
        noisy = Volume(rng.normal(500, 10, (32, 33, 40)).astype(np.float32), Geometry((40, 33, 32)))
        quiet = averaged(noisy)
        assert quiet.geometry.size == (20, 16, 16)
        assert quiet.voxels.std() == pytest.approx(10 / np.sqrt(8), rel=0.1)
        np.testing.assert_allclose(quiet.voxels[0, 0, 0], noisy.voxels[:2, :2, :2].mean())
        np.testing.assert_allclose(
            quiet.geometry.to_world((-0.5, -0.5, -0.5)), noisy.geometry.to_world((-0.5,) * 3)
        )
        assert quiet.geometry.spacing == (2, 2, 2)

    def test_short_axes_are_left_alone(self) -> None:
        volume = made_up((8, 20, 24))
        assert averaged(volume).geometry.size == (12, 10, 8)
        with pytest.raises(VolumeError, match="too small"):
            averaged(made_up((8, 10, 12)))


class TestSuperResolution:
    @pytest.mark.parametrize(("axis", "array_axis"), [("x", 2), ("y", 1), ("z", 0)])
    def test_the_thick_slices_are_those_stated(self, axis: str, array_axis: int) -> None:
        phantom = made_up((17, 21, 25))
        case = thick_case(Subject.of("phantom", phantom), Acquisition(2, axis, "box"))
        expected = thick_slices(case.thin.voxels, array_axis, 2, "box")
        np.testing.assert_array_equal(case.thick.voxels, expected)
        assert case.thin.voxels.shape[array_axis] == 2 * case.thick.voxels.shape[array_axis]
        assert case.thick.geometry.refined(Acquisition(2, axis).factors).is_close(
            case.thin.geometry
        )

    def test_bspline_is_better_than_nearest_and_noise_is_stated(self, catalog: Catalog) -> None:
        case = thick_case(Subject.of("phantom", made_up()), Acquisition(2, "z", "gaussian"))
        rows, results = super_resolution.evaluate_case(
            case, methods_of(catalog, Task.SUPER_RESOLUTION, ["filter-bspline"]),
            SuperResolutionOptions(),
        )  # fmt: skip
        assert 0 < rows[0].values["consistency_percent"] < 5
        truth = super_resolution.score(case, "truth", case.thin.voxels)
        assert truth.values["consistency_percent"] == pytest.approx(0, abs=1e-4)
        assert results["filter-bspline"].volume.geometry.is_close(case.thin.geometry)
        nearest = super_resolution.score(case, "nearest", np.repeat(case.thick.voxels, 2, axis=0))
        assert rows[0].values["psnr_db"] > nearest.values["psnr_db"]
        assert str(Acquisition(3, "x", "box", 1.5)) == "3x along x, box, noise 1.5 %"

    def test_each_level_has_noise_of_its_own_and_below_zero_there_is_none_but_noise(self) -> None:
        voxels = np.full((48, 24, 24), 500, np.float32)
        voxels[..., :12] = -500
        subject = Subject("flat", Volume(voxels, Geometry((24, 24, 48)), "MR"), 1000.0)
        some, more = (
            thick_case(subject, Acquisition(2, "z", noise_percent=percent)).thick.voxels
            for percent in (2, 4)
        )
        assert some[..., 12:].std() == pytest.approx(20, rel=0.05)
        assert some[..., :12].mean() == pytest.approx(20 * np.sqrt(np.pi / 2), rel=0.05)
        assert abs(np.corrcoef(some[..., 12:].ravel(), more[..., 12:].ravel())[0, 1]) < 0.1

    def test_slices_may_be_thick_along_all_axes_by_any_factor_and_of_any_width(
        self, catalog: Catalog
    ) -> None:
        acquisition = Acquisition(2.5, "xyz", profile_width=0.75)
        assert str(acquisition) == "2.5x along xyz, gaussian 0.75 wide"
        case = thick_case(Subject.of("phantom", made_up((31, 26, 20))), acquisition)
        assert case.thin.voxels.shape == (30, 25, 20)
        assert case.thick.voxels.shape == (12, 10, 8)
        expected = case.thin.voxels
        for axis in range(3):
            expected = thick_slices(expected, axis, 2.5, "gaussian", 0.75)
        np.testing.assert_allclose(case.thick.voxels, expected, rtol=1e-4, atol=1e-2)
        rows, results = super_resolution.evaluate_case(
            case, methods_of(catalog, Task.SUPER_RESOLUTION, ["filter-bspline"]),
            SuperResolutionOptions(),
        )  # fmt: skip
        assert results["filter-bspline"].volume.geometry.is_close(case.thin.geometry)
        assert 0 < rows[0].values["consistency_percent"] < 20

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ((1,), "1"),
            ((9,), "9"),
            ((2, "q"), "'q'"),
            ((2, "xx"), "'xx'"),
            ((2, ""), "''"),
            ((2, "z", "box", 0.0, 0, 9.0), "width 9"),
            ((2, "z", "triangle"), "'triangle'"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, values: tuple, said: str) -> None:
        with pytest.raises(OptionsError, match=said):
            Acquisition(*values)

    def test_too_few_slices(self) -> None:
        with pytest.raises(VolumeError, match="too few"):
            thick_case(Subject.of("flat", made_up((3, 20, 20))), Acquisition(2))


class TestSegmentation:
    reference = np.zeros(SHAPE, np.uint8)
    reference[2:8, 3:9, 3:9], reference[9:14, 3:9, 3:9] = 1, 2

    def _map(self, voxels: np.ndarray, labels: tuple[Label, ...] = ()) -> LabelMap:
        return LabelMap(voxels, made_up().geometry, labels)

    def _subject(self) -> Subject:
        return Subject.of("head", made_up())

    def test_perfect_and_half(self) -> None:
        half = np.where(self.reference == 2, 0, self.reference)
        labels = (Label(1, "One"), Label(2, "Two"))
        rows = segmentation.score(
            "s", "m", self._map(self.reference), self._map(half, labels), named=True
        )
        dice = {row.condition: row.values["dice"] for row in rows}
        assert dice["1 One"] == 1 and dice["2 Two"] == 0 and dice["mean"] == 0.5
        assert 0.6 < dice["whole"] < 0.8

    def test_a_structure_that_is_not_there_costs(self) -> None:
        truth = self._map(np.where(self.reference == 1, 1, 0))
        rows = segmentation.score("s", "m", truth, self._map(self.reference), named=True)
        values = {row.condition: row.values for row in rows}
        assert values["label 2"]["dice"] == 0 and values["mean"]["dice"] == 0.5
        assert values["label 2"]["hd95_mm"] == values["label 2"]["volume_error_percent"] == np.inf

    def test_volume_errors_do_not_cancel_in_the_mean(self) -> None:
        found = self.reference.copy()
        found[8], found[13] = np.where(self.reference[7] == 1, 1, 0), 0
        rows = segmentation.score("s", "m", self._map(self.reference), self._map(found), named=True)
        errors = {row.condition: row.values["volume_error_percent"] for row in rows}
        assert errors["label 1"] == pytest.approx(100 / 6) and errors["label 2"] == -20
        assert errors["mean"] == pytest.approx((100 / 6 + 20) / 2)

    def test_classes_of_brightness_are_judged_by_the_one_that_fits(self) -> None:
        classes = np.where(self.reference == 2, 3, 1).astype(np.uint8)
        rows = segmentation.score(
            "s", "otsu", self._map(self.reference), self._map(classes), named=False
        )
        assert next(r for r in rows if r.condition == "label 2").values["dice"] == 1

    def test_another_grid_is_refused(self) -> None:
        grid = made_up().geometry
        between = grid.resized((48, 20, 16)).cropped((1, 0, 0), (46, 20, 16)).resized((23, 20, 16))
        voxels = np.ones(between.shape, np.uint8)
        with pytest.raises(VolumeError, match=r"'head' \(\(23, 20, 16\) voxels\)"):
            reference = LabelMap(voxels, between)
            segmentation.evaluate_case(self._subject(), reference, [], SegmentOptions())

    def test_a_part_of_the_grid_is_put_in_its_place(self) -> None:
        """As Slicer saves a segmentation, cut to what it shows."""
        part = self._map(self.reference).geometry.cropped((3, 3, 2), (6, 6, 12))
        cut = LabelMap(self.reference[2:14, 3:9, 3:9], part, (Label(1, "One"),))
        fitted = segmentation.on_grid(self._subject(), cut)
        np.testing.assert_array_equal(fitted.voxels, self.reference)
        assert fitted.geometry.is_close(made_up().geometry) and fitted.labels == cut.labels

    def test_what_lies_beyond_the_grid_is_left_out(self) -> None:
        larger = made_up().geometry.cropped((-2, -3, -4), (30, 30, 30))
        voxels = np.ones(larger.shape, np.uint8)
        voxels[4:20, 3:23, 2:26] = self.reference
        fitted = segmentation.on_grid(self._subject(), LabelMap(voxels, larger))
        np.testing.assert_array_equal(fitted.voxels, self.reference)
        beside = made_up().geometry.cropped((40, 0, 0), (5, 5, 5))
        ones = LabelMap(np.ones((5, 5, 5), np.uint8), beside)
        assert not segmentation.on_grid(self._subject(), ones).voxels.any()

    def test_filters_are_not_asked_for_labels(self, catalog: Catalog) -> None:
        truth = self._map(np.where(self.reference == 2, 17, 0).astype(np.uint8))
        methods = methods_of(catalog, Task.SEGMENT, ["filter-otsu"])
        for_all, for_some = (
            segmentation.evaluate_case(
                self._subject(), truth, methods, SegmentOptions(labels=labels)
            )[0]
            for labels in (None, (17,))
        )
        assert for_some[0].values == for_all[0].values

    def test_only_some_labels(self) -> None:
        kept = segmentation.only(self._map(self.reference), (2,))
        assert set(np.unique(kept.voxels)) == {0, 2}


def test_methods_of_a_task(catalog: Catalog) -> None:
    assert [m.id for m in methods_of(catalog, Task.DENOISE, ["filter-median"])] == ["filter-median"]
    everything = methods_of(catalog, Task.SEGMENT, None)
    assert {m.id for m in everything} >= {"mr-hippocampus-unet", "filter-otsu"}
    with pytest.raises(OptionsError, match="filter-otsu"):
        methods_of(catalog, Task.DENOISE, ["filter-otsu"])
    large = made_up((30, 130, 140))
    assert "mr-hippocampus-unet" not in [m.id for m in suited(everything, large)]


ALLOCATING = """
import numpy as np
from MedEnhanceLib.costs import measured

result, cost = measured(lambda: np.ones(30_000_000, np.uint8).sum())
assert result == 30_000_000
assert cost.core_seconds >= 0
assert cost.peak_mb is None or 20 < cost.peak_mb < 200, cost
"""


def test_cost_counts_memory_where_the_system_tells() -> None:
    # In a process of its own: what earlier tests hold may be given back while this one measures.
    run = subprocess.run(
        [sys.executable, "-c", ALLOCATING], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr


def test_the_peak_is_that_of_the_clean_volume() -> None:
    phantom = made_up()
    assert denoising.noisy_case(Subject.of("p", phantom), 5, 0).peak == robust_peak(phantom.voxels)
