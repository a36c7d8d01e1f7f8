"""`medenhance evaluate`: its tables, pictures and files, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from MedEnhanceLib import Geometry, LabelMap, Volume, write_image
from MedEnhanceLib.cli.main import app
from MedEnhanceLib.evaluation import methods
from MedEnhanceLib.evaluation.subjects import NOISY_REFERENCE
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task

from .test_evaluation import made_up


class TestCommand:
    def _run(self, *arguments: object) -> object:
        return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])

    def test_denoise_as_json_with_picture(self, tmp_path: Path) -> None:
        write_image(made_up(), tmp_path / "p.nii")
        picture = tmp_path / "p.png"
        done = self._run("denoise", tmp_path / "p.nii", "--noise", "3,9", "--json", "--model",
                         "filter-median", "--picture", picture)  # fmt: skip
        assert done.exit_code == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["settings"]["noise_percent"] == [3, 9] and found["complete"]
        rows = {(r["condition"], r["method"]): r["values"] for r in found["rows"]}
        assert len(rows) == 4
        assert rows["noise 3 %", "input"]["psnr_db"] > rows["noise 9 %", "input"]["psnr_db"]
        assert picture.read_bytes().startswith(b"\x89PNG")

    def test_what_was_done_before_a_failure_is_shown(self, tmp_path: Path) -> None:
        write_image(made_up(), tmp_path / "good.nii")
        constant = made_up().with_voxels(np.full_like(made_up().voxels, 3))
        write_image(constant, tmp_path / "bad.nii")
        report = tmp_path / "r.json"
        files = [tmp_path / "good.nii", tmp_path / "bad.nii"]
        table = tmp_path / "r.md"
        done = self._run("denoise", *files, "--model", "filter-median", "--report", report,
                         "--markdown", table)  # fmt: skip
        assert done.exit_code == 1
        assert "Incomplete" in done.stdout and "Incomplete" in table.read_text()
        assert json.loads(report.read_text())["complete"] is False
        assert "Volume 2 cannot be used: All voxels have" in done.stderr
        assert "Only what was done before is shown." in done.stderr
        assert "filter-median" in done.stdout and "volume 2" not in done.stdout
        assert {row["subject"] for row in json.loads(report.read_text())["rows"]} == {"volume 1"}
        nothing = self._run("denoise", *files[::-1], "--model", "filter-median", "--report", report)
        assert nothing.exit_code == 1 and "is shown" not in nothing.stderr

    def test_a_noisy_reference_is_marked_in_markdown_and_in_json(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        voxels = np.linspace(300, 900, 40)[:, None, None] + rng.normal(0, 20, (40, 40, 40))
        write_image(Volume(voxels.astype(np.float32), Geometry((40, 40, 40))), tmp_path / "p.nii")
        thick = self._run("super-resolution", tmp_path / "p.nii", "--noise", 1, "--json", "--model",
                          "filter-bspline")  # fmt: skip
        assert json.loads(thick.stdout)["rows"][0]["note"] == NOISY_REFERENCE
        done = self._run("denoise", tmp_path / "p.nii", "--noise", "1,9", "--crop", 32, "--model",
                         "filter-median", "--markdown", tmp_path / "t.md", "--report",
                         tmp_path / "r.json")  # fmt: skip
        assert done.exit_code == 0, done.stderr
        table = (tmp_path / "t.md").read_text()
        assert "| volume 1 | noise 1 % * | filter-median |" in table
        assert "| volume 1 | noise 9 % | filter-median |" in table
        assert "- Noise added: Rician, seed 0." in table and "- * the noise added is" in table
        report = json.loads((tmp_path / "r.json").read_text())
        assert report["settings"]["reference_noise_percent"]["volume 1"] == pytest.approx(
            2.2, rel=0.2
        )
        row = report["rows"][1]
        assert row["note"] == NOISY_REFERENCE
        each = 1e6 * row["values"]["core_seconds"] / 32**3
        assert row["values"]["core_us_per_voxel"] == pytest.approx(each)

    def test_super_resolution_as_table(self, tmp_path: Path) -> None:
        write_image(made_up(), tmp_path / "p.nii")
        done = self._run("super-resolution", tmp_path / "p.nii", "--profile", "box", "--noise", 1,
                         "--model", "filter-bspline", "--picture", tmp_path / "p.png")  # fmt: skip
        assert done.exit_code == 0, done.stderr
        assert "2x along z, box, noise 1 %" in done.stdout and "PSNR" in done.stdout
        assert (tmp_path / "p.png").stat().st_size > 1000

    def test_slices_between_whole_factors_along_several_axes(self, tmp_path: Path) -> None:
        write_image(made_up(), tmp_path / "p.nii")
        done = self._run("super-resolution", tmp_path / "p.nii", "--factor", 2.5, "--axis", "xz",
                         "--profile-width", 1.25, "--json", "--model",
                         "filter-bspline")  # fmt: skip
        assert done.exit_code == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["rows"][0]["condition"] == "2.5x along xz, gaussian 1.25 wide"
        assert found["settings"]["profile_width"] == 1.25

    def test_models_that_take_a_guide_are_given_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given = {}

        def enhance(volume: Volume, task: Task, model: str, *_: object, **more: object) -> Result:
            given[model] = more["guide"]
            return Result(task, volume)

        monkeypatch.setattr(methods, "enhance", enhance)
        write_image(made_up(), tmp_path / "p.nii")
        contrast = made_up().with_voxels(1000 - made_up().voxels)
        write_image(contrast, tmp_path / "g.nii")
        words = ["denoise", tmp_path / "p.nii", "--noise", 5, "--model", "mr-denoise-guided",
                 "--model", "filter-median", "--guide", tmp_path / "g.nii"]  # fmt: skip
        done = self._run(*words)
        assert done.exit_code == 0, done.stderr
        assert given["filter-median"] is None
        np.testing.assert_allclose(given["mr-denoise-guided"].voxels, contrast.voxels)
        assert "Models that take a guide had another contrast" in done.stdout
        others = [word for word in words if word != "mr-denoise-guided"]
        others.remove("--model")
        done = self._run(*others, "--json", "--markdown", tmp_path / "t.md")
        assert json.loads(done.stdout)["settings"]["guided"] is False
        assert "the guide was not used" in (tmp_path / "t.md").read_text()
        done = self._run(*words, "--guide", tmp_path / "g.nii")
        assert done.exit_code == 1 and "1 volumes but 2 guides" in done.stderr

    def test_segment_with_report(self, tmp_path: Path) -> None:
        phantom = made_up()
        write_image(phantom, tmp_path / "p.nii")
        labels = (phantom.voxels > 200).astype(np.uint8)
        write_image(LabelMap(labels, phantom.geometry), tmp_path / "l.nii")
        done = self._run("segment", tmp_path / "p.nii", "--reference", tmp_path / "l.nii",
                         "--model", "filter-otsu", "--report", tmp_path / "r.json",
                         "--picture", tmp_path / "p.png")  # fmt: skip
        assert done.exit_code == 0, done.stderr
        rows = json.loads((tmp_path / "r.json").read_text())["rows"]
        assert {row["condition"] for row in rows} == {"label 1", "mean", "whole"}
        assert (tmp_path / "p.png").is_file()

    def test_a_report_is_json(self, tmp_path: Path) -> None:
        write_image(made_up(), tmp_path / "p.nii")
        done = self._run("denoise", tmp_path / "p.nii", "--report", tmp_path / "r.html")
        assert done.exit_code == 1 and "*.json" in done.stderr

    def test_an_image_is_no_reference_for_labels(self, tmp_path: Path) -> None:
        voxels = np.arange(16 * 16 * 16, dtype=np.int16).reshape(16, 16, 16)
        write_image(Volume(voxels, Geometry((16, 16, 16))), tmp_path / "p.nii")
        done = self._run("segment", tmp_path / "p.nii", "--reference", tmp_path / "p.nii",
                         "--model", "filter-otsu")  # fmt: skip
        assert done.exit_code == 1 and "4,095 different values" in done.stderr

    @pytest.mark.parametrize(
        ("labels", "said"), [((), "0 only"), (("--labels", "3,4"), "it has 2")]
    )
    def test_a_reference_without_the_labels(self, tmp_path: Path, labels: tuple, said: str) -> None:
        phantom = made_up()
        write_image(phantom, tmp_path / "p.nii")
        drawn = np.where(phantom.voxels > 200, 2 if labels else 0, 0).astype(np.uint8)
        write_image(LabelMap(drawn, phantom.geometry), tmp_path / "l.nii")
        done = self._run("segment", tmp_path / "p.nii", "--reference", tmp_path / "l.nii",
                         "--model", "filter-otsu", *labels)  # fmt: skip
        assert done.exit_code == 1 and said in done.stderr

    def test_noise_of_magnitudes_is_not_added_to_signed_values(self, tmp_path: Path) -> None:
        phantom = made_up()
        signed = phantom.with_voxels((phantom.voxels - 150).astype(np.float32))
        write_image(signed, tmp_path / "p.nii")
        for words in (("denoise",), ("super-resolution", "--noise", 1)):
            done = self._run(*words, tmp_path / "p.nii", "--model", "filter-median"
                             if words[0] == "denoise" else "filter-bspline")  # fmt: skip
            assert done.exit_code == 1 and "below zero" in done.stderr
        done = self._run("super-resolution", tmp_path / "p.nii", "--model", "filter-bspline")
        assert done.exit_code == 0, done.stderr

    def test_volumes_whose_files_are_called_alike(self, tmp_path: Path) -> None:
        paths = [tmp_path / name / "t1.nii" for name in ("a", "b")]
        for path in paths:
            path.parent.mkdir()
            write_image(made_up(), path)
        done = self._run("denoise", *paths, "--noise", 5, "--model", "filter-median", "--json")
        assert done.exit_code == 0, done.stderr
        found = json.loads(done.stdout)
        assert {row["subject"] for row in found["rows"]} == {"volume 1", "volume 2"}
        assert set(found["settings"]["reference_noise_percent"]) == {"volume 1", "volume 2"}

    @pytest.mark.parametrize(
        ("words", "code", "said"),
        [
            (("denoise", "p.nii", "--noise", "3,0"), 1, "'3,0' must be positive"),
            (("super-resolution", "p.nii", "--noise", -3), 1, "-3"),
            (("super-resolution", "p.nii", "--noise", "nan"), 1, "nan"),
            (("denoise", "p.nii", "--seed", -1), 2, "--seed"),
        ],
    )
    def test_impossible_noise(self, words: tuple, code: int, said: str) -> None:
        done = self._run(*words)
        assert done.exit_code == code and said in done.stderr
        assert "unexpectedly" not in done.stderr

    def test_a_reference_for_each_image(self, tmp_path: Path) -> None:
        done = self._run("segment", "a.nii", "b.nii", "--reference", "c.nii")
        assert done.exit_code == 1 and "2 images but 1 reference" in done.stderr

    def test_the_picture_may_not_replace_an_input(self, tmp_path: Path) -> None:
        write_image(made_up(), tmp_path / "p.nii")
        done = self._run("denoise", tmp_path / "p.nii", "--picture", tmp_path / "p.nii")
        assert done.exit_code == 1 and "*.png" in done.stderr
