"""A model on disk, as a MONAI bundle. Read as plain JSON; torch is not needed here."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from MedEnhanceLib.errors import BundleError, OptionsError, TrustError, VolumeError
from MedEnhanceLib.finder import Finder, read_finder
from MedEnhanceLib.foreign_code import PROGRAMS, foreign_code
from MedEnhanceLib.input_spec import InputSpec, read_input_spec, within
from MedEnhanceLib.model import Model
from MedEnhanceLib.task import Task
from MedEnhanceLib.texts import REPLACEMENT, printable, quoted
from MedEnhanceLib.volume import Label

METADATA = "configs/metadata.json"
INFERENCE = "configs/inference.json"
DEFAULT_WEIGHTS = "models/model.pt"
# What people call a modality, where that does not begin with DICOM's letters for it.
MODALITIES = {"PET": "PT", "ULTRASOUND": "US", "SPECT": "NM"}
LARGEST_JSON = 4_000_000
MOST_HALO = 512
MOST_LABELS = 255
# What reading impossible facts raises.
IMPOSSIBLE = (
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    OptionsError,
    VolumeError,
)
LONGEST_REASON, LONGEST_ID, LONGEST_TITLE = 200, 80, 80


@dataclass(frozen=True)
class Bundle(Model):
    """A trained network.

    Attributes:
        folder: where the bundle is.
        weights: file of the weights, inside the folder.
        sha256: what the weights must hash to; "" when the bundle does not say.
        network: the ``network_def`` of the inference configuration.
        input: what the network takes.
        halo: reach of the receptive field in voxels for exact tiling, None when unbounded.
        patch: patch size (x, y, z) it was trained on, for blended tiling.
        shipped: whether it came with MedEnhance.
        trusted: the name by which the user trusts it, so that it may run code of its own; "" for no
            trust. See `Catalog.default`.
        foreign: why it would run code of its own, "" when it would not.
        is_described: whether it says in MedEnhance's terms how a volume is prepared for it;
            bundles made elsewhere do not.
        finder: the network that finds, in a whole volume, what this one labels; or None.
        denoiser: id of the model to remove noise with beforehand; "" for none.
        denoise_from_percent: noise, in percent of the peak, from which on that is done unasked.
    """

    folder: Path = Path()
    weights: Path = Path()
    sha256: str = ""
    network: dict[str, Any] | None = None
    input: InputSpec = field(default_factory=InputSpec)
    halo: int | None = None
    patch: tuple[int, int, int] | None = None
    shipped: bool = False
    trusted: str = ""
    foreign: str = ""
    is_described: bool = True
    finder: Finder | None = None
    denoiser: str = ""
    denoise_from_percent: float = 100.0

    @property
    def is_trained(self) -> bool:
        return True

    @property
    def takes_guide(self) -> bool:
        return "guide" in self.input.channels

    @property
    def scope(self) -> tuple[str, ...]:
        return (*super().scope, *(() if self.finder is None else (self.finder.scope,)))

    @property
    def program(self) -> str:
        """`TORCHSCRIPT` or `ONNX` when the file of weights is the whole network, else ""."""
        return PROGRAMS.get((self.network or {}).get("_target_", ""), "")

    @property
    def finder_model(self) -> Bundle | None:
        """The finder, to be loaded and run like any network; it may never run code of its own."""
        finder = self.finder
        if finder is None:
            return None
        return replace(
            self,
            id=f"{self.id} (finder)",
            weights=finder.weights,
            sha256=finder.sha256,
            network=finder.network,
            input=InputSpec(normalisation=finder.normalisation, multiple=finder.multiple),
            halo=None,
            patch=None,
            foreign="",
            finder=None,
        )

    def require_trust(self) -> None:
        """Raise `TrustError` when the bundle would run code that the user has not allowed."""
        if self.foreign and not (self.shipped or self.trusted):
            raise TrustError(
                f"The bundle '{self.id}' {self.foreign}; if you trust its author, allow it (in "
                f"Slicer, Apply asks; from the shell: --trust {self.id}), otherwise do not use it."
            )

    def verify(self) -> None:
        """Raise `BundleError` when weights, its own or its finder's, are not what it says."""
        self.verify_weights()
        if self.finder_model is not None:
            self.finder_model.verify_weights()

    def verify_weights(self) -> str:
        """SHA-256 of the weights; raises `BundleError` when it is not what the bundle says."""
        digest = hashlib.sha256()
        try:
            with self.weights.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise BundleError(
                f"The weights of '{self.id}' ({self.weights.name}) cannot be read: "
                f"{error.strerror}; install the model again."
            ) from error
        found = digest.hexdigest()
        if self.sha256 and found != self.sha256.lower():
            raise BundleError(
                f"The weights of '{self.id}' hash to {found[:12]}..., but its metadata says "
                f"{self.sha256[:12]}...; the file is damaged or was changed: install the "
                "model again."
            )
        return found


