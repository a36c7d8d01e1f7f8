"""Which DICOM series a folder holds, told without saying who the patient is."""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from MedEnhanceLib.errors import FileError
from MedEnhanceLib.io.formats import DICOM_MARK, DICOM_PREAMBLE, dicom_start, has_dicom_mark
from MedEnhanceLib.io.frames import Frame, Scanned, scan
from MedEnhanceLib.io.toolkit import siblings

MOST_FILES = 50_000
# A header longer than this is not searched further for the series that it belongs to.
HEADER_BYTES = 1 << 16
# Preamble, mark, and the element that gives the length of the header's first group.
FIRST_GROUP = 128 + 4 + 12
SERIES_UID = b"\x20\x00\x0e\x00"
SHORTEST_ENDING = 4


@dataclass(frozen=True)
class Series:
    """One DICOM series.

    Attributes:
        uid: the series instance UID; its end is enough to choose it by.
        number: as shown on the scanner, or None.
        description: as named on the scanner, cleared of the patient's name and number.
        modality: "MR", "CT", ...
        slices: how many images it holds.
        frames: the images themselves, in the order of their files.
        damaged: files of the series that cannot be read.
        lost: files and folders beside it of which nothing can be read, so that they may be of it.
        clashing: two files that hold different images under one UID, if there are such.
    """

    uid: str
    number: int | None
    description: str
    modality: str
    slices: int
    frames: tuple[Frame, ...] = field(repr=False, compare=False, default=())
    damaged: tuple[Path, ...] = field(repr=False, compare=False, default=())
    clashing: tuple[Path, ...] = field(repr=False, compare=False, default=())
    lost: tuple[Path, ...] = field(repr=False, compare=False, default=())

    def __str__(self) -> str:
        number = "-" if self.number is None else str(self.number)
        return f"{number}: '{self.description}' {self.modality}, {counted(self.slices, 'slice')}"


def counted(number: int, what: str) -> str:
    """The number of things, in words."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def list_series(folder: str | os.PathLike[str]) -> list[Series]:
    """The DICOM series in a folder and the folders in it, by number.

    Raises:
        FileError: when the folder cannot be read or holds far more files than a study does.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileError(f"'{folder}' is not a folder; name the folder of the DICOM files.")
    return _grouped(_files(folder))


def series_of(file: Path) -> Series:
    """The series that a DICOM file belongs to, whole, as far as it lies in the same folder.

    For a link beside which there is nothing of the series, that is the folder it leads to.
    """
    scanned = scan(file) if has_dicom_mark(file) else None
    if scanned is None:
        raise FileError(
            f"'{file.name}' is not a DICOM image that can be read; copy or export it again."
        )
    series = _beside(file, scanned.series)
    if file.is_symlink() and len({frame.path for frame in series.frames}) == 1:
        return _beside(file.resolve(), scanned.series)
    return series


def choose_series(found: Sequence[Series], wanted: str | None, folder: str) -> Series:
    """The one series, or the one ``wanted`` by number or end of UID.

    Raises:
        FileError: listing the series, when there is not exactly one to take.
    """
    if not found:
        raise FileError(
            f"'{folder}' holds no DICOM images that can be read; name the folder of a series, or "
            "one file of it."
        )
    if wanted is None:
        if len(found) == 1:
            return found[0]
        raise FileError(
            f"'{folder}' holds {len(found)} DICOM series; name one file of the one that is meant, "
            "or for the input give its number or the end of its UID as series=... (--series on the "
            f"command line): {_listed(found)}."
        )
    matches = [s for s in found if s.number is not None and str(s.number) == wanted.strip()]
    if not matches and len(wanted.strip()) >= SHORTEST_ENDING:
        matches = [s for s in found if s.uid.endswith(wanted.strip())]
    if len(matches) == 1:
        return matches[0]
    fault = "No series" if not matches else "More than one series"
    raise FileError(f"{fault} in '{folder}' is called '{wanted}'; there are {_listed(found)}.")


def _listed(found: Sequence[Series]) -> str:
    uids = [series.uid for series in found]
    return "; ".join(f"{series} (UID ...{_ending(series.uid, uids)})" for series in found)


