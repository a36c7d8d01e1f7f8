"""Files in, files out: NIfTI, NRRD, MetaImage and DICOM series.

SimpleITK does the work and is imported when the first file is touched.
"""

from __future__ import annotations

from MedEnhanceLib.io.checks import ImageWarning, looks_like_labels
from MedEnhanceLib.io.formats import DICOM, FORMATS, SUPPORTED
from MedEnhanceLib.io.reading import read_labelmap, read_volume
from MedEnhanceLib.io.series import Series, list_series
from MedEnhanceLib.io.writing import write_image

__all__ = [
    "DICOM",
    "FORMATS",
    "SUPPORTED",
    "ImageWarning",
    "Series",
    "list_series",
    "looks_like_labels",
    "read_labelmap",
    "read_volume",
    "write_image",
]
