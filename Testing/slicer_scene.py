"""A MRML scene outside the Slicer application, on `slicer-core` (Slicer's own C++ library).

`start_scene()` does what the application does at start-up as far as MRML needs it, and sets
`slicer.mrmlScene`. The order matters: terminologies before the scene, the segmentations logic on
the scene (without it closed surfaces come out empty), a cache and a data manager (without them
`.mrb` bundles cannot be read), and items of the subject hierarchy on demand.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

REPOSITORY = Path(__file__).resolve().parents[1]
for folder in (REPOSITORY, REPOSITORY / "MedEnhance"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

_kept: list[Any] = []


def start_scene() -> Any:
    """A fresh scene, ready for volumes, segmentations and bundles; also `slicer.mrmlScene`."""
    import slicer

    if inside_slicer():
        slicer.mrmlScene.Clear(0)
        return slicer.mrmlScene
    _kept.clear()
    cache = cache_folder()
    scene = slicer.vtkMRMLScene()
    terminologies = slicer.vtkSlicerTerminologiesModuleLogic()
    terminologies.SetModuleShareDirectory(str(cache))
    application = slicer.vtkMRMLApplicationLogic()
    application.SetHomeDirectory(str(cache))
    application.SetMRMLScene(scene)
    segmentations = slicer.vtkSlicerSegmentationsModuleLogic()
    segmentations.SetMRMLScene(scene)
    volumes = slicer.vtkSlicerVolumesLogic()
    volumes.SetMRMLScene(scene)
    colors = slicer.vtkSlicerColorLogic()
    colors.SetMRMLApplicationLogic(application)
    colors.SetMRMLScene(scene)
    cache_manager = slicer.vtkCacheManager()
    cache_manager.SetRemoteCacheDirectory(str(cache))
    scene.SetCacheManager(cache_manager)
    data_manager = slicer.vtkDataIOManager()
    data_manager.SetCacheManager(cache_manager)
    scene.SetDataIOManager(data_manager)
    slicer.mrmlScene = scene
    modules = vars(slicer).setdefault("modules", types.SimpleNamespace())
    modules.segmentations = types.SimpleNamespace(logic=lambda: segmentations)
    _kept.extend([terminologies, application, segmentations, volumes, colors, cache_manager])
    _kept.append(data_manager)
    return scene


@functools.cache
def cache_folder() -> Path:
    """Where scenes of this process keep what they unpack; removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="medenhance-scene-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def inside_slicer() -> bool:
    """Whether this runs in the Slicer application, which has a scene of its own."""
    import slicer

    return hasattr(slicer, "app") and not hasattr(slicer.app, "isStandIn")


def set_modality(node: Any, modality: str) -> None:
    """Let a node be of a series of this DICOM modality."""
    import slicer

    hierarchy = subject_hierarchy()
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    hierarchy.SetItemAttribute(item, attribute, modality)


def subject_hierarchy() -> Any:
    """The subject hierarchy node of the current scene."""
    import slicer

    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