def _ending(uid: str, uids: Iterable[str]) -> str:
    """The shortest end of a UID that tells it from the others."""
    others = [other for other in uids if other != uid]
    for length in range(SHORTEST_ENDING, len(uid)):
        if not any(other.endswith(uid[-length:]) for other in others):
            return uid[-length:]
    return uid


def _beside(file: Path, uid: str) -> Series:
    found = _grouped(sorted({file, *filter(_may_be_image, siblings(file))}))
    return next(series for series in found if series.uid == uid)


def _files(folder: Path) -> list[Path]:
    """The files in a folder and the folders in it; also folders that cannot be looked into."""
    files: list[Path] = []
    locked: list[OSError] = []
    seen = {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, onerror=locked.append, followlinks=True):
        visible = sorted(name for name in folders if not name.startswith("."))
        folders[:] = [name for name in visible if _is_new(os.path.join(place, name), seen)]
        files += filter(_may_be_image, (Path(place, name) for name in sorted(names)))
        if len(files) > MOST_FILES:
            raise FileError(
                f"'{folder}' holds more than {MOST_FILES:,} files; name the folder of the series."
            )
    return files + [Path(error.filename) for error in locked]


def _is_new(folder: str, seen: set[str]) -> bool:
    """Whether a folder is none of those seen, among which it is from now on; links may circle."""
    real = os.path.realpath(folder)
    is_new = real not in seen
    seen.add(real)
    return is_new


def _may_be_image(path: Path) -> bool:
    """Whether it is a file in plain sight, or a link to one that is not there."""
    is_file = os.path.isfile(path) or not os.path.exists(path)
    return is_file and not path.name.startswith(".")


def _grouped(files: Iterable[Path]) -> list[Series]:
    groups: dict[str, dict[str, Scanned]] = {}
    clashing: dict[str, tuple[Path, ...]] = {}
    unread: list[Path] = []
    lost: list[Path] = []
    for file in files:
        start = dicom_start(file)
        # A copy that was broken off is empty, or zeros in the space that was set aside for it.
        if not start.strip(b"\0"):
            lost.append(file)
            continue
        if start[DICOM_PREAMBLE:] != DICOM_MARK:
            continue
        scanned = scan(file)
        if scanned is None:
            unread.append(file)
            continue
        group = groups.setdefault(scanned.series, {})
        other = group.setdefault(scanned.frames[0].instance, scanned).frames[0].path
        # A second copy of the same image is the same image; one that was processed is not.
        if other is not file and not filecmp.cmp(other, file, shallow=False):
            clashing.setdefault(scanned.series, (other, file))
    found = [
        _series(uid, list(group.values()), unread, clashing.get(uid, ()), tuple(lost))
        for uid, group in groups.items()
    ]
    return sorted(found, key=lambda s: (s.number is None, s.number or 0, s.uid))


def _series(
    uid: str,
    scanned: Sequence[Scanned],
    unread: Iterable[Path],
    clashing: tuple[Path, ...],
    lost: tuple[Path, ...],
) -> Series:
    first = scanned[0]
    return Series(
        uid=uid,
        number=int(first.number) if re.fullmatch(r"[+-]?\d+", first.number) else None,
        description=first.description,
        modality=first.modality,
        slices=sum(s.frames[0].count for s in scanned),
        frames=tuple(frame for s in scanned for frame in s.frames),
        damaged=tuple(file for file in unread if _belongs(file, uid, first.frames[0].kind)),
        clashing=clashing,
        lost=lost,
    )


def _belongs(file: Path, uid: str, kind: str) -> bool:
    """Whether an unreadable file was an image of this series, rather than a report about it.

    A report mentions the series too, but the header's first group names its own kind. A file that
    ends before its series, or even its kind, is told is taken for one.
    """
    try:
        with file.open("rb") as opened:
            raw = opened.read(HEADER_BYTES)
    except OSError:
        return False
    group_end = FIRST_GROUP + int.from_bytes(raw[FIRST_GROUP - 4 : FIRST_GROUP], "little")
    if len(raw) < group_end:
        return True
    return kind.encode() in raw[:group_end] and (uid.encode() in raw or SERIES_UID not in raw)
