"""The demonstration, as `make demo` runs it, on the shipped samples with the shipped models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from MedEnhanceLib import read_labelmap, read_volume
from MedEnhanceLib.cli.main import app
from MedEnhanceLib.cli.stories import Story
from MedEnhanceLib.resources import sample_folder
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "out"
    done = CliRunner().invoke(app, ["demo", "--out", str(folder)])
    assert done.exit_code == 0, done.output
    for title in ("Denoising", "Super-resolution", "Segmentation", "Evidence", "PSNR dB", "Dice"):
        assert title in done.stdout
    return folder


def test_volumes_lie_where_the_samples_do(out: Path) -> None:
    scan = read_volume(sample_folder() / "mr_head_t1.nii.gz")
    for name in ("denoised.nii.gz", "denoise_removed.nii.gz"):
        assert read_volume(out / name).geometry.is_close(scan.geometry)
    thick = read_volume(sample_folder() / "mr_head_t1_thick.nii.gz")
    fine = read_volume(out / "super_resolution.nii.gz")
    assert fine.geometry.is_close(thick.geometry.refined((1, 1, 2)))
    image = read_volume(sample_folder() / "hippocampus_t1.nii.gz")
    for name in ("segmentation.nii.gz", "segmentation.seg.nrrd"):
        assert read_labelmap(out / name).geometry.is_close(image.geometry)


def test_a_picture_for_each_task(out: Path) -> None:
    for name in ("denoise.png", "super_resolution.png", "segment.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 400
            assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 100


def test_warnings_remain_when_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = read_volume(sample_folder() / "mr_head_t1.nii.gz")
    result = Result(Task.DENOISE, scan, warnings=("Look at it.",))
    story = Story("Denoising", result, [], "How it was made.")
    monkeypatch.setattr("MedEnhanceLib.cli.stories.STORIES", {"denoise": lambda *_: story})
    for words in ([], ["--quiet"]):
        done = CliRunner().invoke(app, ["demo", "--out", str(tmp_path), *words])
        assert done.exit_code == 0, done.output
        assert done.stderr == "medenhance: warning: Look at it.\n"
        assert bool(words) == (done.stdout == "")


def test_the_report_says_who_beats_whom(out: Path) -> None:
    report = json.loads((out / "report.json").read_text())
    assert "not for diagnosis" in report["intended_use"]
    values = {
        task: {
            (row["condition"], row["method"]): row["values"] for row in found["measured"]["rows"]
        }
        for task, found in report.items()
        if isinstance(found, dict)
    }
    assert values.keys() == {"denoise", "super-resolution", "segment"}
    psnr = {method: v["psnr_db"] for (_, method), v in values["denoise"].items()}
    assert psnr["mr-denoise-attention"] > psnr["input"] + 2
    psnr = {method: v["psnr_db"] for (_, method), v in values["super-resolution"].items()}
    assert psnr["mr-super-resolution"] > psnr["filter-bspline"]
    dice = {key: v["dice"] for key, v in values["segment"].items()}
    assert dice["mean", "mr-hippocampus-unet"] > 0.8
    for task in values:
        assert report[task]["provenance"]["weights_sha256"]
        assert report[task]["provenance"]["device"] == "cpu"
