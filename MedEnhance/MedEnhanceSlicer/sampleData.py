"""MedEnhance's sample volumes in Slicer's Sample Data module; they come with the extension."""

import hashlib
import logging

from MedEnhanceLib.resources import sample_folder

CATEGORY = "MedEnhance"
LABELS = " labels"
SUFFIXES = (".nii.gz", ".nrrd")


def sampleFiles():
    """The volumes in the sample folder, by node name."""
    files = {}
    for path in sorted(sample_folder().iterdir()) if sample_folder().is_dir() else ():
        for suffix in SUFFIXES:
            if path.name.endswith(suffix):
                files[nodeName(path.name[: -len(suffix)])] = path
    return files


def nodeName(stem):
    """Name of the node that a file becomes: "mr_head_t1" is "MedEnhance mr head t1"."""
    return "MedEnhance " + stem.replace("_", " ").replace("-", " ")


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
            sampleName=name.replace(" ", ""),
            sampleDescription=name.removeprefix("MedEnhance ").capitalize(),
            uris=path.as_uri(),
            fileNames=path.name,
            nodeNames=name,
            checksums="SHA256:" + hashlib.sha256(path.read_bytes()).hexdigest(),
            loadFileType="VolumeFile",
            loadFileProperties={"labelmap": True} if name.endswith(LABELS) else {},
        )
