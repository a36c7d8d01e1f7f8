"""Bundles: facts, damage, trust; the catalogue that lists them."""

from __future__ import annotations

import dataclasses
import errno
import inspect
import json
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.networks import nets

from MedEnhanceLib import Catalog, Geometry, Task, Volume, suitability
from MedEnhanceLib.bundle import read_bundle
from MedEnhanceLib.catalog import user_folder
from MedEnhanceLib.engine.loading import load_network
from MedEnhanceLib.errors import BundleError, FileError, TrustError, UnsuitableError
from MedEnhanceLib.foreign_code import MONAI_NETWORKS

from .conftest import denoiser_bundle, head_like, unet_bundle

CPU = torch.device("cpu")


def edit(folder: Path, name: str, change: Any) -> None:
    path = folder / "configs" / name
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_facts_are_read(tmp_path: Path) -> None:
    bundle = read_bundle(denoiser_bundle(tmp_path))
    assert bundle.task is Task.DENOISE
    assert (bundle.modality, bundle.halo, bundle.input.multiple) == ("MR", 24, 4)
    assert bundle.input.channels == ("image", "noise")
    assert bundle.is_trained


@pytest.mark.parametrize(
    "missing", ["configs/metadata.json", "configs/inference.json", "models/model.pt"]
)
def test_missing_files_are_named(tmp_path: Path, missing: str) -> None:
    folder = denoiser_bundle(tmp_path)
    (folder / missing).unlink()
    with pytest.raises(BundleError, match=missing):
        read_bundle(folder)


def test_wrong_hash_is_refused_before_loading(tmp_path: Path) -> None:
    folder = denoiser_bundle(tmp_path)
    with (folder / "models" / "model.pt").open("ab") as file:
        file.write(b"x")
    with pytest.raises(BundleError, match="damaged or was changed"):
        load_network(read_bundle(folder), CPU)


def test_garbage_json_is_refused(tmp_path: Path) -> None:
    folder = denoiser_bundle(tmp_path)
    (folder / "configs" / "metadata.json").write_text("{ not json")
    with pytest.raises(BundleError, match="not JSON"):
        read_bundle(folder)
    (folder / "configs" / "metadata.json").write_text("[]")
    with pytest.raises(BundleError, match="no JSON object"):
        read_bundle(folder)


@pytest.mark.parametrize(
    "facts",
    [
        {"task": "cook"},
        {"halo": "wide"},
        {"input": {"channels": ["smell"]}},
        {"input": {"dimensions": 5}},
        {"ranges": {"factor": [1]}},
        {"ranges": {"factor": [1, 1]}},
        {"ranges": {"factor": [0, 0.5]}},
        {"input": {"channels": ["factor", "image"]}},
        {"input": {"channels": ["noise"]}},
        {"input": {"channels": []}},
        {"task": "segment", "input": {"channels": ["image", "noise"]}},
        *[
            {"task": "segment", "labels": [{"value": v, "name": str(v)} for v in values]}
            for values in ([300], [-1], [0], [1, 1])
        ],
        {"weights": "../../secret.pt"},
    ],
)
def test_impossible_facts_are_refused(tmp_path: Path, facts: dict) -> None:
    folder = denoiser_bundle(tmp_path)
    edit(folder, "metadata.json", lambda data: data["medenhance"].update(facts))
    with pytest.raises(BundleError):
        read_bundle(folder)


def test_a_colour_that_is_none_is_refused(tmp_path: Path) -> None:
    labels = [{"value": 1, "name": "A", "color": [300, -5, 0]}, {"value": 2, "name": "B"}]
    with pytest.raises(BundleError, match="colour is 0 to 255, unlike 300, -5, 0"):
        read_bundle(unet_bundle(tmp_path, labels=labels))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = denoiser_bundle(tmp_path)
    edit(folder, "inference.json", lambda data: data["network_def"].update(width=8))
    with pytest.raises(BundleError, match="cannot be used"):
        load_network(read_bundle(folder), CPU)


