"""Import a network that comes as one file, by writing a MONAI bundle around it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from MedEnhanceLib.bundle import INFERENCE, METADATA, Bundle
from MedEnhanceLib.errors import BundleError, FileError
from MedEnhanceLib.foreign_code import ONNX, PROGRAMS, TORCHSCRIPT
from MedEnhanceLib.importing.copying import safe_name
from MedEnhanceLib.importing.form import NetworkForm
from MedEnhanceLib.importing.placing import place, staging
from MedEnhanceLib.onnx_graph import Sizes, read_onnx

ENDINGS = {".ts": TORCHSCRIPT, ".pt": TORCHSCRIPT, ".pth": TORCHSCRIPT, ".onnx": ONNX}
# Of files that are a network alone, including what can only be refused with good reason.
NETWORK_ENDINGS = (*ENDINGS, ".safetensors")
WEIGHTS = {TORCHSCRIPT: "models/model.ts", ONNX: "models/model.onnx"}
TARGETS = {program: target for target, program in PROGRAMS.items()}
VERSION = "1.0.0"
LIMIT = "Imported from a file; MedEnhance has measured nothing of it."


@dataclass(frozen=True)
class _Network:
    """A file that was looked at: its kind, and how it wants to be used."""

    file: Path
    program: str
    form: NetworkForm


def import_network(
    file: str | Path, form: NetworkForm, into: str | Path | None = None, replace: bool = False
) -> Bundle:
    """Write a bundle around a network into the folder of the user's models.

    The file is looked at, but never executed or unpickled.

    Args:
        file: saved by ``torch.jit.save`` (.ts, .pt, .pth), or an ONNX file (.onnx) that takes one
            input and keeps its weights within. An ONNX file of fixed size decides on patch and
            multiple itself.
        form: how the network is to be used.
        into: where to; by default the user's folder, `MedEnhanceLib.catalog.user_folder`.
        replace: whether a model of the same name there makes way.

    Returns:
        The new bundle. It is not trusted: TorchScript is a program, and its ``foreign`` says so.

    Raises:
        BundleError: when the file holds no such network or the name is taken; nothing is left
            behind then.
        FileError: when files cannot be read or written.
    """
    network = _looked_at(Path(file), form)
    with staging(None if into is None else Path(into)) as stage:
        folder = stage / safe_name(form.title.strip().lower())
        try:
            _write(network, folder)
        except OSError as error:
            raise FileError(
                f"'{network.file.name}' cannot be copied to {stage.parent} "
                f"({error.strerror or error}); check the free space and your rights there."
            ) from error
        return place(folder, replace)


def _looked_at(file: Path, form: NetworkForm) -> _Network:
    if not file.is_file():
        raise FileError(f"The file '{file}' does not exist; check the path.")
    program = ENDINGS.get(file.suffix.lower(), "")
    if file.suffix.lower() == ".safetensors":
        raise _weights_alone(file)
    if not program:
        raise BundleError(
            f"'{file.name}' is none of {', '.join(ENDINGS)}; save the network as TorchScript "
            "(torch.jit.save) or ONNX, or give a MONAI bundle."
        )
    if program == TORCHSCRIPT:
        _check_torchscript(file)
        return _Network(file, program, form)
    graph = read_onnx(file)
    graph.require_whole(file.name)
    _check_outputs(graph.outputs[:1], file, form)
    return _Network(file, program, _fitted(form, graph.inputs[0], file))


def _check_torchscript(file: Path) -> None:
    """Look into the archive, without reading its pickles, for the code that makes it a program."""
    try:
        with zipfile.ZipFile(file) as packed:
            names = packed.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BundleError(
            f"'{file.name}' is no TorchScript file (it was perhaps saved by a pickle, which could "
            "run anything); save the network with torch.jit.save."
        ) from error
    except OSError as error:
        raise FileError(f"'{file.name}' cannot be read ({error.strerror}).") from error
    if not any(name.partition("/")[2].startswith("code/") for name in names):
        raise _weights_alone(file)


def _weights_alone(file: Path) -> BundleError:
    return BundleError(
        f"'{file.name}' holds weights without the network that they belong to; save both with "
        "torch.jit.script(network).save('network.ts'), export the network to ONNX, or give a MONAI "
        "bundle that names its network."
    )


def _fitted(form: NetworkForm, sizes: Sizes, file: Path) -> NetworkForm:
    """The form, with the patch of a network of fixed size; raises when they contradict."""
    if not sizes:
        return form
    if len(sizes) != form.dimensions + 2:
        raise BundleError(
            f"'{file.name}' takes an input of {len(sizes)} axes, but a network of "
            f"{form.dimensions} dimensions takes {form.dimensions + 2}; correct the dimensions."
        )
    if sizes[1] not in (None, len(form.channels)):
        raise BundleError(
            f"'{file.name}' takes {sizes[1]} channels, but the form names {len(form.channels)} "
            f"({', '.join(form.channels)}); correct the channels."
        )
    if sizes[0] not in (None, 1):
        raise BundleError(f"'{file.name}' takes {sizes[0]} images at once; export it for one.")
    edges = set(sizes[2:])
    if edges == {None}:
        return form
    edge = edges.pop()
    if edge is None or edges or form.dimensions == 2:
        raise BundleError(
            f"'{file.name}' takes only images of {' x '.join(str(n or 'any') for n in sizes[2:])}; "
            "export it with axes of any size (dynamic_axes), or in 3 dimensions for cubes."
        )
    return replace(form, multiple=edge, patch=(edge, edge, edge))


def _check_outputs(outputs: tuple[Sizes, ...], file: Path, form: NetworkForm) -> None:
    scores = outputs[0][1] if outputs and len(outputs[0]) > 1 else None
    highest = max((label.value for label in form.label_table), default=0)
    # A single score says yes or no to a single label.
    fitting = (None, highest + 1, 1) if highest == 1 else (None, highest + 1)
    if form.labels and scores not in fitting:
        raise BundleError(
            f"'{file.name}' gives {scores} scores, but {highest} labels need {highest + 1} (one "
            "for the background); correct the labels."
        )


def _write(network: _Network, folder: Path) -> None:
    for part in ("configs", "models", "docs"):
        (folder / part).mkdir(parents=True)
    weights = folder / WEIGHTS[network.program]
    shutil.copyfile(network.file, weights)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    argument = "f" if network.program == TORCHSCRIPT else "path_or_bytes"
    definition = {"_target_": TARGETS[network.program], argument: WEIGHTS[network.program]}
    _write_json(folder / METADATA, _metadata(network, folder.name, digest))
    _write_json(folder / INFERENCE, {"network_def": definition})
    form = network.form
    _write_text(folder / "docs" / "README.md", f"# {form.title}\n\n{form.description}\n\n{LIMIT}\n")
    _write_text(folder / "LICENSE", form.licence or "No licence was given with this network.\n")


def _metadata(network: _Network, name: str, digest: str) -> dict[str, Any]:
    """The keys that MONAI's bundle schema asks for, and MedEnhance's."""
    form = network.form
    return {
        "version": VERSION,
        "changelog": {VERSION: "imported"},
        "monai_version": _version("monai"),
        "pytorch_version": _version("torch"),
        "numpy_version": _version("numpy"),
        "name": form.title.strip(),
        "task": str(form.task),
        "description": form.description,
        "authors": "",
        "copyright": "",
        "intended_use": "research use only",
        "network_data_format": _data_format(form),
        "medenhance": _facts(network, name, digest),
    }


def _facts(network: _Network, name: str, digest: str) -> dict[str, Any]:
    form = network.form
    return {
        "id": name,
        "title": form.title.strip(),
        "task": str(form.task),
        "method": f"{network.program} network",
        "modality": form.modality,
        "weights": WEIGHTS[network.program],
        "sha256": digest,
        "input": {
            "dimensions": form.dimensions,
            "channels": form.channels,
            "normalisation": form.normalisation,
            "multiple": form.multiple,
            "orientation": form.orientation,
            "spacing_mm": form.spacing_mm,
            "axis_order": form.axis_order,
        },
        "patch": form.patch,
        "limits": [LIMIT],
        **({"labels": [label.to_json() for label in form.label_table]} if form.labels else {}),
    }


def _data_format(form: NetworkForm) -> dict[str, Any]:
    """MONAI's description of what goes into the network and what comes out."""
    labels = {str(label.value): label.name for label in form.label_table}
    patch = list(form.patch or [f"{form.multiple}*n"] * 3)[: form.dimensions]
    entry = {
        "type": "image",
        "format": "magnitude",
        "modality": form.modality,
        "num_channels": len(form.channels),
        "spatial_shape": patch,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": True,
        "channel_def": {str(number): name for number, name in enumerate(form.channels)},
    }
    output = {
        **entry,
        "format": "segmentation" if labels else "magnitude",
        "num_channels": len(labels) + 1 if labels else 1,
        "channel_def": {"0": "background", **labels} if labels else {"0": "image"},
    }
    return {"inputs": {"image": entry}, "outputs": {"pred": output}}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return ""


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
