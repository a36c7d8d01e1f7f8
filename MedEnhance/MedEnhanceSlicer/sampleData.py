"""MedEnhance's sample volumes in Slicer's Sample Data module; they come with the extension."""

import hashlib
import logging
from pathlib import Path

from MedEnhanceLib.resources import sample_folder

CATEGORY = "MedEnhance"
THUMBNAILS = Path(__file__).resolve().parent.parent / "Resources" / "Icons"
LABELS = " labels"
SUFFIXES = (".nii.gz", ".nrrd")


def sampleFiles():
    """The volumes in the sample folder, by node name."""
    folder = sample_folder()
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return {nodeName(path): path for path in paths if path.name.endswith(SUFFIXES)}


def nodeName(path):
    """Name of the node that a file becomes: "mr_head_t1.nii.gz" is "MedEnhance mr head t1"."""
    return "MedEnhance " + stem(path).replace("_", " ")


def stem(path):
    """The file's name without any suffix."""
    return path.name.split(".")[0]


def register():
    """Add the samples to the Sample Data module."""
    try:
        from SampleData import SampleDataLogic
    except ModuleNotFoundError:
        logging.debug("MedEnhance: no Sample Data module in this application")
        return
    for name, path in sampleFiles().items():
        SampleDataLogic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=name,
            uris=path.as_uri(),
            fileNames=path.name,
            nodeNames=name,
            thumbnailFileName=str(THUMBNAILS / f"{stem(path)}.png"),
            checksums="SHA256:" + hashlib.sha256(path.read_bytes()).hexdigest(),
            loadFileType="VolumeFile",
            loadFileProperties={"labelmap": True} if name.endswith(LABELS) else {},
        )
