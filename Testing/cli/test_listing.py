"""``models`` and ``check``: what there is, and whether it works."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from MedEnhanceLib import __version__
from MedEnhanceLib.cli.check import CLI_PACKAGES
from MedEnhanceLib.diagnosis import REQUIRED, package_state
from Testing.cli.conftest import Run
from Testing.lib.conftest import denoiser_bundle

SHIPPED = {"mr-denoise-residual", "mr-super-resolution", "mr-hippocampus-unet"}


def test_models_lists_the_shipped_ones_and_the_filters(run: Run) -> None:
    found = {m["id"]: m for m in json.loads(run("models", "--json").stdout)}
    assert found.keys() >= {*SHIPPED, "filter-median", "filter-bspline", "filter-otsu"}
    assert found["mr-denoise-residual"]["trained"] and not found["filter-median"]["trained"]
    labels = found["mr-hippocampus-unet"]["labels"]
    assert [(row["value"], row["name"].split()[0]) for row in labels] == [
        (1, "Anterior"),
        (2, "Posterior"),
    ]


def test_models_of_one_task(run: Run) -> None:
    found = json.loads(run("models", "--task", "segment", "--json").stdout)
    assert {m["task"] for m in found} == {"segment"}
    refused = run("models", "--task", "colour")
    assert refused.exit_code == 1 and "'colour'" in refused.stderr


def test_one_model_and_a_task_do_not_go_together(run: Run) -> None:
    done = run("models", "mr-denoise-residual", "--task", "segment")
    assert done.exit_code == 1 and "--task chooses from the list" in done.stderr


def test_models_as_json_and_markdown_do_not_go_together(run: Run) -> None:
    done = run("models", "--json", "--markdown")
    assert done.exit_code == 1 and "either --json or --markdown" in done.stderr


def test_what_was_named_in_vain_is_said(run: Run, tmp_path: Path) -> None:
    done = run("models", "--models", tmp_path, "--trust", "of-mine")
    assert done.exit_code == 0
    assert "holds no models" in done.stderr and "no model 'of-mine'" in done.stderr
    bundle = denoiser_bundle(tmp_path, "of-mine")
    assert run("models", "--models", bundle, "--trust", "of-mine").stderr == ""


def test_a_folder_of_models_that_is_not_there(run: Run) -> None:
    for command in ("models", "check"):
        done = run(command, "--models", "nowhere")
        assert done.exit_code == 1 and "'nowhere' does not exist" in done.stderr


def test_one_model_with_its_results_and_limits(run: Run, tmp_path: Path) -> None:
    result = {"subject": "phantom", "metric": "psnr", "value": 38.5}
    data = {"name": "Scans", "licence": "CC0", "subjects": [f"s{n}" for n in range(90)]}
    denoiser_bundle(
        tmp_path, "measured", results=[result], limits=["Heads only."], training_data=[data]
    )
    told = run("models", "measured", "--models", tmp_path).stdout
    for part in ("38.5", "Heads only.", "CC0", "90 subjects"):
        assert part in told
    assert "s77" not in told
    labels = run("models", "mr-hippocampus-unet").stdout
    assert "1 Anterior hippocampus" in labels
    assert "voxels 0.7 to 1.5 mm" in labels and "_mm" not in labels.split("Measured")[0]
    assert "or a whole volume of 90 to 400 mm along each axis, in which it finds the left" in labels
    assert "crop or whole volume" in " ".join(labels.split())
    assert json.loads(run("models", "filter-median", "--json").stdout)["id"] == "filter-median"


def test_brackets_in_what_a_model_says_are_shown(run: Run, tmp_path: Path) -> None:
    denoiser_bundle(tmp_path, "odd", title="[/bold] [red]x", method="[/]", limits=["[/no]"])
    told = run("models", "odd", "--models", tmp_path)
    assert told.exit_code == 0, told.output
    assert all(part in told.stdout for part in ("[/bold] [red]x", "[/]", "[/no]"))


def test_the_table_for_the_readme(run: Run, root: Path, tmp_path: Path) -> None:
    row = {"condition": "noise 3 %", "metric": "PSNR dB", "value": 38.5}
    rows = [{**row, "subject": "a"}, {**row, "subject": "mean of 2", "value": 37.25}]
    denoiser_bundle(tmp_path, "measured", results=rows)
    told = run("models", "--models", tmp_path, "--markdown").stdout.splitlines()
    mine = next(line for line in told if line.startswith("| `measured`"))
    assert "noise 3 % | mean of 2 | PSNR dB | 37.25" in mine and "38.5" not in mine
    assert len({line.count("|") for line in told}) == 1
    readme = (root / "README.md").read_text("utf-8")
    assert run("models", "--markdown").stdout in readme


def test_the_table_holds_all_means_and_empty_cells_without_a_comparator(
    run: Run, tmp_path: Path
) -> None:
    row = {"subject": "mean of 2", "metric": "cost", "value": 1.5}
    rows = [{**row, "condition": f"noise {n} %"} for n in range(40)]
    denoiser_bundle(tmp_path, "measured", results=rows)
    told = run("models", "--models", tmp_path, "--markdown").stdout.splitlines()
    mine = [line for line in told if line.startswith("| `measured`")]
    assert len(mine) == 40
    assert mine[39].startswith("| `measured` | noise 39 % | mean of 2 | cost | 1.5 |  |  |")


def test_models_of_another_folder(run: Run, tmp_path: Path) -> None:
    denoiser_bundle(tmp_path, "of-my-own")
    assert "of-my-own" in run("models", "--models", tmp_path).stdout


def test_check_finds_everything_well(run: Run) -> None:
    done = run("check", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["medenhance"] == __version__
    assert {p["name"] for p in found["packages"] if p["ok"]} == {*REQUIRED, *CLI_PACKAGES}
    assert next(d for d in found["devices"] if d["name"] == "cpu")["usable"]
    assert sum(d["used"] for d in found["devices"]) == 1
    assert {m["id"] for m in found["models"] if m["ok"]} >= SHIPPED


def test_check_tells_of_damaged_weights(run: Run, tmp_path: Path) -> None:
    bundle = denoiser_bundle(tmp_path / "models", "tampered")
    weights = bundle / "models" / "model.pt"
    weights.write_bytes(weights.read_bytes() + b"more")
    done = run("check", "--models", bundle.parent)
    assert done.exit_code == 1
    assert "tampered" in done.stdout and "NO" in done.stdout


@pytest.mark.parametrize("error", [OSError("libgomp.so: bad ELF"), ImportError("no symbol")])
def test_check_tells_of_a_library_that_cannot_be_loaded(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "MedEnhanceLib.engine.device":
                raise error

    monkeypatch.delitem(sys.modules, "MedEnhanceLib.engine.device", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    done = run("check", "--json")
    cpu = next(d for d in json.loads(done.stdout)["devices"] if d["name"] == "cpu")
    assert not cpu["usable"] and f"torch cannot be loaded ({error})" in cpu["reason"]


def test_check_tells_of_a_missing_package(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REQUIRED, "no-such-package", "1")
    done = run("check")
    assert done.exit_code == 1
    assert "missing" in done.stdout


@pytest.mark.parametrize(
    ("found", "least", "is_enough"),
    [
        ("2.13.0+cpu", "2.4", True),
        ("2.4", "2.13", False),
        ("1.26.4", "2.4", False),
        ("3.0rc1", "3.0", True),
    ],
)
def test_versions_are_compared_by_number(
    monkeypatch: pytest.MonkeyPatch, found: str, least: str, is_enough: bool
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _: found)
    assert package_state("torch", least)["ok"] is is_enough


def test_help_teaches_with_examples(run: Run) -> None:
    for command in ("denoise", "super-resolution", "segment"):
        told = run(command, "--help")
        assert told.exit_code == 0
        assert f"medenhance {command} " in told.stdout
    assert run("--version").stdout.strip() == f"medenhance {__version__}"
