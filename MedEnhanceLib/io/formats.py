"""Which kinds of file there are, told by extension (or, for DICOM, by content)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from MedEnhanceLib.errors import FileError

DICOM_PREAMBLE, DICOM_MARK = 128, b"DICM"


@dataclass(frozen=True)
class Format:
    """A kind of image file.

    Attributes:
        name: what a user calls it.
        extension: with the dot, lower case.
        engine: the name of ITK's reader and writer for it.
        detached: whether the voxels lie in a second file beside this header.
    """

    name: str
    extension: str
    engine: str
    detached: bool = False


# Longest extension first, so that ".seg.nrrd" is not taken for ".nrrd".
FORMATS = (
    Format("segmentation NRRD", ".seg.nrrd", "NrrdImageIO"),
    Format("NIfTI", ".nii.gz", "NiftiImageIO"),
    Format("NIfTI", ".nii", "NiftiImageIO"),
    Format("NRRD", ".nrrd", "NrrdImageIO"),
    Format("NRRD", ".nhdr", "NrrdImageIO", detached=True),
    Format("MetaImage", ".mha", "MetaImageIO"),
    Format("MetaImage", ".mhd", "MetaImageIO", detached=True),
)
DICOM = Format("DICOM", ".dcm", "GDCMImageIO")
# What ITK takes for several files where a header names its data.
PATTERN = re.compile(r"^LIST|[%\r\n]")
SUPPORTED = ".nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd and DICOM folders"
WRITABLE = ".nii.gz, .nii, .nrrd, .nhdr, .mha and .mhd (.seg.nrrd for segmentations)"


def format_to_read(path: Path) -> Format:
    """The format of an existing file; raises `FileError` when it is none that can be read."""
    known = _by_extension(path)
    if known is not None:
        return known
    # DICOM files come with any extension or none, so their mark is looked for.
    if path.name.lower().endswith((".dcm", ".dicom", ".ima")) or has_dicom_mark(path):
        return DICOM
    raise FileError(
        f"'{path.name}' is not a known kind of image{_extension(path)}; use {SUPPORTED}."
    )


def format_to_write(path: Path) -> Format:
    """The format that a name asks for; raises `FileError` when it is none that can be written."""
    known = _by_extension(path)
    if known is not None:
        _check_stem(path, known)
        return known
    raise FileError(
        f"'{path.name}' cannot be written{_extension(path)}; give it one of the extensions "
        f"{WRITABLE}."
    )


def _check_stem(path: Path, form: Format) -> None:
    """Raise `FileError` for a name after which the voxels of a header would not be found again."""
    if form.detached and PATTERN.search(path.name):
        raise FileError(
            f"{path.name!r} would be taken for a list or a pattern of files when it is read; name "
            "it without '%' and line breaks and not LIST at its start, or end it in .nrrd or .mha."
        )


def has_dicom_mark(path: Path) -> bool:
    """Whether the file carries DICOM's mark behind its preamble; False when it cannot be read."""
    return dicom_start(path)[DICOM_PREAMBLE:] == DICOM_MARK


def dicom_start(path: Path) -> bytes:
    """Where a DICOM file has its preamble and its mark; nothing when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(DICOM_PREAMBLE + len(DICOM_MARK))
    except OSError:
        return b""


def _by_extension(path: Path) -> Format | None:
    name = path.name.lower()
    return next((f for f in FORMATS if name.endswith(f.extension)), None)


def _extension(path: Path) -> str:
    return f" (extension '{path.suffix}')" if path.suffix else " (it has no extension)"
