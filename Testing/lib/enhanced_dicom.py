"""Writes an enhanced (multi-frame) MR file, which SimpleITK cannot."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from .dicom_files import joined

ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4.1"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
LONG_FORM = ("OB", "OW", "SQ")


def element(group: int, number: int, kind: str, value: bytes | str | float) -> bytes:
    """One data element, its type spelled out."""
    if kind == "US":
        value = struct.pack("<H", value)
    if not isinstance(value, bytes):
        value = str(value).encode()
    value += (b"\0" if kind == "UI" else b" ") * (len(value) % 2)
    start = struct.pack("<HH", group, number) + kind.encode()
    if kind in LONG_FORM:
        return start + b"\0\0" + struct.pack("<I", len(value)) + value
    return start + struct.pack("<H", len(value)) + value


def sequence(group: int, number: int, items: Iterable[Sequence[bytes]]) -> bytes:
    """A sequence of items, each of elements."""
    bodies = [b"".join(elements) for elements in items]
    packed = [struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body for body in bodies]
    return element(group, number, "SQ", b"".join(packed))


def write_enhanced(
    path: Path,
    voxels: np.ndarray,
    positions: Sequence[np.ndarray],
    axes: np.ndarray,
    slopes: Sequence[float | None],
    spacing: tuple[float, float] = (0.5, 0.6),
    before: bytes = b"",
) -> Path:
    """A file whose frames (k, j, i) lie at the given positions.

    A frame without a slope does not say how its values are scaled; ``before`` are elements that
    come before those of the frames.
    """
    meta = element(2, 1, "OB", b"\0\1") + element(2, 2, "UI", ENHANCED_MR)
    meta += element(2, 3, "UI", "1.2.3.4") + element(2, 0x10, "UI", EXPLICIT_LITTLE_ENDIAN)
    meta = element(2, 0, "OB", b"")[:4] + b"UL\4\0" + struct.pack("<I", len(meta)) + meta
    body = b"".join(
        [
            *_identity(),
            *_pixel_format(voxels),
            before,
            sequence(0x5200, 0x9229, [_shared(axes, spacing)]),
            sequence(0x5200, 0x9230, map(_per_frame, positions, slopes)),
            element(0x7FE0, 0x10, "OW", voxels.astype("<i2").tobytes()),
        ]
    )
    path.write_bytes(bytes(128) + b"DICM" + meta + body)
    return path


def _identity() -> list[bytes]:
    return [
        element(8, 0x16, "UI", ENHANCED_MR),
        element(8, 0x18, "UI", "1.2.3.4"),
        element(8, 0x60, "CS", "MR"),
        element(8, 0x103E, "LO", "T2 enhanced"),
        element(0x10, 0x10, "PN", "DOE^JANE"),
        element(0x20, 0x0D, "UI", "1.2.3.5"),
        element(0x20, 0x0E, "UI", "1.2.3.6"),
        element(0x20, 0x11, "IS", 7),
    ]


def _pixel_format(voxels: np.ndarray) -> list[bytes]:
    frames, rows, columns = voxels.shape
    return [
        element(0x28, 2, "US", 1),
        element(0x28, 4, "CS", "MONOCHROME2"),
        element(0x28, 8, "IS", frames),
        element(0x28, 0x10, "US", rows),
        element(0x28, 0x11, "US", columns),
        element(0x28, 0x100, "US", 16),
        element(0x28, 0x101, "US", 16),
        element(0x28, 0x102, "US", 15),
        element(0x28, 0x103, "US", 1),
    ]


def _shared(axes: np.ndarray, spacing: tuple[float, float]) -> list[bytes]:
    directions = joined([*axes[:, 0], *axes[:, 1]])
    measures = [
        element(0x18, 0x50, "DS", "2"),
        element(0x28, 0x30, "DS", joined([spacing[1], spacing[0]])),
    ]
    return [
        sequence(0x20, 0x9116, [[element(0x20, 0x37, "DS", directions)]]),
        sequence(0x28, 0x9110, [measures]),
    ]


def _per_frame(position: np.ndarray, slope: float | None) -> list[bytes]:
    place = sequence(0x20, 0x9113, [[element(0x20, 0x32, "DS", joined(position))]])
    if slope is None:
        return [place]
    scaling = [
        element(0x28, 0x1052, "DS", "0"),
        element(0x28, 0x1053, "DS", slope),
        element(0x28, 0x1054, "LO", "US"),
    ]
    return [place, sequence(0x28, 0x9145, [scaling])]
