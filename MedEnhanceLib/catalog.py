"""Which models there are. Reads JSON only; nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from MedEnhanceLib.assessment import modality_of, suitability
from MedEnhanceLib.bundle import METADATA, Bundle, read_bundle
from MedEnhanceLib.errors import BundleError, FileError, MedEnhanceError, UnsuitableError
from MedEnhanceLib.filters import FILTERS
from MedEnhanceLib.model import Model
from MedEnhanceLib.resources import models_folder
from MedEnhanceLib.task import Task
from MedEnhanceLib.trust import meant_by
from MedEnhanceLib.user_folders import MODELS_VARIABLE, folder_of
from MedEnhanceLib.volume import Volume

TAKEN = frozenset({"auto", *(model.id for model in FILTERS)})
"""Ids that mean something else than a bundle."""
REPLACED = ".replaced-"
"""Before the name of a model that is set aside while another takes its place."""


@dataclass(frozen=True)
class Catalog:
    """The models found.

    Attributes:
        entries: trained bundles first, then classical filters; each id once, the first found wins.
        problems: a sentence for every folder that could not be read as a bundle.
    """

    entries: tuple[Model, ...]
    problems: tuple[str, ...] = ()

    @classmethod
    def default(
        cls, extra_folders: Iterable[str | Path] = (), trusted: Iterable[str] = ()
    ) -> Catalog:
        """Shipped bundles, then the user's folder, then ``extra_folders``, then the filters.

        Args:
            extra_folders: folders that hold bundle folders, or bundle folders themselves.
            trusted: names of bundles that may run code of their own: ids, or what `trust.pinned`
                gives for the very files that are trusted.
        """
        reader = _Reader()
        reader.read_all(models_folder(), shipped=True)
        with suppress(FileError):  # as in containers and on clusters, where nobody has a home
            reader.read_all(user_folder(), shipped=False)
        for folder in extra_folders:
            reader.read_all(Path(folder), shipped=False)
        for name in trusted:
            reader.trust(name)
        return cls((*reader.bundles.values(), *FILTERS), tuple(reader.problems))

    def models(self, task: Task | str | None = None) -> tuple[Model, ...]:
        """All models, or those of one task."""
        wanted = None if task is None else Task.named(str(task))
        return tuple(m for m in self.entries if wanted in (None, m.task))

    def find(self, model_id: str) -> Model:
        """The model called ``model_id``; raises `BundleError` naming what there is."""
        for model in self.entries:
            if model.id == model_id:
                return model
        known = ", ".join(m.id for m in self.entries)
        raise BundleError(f"There is no model '{model_id}'; there are: {known}.")

    def best(self, task: Task | str, volume: Volume, guided: bool = False) -> Model:
        """The model to take for ``volume`` when the user names none.

        The trained bundle of the volume's modality with the best verdict; of several, the one
        its maker prefers. When none was made for that modality, a classical filter for denoising
        and super-resolution.

        Args:
            task: what is to be done.
            volume: what it is to be done to.
            guided: whether a second contrast is given along. Models that take one come first
                then; otherwise they are not considered.

        Raises:
            UnsuitableError: when the models made for this modality refuse the volume, or, for
                segmentation, when there is none.
        """
        models = self.models(task)
        candidates = [m for m in models if m.is_trained and _may_run(m)]
        candidates = [m for m in candidates if guided or not m.takes_guide]
        candidates.sort(key=lambda m: (not m.takes_guide, -m.preference))
        verdicts = [suitability(volume, m) for m in candidates]
        for wanted in ("good", "warning"):
            for model, found in zip(candidates, verdicts, strict=True):
                if found.verdict == wanted:
                    return model
        modality = modality_of(volume)
        refusals = [
            found.reasons[0]
            for model, found in zip(candidates, verdicts, strict=True)
            if not modality or model.modality in ("", modality)
        ]
        if refusals:
            raise UnsuitableError(refusals[0])
        filters = [m for m in models if not m.is_trained]
        if Task.named(str(task)) is not Task.SEGMENT and filters:
            return filters[0]
        raise UnsuitableError(
            f"There is no trained {task} model for {modality or 'this volume'}; name a classical "
            "filter to compare with, or add a model of your own."
        )


class _Reader:
    """Collects bundles from folders, remembering what could not be read."""

    def __init__(self) -> None:
        self.bundles: dict[str, Bundle] = {}
        self.problems: list[str] = []

    def read_all(self, folder: Path, shipped: bool) -> None:
        for candidate in bundle_folders(folder):
            try:
                bundle = read_bundle(candidate, shipped)
            except MedEnhanceError as error:
                self.problems.append(str(error))
                continue
            if bundle.id in TAKEN:
                self.problems.append(
                    f"The bundle in {candidate.name} is left out: its id '{bundle.id}' is a name "
                    "that MedEnhance uses itself; give it another id."
                )
                continue
            if bundle.id in self.bundles:
                self.problems.append(
                    f"The bundle '{bundle.id}' in {candidate.name} is left out: a model of that id "
                    "was found before it."
                )
                continue
            self.bundles[bundle.id] = bundle
        self.problems += _set_aside(folder)

    def trust(self, name: str) -> None:
        for bundle in meant_by(name, self.bundles):
            self.bundles[bundle.id] = replace(bundle, trusted=name)


def user_folder() -> Path:
    """Where the user's own bundles are looked for; raises `FileError` for who has no home."""
    try:
        return folder_of(MODELS_VARIABLE)
    except RuntimeError as error:
        raise FileError(
            "You have no home folder for models of your own; name a folder for them in the "
            f"environment variable {MODELS_VARIABLE}."
        ) from error


def bundle_folders(folder: Path) -> Sequence[Path]:
    """The folder itself when it is a bundle, else those within; none where it cannot be read."""
    try:
        if (folder / METADATA).is_file():
            return [folder]
        children = sorted(child for child in folder.iterdir() if child.is_dir())
    except OSError:
        return []
    return [child for child in children if not child.name.startswith(".")]


def _set_aside(folder: Path) -> list[str]:
    """A sentence for every model that is missing since the import that was to replace it ended."""
    try:
        names = [entry.name.removeprefix(REPLACED) for entry in folder.glob(f"{REPLACED}*")]
        missing = [name for name in names if not (folder / name).exists()]
    except OSError:
        return []
    return [
        f"The model '{name}' in '{folder}' is set aside, as an import that was to replace it was "
        f"interrupted; import it again, or rename the folder '{REPLACED}{name}' to '{name}'."
        for name in missing
    ]


def _may_run(model: Model) -> bool:
    return not (isinstance(model, Bundle) and model.foreign) or model.shipped or bool(model.trusted)
