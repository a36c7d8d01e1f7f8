"""Copies a bundle's files from a folder or a zip archive, without ever leaving the target.

Archives from strangers may name files outside their folder, hold links, or unpack to more than any
disk holds. All of that is looked for before the first file is written.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO

from MedEnhanceLib.bundle import METADATA
from MedEnhanceLib.errors import BundleError, FileError

MOST_FILES = 2_000
MOST_BYTES = 8 << 30
# Trained weights hardly shrink, texts do so ten times; a thousand times is a trap.
LARGEST_RATIO = 100
NEVER_A_BOMB = 64 << 20
# What file managers and version control leave beside the files of a model.
IGNORED = frozenset({"__MACOSX", ".DS_Store", ".git", "__pycache__", ".cache"})
BLOCK = 1 << 20


def copy_bundle(source: Path, stage: Path) -> Path:
    """Copy the bundle in ``source``, a folder or a zip archive, into the empty folder ``stage``.

    In an archive the bundle may lie in a top folder of its own.

    Returns:
        The copied bundle's folder, named like the source's.

    Raises:
        BundleError: when it is no bundle, or holds what may not be unpacked.
        FileError: when something cannot be read or written.
    """
    try:
        if source.is_dir():
            return _copy_folder(source, stage)
        if not source.is_file():
            raise FileError(f"'{source}' does not exist; give a bundle's folder or .zip file.")
        return _unpack(source, stage)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise BundleError(
            f"'{source.name}' is no intact zip archive ({error}); fetch it again, or give the "
            "bundle's folder."
        ) from error
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise BundleError(
            f"'{source.name}' cannot be unpacked ({error}); unpack it yourself and give the folder."
        ) from error
    except OSError as error:
        raise FileError(
            f"'{source.name}' cannot be copied to {stage.parent} ({error.strerror or error}); "
            "check the free space and your rights there."
        ) from error


def safe_name(name: str) -> str:
    """A name that is a visible folder's on every system, as near to ``name`` as may be."""
    letters = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name)
    return letters.strip(".-")[:80] or "model"


def _copy_folder(source: Path, stage: Path) -> Path:
    if not (source / METADATA).is_file():
        raise BundleError(
            f"The folder '{source.name}' holds no {METADATA}, so it is no MONAI bundle; give the "
            "folder that holds it."
        )
    files = list(islice(_files(source, source.name), MOST_FILES + 1))
    _check_amount(source.name, [file.stat().st_size for file in files])
    target = stage / safe_name(source.resolve().name)
    for file in files:
        with file.open("rb") as original:
            _write(original, target / file.relative_to(source))
    return target


def _files(folder: Path, name: str) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.name in IGNORED:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), name)
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)
        else:
            kind = "a link" if entry.is_symlink() else "a device"
            raise BundleError(
                f"'{name}' holds {kind} ('{entry.name}'), which is not imported; put the file "
                "itself there."
            )


def _unpack(archive: Path, stage: Path) -> Path:
    with zipfile.ZipFile(archive) as packed:
        members = _members(packed, archive)
        # zipfile never reads more of a member than the size that is checked here.
        _check_amount(archive.name, [info.file_size for info in members.values()])
        _check_ratio(archive, members)
        top = _top(members, archive)
        target = stage / safe_name(top.name or archive.stem)
        for path, info in members.items():
            if path.is_relative_to(top):
                with packed.open(info) as original:
                    _write(original, target / path.relative_to(top))
    return target


def _members(packed: zipfile.ZipFile, archive: Path) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Where each file goes; raises `BundleError` when one may not be unpacked."""
    members: dict[PurePosixPath, zipfile.ZipInfo] = {}
    # Many file systems do not tell Model.pt from model.pt.
    names: set[str] = set()
    for info in packed.infolist():
        path = _path(info, archive)
        if info.is_dir() or IGNORED.intersection(path.parts):
            continue
        if str(path).casefold() in names:
            raise BundleError(f"'{archive.name}' holds '{path}' twice; the archive is refused.")
        names.add(str(path).casefold())
        members[path] = info
    return members


def _path(info: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    """Where a member goes; raises `BundleError` unless it is a plain file or folder inside."""
    # As it stands in the archive: zipfile corrects some of what is wrong.
    name = info.orig_filename
    path = PurePosixPath(name)
    is_odd = not path.parts or any(c in "\\:" or ord(c) < 32 for c in name)
    if is_odd or path.is_absolute() or ".." in path.parts:
        raise BundleError(
            f"'{archive.name}' holds a file named {name!r}, which would not lie in the model's own "
            "folder; the archive is refused."
        )
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        what = "a link" if kind == stat.S_IFLNK else "a device"
        raise BundleError(f"'{archive.name}' holds {what} ('{name}'); the archive is refused.")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BundleError(
            f"'{archive.name}' is packed in an unusual way; unpack it yourself and give the folder."
        )
    return path


def _check_amount(name: str, sizes: list[int]) -> None:
    if len(sizes) > MOST_FILES or sum(sizes) > MOST_BYTES:
        raise BundleError(
            f"'{name}' holds more than {MOST_FILES} files or {MOST_BYTES >> 30} GB, which no model "
            "needs; give a folder or an archive that holds the bundle alone."
        )


def _check_ratio(archive: Path, members: dict[PurePosixPath, zipfile.ZipInfo]) -> None:
    packed = archive.stat().st_size
    total = sum(info.file_size for info in members.values())
    if total > max(NEVER_A_BOMB, LARGEST_RATIO * packed):
        raise BundleError(
            f"'{archive.name}' would unpack from {packed / 1e6:.3g} to {total / 1e6:.3g} MB, as no "
            "model does; the archive is refused."
        )


def _top(members: dict[PurePosixPath, zipfile.ZipInfo], archive: Path) -> PurePosixPath:
    """The folder in the archive that is the bundle: its root, or the one folder in it."""
    tops = [p.parents[1] for p in members if p.parts[-2:] == PurePosixPath(METADATA).parts]
    shallow = [top for top in tops if len(top.parts) <= 1]
    if len(shallow) != 1:
        raise BundleError(
            f"'{archive.name}' holds {'more than one' if shallow else 'no'} {METADATA}, at its top "
            "or in one folder, so it is not one MONAI bundle."
        )
    return shallow[0]


def _write(original: IO[bytes], place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("xb") as copy:
        shutil.copyfileobj(original, copy, BLOCK)
