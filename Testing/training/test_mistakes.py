"""What a user did wrong is told in a sentence by every command of the training room."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path

import pytest

from training.failing import at_least_one

CONFIGS = Path(__file__).parents[2] / "training/configs"
NO_SCANS = ["--data", "nowhere"]
GUIDED = [*NO_SCANS, "--config", str(CONFIGS / "mr-denoise-guided.json")]
CT = [*NO_SCANS, "--config", str(CONFIGS / "ct-denoise-residual.json")]
MISSING = "There is no '.*' in 'nowhere'"


@pytest.mark.parametrize(
    ("module", "words", "sentence"),
    [
        ("tissue_atlas", NO_SCANS, MISSING),
        ("hippocampus_finder", NO_SCANS, "There are no weights"),
        ("brain_scans", NO_SCANS, MISSING),
        ("fit_profile", NO_SCANS, MISSING),
        ("make_sample_data", NO_SCANS, MISSING),
        ("tables.fill_bm4d", NO_SCANS, MISSING),
        ("guided", GUIDED, "There are no weights"),
        ("guided", CT, "takes no guide"),
        ("guided", [*NO_SCANS, "--config", "stageless.json"], "names no 'first_stage'"),
        ("train_adversarial", [*CT, "--data", "."], "has no part 'adversarial'"),
        ("evaluate", [*NO_SCANS, "--model", "ct-denoise-residual"], MISSING),
        ("evaluate", [*NO_SCANS, "--model", "mr-denoise-guided"], MISSING),
        ("evaluate", [*NO_SCANS, "--model", "mr-hippocampus-unet"], MISSING),
        ("publish", ["--config", "nowhere.json"], "There is no configuration 'nowhere.json'"),
        ("publish", ["--config", "scrawl.json"], "is no JSON"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, words: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scrawl.json").write_text("{", encoding="utf-8")
    stageless = json.loads((CONFIGS / "mr-denoise-guided.json").read_text("utf-8"))
    del stageless["first_stage"]
    Path("stageless.json").write_text(json.dumps(stageless), encoding="utf-8")
    monkeypatch.setattr("sys.argv", [module, *words])
    with pytest.raises(SystemExit, match=sentence) as ended:
        import_module(f"training.{module}").main()
    assert "\n" not in str(ended.value)


def test_numbers_of_one_or_more() -> None:
    assert [at_least_one(text) for text in ("1", "300", "007")] == [1, 300, 7]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "two", "\u00b2"])
def test_what_is_no_number_of_one_or_more(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a whole number"):
        at_least_one(text)