def test_nan_weights_are_refused(tmp_path: Path) -> None:
    folder = denoiser_bundle(tmp_path)
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    next(iter(state.values()))[0] = float("nan")
    torch.save(state, folder / "models" / "model.pt")
    edit(folder, "metadata.json", lambda data: data["medenhance"].pop("sha256"))
    with pytest.raises(BundleError, match="NaN"):
        load_network(read_bundle(folder), CPU)


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_a_pickle_that_executes_is_refused(tmp_path: Path) -> None:
    folder = denoiser_bundle(tmp_path)
    proof = tmp_path / "executed"
    (folder / "models" / "model.pt").write_bytes(pickle.dumps(Bomb(proof)))
    edit(folder, "metadata.json", lambda data: data["medenhance"].pop("sha256"))
    with pytest.raises(BundleError):
        load_network(read_bundle(folder), CPU)
    assert not proof.exists()


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "MedEnhanceLib.cli.main.main",
        "monai.apps.download_url",
        "monai.networks.nets.HoVerNet",
        "monai.networks.nets.EfficientNetBN",
        "monai.networks.nets.hovernet.UNet",
        "builtins.eval",
    ],
)
def test_networks_off_the_allow_list_need_trust(tmp_path: Path, target: str) -> None:
    folder = denoiser_bundle(tmp_path)
    edit(folder, "inference.json", lambda data: data["network_def"].update(_target_=target))
    with pytest.raises(TrustError, match="allow-list"):
        load_network(read_bundle(folder), CPU)


@pytest.mark.parametrize("name", MONAI_NETWORKS)
def test_allowed_networks_of_monai_are_told_nothing_to_fetch(name: str) -> None:
    parameters = inspect.signature(getattr(nets, name)).parameters
    assert not any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    fetching = re.compile("pretrained|url|progress|weights|repo|(path|file|filename|model_name)$")
    assert not [name for name in parameters if fetching.search(name)]


@pytest.mark.parametrize("place", ["network_def", "elsewhere"])
def test_expressions_need_trust_and_are_not_run(tmp_path: Path, place: str) -> None:
    folder = denoiser_bundle(tmp_path)
    proof = tmp_path / "executed"
    expression = f"$__import__('pathlib').Path({str(proof)!r}).touch() or 6"

    def add(data: dict) -> None:
        data.setdefault(place, {})["width"] = expression

    edit(folder, "inference.json", add)
    with pytest.raises(TrustError, match="expression"):
        load_network(read_bundle(folder), CPU)
    assert not proof.exists()
    trusted = dataclasses.replace(read_bundle(folder), trusted=folder.name)
    assert isinstance(load_network(trusted, CPU), torch.nn.Module)


@pytest.mark.parametrize("width", ["@sizes#width", "%sizes#width"])
def test_references_need_trust_and_are_followed(tmp_path: Path, width: str) -> None:
    """Also to what they lead to when that has changed since."""
    folder = denoiser_bundle(tmp_path)

    def refer(data: dict) -> None:
        data["network_def"]["width"] = width
        data["sizes"] = {"width": 6}

    edit(folder, "inference.json", refer)
    with pytest.raises(TrustError, match="refers to other entries"):
        load_network(read_bundle(folder), CPU)
    load_network(dataclasses.replace(read_bundle(folder), trusted=folder.name), CPU)
    edit(folder, "inference.json", lambda data: data["sizes"].update(width=8))
    with pytest.raises(BundleError, match="cannot be used"):
        load_network(dataclasses.replace(read_bundle(folder), trusted=folder.name), CPU)


def test_an_allow_listed_module_does_not_open_its_own_imports(tmp_path: Path) -> None:
    folder = denoiser_bundle(tmp_path)
    target = "MedEnhanceLib.engine.networks.folding.space_to_depth"
    edit(folder, "inference.json", lambda data: data["network_def"].update(_target_=target))
    with pytest.raises(BundleError, match="no network"):
        load_network(read_bundle(folder), CPU)


def test_networks_are_loaded_once(tmp_path: Path) -> None:
    bundle = read_bundle(denoiser_bundle(tmp_path))
    assert load_network(bundle, CPU) is load_network(bundle, CPU)


def test_a_network_that_was_defined_anew_is_built_anew(tmp_path: Path) -> None:
    folder = unet_bundle(tmp_path)
    load_network(read_bundle(folder), CPU)
    edit(folder, "inference.json", lambda data: data["network_def"].update(norm="batch"))
    with pytest.raises(BundleError, match="cannot be used"):
        load_network(read_bundle(folder), CPU)


@pytest.mark.parametrize(
    ("said", "found"), [("PET", "PT"), ("mri", "MR"), ("CT", "CT"), ("Ultrasound", "US"), ("", "")]
)
def test_modalities_are_known_by_other_names(tmp_path: Path, said: str, found: str) -> None:
    assert read_bundle(unet_bundle(tmp_path, modality=said)).modality == found


def test_labels_of_one_name_are_told_apart(tmp_path: Path) -> None:
    labels = [{"value": n, "name": name} for n, name in enumerate(("Cyst", "Liver", "Cyst"), 1)]
    names = [label.name for label in read_bundle(unet_bundle(tmp_path, labels=labels)).labels]
    assert names == ["Cyst (1)", "Liver", "Cyst (3)"]


