"""Bundles made to do harm: nothing is executed, no memory is filled, nothing hangs."""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from MedEnhanceLib import Catalog, MedEnhanceError
from MedEnhanceLib.bundle import LONGEST_TITLE, read_bundle
from MedEnhanceLib.engine.loading import load_network
from MedEnhanceLib.errors import BundleError
from Testing.counts import count

from .conftest import denoiser_bundle

CPU = torch.device("cpu")
UNET = "monai.networks.nets.UNet"
DENOISER = "MedEnhanceLib.engine.networks.NoiseAwareDenoiser"
FUZZED_CONFIGS, FUZZED_WEIGHTS = 400, 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return denoiser_bundle(tmp_path)


def edit(folder: Path, name: str, change: Any) -> None:
    path = folder / "configs" / name
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def put_weights(folder: Path, raw: bytes) -> None:
    """Other weights, with the hash that they have."""
    (folder / "models" / "model.pt").write_bytes(raw)
    digest = hashlib.sha256(raw).hexdigest()
    edit(folder, "metadata.json", lambda data: data["medenhance"].update(sha256=digest))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def refused(folder: Path, words: str) -> None:
    """Not loaded, with these words in one sentence, and hardly any memory used."""
    before = peak_mb()
    with pytest.raises(BundleError, match=words) as caught:
        load_network(read_bundle(folder), CPU)
    assert "\n" not in str(caught.value)
    assert peak_mb() - before < 200


@pytest.mark.parametrize(
    "definition",
    [
        {"_target_": DENOISER, "width": 100_000, "blocks": 3},
        {"_target_": DENOISER, "width": 6, "blocks": 1_000_000_000},
        {
            "_target_": UNET,
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 2,
            "channels": [60_000, 60_000],
            "strides": [2],
        },
        {
            "_target_": UNET,
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": 2,
            "channels": [1, 1],
            "strides": [2],
            "num_res_units": 1_000_000_000,
        },
    ],
    ids=["wide", "deep", "wide-monai", "deep-monai"],
)
def test_a_giant_network_is_refused_before_it_is_made(folder: Path, definition: dict) -> None:
    edit(folder, "inference.json", lambda data: data.update(network_def=definition))
    refused(folder, "larger than its weights")


def test_an_honest_network_is_no_giant(folder: Path) -> None:
    assert isinstance(load_network(read_bundle(folder), CPU), torch.nn.Module)


