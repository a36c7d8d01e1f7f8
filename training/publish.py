"""Write a trained model as a MONAI bundle: ``python -m training.publish --config FILE``.

The weights are the run's best averaged ones. The facts come from the configuration, the training
data from the split, the measured results from ``training.evaluate`` when it was run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import MedEnhanceLib
from MedEnhanceLib.acquisition import PARTS
from MedEnhanceLib.errors import FileError
from training.brain_scans import WITHOUT_SKULL
from training.card import LICENCES, card
from training.curves import read_curve, write_curve
from training.data import read_splits
from training.failing import failing_in_a_sentence
from training.network import build_network
from training.recipe import read_configuration
from training.weights import load_whole
from training.whole_files import told_when_unwritten

TRAINING = Path(__file__).parent
SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
OPTIONAL_FACTS = ("labels", "adapted_from", "preference", "denoiser", "denoise_from_percent")
AUTHORS = "MedEnhance contributors"
COPYRIGHT = f"Copyright (c) {AUTHORS}"
Json = dict[str, Any]


@failing_in_a_sentence()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="one of training/configs")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are kept")
    parser.add_argument("--models", type=Path, default=Path("Resources/Models"))
    args = parser.parse_args()
    config = read_configuration(args.config)
    print(publish(config, args.runs / config["id"], args.models))


def publish(config: Json, run: Path, models: Path, results: list[Json] | None = None) -> Path:
    """Write the bundle of a run into ``models`` and return its folder.

    Args:
        results: rows of its table; by default what ``training.evaluate`` left in the run.

    Raises:
        FileError: when the run has no weights, or those of another network, or the bundle cannot
            be written.
    """
    if not (run / "best.pt").is_file():
        raise FileError(f"There are no weights in '{run}' to publish; train the model first.")
    folder = models / config["id"]
    with told_when_unwritten(f"The model '{config['id']}'"):
        write_bundle(config, run, folder, results)
    return folder


def write_bundle(config: Json, run: Path, folder: Path, results: list[Json] | None) -> None:
    """Write all files of a bundle; see `publish`."""
    weights = folder / "models/model.pt"
    network = write_weights(config, run, weights)
    for part in ("configs", "docs"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    results = measured_results(run, sha256) if results is None else results
    facts = medenhance_facts(config, network, sha256, results)
    if "finder" in config["bundle"]:
        add_finder(facts, config["bundle"]["finder"], run.parent, folder)
    metadata = monai_metadata(config, facts)
    write_json(folder / "configs/metadata.json", metadata)
    write_json(folder / "configs/inference.json", inference(config))
    note = training_note(config["bundle"], sha256)
    text = card(metadata, read_curve(run / "curve.csv"), training_command(config), note)
    (folder / "docs/README.md").write_text(text, encoding="utf-8")
    (folder / "LICENSE").write_text(LICENCES[config["bundle"]["licence"]], encoding="utf-8")
    if (run / "curve.csv").exists():
        write_curve(Path(shutil.copyfile(run / "curve.csv", folder / "docs/curve.csv")))


def write_weights(config: Json, run: Path, weights: Path) -> torch.nn.Module:
    """Copy a run's best weights into a bundle, and return the network that holds them.

    Parts of the network that ``half_precision`` names are stored in 16 bits, to save space.
    """
    state = torch.load(run / "best.pt", map_location="cpu", weights_only=True)
    halves = tuple(config.get("half_precision", ()))
    state = {n: w.half() if n.startswith(halves) else w for n, w in state.items()}
    network = build_network(config["network_def"])
    load_whole(network, state, run / "best.pt")
    weights.parent.mkdir(parents=True, exist_ok=True)
    torch.save({name: value.contiguous() for name, value in state.items()}, weights)
    return network


def add_finder(facts: Json, name: str, runs: Path, folder: Path) -> None:
    """Write a finder's weights beside the model's, and add to ``facts`` what it is."""
    path = TRAINING / "configs/finders" / f"{name}.json"
    config = read_configuration(path)
    weights = folder / "models/finder.pt"
    write_weights(config, runs / name, weights)
    facts["finder"] = {
        "network_def": config["network_def"],
        "weights": "models/finder.pt",
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "spacing_mm": config["spacing_mm"],
        **config["bundle"]["finder"],
    }
    facts["training_data"] += training_data(config["bundle"]["training"])


def medenhance_facts(
    config: Json, network: torch.nn.Module, sha256: str, results: list[Json]
) -> Json:
    """What stands under the key ``medenhance``, beyond MONAI's own schema."""
    bundle = config["bundle"]
    copied = ("task", "title", "method", "modality", "contrasts", "body_part")
    return {
        "id": config["id"],
        **{key: bundle[key] for key in copied},
        "weights": "models/model.pt",
        "sha256": sha256,
        "input": bundle["input"],
        "halo": getattr(network, "halo", None),
        "patch": bundle["patch"],
        "ranges": bundle["ranges"],
        **{key: bundle[key] for key in OPTIONAL_FACTS if key in bundle},
        "training_data": all_training_data(config),
        "results": results,
        "limits": bundle["limits"],
    }


def all_training_data(config: Json) -> list[Json]:
    """The training sets; a model that was trained on other data brings its whole list along."""
    part = config["bundle"]["training"]
    if isinstance(part, list):
        return part
    return training_data(part) + phantom_data(config) + brain_scan_data(config)