def test_a_model_zoo_bundle_is_understood(tmp_path: Path) -> None:
    """MONAI's own metadata, without MedEnhance's key."""
    folder = unet_bundle(tmp_path, "spleen_ct_segmentation")
    metadata = {
        "version": "0.5.3",
        "task": "Decathlon spleen segmentation",
        "network_data_format": {
            "inputs": {
                "image": {"modality": "CT", "num_channels": 1, "spatial_shape": [96, 96, 96]}
            },
            "outputs": {"pred": {"channel_def": {"0": "background", "1": "spleen"}}},
        },
    }
    (folder / "configs" / "metadata.json").write_text(json.dumps(metadata))
    bundle = read_bundle(folder)
    assert (bundle.id, bundle.task, bundle.modality) == (folder.name, Task.SEGMENT, "CT")
    assert [label.name for label in bundle.labels] == ["spleen"]
    assert bundle.patch == (96, 96, 96)
    ct = Volume((head_like() - 500).astype("int16"), Geometry((28, 24, 20)), "CT")
    assert "made elsewhere" in suitability(ct, bundle).reasons[0]


def test_catalog_lists_and_names_problems(tmp_path: Path, catalog: Catalog) -> None:
    assert next(m.id for m in catalog.models("denoise")) == "tiny-denoiser"
    assert {m.id for m in catalog.models("denoise")} >= {"filter-median", "filter-non-local-means"}
    assert not catalog.problems
    (tmp_path / "models" / "broken").mkdir()
    denoiser_bundle(tmp_path / "models", "zz-double", id="tiny-denoiser")
    problems = Catalog.default(extra_folders=[tmp_path / "models"]).problems
    assert len(problems) == 2
    assert any("broken" in p for p in problems)
    assert any("zz-double" in p for p in problems)


def test_who_has_no_home_has_the_shipped_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers and on clusters."""

    def nobody() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MEDENHANCE_MODELS")
    monkeypatch.setattr(Path, "home", nobody)
    assert Catalog.default().find("mr-denoise-residual")
    with pytest.raises(FileError, match="no home folder"):
        user_folder()


def test_a_locked_home_leaves_the_shipped_models(monkeypatch: pytest.MonkeyPatch) -> None:
    is_file = Path.is_file

    # Permissions do not bind the administrator, who may be running this.
    def denied(path: Path) -> bool:
        if user_folder() in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", denied)
    assert Catalog.default().find("mr-denoise-residual")


def test_find_names_what_there_is(catalog: Catalog) -> None:
    with pytest.raises(BundleError, match="tiny-denoiser"):
        catalog.find("nothing")


def test_best_is_the_trained_model_of_the_modality(catalog: Catalog, head: Any) -> None:
    assert catalog.best("denoise", head).id == "tiny-denoiser"
    assert catalog.best("segment", head).id == "tiny-unet"


def test_best_of_several_is_the_preferred_one(tmp_path: Path, head: Any) -> None:
    for name, preference in (("a-first", 0), ("b-preferred", 2), ("c-last", 1)):
        denoiser_bundle(tmp_path, name, preference=preference)
    catalog = Catalog.default(extra_folders=[tmp_path])
    own = Catalog(tuple(m for m in catalog.entries if m.id in ("a-first", "b-preferred", "c-last")))
    assert own.best("denoise", head).id == "b-preferred"


def test_best_for_ct_is_no_mr_model(catalog: Catalog, head: Any) -> None:
    ct = head.with_voxels(head.voxels.astype("int16") - 1000)
    object.__setattr__(ct, "modality", "CT")
    assert catalog.best("denoise", ct).id == "filter-non-local-means"
    with pytest.raises(UnsuitableError, match="CT"):
        catalog.best("segment", ct)


def test_best_takes_no_filter_for_what_the_models_refuse(catalog: Catalog, head: Any) -> None:
    labels = head.with_voxels((head.voxels > 300).astype("uint8"))
    with pytest.raises(UnsuitableError, match="looks like a segmentation"):
        catalog.best("denoise", labels)


def test_best_leaves_untrusted_bundles_out(tmp_path: Path, catalog: Catalog, head: Any) -> None:
    folder = tmp_path / "models" / "tiny-denoiser"
    edit(folder, "inference.json", lambda data: data.update(run="$print('hello')"))
    again = Catalog.default(extra_folders=[tmp_path / "models"])
    assert again.best("denoise", head).id.startswith("filter-")
    trusting = Catalog.default(extra_folders=[tmp_path / "models"], trusted=["tiny-denoiser"])
    assert trusting.best("denoise", head).id == "tiny-denoiser"
