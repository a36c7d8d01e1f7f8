"""Output files: checked before the work begins, and written all or none."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from MedEnhanceLib.errors import FileError
from MedEnhanceLib.io import write_image
from MedEnhanceLib.io.formats import format_to_write, has_dicom_mark
from MedEnhanceLib.io.toolkit import is_there, itk_name
from MedEnhanceLib.io.writing import DETACHED, STAGE, place_of
from MedEnhanceLib.private import make_folder, remove_folder, sweep
from MedEnhanceLib.volume import LabelMap, Volume

# A dictionary becomes JSON; bytes are written as they are.
Content = Volume | LabelMap | dict[str, Any] | bytes
IMAGE, SEGMENTATION, REPORT, PICTURE = "image", "segmentation", "report", "picture"
MARKDOWN, JSON_REPORT = "table", "report of an evaluation"
DATA_ENDINGS = (".raw", ".raw.gz", ".zraw")
DATA_FILE = re.compile(rb"^(?:data file:|ElementDataFile\s*=)\s*([^\r\n]+?)\s*$", re.M | re.I)
LONGEST_HEADER = 1 << 16
ENDINGS = {REPORT: (".json", ".html", ".pdf"), PICTURE: (".png",), MARKDOWN: (".md",)}
ENDINGS[JSON_REPORT] = (".json",)

WRITTEN: list[Path] = []
"""Outputs that are in their places, or about to be, of the command that runs."""


def check_outputs(kinds: Mapping[Path, str], inputs: list[Path]) -> None:
    """Raise `FileError` unless every file can be written, and none of them is an input."""
    for path, kind in kinds.items():
        _check_name(path, kind)
        _check_place(path)
        for source in inputs:
            _check_not_input(path, source)


def check_distinct(paths: list[Path | None]) -> None:
    """Raise `FileError` when two outputs have the same name."""
    given = [path for path in paths if path is not None]
    for number, path in enumerate(given):
        if _real(path) in [_real(other) for other in given[:number]]:
            raise FileError(f"'{path}' is named for two outputs; give each its own file.")


def write_all(files: Mapping[Path, Content]) -> None:
    """Write every file beside its place first, then move them all there."""
    stages: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            stages[path] = _stage(path)
            _write(content, stages[path] / path.name, path)
        for path, stage in stages.items():
            WRITTEN.append(path)
            _move(stage, path)
    finally:
        for stage in stages.values():
            remove_folder(stage)


def json_text(data: Any) -> str:
    """JSON that any reader takes: numbers that JSON lacks become null."""
    return json.dumps(_plain(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    return data if isinstance(data, (str, int, bool)) or data is None else str(data)


def _check_name(path: Path, kind: str) -> None:
    if is_there(path) and path.is_dir():
        raise FileError(f"'{path}' is a folder; give the name of a file in it.")
    if kind in ENDINGS:
        wanted = ENDINGS[kind]
        if path.suffix.lower() not in wanted:
            names = " or ".join(f"*{ending}" for ending in wanted)
            raise FileError(f"The {kind} '{path.name}' must be named {names}; rename it.")
        return
    itk_name(path)
    form = format_to_write(path)
    if kind == IMAGE and form.extension == ".seg.nrrd":
        raise FileError(
            f"'{path.name}' is a segmentation's name, but the output is an image; use .nrrd or "
            ".nii.gz."
        )


def _check_place(path: Path) -> None:
    if not path.parent.is_dir():
        raise FileError(f"The folder '{path.parent}' does not exist; create it first.")
    # Only trying tells: permissions, read-only disks and network shares each say it their own way.
    remove_folder(_stage(path))


def _check_not_input(path: Path, source: Path) -> None:
    same = is_there(source) and path.exists() and path.samefile(source)
    if same or _real(path) == _real(source):
        raise FileError(f"'{path}' is the input, which is never written over; name another output.")
    is_beside = source.is_dir() and _real(source) in _real(path).parents
    if is_beside and path.is_file() and has_dicom_mark(path):
        raise FileError(
            f"'{path}' is one of the files in the input folder, which are never written over; "
            "name another output."
        )
    # An image of two files has its voxels beside its header.
    if _written_beside(path) & (_written_beside(source) | _named_in(source)):
        raise FileError(
            f"'{path}' would write over the voxels of the input '{source.name}'; name another "
            "output."
        )


def _real(path: Path) -> Path:
    """The path without links; links in a circle, over which `Path.resolve` fails, stay."""
    return Path(os.path.realpath(path))


def _written_beside(path: Path) -> set[Path]:
    """The files that may hold the voxels of a detached header, by its name."""
    if path.suffix.lower() not in DETACHED:
        return set()
    return {_real(path.with_name(path.stem + ending)) for ending in DATA_ENDINGS}


def _named_in(header: Path) -> set[Path]:
    """The file that a detached header says its voxels are in, whatever the header is called."""
    if header.suffix.lower() not in DETACHED:
        return set()
    try:
        with header.open("rb") as file:
            named = DATA_FILE.search(file.read(LONGEST_HEADER))
    except OSError:  # who reads it next says why it cannot be read
        return set()
    return {_real(header.parent / os.fsdecode(named[1]))} if named else set()


def _stage(path: Path) -> Path:
    folder = place_of(path).parent
    sweep(STAGE, folder)
    try:
        return make_folder(STAGE, folder)
    except OSError as error:
        raise FileError(
            f"'{path}' cannot be written there ({error.strerror}); choose another folder."
        ) from error


def _write(content: Content, staged: Path, path: Path) -> None:
    if isinstance(content, (Volume, LabelMap)):
        try:
            write_image(content, staged)
        except FileError as error:
            # Of the folder in between the user knows nothing.
            told = str(error).replace(os.fspath(staged), os.fspath(path))
            raise FileError(told) from error
        return
    raw = content if isinstance(content, bytes) else json_text(content).encode()
    try:
        staged.write_bytes(raw)
    except OSError as error:
        raise FileError(
            f"'{path.name}' cannot be written ({error.strerror}); free some space or choose "
            "another folder."
        ) from error


def _move(stage: Path, path: Path) -> None:
    """A header goes last, so that it never points to voxels that are not there."""
    place = place_of(path)
    for file in sorted(stage.iterdir(), key=lambda f: f.name == path.name):
        try:
            os.replace(file, place if file.name == path.name else place.parent / file.name)
        except OSError as error:
            raise FileError(
                f"'{path}' cannot be replaced ({error.strerror}); close the program that has it "
                "open, or name another output."
            ) from error