def read_bundle(folder: Path, shipped: bool = False) -> Bundle:
    """Read a bundle's facts.

    Raises:
        BundleError: when a file is missing, is no JSON, or says something impossible.
    """
    metadata = read_json(folder, METADATA)
    inference = read_json(folder, INFERENCE)
    try:
        metadata = printable(metadata)
        facts = metadata.get("medenhance", {})
        return _bundle(folder, metadata, inference, facts, shipped)
    except IMPOSSIBLE as error:
        what = " ".join(str(error).split())[:LONGEST_REASON]
        raise BundleError(
            f"The bundle '{folder.name}' has a {METADATA} that cannot be understood "
            f"({type(error).__name__}: {what}); correct it or remove the folder."
        ) from error
    except RecursionError as error:
        raise BundleError(
            f"The bundle '{folder.name}' has a configuration that is nested too deeply; remove the "
            "folder."
        ) from error


def _bundle(
    folder: Path,
    metadata: dict[str, Any],
    inference: dict[str, Any],
    facts: dict[str, Any],
    shipped: bool,
) -> Bundle:
    network = _network_def(folder, inference)
    weights = _weights(folder, facts.get("weights", DEFAULT_WEIGHTS))
    task = Task.named(facts["task"]) if "task" in facts else _guess_task(folder, metadata)
    image = _network_image(metadata)
    return Bundle(
        id=_name(facts.get("id", folder.name)),
        title=_title(facts.get("title", metadata.get("name", folder.name))),
        task=task,
        method=str(facts.get("method", printable(network["_target_"]).rsplit(".", 1)[-1])),
        modality=_modality(str(facts.get("modality", image.get("modality", "")))),
        contrasts=_texts(facts.get("contrasts", ())),
        body_part=str(facts.get("body_part", "")),
        version=str(metadata.get("version", "")),
        description=str(metadata.get("description", "")),
        ranges=_ranges(facts.get("ranges", {})),
        labels=_labels(metadata, facts) if task is Task.SEGMENT else (),
        limits=_texts(facts.get("limits", ())),
        results=tuple(dict(row) for row in facts.get("results", ())),
        training_data=tuple(dict(row) for row in facts.get("training_data", ())),
        preference=int(facts.get("preference", 0)),
        folder=folder,
        weights=weights,
        sha256=str(facts.get("sha256", "")),
        network=network,
        input=read_input_spec(facts.get("input", {}), image, task),
        halo=None if facts.get("halo") is None else within(facts["halo"], 0, MOST_HALO, "halo"),
        patch=_patch(facts, image),
        shipped=shipped,
        foreign=foreign_code(network, inference),
        is_described="input" in facts,
        finder=_finder(folder, facts["finder"]) if facts.get("finder") else None,
        denoiser=str(facts.get("denoiser", "")),
        denoise_from_percent=float(facts.get("denoise_from_percent", 100.0)),
    )


def _network_def(folder: Path, inference: dict[str, Any]) -> dict[str, Any]:
    network = inference.get("network_def") or inference.get("network")
    if not isinstance(network, dict) or not isinstance(network.get("_target_"), str):
        raise BundleError(
            f"The bundle '{folder.name}' has no network_def with a _target_ in {INFERENCE}; "
            "MedEnhance cannot build its network."
        )
    return network


def _name(given: Any) -> str:
    name = str(given)
    if REPLACEMENT in name or not name.isprintable() or not 0 < len(name.strip()) <= LONGEST_ID:
        raise ValueError(
            f"its id {quoted(name)} is no name, which has 1 to {LONGEST_ID} visible letters"
        )
    return name


def _title(given: Any) -> str:
    """As much as fits into a list and into a question, from which it must not push the rest."""
    return str(printable(str(given)))[:LONGEST_TITLE]


def _modality(said: str) -> str:
    """As DICOM writes it, in two letters."""
    name = said.strip().upper()
    return MODALITIES.get(name, name[:2])


