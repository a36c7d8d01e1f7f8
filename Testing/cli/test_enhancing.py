"""One volume in, a better one out: what is written, and what is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib import Geometry, Volume, read_labelmap, read_volume, write_image
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.cli.enhancing import super_resolution
from MedEnhanceLib.cli.parsing import parse_noise
from MedEnhanceLib.resources import sample_folder
from MedEnhanceLib.task import Task
from Testing.cli.conftest import Run, scan
from Testing.lib.dicom_files import write_series


def test_denoise_writes_output_removed_signal_and_report(run: Run, volume_file: Path) -> None:
    out, removed, report = (
        volume_file.with_name(n) for n in ("out.nrrd", "removed.mha", "report.json")
    )
    done = run(
        "denoise", volume_file, out, "--removed", removed, "--report", report,
        "--model", "filter-median",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    before, after, noise = (read_volume(path) for path in (volume_file, out, removed))
    assert after.geometry.is_close(before.geometry)
    np.testing.assert_allclose(noise.voxels, before.voxels - after.voxels, atol=1e-3)
    assert np.abs(noise.voxels).max() > 0
    told = json.loads(report.read_text())
    assert told["task"] == "denoise"
    assert told["provenance"]["model"] == "filter-median"
    assert {m["name"] for m in told["evidence"]} >= {"Noise", "Edge sharpness"}
    assert "Signal to noise" in done.stdout


def test_a_strength_of_zero_gives_the_input_back(run: Run, volume_file: Path) -> None:
    out = volume_file.with_name("out.nii")
    done = run("denoise", volume_file, out, "--model", "filter-median", "--strength", 0)
    assert done.exit_code == 0, done.stderr
    assert "The strength is 0, so nothing was changed" in done.stderr
    assert "lower the strength" not in done.stderr and "Nothing was changed." in done.stdout
    np.testing.assert_array_equal(read_volume(out).voxels, read_volume(volume_file).voxels)


def test_evidence_says_when_it_is_that_of_full_strength(run: Run, volume_file: Path) -> None:
    out, page = volume_file.with_name("out.nii"), volume_file.with_name("r.html")
    for strength, is_told in ((0.5, True), (1, False)):
        done = run(
            "denoise", volume_file, out, "--model", "filter-median", "--strength", strength,
            "--report", page,
        )  # fmt: skip
        assert done.exit_code == 0, done.stderr
        for text in (done.stdout, page.read_text("utf-8")):
            assert ("full strength; the output has strength 0.5" in text) is is_told


def test_a_filter_is_not_called_ai(run: Run, volume_file: Path) -> None:
    done = run("denoise", volume_file, volume_file.with_name("o.nii"), "--model", "filter-median")
    assert "AI-processed" not in done.stdout
    assert "Processed by a classical filter" in done.stdout


def test_nothing_to_remove_still_writes_what_was_asked_for(run: Run, tmp_path: Path) -> None:
    clean = np.full((12, 16, 24), -1000, np.int16)
    clean[..., 8:] = 50
    write_image(Volume(clean, Geometry((24, 16, 12))), tmp_path / "clean.nii")
    out, unsure, report = (tmp_path / n for n in ("o.nii", "u.nii", "r.html"))
    done = run(
        "denoise", tmp_path / "clean.nii", out, "--model", "ct-denoise-residual",
        "--uncertainty", unsure, "--report", report,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "nothing was changed" in done.stderr
    assert not read_volume(unsure).voxels.any()
    assert "Nothing was changed." in report.read_text("utf-8")


@pytest.mark.parametrize(("typed", "expected"), [("40", 40.0), ("5%", None)])
def test_noise_by_hand_in_units_or_percent(
    run: Run, volume_file: Path, typed: str, expected: float | None
) -> None:
    report = volume_file.with_name("report.json")
    done = run(
        "denoise", volume_file, volume_file.with_name("o.nii"), "--noise", typed,
        "--model", "filter-median", "--report", report,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    used = json.loads(report.read_text())["provenance"]["options"]["noise"]
    peak = np.percentile(read_volume(volume_file).voxels, 99.9)
    assert used == pytest.approx(expected or 0.05 * peak)


def test_percents_of_ct_are_of_2000_hu_as_in_evaluations(run: Run, tmp_path: Path) -> None:
    sample = sample_folder() / "ct_thigh.nii.gz"
    report = tmp_path / "report.json"
    done = run(
        "denoise", sample, tmp_path / "o.nii", "--noise", "2%", "--model", "filter-median",
        "--report", report,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert json.loads(report.read_text())["provenance"]["options"]["noise"] == 40
    much = run("denoise", sample, tmp_path / "o.nii", "--noise", "300%", "--model", "filter-median")
    assert much.exit_code == 1 and "noise level of 6000 is more than" in much.stderr


def test_percents_are_of_2000_hu_where_only_the_model_tells_that_it_is_ct() -> None:
    model = Bundle("ct", "CT", Task.DENOISE, "U-Net", modality="CT")
    assert parse_noise("3%").of(scan(), model) == 60


def test_super_resolution_takes_axes_in_the_order_x_y_z(run: Run, volume_file: Path) -> None:
    out = volume_file.with_name("fine.nii.gz")
    done = run("super-resolution", volume_file, out, "--model", "filter-bspline",
               "--factor", 1, 2, 3)  # fmt: skip
    assert done.exit_code == 0, done.stderr
    before, after = read_volume(volume_file), read_volume(out)
    assert after.geometry.size == (24, 40, 36)
    assert after.geometry.is_close(before.geometry.refined((1, 2, 3)), 1e-4)


def test_super_resolution_to_a_spacing(run: Run, volume_file: Path) -> None:
    out = volume_file.with_name("fine.nii.gz")
    done = run("super-resolution", volume_file, out, "--model", "filter-bspline",
               "--spacing", 0.9, 0.5, 1)  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert read_volume(out).geometry.spacing == pytest.approx((0.9, 0.5, 1.0), abs=1e-5)


def test_the_examples_of_super_resolution_suit_the_thick_sample(
    run: Run, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thick = read_volume(sample_folder() / "mr_head_t1_thick.nii.gz")
    part = np.ascontiguousarray(thick.voxels[:, :40, :40])
    grid = thick.geometry.cropped((0, 0, 0), part.shape[::-1])
    write_image(Volume(part, grid), tmp_path / "thick.nii.gz")
    monkeypatch.chdir(tmp_path)
    shown = (root / "README.md").read_text("utf-8") + str(super_resolution.__doc__)
    examples = set(re.findall(r"medenhance (super-resolution thick[^`\n]+)", shown))
    assert len(examples) > 2
    for example in examples:
        done = run(*example.split(), "--model", "filter-bspline", "--quiet")
        assert done.exit_code == 0, f"{example}: {done.stderr}"


def test_segment_takes_the_model_that_suits_and_says_which(run: Run, tmp_path: Path) -> None:
    out, report = tmp_path / "labels.nii.gz", tmp_path / "labels.json"
    done = run("segment", sample_folder() / "hippocampus_t1.nii.gz", out, "--report", report)
    assert done.exit_code == 0, done.stderr
    assert "mr-hippocampus-unet" in done.stderr
    assert "Anterior hippocampus" in done.stdout and "ml" in done.stdout
    found = read_labelmap(out)
    assert set(np.unique(found.voxels)) == {0, 1, 2}
    volumes = {m["name"]: m["after"] for m in json.loads(report.read_text())["evidence"]}
    voxel_ml = np.prod(found.geometry.spacing) / 1000
    assert volumes["Volume of Anterior hippocampus"] == pytest.approx(
        (found.voxels == 1).sum() * voxel_ml
    )


def test_segment_only_some_labels(run: Run, volume_file: Path) -> None:
    out = volume_file.with_name("labels.seg.nrrd")
    done = run("segment", volume_file, out, "--model", "filter-otsu", "--labels", "1,3",
               "--no-fill-holes")  # fmt: skip
    assert done.exit_code == 0, done.stderr
    found = read_labelmap(out)
    assert set(np.unique(found.voxels)) == {0, 1, 3}
    assert [label.value for label in found.labels] == [1, 3]


def test_a_dicom_folder_with_two_series_asks_which(run: Run, tmp_path: Path) -> None:
    folder, out = tmp_path / "study", tmp_path / "out.nii.gz"
    voxels = np.round(np.random.default_rng(0).normal(300, 40, (8, 12, 14))).astype(np.int16)
    for number in (3, 7):
        write_series(
            folder / str(number), voxels + number, uid=f"1.2.3.{number}",
            tags={"0020|0011": str(number), "0008|0060": "MR", "0008|103e": f"Scan {number}"},
        )  # fmt: skip
    asked = run("denoise", folder, out, "--model", "filter-median")
    assert asked.exit_code == 1
    assert "Scan 3" in asked.stderr and "Scan 7" in asked.stderr and "--series" in asked.stderr
    done = run("denoise", folder, out, "--model", "filter-median", "--series", 7)
    assert done.exit_code == 0, done.stderr
    assert read_volume(out).voxels.shape == (8, 12, 14)


def test_a_dicom_folder_may_hold_the_output_but_loses_no_slice(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    first, *_ = write_series(folder, scan().voxels, tags={"0008|0060": "MR"})
    for _ in range(2):
        done = run("denoise", folder, folder / "clean.nii.gz", "--model", "filter-median", "-q")
        assert done.exit_code == 0, done.stderr
    first.rename(folder / "slice.nii")
    done = run("denoise", folder, folder / "slice.nii", "--model", "filter-median", "-q")
    assert done.exit_code == 1 and "one of the files in the input folder" in done.stderr


def test_the_modality_can_be_told(run: Run, tmp_path: Path) -> None:
    """Of a CT without air nothing else tells; noise of CT is estimated otherwise."""
    muscle, out, report = (tmp_path / n for n in ("muscle.nii", "out.nii", "report.json"))
    sample = read_volume(sample_folder() / "ct_thigh.nii.gz")
    voxels = np.ascontiguousarray(sample.voxels[10:20, 32:64, 32:64]).clip(-124)
    write_image(Volume(voxels, Geometry(voxels.shape[::-1], sample.geometry.spacing)), muscle)
    noise = []
    for told in ((), ("--modality", "CT")):
        done = run("denoise", muscle, out, "--model", "filter-median", "--report", report, *told)
        assert done.exit_code == 0, done.stderr
        noise.append(json.loads(report.read_text())["evidence"][0]["before"])
    assert noise[1] > 1.2 * noise[0]
    wrong = run("denoise", muscle, out, "--modality", "ct")
    assert wrong.exit_code == 1 and "'ct' is not known" in wrong.stderr


def test_a_modality_that_the_file_states_is_not_overruled(run: Run, tmp_path: Path) -> None:
    write_series(tmp_path / "series", scan().voxels, tags={"0008|0060": "MR"})
    done = run("denoise", tmp_path / "series", tmp_path / "out.nii", "--modality", "CT")
    assert done.exit_code == 1 and "says that it is MR" in done.stderr


def test_a_filter_says_what_it_has_no_use_for(run: Run, volume_file: Path) -> None:
    out = volume_file.with_name("out.nii")
    done = run(
        "denoise", volume_file, out, "--model", "filter-median", "--device", "cuda", "--tile", 32
    )
    assert done.exit_code == 0 and "has no use for: device, tile." in done.stderr
    for model, is_told in (("filter-median", True), ("filter-non-local-means", False)):
        done = run("denoise", volume_file, out, "--model", model, "--noise", "3%")
        assert done.exit_code == 0 and ("has no use for: noise." in done.stderr) is is_told
    fine = ("super-resolution", volume_file, out, "--model", "filter-bspline", "--factor", 1, 1, 2)
    assert "has no use for: denoise." in run(*fine, "--no-denoise").stderr
    assert "no use" not in run(*fine).stderr


def test_quiet_says_nothing(run: Run, volume_file: Path) -> None:
    out = volume_file.with_name("out.nii")
    done = run("denoise", volume_file, out, "--model", "filter-median", "-q")
    assert done.exit_code == 0
    assert done.stdout == ""


def test_another_file_of_that_name_is_replaced(run: Run, volume_file: Path) -> None:
    out = volume_file.with_name("out.nii")
    out.write_text("an older result")
    done = run("denoise", volume_file, out, "--model", "filter-median")
    assert done.exit_code == 0, done.stderr
    assert read_volume(out).voxels.shape == (12, 20, 24)


def test_cancelling_after_the_output_was_written_says_so(
    run: Run, volume_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    out = volume_file.with_name("out.nii")
    monkeypatch.setattr("MedEnhanceLib.cli.enhancing.print_evidence", interrupted)
    done = run("denoise", volume_file, out, "--model", "filter-median")
    assert done.exit_code == 130 and out.is_file()
    assert f"cancelled; '{out}' had been written already." in done.stderr
    monkeypatch.setattr("MedEnhanceLib.cli.enhancing.write_all", interrupted)
    again = run("denoise", volume_file, out, "--model", "filter-median")
    assert again.exit_code == 130 and "cancelled; nothing was written." in again.stderr


def test_a_guide_is_read_and_a_model_without_one_says_so(run: Run, volume_file: Path) -> None:
    guide, out = volume_file.with_name("t1.nii.gz"), volume_file.with_name("out.nii.gz")
    write_image(scan(seed=3), guide)
    done = run("denoise", volume_file, out, "--guide", guide, "--model", "filter-median")
    assert done.exit_code == 0, done.stderr
    assert "takes no guide" in done.stderr
    over = run("denoise", volume_file, guide, "--guide", guide, "--model", "filter-median")
    assert over.exit_code == 1 and "is the input" in over.stderr
    lost = run("denoise", volume_file, out, "--guide", volume_file.with_name("none.nii"))
    assert lost.exit_code == 1 and "none.nii" in lost.stderr
    alone = run("denoise", volume_file, out, "--no-register-guide")
    assert alone.exit_code == 1 and "There is no guide" in alone.stderr


def test_uncertainty_is_written_for_networks_only(run: Run, tmp_path: Path) -> None:
    out, unsure = tmp_path / "labels.nii.gz", tmp_path / "unsure.nii.gz"
    sample = sample_folder() / "hippocampus_t1.nii.gz"
    done = run("segment", sample, out, "--uncertainty", unsure)
    assert done.exit_code == 0, done.stderr
    doubt = read_volume(unsure)
    assert doubt.geometry.is_close(read_volume(sample).geometry)
    assert 0.1 < doubt.voxels.max() <= 1
    assert "Mean uncertainty in slice" in done.stdout
    refused = run("segment", sample, out, "--model", "filter-otsu", "--uncertainty", unsure)
    assert refused.exit_code == 1 and "classical filter" in refused.stderr


@pytest.mark.parametrize("ending", [".html", ".pdf"])
def test_reports_for_people(run: Run, volume_file: Path, ending: str) -> None:
    out, report = volume_file.with_name("out.nrrd"), volume_file.with_name("report" + ending)
    done = run("denoise", volume_file, out, "--model", "filter-median", "--report", report)
    assert done.exit_code == 0, done.stderr
    content = report.read_bytes()
    if ending == ".pdf":
        assert content.startswith(b"%PDF")
        return
    text = content.decode()
    assert "data:image/png;base64," in text and "Research use only" in text
    assert "filter-median" in text and volume_file.name not in text
