"""What the header of one DICOM file says, as far as it matters here."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from MedEnhanceLib.io.formats import DICOM
from MedEnhanceLib.io.multiframe import find_places, numbers_in
from MedEnhanceLib.io.toolkit import itk_name, metadata, quiet, simpleitk

SHORTEST_SECRET = 2
# Shorter ones are parts of many words.
SHORTEST_ANYWHERE = 3


@dataclass(frozen=True)
class Frame:
    """One image of a series: what its header says that matters here.

    Attributes:
        path: its file.
        instance: SOP instance UID, the same in every copy of the file.
        kind: SOP class UID, which tells a CT slice from a screenshot.
        size: columns, rows.
        index: which frame of its file it is.
        count: how many frames the file holds; 1 for a classic slice.
        channels: numbers per pixel.
        inverted: whether small values are shown bright; ITK turns such values around, past zero.
        spacing: mm between columns and between rows.
        sized: whether the header says in numbers how large its pixels are; ITK would take 1 mm.
        placed: whether the header says in numbers where the image lies.
        is_uniform: whether all frames of the file scale their values alike.
        position: LPS mm of the first pixel's centre.
        axes: unit vectors along which columns and rows count up.
        thickness: mm, 0 when not stated.
        unit: what its values are after rescaling (Rescale Type), "" when not stated.
    """

    path: Path
    instance: str
    kind: str
    size: tuple[int, int]
    index: int
    count: int
    channels: int
    inverted: bool
    spacing: tuple[float, float]
    sized: bool
    placed: bool
    is_uniform: bool
    position: tuple[float, float, float]
    axes: tuple[tuple[float, float, float], tuple[float, float, float]]
    thickness: float
    unit: str


@dataclass(frozen=True)
class Scanned:
    """The images of one file and the series that they belong to."""

    series: str
    number: str
    description: str
    modality: str
    frames: tuple[Frame, ...]


def scan(file: Path) -> Scanned | None:
    """What the file's header says, or None when it is no DICOM image (a report, a DICOMDIR)."""
    reader = simpleitk().ImageFileReader()
    reader.SetImageIO(DICOM.engine)
    reader.SetFileName(itk_name(file))
    try:
        with quiet():
            reader.ReadImageInformation()
    except RuntimeError:
        return None
    tags = {key: value.strip(" \0") for key, value in metadata(reader).items()}
    return Scanned(
        series=tags.get("0020|000e", ""),
        number=tags.get("0020|0011", ""),
        description=_anonymous(tags.get("0008|103e", ""), tags),
        modality=tags.get("0008|0060", ""),
        frames=_expanded(_frame(file, reader, tags)),
    )


def _frame(file: Path, reader: Any, tags: dict[str, str]) -> Frame:
    columns, rows = reader.GetSize()[:2]
    direction = reader.GetDirection()
    return Frame(
        path=file,
        instance=tags.get("0008|0018", "") or os.fspath(file),
        kind=tags.get("0008|0016", ""),
        size=(columns, rows),
        index=0,
        count=_count(tags.get("0028|0008")),
        channels=reader.GetNumberOfComponents(),
        inverted=tags.get("0028|0004") == "MONOCHROME1",
        spacing=reader.GetSpacing()[:2],
        sized=_is_stated(tags, "0028|0030", 2) and min(numbers_in(tags["0028|0030"])) > 0,
        placed=_is_stated(tags, "0020|0032", 3) and _is_stated(tags, "0020|0037", 6),
        is_uniform=True,
        position=reader.GetOrigin(),
        axes=(direction[0::3], direction[1::3]),
        thickness=_number(tags.get("0018|0088")) or _number(tags.get("0018|0050")),
        unit=tags.get("0028|1054", ""),
    )


def _is_stated(tags: dict[str, str], tag: str, count: int) -> bool:
    """Whether a tag holds so many numbers; what it lacks ITK makes up, and of "0,7" it makes 7."""
    return len(numbers_in(tags.get(tag, ""))) == count


def _expanded(first: Frame) -> tuple[Frame, ...]:
    """All frames of the file; the first one alone, unplaced, when the others' place is unknown."""
    if first.count == 1:
        return (first,)
    places = find_places(first.path, first.count)
    if places is None:
        return (replace(first, placed=False),)
    frames = []
    for index, position in enumerate(places.positions):
        axes = places.axes_of(index)
        frames.append(
            replace(
                first,
                index=index,
                sized=True,
                placed=True,
                is_uniform=places.is_uniform,
                spacing=places.spacing,
                position=_triple(position),
                axes=(_triple(axes[:3]), _triple(axes[3:])),
            )
        )
    return tuple(frames)


def _triple(values: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = values
    return (x, y, z)


def _count(text: str | None) -> int:
    """How many frames; -1, of which no file can state the places, when that is no number."""
    try:
        return int(text or 1)
    except ValueError:
        return -1


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def _anonymous(description: str, tags: dict[str, str]) -> str:
    """The description without the patient's name, number or birth date, should they be in it."""
    secrets = re.split(r"[\^=\s,]+", tags.get("0010|0010", ""))
    secrets += [tags.get("0010|0020", ""), tags.get("0010|0030", "")]
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            pattern = re.escape(secret)
            if len(secret) < SHORTEST_ANYWHERE:
                pattern = rf"(?<![^\W_]){pattern}(?![^\W_])"
            description = re.sub(pattern, "***", description, flags=re.IGNORECASE)
    for date in _ways_to_write(tags.get("0010|0030", "")):
        description = re.sub(rf"(?<!\d){date}(?!\d)", "***", description)
    return description


def _ways_to_write(birth_date: str) -> list[str]:
    """Patterns of a date as DICOM has it, YYYYMMDD, in other orders and with signs between."""
    parts = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", birth_date.strip())
    if parts is None:
        return []
    year, month, day = parts.groups()
    orders = ((year, month, day), (day, month, year), (month, day, year))
    return [r"[\W_]?".join(order) for order in orders]