def _texts(given: Any) -> tuple[str, ...]:
    """One text or several."""
    return (given,) if isinstance(given, str) else tuple(str(each) for each in given)


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A file of a bundle's facts; raises `BundleError` when it cannot be read."""
    path = folder / name
    try:
        if path.exists() and not path.is_file():
            raise BundleError(
                f"The bundle '{folder.name}' has a {name} that is no ordinary file; remove the "
                "folder."
            )
        if path.stat().st_size > LARGEST_JSON:
            raise BundleError(
                f"The bundle '{folder.name}' has a {name} of over {LARGEST_JSON} bytes, which is "
                "no configuration; remove the folder."
            )
        data = json.loads(path.read_text("utf-8"))
        # JSON can spell halves of letters, which nothing can write down again.
        json.dumps(data, ensure_ascii=False).encode()
    except OSError as error:
        raise BundleError(
            f"The bundle '{folder.name}' has no readable {name} ({error.strerror}); copy the whole "
            "bundle folder again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"The bundle '{folder.name}' has a {name} that is not JSON ({error}); correct it."
        ) from error
    if not isinstance(data, dict):
        raise BundleError(f"The bundle '{folder.name}' has a {name} that is no JSON object.")
    return data


def _weights(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise BundleError(
            f"The bundle '{folder.name}' names weights outside its own folder ({quoted(name)}); "
            "refused."
        )
    if not path.is_file():
        raise BundleError(
            f"The bundle '{folder.name}' lacks its weights ({quoted(name)}); copy the whole "
            "bundle folder again."
        )
    return path


def _finder(folder: Path, facts: dict[str, Any]) -> Finder:
    if not isinstance(facts["network_def"].get("_target_"), str):
        raise BundleError(f"The finder of the bundle '{folder.name}' has no _target_.")
    if reason := foreign_code(facts["network_def"], facts):
        raise BundleError(
            f"The finder of the bundle '{folder.name}' {reason}; finders may only use networks on "
            "the allow-list, so the bundle is refused."
        )
    return read_finder(facts, _weights(folder, str(facts["weights"])))


def _guess_task(folder: Path, metadata: dict[str, Any]) -> Task:
    """Bundles from elsewhere say in words what they do."""
    words = f"{metadata.get('task', '')} {metadata.get('description', '')} {folder.name}".lower()
    if "segment" in words:
        return Task.SEGMENT
    if "super" in words and "resolution" in words:
        return Task.SUPER_RESOLUTION
    if "denois" in words:
        return Task.DENOISE
    said = quoted(metadata.get("task", "an unnamed task"))
    raise BundleError(
        f"The bundle '{folder.name}' is for {said}, which "
        "MedEnhance does not do; it denoises, super-resolves and segments."
    )


def _network_image(metadata: dict[str, Any]) -> dict[str, Any]:
    """MONAI's description of the image input."""
    inputs = metadata.get("network_data_format", {}).get("inputs", {})
    image = inputs.get("image", {})
    return image if isinstance(image, dict) else {}


def _ranges(facts: dict[str, Any]) -> dict[str, tuple[float, float]]:
    ranges = {name: (float(pair[0]), float(pair[1])) for name, pair in facts.items() if pair}
    least, largest = ranges.get("factor", (1.0, 2.0))
    if not largest > 1:
        raise ValueError(f"its factors {least:g} to {largest:g} refine nothing")
    return ranges


def _labels(metadata: dict[str, Any], facts: dict[str, Any]) -> tuple[Label, ...]:
    if "labels" in facts:
        return _told_apart([Label.from_json(row) for row in facts["labels"]])
    outputs = metadata.get("network_data_format", {}).get("outputs", {})
    names = outputs.get("pred", {}).get("channel_def", {})
    return _told_apart([Label(int(v), str(name)) for v, name in names.items() if int(v) > 0])


def _told_apart(labels: list[Label]) -> tuple[Label, ...]:
    """Labels of the same name get their values added to it, as volumes are listed by name."""
    values = [label.value for label in labels]
    odd = [v for v in values if not 1 <= v <= MOST_LABELS or values.count(v) > 1]
    if odd:
        raise ValueError(
            f"its labels need different values from 1 to {MOST_LABELS}, unlike {odd[0]}"
        )
    given = Counter(label.name for label in labels)
    return tuple(
        replace(label, name=f"{label.name} ({label.value})") if given[label.name] > 1 else label
        for label in labels
    )


def _patch(facts: dict[str, Any], image: dict[str, Any]) -> tuple[int, int, int] | None:
    size = facts.get("patch", image.get("spatial_shape"))
    if not size or len(size) != 3 or not all(isinstance(n, int) and n > 0 for n in size):
        return None
    return (size[0], size[1], size[2])
