"""No subject is in training and validation at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.data import head_of, read_splits
from training.make_sample_data import HEAD, HIPPOCAMPUS, THIGH

CONFIGS = sorted((Path(__file__).parents[2] / "training/configs").glob("*.json"))


def test_head_subjects_are_disjoint() -> None:
    split = read_splits()["mr_head"]
    subjects = {part: {s["subject"] for s in split[part]} for part in split}
    files = {part: {f for s in split[part] for f in s["files"]} for part in split}
    assert subjects["training"]
    assert subjects["validation"]
    assert not subjects["training"] & subjects["validation"]
    assert not files["training"] & files["validation"]


def test_ct_subjects_are_disjoint() -> None:
    split = read_splits()["ct_body"]
    subjects = {part: {s["subject"] for s in split[part]} for part in split}
    assert not subjects["training"] & subjects["validation"]
    files = {part: {f for s in split[part] for f in s["files"]} for part in split}
    assert len(files["training"] | files["validation"]) == 6
    assert not files["training"] & files["validation"]


def test_head_subjects_are_whole() -> None:
    """The sessions of one MS patient, and the two sessions of one volunteer, stay together."""
    split = read_splits()["mr_head"]
    for part, other in (("training", "validation"), ("validation", "training")):
        patients = {f.split("_study")[0] for s in split[part] for f in s["files"] if "patient" in f}
        others = {f.split("_study")[0] for s in split[other] for f in s["files"]}
        assert not patients & others
    assert any(len([f for f in s["files"] if "uih" in f]) == 2 for s in split["training"])


def test_hippocampus_subjects_are_disjoint() -> None:
    split = read_splits()["hippocampus"]
    training, validation = set(split["training"]), set(split["validation"])
    assert len(training) + len(validation) == len(split["training"]) + len(split["validation"])
    assert not training & validation
    assert len(validation) / len(training | validation) == pytest.approx(0.2, abs=0.02)
    assert not {head_of(crop) for crop in training} & {head_of(crop) for crop in validation}


def test_shipped_samples_are_validation_subjects() -> None:
    splits = read_splits()
    assert HEAD in {f for s in splits["mr_head"]["validation"] for f in s["files"]}
    assert HIPPOCAMPUS in splits["hippocampus"]["validation"]
    assert THIGH in {f for s in splits["ct_body"]["validation"] for f in s["files"]}


def test_every_set_has_source_and_licence() -> None:
    splits = read_splits()
    rows = [s for part in ("mr_head", "ct_body") for side in splits[part].values() for s in side]
    for row in [*rows, splits["hippocampus"]]:
        assert row["name"]
        assert row["source"]
        assert row["licence"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_configurations_name_a_split(path: Path) -> None:
    config = json.loads(path.read_text(encoding="utf-8"))
    assert config["id"] == path.stem
    assert config["bundle"]["training"] in read_splits()
