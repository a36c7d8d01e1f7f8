"""Tables of results: what comparators made is kept, and each metric has its line."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib.bundle import read_bundle
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.tiles import Box
from training.card import counted_subjects, results_table
from training.ct_data import CtReference, CtScan
from training.evaluate import Table, keep_results, keep_scans, spreads, table_of, with_means
from training.publish import measured_results
from training.tables import ct_denoising, guided
from training.tables.comparators import Denoised, by_bm4d, kept, place
from training.tables.ct_denoising import ct_denoising_rows
from training.tables.denoising import METRICS, Cell, denoising_rows
from training.tables.guided import Case, guided_rows
from training.tables.hippocampus import hippocampus_rows
from training.tables.rows import row, volume_of
from training.tables.super_resolution import super_resolution_rows

MODELS = Path(__file__).parents[2] / "Resources/Models"


def test_what_was_made_once_is_kept(tmp_path: Path) -> None:
    noisy = volume_of(np.arange(64, dtype=np.float32).reshape(4, 4, 4))
    made: list[float] = []

    def make() -> Denoised:
        made.append(1)
        return Denoised(noisy.voxels + len(made), 5.0)

    path = place(tmp_path / "new", noisy, "m", b"code", 3.0)
    first, again = kept(path, make), kept(path, make)
    np.testing.assert_array_equal(first.voxels, again.voxels)
    assert len(made) == 1 and again.core_us == 5.0


def test_its_name_changes_with_all_it_depends_on(tmp_path: Path) -> None:
    noisy = volume_of(np.arange(64, dtype=np.float32).reshape(4, 4, 4))
    others = {
        place(tmp_path, noisy, "m", b"code", 3.0),
        place(tmp_path, noisy, "n", b"code", 3.0),
        place(tmp_path, noisy, "m", b"other", 3.0),
        place(tmp_path, noisy, "m", b"code", 4.0),
        place(tmp_path, volume_of(noisy.voxels + 1), "m", b"code", 3.0),
    }
    assert len(others) == 5
    assert place(tmp_path, noisy, "m", b"code", 3.0) in others


def test_bm4d_is_not_run_by_the_table(tmp_path: Path) -> None:
    noisy = volume_of(np.ones((8, 8, 8), np.float32))
    assert by_bm4d(noisy, 3.0, tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_a_table_is_published_with_the_weights_that_it_is_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row("a", "3% noise", 30.0, "median", 28.0)]
    keep_results(tmp_path, rows, "a1")
    assert measured_results(tmp_path, "a1") == rows
    assert measured_results(tmp_path, "b2") == []
    assert "is of other weights" in capsys.readouterr().out


def test_phantoms_and_scans_are_not_averaged_together(monkeypatch: pytest.MonkeyPatch) -> None:
    image = volume_of(np.full((8, 8, 8), 500, np.float32))
    whole = Box((0, 0, 0), (8, 8, 8))
    cases = [
        Case(name, image, whole, image, kind) for name, kind in (("s", ""), ("p", " (phantom)"))
    ]
    monkeypatch.setattr(guided, "_scans", lambda data: cases[:1])
    monkeypatch.setattr(guided, "_phantoms", lambda data: cases[1:])
    monkeypatch.setattr(guided, "enhance", lambda volume, *_, **__: Result(Task.DENOISE, volume))
    monkeypatch.setattr(guided, "registered", lambda guide, volume: guide)
    rows = with_means(list(guided_rows(Path(), "mr-denoise-guided")))
    assert len({r["condition"] for r in rows}) == 16
    assert {r["subject"] for r in rows} == {"s", "p", "mean of 1"}


def test_only_chests_have_a_row_for_the_lung(monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = np.linspace(-1000, 500, 8 * 16 * 16, dtype=np.float32).reshape(8, 16, 16)
    scans = [CtScan(name, voxels, (1, 1, 3), name == "chest") for name in ("chest", "limb")]
    monkeypatch.setattr(ct_denoising, "ct_scans", lambda data, part: scans)
    monkeypatch.setattr(
        ct_denoising,
        "quiet_reference",
        lambda scan: CtReference(scan.name, scan.voxels, scan.voxels, 1.0, 5.0),
    )
    monkeypatch.setattr(ct_denoising, "physical_noise", lambda *_: [np.ones_like(voxels)])
    monkeypatch.setattr(ct_denoising, "enhance", lambda v, *_, **__: Result(Task.DENOISE, v))
    rows = list(ct_denoising_rows(Path(), "ct-denoise-residual"))
    assert {r["subject"] for r in rows if r["metric"] == "RMSE in bone (HU)"} == {"chest", "limb"}
    assert {r["subject"] for r in rows if r["metric"] == "RMSE in lung (HU)"} == {"chest"}


def test_single_scans_are_kept_and_their_spread_is_told(tmp_path: Path) -> None:
    rows = [row(f"s{n}", "3% noise", 30.0 + n, "median", 30.5) for n in range(3)]
    rows[0] |= {"second_comparator": "BM4D", "second_value": 29.0}
    rows.append(row("s0", "T1", 0.9, metric="Dice"))
    keep_scans(tmp_path, rows)
    with (tmp_path / "scans.csv").open(encoding="utf-8", newline="") as file:
        kept = list(csv.DictReader(file))
    assert [float(r["value"]) for r in kept] == [30, 31, 32, 0.9]
    assert list(spreads(rows)) == [
        "3% noise, foreground PSNR (dB): -0.500 to +1.500 from median (n = 3)",
        "3% noise, foreground PSNR (dB): +1.000 to +1.000 from BM4D (n = 1)",
    ]


def _cell(subject: str, bm4d: bool) -> Cell:
    values = {"psnr_db": 30.0, "ssim": 0.9, "sharpness_percent": 95.0, "cost": 10.0}
    better = {name: value + 1 for name, value in values.items()}
    return Cell(subject, "3% noise", values, "median", values, better if bm4d else None)


def test_each_metric_has_its_line_and_bm4d_its_column() -> None:
    rows = [_cell("a", True).row(metric) for metric in METRICS]
    assert [r["metric"] for r in rows] == list(METRICS.values())
    assert rows[0]["second_value"] == 31 and rows[0]["value"] == 30
    assert "second_value" not in _cell("a", False).row("ssim")


def test_means_and_the_card_have_the_column_too() -> None:
    rows = with_means([_cell(s, True).row("psnr_db") for s in "ab"])
    assert rows[-1]["subject"] == "mean of 2" and rows[-1]["second_value"] == 31
    partly = with_means([_cell("a", True).row("ssim"), _cell("b", False).row("ssim")])
    assert "second_value" not in partly[-1]
    text = results_table([r | {"command": "c"} for r in rows])
    assert "| a | 3% noise | foreground PSNR (dB) | 30 | median | 30 | BM4D" in text


def test_the_card_tells_what_has_to_run_before_the_table() -> None:
    found = row("a", "T1 scans, brain as HD-BET's", 0.9)
    text = results_table(
        [r | {"command": "evaluate"} for r in (_cell("a", True).row("ssim"), found)]
    )
    commands = [line.split()[-3] for line in text.splitlines() if line.startswith("    python")]
    assert commands == ["training.tables.fill_bm4d", "training.brain_scans"]
    assert text.endswith("    evaluate")
    alone = results_table([_cell("a", False).row("ssim") | {"command": "evaluate"}])
    assert alone.endswith("Reproduced by:\n\n    evaluate")


def test_the_card_without_bm4d_is_as_it_was() -> None:
    text = results_table([row("a", "3% noise", 30, "median", 29.5) | {"command": "c"}])
    head = text.splitlines()[0]
    assert head == "| scans | condition | metric | this model | comparator | comparator's |"


def test_nothing_is_told_of_a_comparator_that_there_is_not() -> None:
    rows = with_means([row(subject, "T1", 0.9, metric="Dice") for subject in "ab"])
    assert rows[-1]["subject"] == "mean of 2"
    assert not any("comparator" in key for made in rows for key in made)
    text = results_table([made | {"command": "c"} for made in rows])
    assert "| mean of 2 | T1 | Dice | 0.9 |  |  |" in text


def test_means_name_all_filters_that_were_best_on_one_of_the_scans() -> None:
    rows = [row(name, "3% noise", 30.0, name, 28.0) for name in ("median", "diffusion")]
    assert with_means(rows)[-1]["comparator"] == "median / diffusion"


def test_crops_are_not_taken_for_subjects() -> None:
    crops = [f"hippocampus_{number:03}" for number in (1, 2, 3, 4, 7, 9)]
    assert counted_subjects(crops) == "6 crops of 4 heads"
    assert counted_subjects([f"s{number}" for number in range(6)]) == "6 subjects"


@pytest.mark.parametrize(
    ("task", "modality", "channels", "expected"),
    [
        (Task.DENOISE, "MR", ("image", "noise"), denoising_rows),
        (Task.DENOISE, "CT", ("image", "noise"), ct_denoising_rows),
        (Task.DENOISE, "MR", ("image", "noise", "guide"), guided_rows),
        (Task.SUPER_RESOLUTION, "MR", ("image",), super_resolution_rows),
    ],
)
def test_a_model_of_ones_own_is_measured_as_ours(
    task: Task, modality: str, channels: tuple[str, ...], expected: Table
) -> None:
    shipped = read_bundle(MODELS / "mr-denoise-residual", shipped=True)
    spec = replace(shipped.input, channels=channels)
    model = replace(shipped, id="my-own", task=task, modality=modality, input=spec)
    assert table_of(model) is expected


def test_a_segmentation_without_references_says_how_to_measure_it() -> None:
    shipped = read_bundle(MODELS / "mr-hippocampus-unet", shipped=True)
    assert table_of(shipped) is hippocampus_rows
    with pytest.raises(OptionsError, match="medenhance evaluate segment"):
        table_of(replace(shipped, id="my-liver"))
