"""Trust in bundles that run code of their own: in an id, or in the very files that bear it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from MedEnhanceLib import Catalog
from MedEnhanceLib.bundle import Bundle, read_bundle
from MedEnhanceLib.engine.loading import load_network
from MedEnhanceLib.errors import BundleError
from MedEnhanceLib.trust import pinned

from .conftest import denoiser_bundle

CONFIGURATION = "configs/inference.json"
CODE = "print('hello')"


@pytest.fixture(autouse=True)
def nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDENHANCE_MODELS", str(tmp_path / "user"))


def foreign_bundle(root: Path, name: str, identity: str, width: str = "$5 + 1") -> Path:
    """A bundle with an expression, and a module of its own."""
    folder = denoiser_bundle(root, name, id=identity)
    path = folder / CONFIGURATION
    data = json.loads(path.read_text())
    data["network_def"]["width"] = width
    path.write_text(json.dumps(data))
    (folder / "scripts/__pycache__").mkdir(parents=True)
    (folder / "scripts/trusted_width.py").write_text("WIDTH = 6")
    return folder


def trusted(root: Path, *names: str) -> list[str]:
    found = Catalog.default([root], names).entries
    return [model.id for model in found if isinstance(model, Bundle) and model.trusted]


@pytest.mark.parametrize("identity", ["mine", "mine@2024"])
@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / CONFIGURATION).write_text(
            (folder / CONFIGURATION).read_text() + " "
        ),
        lambda folder: (folder / "scripts/trusted_width.py").write_text(CODE),
        lambda folder: (folder / "scripts/__pycache__/trusted_width.pyc").write_text(CODE),
        lambda folder: (folder / "scripts/json.py").write_text(CODE),
        lambda folder: (folder / "scripts/trusted_width.py").rename(folder / "scripts/types.py"),
        lambda folder: (folder / "models/model.pt").write_bytes(b"other weights"),
        lambda folder: (folder / "code").symlink_to(folder.parent, target_is_directory=True),
    ],
)
def test_trust_in_files_ends_when_one_of_them_changes(
    tmp_path: Path, identity: str, change: Callable[[Path], object]
) -> None:
    folder = foreign_bundle(tmp_path, "folder", identity)
    name = pinned(read_bundle(folder))
    assert trusted(tmp_path, name) == [identity]
    change(folder)
    assert trusted(tmp_path, name) == []


def test_a_bundle_with_a_link_to_a_folder_cannot_be_trusted(tmp_path: Path) -> None:
    folder = foreign_bundle(tmp_path, "mine", "mine")
    (folder / "code").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(BundleError, match=r"link to a folder \('code'\)"):
        pinned(read_bundle(folder))


def test_building_a_network_leaves_the_files_that_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    scripts = str(tmp_path / "mine/scripts")
    width = f"$(__import__('sys').path.insert(0, {scripts!r}), "
    width += "__import__('trusted_width').WIDTH)[1]"
    folder = foreign_bundle(tmp_path, "mine", "mine", width)
    name = pinned(read_bundle(folder))
    model = Catalog.default([tmp_path], [name]).find("mine")
    assert isinstance(model, Bundle)
    assert isinstance(load_network(model, torch.device("cpu")), torch.nn.Module)
    assert trusted(tmp_path, name) == ["mine"]


def test_an_id_is_trusted_and_a_folders_name_only_where_none_has_it(tmp_path: Path) -> None:
    foreign_bundle(tmp_path / "b", "lungs", "stranger")
    assert trusted(tmp_path / "b", "lungs") == ["stranger"]
    lungs = foreign_bundle(tmp_path / "b", "x", "lungs")
    assert trusted(tmp_path / "b", "lungs") == ["lungs"]
    twin = pinned(read_bundle(lungs))
    foreign_bundle(tmp_path / "b", "y", twin)
    assert trusted(tmp_path / "b", twin) == ["lungs"]


@pytest.mark.parametrize("name", ["auto", "filter-median"])
def test_a_bundle_named_like_something_else_is_left_out(tmp_path: Path, name: str) -> None:
    denoiser_bundle(tmp_path, "mine", id=name)
    catalog = Catalog.default([tmp_path])
    assert not any(isinstance(model, Bundle) and model.id == name for model in catalog.entries)
    assert any(f"'{name}'" in problem for problem in catalog.problems)
