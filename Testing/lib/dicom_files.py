"""Writes small DICOM series for tests."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

ROOT = "1.2.826.0.1.3680043.2.1125.1"
CT_IMAGE, MR_IMAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


def write_series(
    folder: Path,
    voxels: np.ndarray,
    *,
    positions: Iterable[np.ndarray] | None = None,
    axes: np.ndarray | None = None,
    spacing: tuple[float, float, float] = (0.7, 0.8, 1.5),
    origin: tuple[float, float, float] = (-20.5, 10.25, 300.0),
    uid: str = f"{ROOT}.1",
    tags: dict[str, str] | None = None,
) -> list[Path]:
    """One file per slice (k, j, i), named so that the order of names is not that of positions."""
    folder.mkdir(parents=True, exist_ok=True)
    axes = np.eye(3) if axes is None else axes
    if positions is None:
        step = axes[:, 2] * spacing[2]
        positions = [np.array(origin) + step * k for k in range(len(voxels))]
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    files = []
    for k, (plane, position) in enumerate(zip(voxels, positions, strict=True)):
        image = sitk.GetImageFromArray(plane[None], isVector=plane.ndim == 3)
        image.SetSpacing(spacing)
        header = {
            "0008|0016": CT_IMAGE,
            "0008|0060": "CT",
            "0008|103e": "Abdomen thin",
            "0008|0018": f"{uid}.{k + 1}",
            "0020|000d": f"{ROOT}.99",
            "0020|000e": uid,
            "0020|0011": "3",
            "0018|0050": str(spacing[2]),
            "0020|0032": joined(position),
            "0020|0037": joined([*axes[:, 0], *axes[:, 1]]),
            "0028|1052": "0",
            "0028|1053": "1",
            "0028|1054": "HU",
            "0010|0010": "DOE^JANE",
            "0010|0020": "4711-0815",
            **(tags or {}),
        }
        for key, value in header.items():
            image.SetMetaData(key, value)
        files.append(folder / f"IM{(k * 7) % 1000:04d}")
        writer.SetFileName(f"{files[-1]}.dcm")
        writer.Execute(image)
        Path(f"{files[-1]}.dcm").rename(files[-1])
    return files


def set_text(file: Path, tag: str, value: str) -> None:
    """Have a tag of a file of `write_series` hold this text, which ITK might not write."""
    raw = file.read_bytes()
    group, number = (int(half, 16) for half in tag.split("|"))
    key, text = struct.pack("<HH", group, number), value.encode() + b" " * (len(value) % 2)
    # Their types are implied: a tag, four bytes of length, the value.
    at = raw.index(key) + 4
    (length,) = struct.unpack_from("<I", raw, at)
    file.write_bytes(raw[:at] + struct.pack("<I", len(text)) + text + raw[at + 4 + length :])


def joined(values: Iterable[float]) -> str:
    """Numbers as DICOM writes them, which leaves 16 characters each."""
    return "\\".join(f"{value:.10g}"[:16] for value in values)