def training_data(part: str) -> list[Json]:
    """Name, source, licence and subjects of every training set of a part of the split."""
    split = read_splits()[part]
    if part == "hippocampus":
        names = ("name", "source", "licence")
        return [{**{n: split[n] for n in names}, "subjects": split["training"]}]
    sets: dict[tuple[str, str, str], list[str]] = {}
    for subject in split["training"]:
        key = (subject["name"], subject["source"], subject["licence"])
        sets.setdefault(key, []).append(subject["subject"])
    return [
        {"name": name, "source": source, "licence": licence, "subjects": subjects}
        for (name, source, licence), subjects in sets.items()
    ]


def phantom_data(config: Json) -> list[Json]:
    """The label maps, for a model that learned from phantoms painted on them too.

    Also where the model that it was started from did.
    """
    if config.get("phantoms"):
        return training_data("brain_tissue")
    before = TRAINING / "configs" / f"{started_from(config)}.json"
    return phantom_data(read_configuration(before)) if before.is_file() else []


def started_from(config: Json) -> str:
    """The id of the bundle whose weights the training went on from; "" when there is none."""
    path = Path(config.get("init", ""))
    return path.parts[-3] if path.match("*/models/model.pt") else ""


def brain_scan_data(config: Json) -> list[Json]:
    """The scans in which a part of the model learned where the brain ends."""
    if "brain" not in config:
        return []
    sets = training_data("mr_head")
    return [s for s in sets if not s["subjects"][0].startswith(WITHOUT_SKULL)]


def training_command(config: Json) -> str:
    """How the model was trained, for its card."""
    module = "train_adversarial" if "adversarial" in config else "train"
    usual = f"python -m training.{module} --config training/configs/{config['id']}.json"
    return str(config.get("command", f"{usual} --data FOLDER"))


def training_note(bundle: Json, sha256: str) -> str:
    """How the weights of this hash came about, where the configuration tells that of them."""
    note = bundle.get("training_note", {})
    return str(note["text"]) if note.get("weights_sha256") == sha256 else ""


def measured_results(run: Path, sha256: str) -> list[Json]:
    """What ``training.evaluate`` measured of the weights of this hash; empty where it did not."""
    path = run / "results.json"
    if not path.exists():
        return []
    results: Json = json.loads(path.read_text(encoding="utf-8"))
    if results["weights_sha256"] != sha256:
        print(f"'{path}' is of other weights and is left out; run training.evaluate again.")
        return []
    rows: list[Json] = results["rows"]
    return rows


def monai_metadata(config: Json, facts: Json) -> Json:
    """The keys that MONAI's bundle schema asks for, and ours."""
    bundle = config["bundle"]
    return {
        "schema": SCHEMA,
        "version": bundle["version"],
        "changelog": {bundle["version"]: "first version"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").split("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": required_packages(config),
        "name": bundle["title"],
        "task": bundle["task"],
        "description": bundle["description"],
        "authors": bundle.get("authors", AUTHORS),
        "copyright": bundle.get("copyright", COPYRIGHT),
        "intended_use": "research use only",
        "data_source": "; ".join(f"{d['name']} ({d['source']})" for d in facts["training_data"]),
        "data_type": "nifti",
        "network_data_format": data_format(bundle),
        "medenhance": facts,
    }


def required_packages(config: Json) -> Json:
    """What the workflow needs besides MONAI; this package where it names a part of it."""
    needed = {"pytorch-ignite": "0.5.2", "nibabel": "5.3.2"}
    if "MedEnhanceLib" in json.dumps(inference(config)):
        needed["medenhance"] = MedEnhanceLib.__version__
    return needed


def data_format(bundle: Json) -> Json:
    """MONAI's description of what goes into the network and what comes out."""
    channels = bundle["input"]["channels"]
    parts = PARTS if bundle["input"].get("thick_slices") else 1
    own = [label for label in bundle.get("labels", []) if "union" not in label]
    labels = {str(label["value"]): label["name"] for label in own}
    multiple = bundle["input"]["multiple"]
    entry = {
        "type": "image",
        "format": "magnitude",
        "modality": bundle["modality"],
        "num_channels": len(channels),
        "spatial_shape": bundle["patch"] or [f"{multiple}*n"] * 3,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": True,
        "channel_def": {str(number): name for number, name in enumerate(channels)},
    }
    output = {
        **entry,
        "format": "segmentation" if labels else "magnitude",
        "num_channels": len(labels) + 1 if labels else parts,
        "channel_def": {"0": "background", **labels} if labels else images_out(parts),
    }
    return {"inputs": {"image": entry}, "outputs": {"pred": output}}


def images_out(parts: int) -> dict[str, str]:
    """What the outputs hold: the image, or the parts of each slice in their order."""
    if parts == 1:
        return {"0": "image"}
    return {str(number): f"part {number + 1} of {parts} of the slice" for number in range(parts)}


def inference(config: Json) -> Json:
    """The workflow for ``monai.bundle run``, with this model's network in it."""
    path = TRAINING / "workflows" / f"{config['bundle']['workflow']}.json"
    workflow: Json = json.loads(path.read_text(encoding="utf-8"))
    workflow["network_def"] = config["network_def"]
    return workflow


def write_json(path: Path, content: Json) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