def test_weights_that_unpack_to_far_more_are_refused(folder: Path, tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(16 << 20)}, tmp_path / "zeros.pt")
    with (
        zipfile.ZipFile(tmp_path / "zeros.pt") as plain,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for info in plain.infolist():
            packed.writestr(info.filename, plain.read(info))
    bomb = (tmp_path / "bomb.pt").read_bytes()
    assert len(bomb) < 1 << 20
    put_weights(folder, bomb)
    refused(folder, "compressed")


@pytest.mark.parametrize("name", ["configs/metadata.json", "configs/inference.json"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_what_never_ends_is_not_read(folder: Path, name: str) -> None:
    """Reading a pipe waits for ever, reading a device fills the memory."""
    for make in (os.mkfifo, lambda path: os.symlink("/dev/zero", path), os.mkdir):
        (folder / name).unlink()
        make(folder / name)
        with pytest.raises(BundleError, match="no ordinary file"):
            read_bundle(folder)
        assert "no" in Catalog.default(extra_folders=[folder.parent]).problems[0]
        (folder / name).rmdir() if (folder / name).is_dir() else None
        (folder / name).unlink(missing_ok=True)
        (folder / name).touch()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_weights_that_are_no_file(folder: Path) -> None:
    for make in (os.mkfifo, os.mkdir):
        path = folder / "models" / "model.pt"
        path.unlink()
        make(path)
        with pytest.raises(BundleError, match="lacks its weights"):
            read_bundle(folder)
        (path.rmdir if path.is_dir() else path.unlink)()
        path.touch()


def test_json_of_any_size_and_depth(folder: Path) -> None:
    path = folder / "configs" / "metadata.json"
    path.write_text('{"x": "' + "y" * 5_000_000 + '"}')
    with pytest.raises(BundleError, match="no configuration"):
        read_bundle(folder)
    inference = folder / "configs" / "inference.json"
    definition = json.loads(inference.read_text())["network_def"]
    denoiser_bundle(folder.parent / "again")
    path.write_text((folder.parent / "again/tiny-denoiser/configs/metadata.json").read_text())
    for depth in (200, 900, 1_200, 5_000, 100_000):
        deep = "[" * depth + "]" * depth
        inference.write_text(json.dumps({"network_def": definition})[:-1] + f', "x": {deep}}}')
        try:
            read_bundle(folder)
        except BundleError as error:
            assert "nested" in str(error) or "not JSON" in str(error)


@pytest.mark.parametrize(
    "facts",
    [
        {"halo": 10**9},
        {"halo": -1},
        {"input": {"multiple": 10**9}},
        {"input": {"neighbours": 10**9}},
        {"input": {"spacing_mm": [1e-9, 1, 1]}},
        {"input": {"spacing_mm": [float("nan"), 1, 1]}},
        {"halo": float("inf")},
        {"preference": float("nan")},
        {"ranges": {"factor": [1e999, 10**400]}},
    ],
)
def test_numbers_beyond_all_networks_are_refused(folder: Path, facts: dict) -> None:
    edit(folder, "metadata.json", lambda data: data["medenhance"].update(facts))
    with pytest.raises(BundleError, match="cannot be understood"):
        read_bundle(folder)


def test_texts_do_nothing_to_a_terminal(folder: Path) -> None:
    nasty = "\x1b[2J\x1b]0;owned\x07nice\nmedenhance: done \u202e"
    facts = {name: nasty for name in ("title", "method", "body_part")}
    facts |= {"limits": [nasty], "contrasts": nasty, "results": [{nasty: nasty}]}
    edit(folder, "metadata.json", lambda data: data["medenhance"].update(facts))
    edit(folder, "metadata.json", lambda data: data.update(description=nasty, version=nasty))
    bundle = read_bundle(folder)
    texts = [bundle.title, bundle.method, bundle.body_part, bundle.description, bundle.version]
    texts += [*bundle.limits, *bundle.contrasts, *bundle.results[0]]
    assert all(text.isprintable() and "nice medenhance" in text for text in texts)
    edit(folder, "metadata.json", lambda data: data["medenhance"].update(title="very long " * 99))
    assert len(read_bundle(folder).title) == LONGEST_TITLE
    edit(folder, "metadata.json", lambda data: data["medenhance"].update(id="a\x1bb"))
    with pytest.raises(BundleError, match="is no name"):
        read_bundle(folder)


NASTY = (
    None,
    True,
    -1,
    0,
    10**400,
    1e999,
    float("nan"),
    "",
    "\0",
    "\ud800",
    "../../x",
    "$1/0",
    [],
    [[]],
    {},
    {"_target_": 3},
    [None] * 3,
    "x" * 10_000,
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a tree of JSON."""
    keys = node.keys() if isinstance(node, dict) else range(len(node))
    own = [(node, key) for key in keys]
    inner = [node[key] for key in keys if isinstance(node[key], dict | list)]
    return own + [place for child in inner for place in places(child)]


def test_any_value_anywhere_is_a_sentence_or_harmless(folder: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    plain = {
        name: (folder / "configs" / f"{name}.json").read_text()
        for name in ("metadata", "inference")
    }
    refusals = 0
    for _ in range(FUZZED_CONFIGS):
        for name, text in plain.items():
            data = json.loads(text)
            for _ in range(rng.choice([0, 1, 1, 2])):
                container, key = rng.choice(places(data))
                container[key] = rng.choice(NASTY)
            (folder / "configs" / f"{name}.json").write_text(json.dumps(data))
        try:
            load_network(read_bundle(folder), CPU)
        except MedEnhanceError as error:
            assert "\n" not in str(error) and len(str(error)) < 1_000
            refusals += 1
        Catalog.default(extra_folders=[folder])
    count("bundle configurations", FUZZED_CONFIGS)
    assert FUZZED_CONFIGS // 3 < refusals < FUZZED_CONFIGS


@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_damaged_weights_are_a_sentence_or_harmless(folder: Path, kind: str) -> None:
    from safetensors.torch import save

    path = folder / "models" / "model.pt"
    whole = path.read_bytes()
    if kind == "safetensors":
        whole = save(torch.load(path, weights_only=True))
        path = path.with_suffix(".safetensors")
        facts = {"weights": "models/model.safetensors"}
        edit(folder, "metadata.json", lambda data: data["medenhance"].update(facts))
    edit(folder, "metadata.json", lambda data: data["medenhance"].pop("sha256"))
    rng = random.Random(1)
    refusals = 0
    for number in range(FUZZED_WEIGHTS):
        raw = bytearray(whole)
        # The head of a safetensors file and the tail of a zip archive tell how to read the rest.
        near = rng.choice([200, 2_000, len(raw)])
        for _ in range(rng.choice([1, 4, 20])):
            at = rng.randrange(near)
            raw[at if kind == "safetensors" else -1 - at] = rng.randrange(256)
        path.write_bytes(raw[: rng.randrange(len(raw))] if number % 5 == 0 else raw)
        try:
            load_network(read_bundle(folder), CPU)
        except BundleError as error:
            assert "\n" not in str(error)
            refusals += 1
    count("files of weights", FUZZED_WEIGHTS)
    assert refusals > FUZZED_WEIGHTS // 5
