"""Puts a new model into the user's folder: checked, under a free name, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from MedEnhanceLib.bundle import Bundle, read_bundle
from MedEnhanceLib.catalog import REPLACED, TAKEN, Catalog, bundle_folders, user_folder
from MedEnhanceLib.errors import BundleError, FileError, MedEnhanceError
from MedEnhanceLib.importing.copying import safe_name
from MedEnhanceLib.private import make_folder, remove_folder, sweep

STAGE = ".importing-"


@contextmanager
def staging(into: Path | None) -> Iterator[Path]:
    """A hidden folder beside the models, in which a new one is prepared; gone afterwards.

    Being on the same disk, what is in it becomes a model by being renamed.
    """
    into = user_folder() if into is None else into
    try:
        is_new = not into.exists()
        into.mkdir(parents=True, exist_ok=True)
        _put_back(into)
        sweep(STAGE, into)
        stage = make_folder(STAGE, into)
    except OSError as error:
        raise FileError(
            f"Models cannot be kept in '{into}' ({error.strerror}); choose a folder that you may "
            "write to."
        ) from error
    try:
        yield stage
    finally:
        remove_folder(stage)
        if is_new:
            with suppress(OSError):  # it holds the new model
                into.rmdir()


def place(folder: Path, replace: bool) -> Bundle:
    """Move a prepared bundle out of its stage, to stand among the models.

    Args:
        folder: the bundle, in a stage.
        replace: whether a model of the same name, if the user brought it, makes way.

    Raises:
        BundleError: when the bundle cannot be used as it is, or its name is taken.
    """
    into = folder.parent.parent
    bundle = _checked(folder)
    # The folder is called like the model, since trust is given by either name.
    final = into / safe_name(bundle.id)
    names = {bundle.id, final.name}
    _check_not_ours(names)
    taken = _called(names, into)
    if taken and not replace:
        raise BundleError(
            f"There is a model '{bundle.id}' already, in {taken[0]}; remove it first, or import "
            "with replacing allowed (--replace)."
        )
    try:
        _exchange(folder, final, taken)
    except OSError as error:
        raise FileError(
            f"'{bundle.id}' cannot be put into {into} ({error.strerror}); close programs that use "
            "the models there, and try again."
        ) from error
    return read_bundle(final)


def _checked(folder: Path) -> Bundle:
    """The bundle's facts, when its weights are what it says."""
    bundle = read_bundle(folder)
    bundle.verify()
    return bundle


def _check_not_ours(names: set[str]) -> None:
    bundles = (m for m in Catalog.default().entries if isinstance(m, Bundle))
    shipped = {bundle.id for bundle in bundles if bundle.shipped}
    for name in names & (TAKEN | shipped):
        raise BundleError(
            f"'{name}' is a name that came with MedEnhance; give your model another title or id."
        )


def _called(names: set[str], into: Path) -> list[Path]:
    """Folders among the models that have one of these names, or hold a model that has."""
    found = {into / name for name in names if os.path.lexists(into / name)}
    for folder in bundle_folders(into):
        with suppress(MedEnhanceError):  # what cannot be read has no id
            if read_bundle(folder).id in names:
                found.add(folder)
    return sorted(found)


def _exchange(folder: Path, final: Path, taken: list[Path]) -> None:
    """Rename ``folder`` to ``final``; those taken away come back when that fails."""
    moved: list[Path] = []
    try:
        for old in taken:
            os.replace(old, _aside(old))
            moved.append(old)
        os.replace(folder, final)
    except OSError:
        for old in moved:
            os.replace(_aside(old), old)
        raise
    for old in moved:
        _remove(_aside(old))


def _aside(model: Path) -> Path:
    """Where a model waits, under a hidden name, until the one that replaces it is in place."""
    return model.with_name(REPLACED + model.name)


def _put_back(into: Path) -> None:
    """Bring back models that were set aside by an import that was killed."""
    for aside in into.glob(f"{REPLACED}*"):
        model = into / aside.name[len(REPLACED) :]
        if model.exists():
            _remove(aside)
        else:
            os.replace(aside, model)


def _remove(model: Path) -> None:
    if model.is_symlink() or model.is_file():
        model.unlink()
    else:
        remove_folder(model)
