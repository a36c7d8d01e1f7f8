"""What MedEnhanceTest checks inside Slicer: shipped models on shipped samples, end to end.

Each check takes the test case, for its assertions, and a logic.
"""

import json

import numpy as np
import slicer
import vtk

from MedEnhanceLib.errors import CancelledError, VolumeError
from MedEnhanceLib.task import Task

from . import sampleData
from .blending import Blend
from .comparison import SideBySide
from .dependencies import missingPackages
from .differenceMap import showRemovedSignal
from .resultNode import ResultNode

HEAD = "MedEnhance mr head t1"
THICK_HEAD = "MedEnhance mr head t1 thick"
HIPPOCAMPUS = "MedEnhance hippocampus t1"
CROP_KJI = (24, 48, 48)


def loadSample(name, crop=None):
    """A sample as a volume node; cropped about its middle to (k, j, i) voxels if asked."""
    from MedEnhanceLib.io import read_volume

    from .bridge import ijkToRasMatrix

    volume = read_volume(sampleData.sampleFiles()[name])
    if crop is not None:
        starts = [max(0, (n - c) // 2) for n, c in zip(volume.voxels.shape, crop, strict=True)]
        ends = [s + min(c, n) for s, c, n in zip(starts, crop, volume.voxels.shape, strict=True)]
        voxels = volume.voxels[tuple(slice(s, e) for s, e in zip(starts, ends, strict=True))]
        geometry = volume.geometry.cropped(starts[::-1], voxels.shape[::-1])
        volume = volume.with_voxels(voxels, geometry)
    matrix = slicer.util.vtkMatrixFromArray(ijkToRasMatrix(volume.geometry))
    return slicer.util.addVolumeFromArray(np.array(volume.voxels), matrix, name)


def trainedModel(logic, task):
    """A shipped network for the task and for MR."""
    models = logic.catalog.models(task)
    return next(model for model in models if model.is_trained and model.modality == "MR")


def checkDenoise(test, logic):
    """Denoising a noisy head brings it closer to the clean one, in the same place."""
    clean = loadSample(HEAD, CROP_KJI)
    voxels = slicer.util.arrayFromVolume(clean).astype(np.float32)
    sigma = 0.07 * float(np.percentile(voxels, 99.9))
    random = np.random.default_rng(0)
    real, imaginary = random.normal(0, sigma, (2, *voxels.shape))
    noisy = np.hypot(voxels + real, imaginary).astype(np.float32)
    ijkToRas = vtk.vtkMatrix4x4()
    clean.GetIJKToRASMatrix(ijkToRas)
    node = slicer.util.addVolumeFromArray(noisy, ijkToRas, "Noisy")
    model = trainedModel(logic, Task.DENOISE)
    output = logic.process(node, "denoise", model=model.id, options={"noise": sigma})
    foreground = voxels > voxels.max() * 10 / 255
    before = np.sqrt(np.mean((noisy - voxels)[foreground] ** 2))
    denoised = slicer.util.arrayFromVolume(output)
    after = np.sqrt(np.mean((denoised - voxels)[foreground] ** 2))
    test.assertLess(after, 0.8 * before)
    test.assertTrue(np.array_equal(slicer.util.arrayFromVolume(node), noisy))
    assertSameBounds(test, node, output)
    provenance = json.loads(output.GetAttribute("MedEnhance.Provenance"))
    test.assertIn(model.id, json.dumps(provenance))


def checkSuperResolution(test, logic):
    """Super-resolution of thick slices makes voxels isotropic and keeps the field of view."""
    node = loadSample(THICK_HEAD, (16, 48, 48))
    model = trainedModel(logic, Task.SUPER_RESOLUTION)
    output = logic.process(node, "super-resolution", model=model.id)
    spacing = np.array(output.GetSpacing())
    test.assertLess(spacing.max() / spacing.min(), 1.1)
    test.assertGreater(output.GetImageData().GetDimensions()[2], 16)
    assertSameBounds(test, node, output)


def checkSegment(test, logic):
    """Segmenting the hippocampus crop finds both parts, named and coded, where the expert did."""
    node = loadSample(HIPPOCAMPUS)
    expert = slicer.util.arrayFromVolume(loadSample(HIPPOCAMPUS + " labels")) > 0
    model = logic.catalog.find("mr-hippocampus-unet")
    output = logic.process(node, "segment", model=model.id)
    segmentation = output.GetSegmentation()
    names = {
        segmentation.GetNthSegment(i).GetName() for i in range(segmentation.GetNumberOfSegments())
    }
    test.assertEqual(names, {label.name for label in model.labels})
    found = np.zeros(expert.shape, bool)
    for segmentID in segmentation.GetSegmentIDs():
        found |= slicer.util.arrayFromSegmentBinaryLabelmap(output, segmentID, node) > 0
    dice = 2 * np.count_nonzero(found & expert) / (found.sum() + expert.sum())
    test.assertGreater(dice, 0.75)


def checkDifference(test, logic):
    """A result is seen beside its input, its removed signal as a map, its strength is changed."""
    node = loadSample(HEAD, CROP_KJI)
    result = ResultNode(logic.process(node, "denoise", model="filter-median"))
    side = SideBySide()
    if side.isPossible:
        side.show(result)
        test.assertTrue(side.isShown)
        side.leave()
        test.assertFalse(side.isShown)
    removed = showRemovedSignal(result)
    before = slicer.util.arrayFromVolume(node).astype(np.float32)
    full = slicer.util.arrayFromVolume(removed).copy()
    Blend(result).apply(0.5)
    half = slicer.util.arrayFromVolume(result.node)
    test.assertLess(np.abs(half - (before - 0.5 * full)).max(), 1e-2)
    test.assertLess(np.abs(slicer.util.arrayFromVolume(removed) - 0.5 * full).max(), 1e-2)


def checkPreview(test, logic):
    """A preview covers a few slices, is hidden and not saved, and leaves the input alone."""
    node = loadSample(HEAD, CROP_KJI)
    before = slicer.util.arrayFromVolume(node).copy()
    view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", "MedEnhanceTest")
    view.SetLayoutName("MedEnhanceTest")
    view.SetOrientation("Axial")
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    view.SetSliceOffset((bounds[4] + bounds[5]) / 2)
    shown = logic.preview(node, "denoise", model="filter-median", sliceNode=view)
    test.assertTrue(shown.GetHideFromEditors())
    test.assertFalse(shown.GetSaveWithScene())
    test.assertEqual(min(shown.GetImageData().GetDimensions()), 3)
    test.assertTrue(np.array_equal(slicer.util.arrayFromVolume(node), before))
    slicer.mrmlScene.RemoveNode(shown)
    slicer.mrmlScene.RemoveNode(view)


def checkCancel(test, logic):
    """A cancelled run leaves no node, and the next run works."""
    node = loadSample(HEAD, CROP_KJI)
    job = logic.process(node, "denoise", model="filter-non-local-means", wait=False)
    job.cancel()
    with test.assertRaises(CancelledError):
        job.wait()
    test.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"), 1)
    test.assertIsNotNone(logic.process(node, "denoise", model="filter-median"))


def checkRefusal(test, logic):
    """What is not a scalar image is refused in a sentence."""
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    with test.assertRaisesRegex(VolumeError, "'Labels' is a label map"):
        logic.process(labels, "denoise")


def assertSameBounds(test, node, other):
    """Both volumes span the same box in RAS, to a hundredth of a millimetre."""
    bounds = np.zeros((2, 6))
    for row, volume in enumerate((node, other)):
        volume.GetRASBounds(bounds[row])
    test.assertLess(np.abs(bounds[0] - bounds[1]).max(), 0.01)


def checkRegion(test, logic):
    """A region is cut out along the voxels, and its result lies inside the volume."""
    from .region import boxOfRegion, fitRegion

    node = loadSample(HEAD, CROP_KJI)
    region = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "Region")
    fitRegion(region, node)
    output = logic.process(node, "denoise", model="filter-median", region=region)
    start, size = boxOfRegion(region, node)
    test.assertEqual(output.GetImageData().GetDimensions(), size)
    matrices = [vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()]
    for each, matrix in zip((node, output), matrices, strict=True):
        each.GetIJKToRASMatrix(matrix)
    expected = matrices[0].MultiplyPoint((*start, 1.0))
    distance = np.abs(np.subtract(matrices[1].MultiplyPoint((0, 0, 0, 1)), expected)).max()
    test.assertLess(distance, 0.01)


def checkSequence(test, logic):
    """All frames of a sequence are worked on, and keep their times."""
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "Frames")
    for time in ("0", "1.5"):
        frame = loadSample(HEAD, CROP_KJI)
        sequence.SetDataNodeAtValue(frame, time)
        slicer.mrmlScene.RemoveNode(frame)
    output = logic.processSequence(sequence, "denoise", model="filter-median")
    test.assertEqual(output.GetNumberOfDataNodes(), 2)
    test.assertEqual(output.GetNthIndexValue(1), "1.5")
    assertSameBounds(test, sequence.GetNthDataNode(1), output.GetNthDataNode(1))


def checkRecipe(test, logic):
    """A recipe leaves the last volume and the segmentation, and tells of every step."""
    node = loadSample(HEAD, CROP_KJI)
    steps = [
        {"task": "denoise", "model": "filter-median"},
        {"task": "super-resolution", "model": "filter-bspline", "options": {"factor": [1, 1, 2]}},
        {"task": "segment", "model": "filter-otsu"},
    ]
    output = logic.runRecipe(node, steps)
    test.assertGreater(output.GetSegmentation().GetNumberOfSegments(), 0)
    test.assertEqual(slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode"), 2)
    earlier = json.loads(output.GetAttribute("MedEnhance.Steps"))
    test.assertEqual([step["model"] for step in earlier], ["filter-median", "filter-bspline"])


def checkQueue(test, logic):
    """In a queue a failure is written down and the rest goes on."""
    flat = slicer.util.addVolumeFromArray(np.full((8, 32, 32), 7.0), name="Flat")
    volumes = [loadSample(HEAD, CROP_KJI), flat, loadSample(THICK_HEAD, (16, 48, 48))]
    queue = logic.queue(volumes, "denoise", model="filter-median")
    test.assertEqual([case.status for case in queue.cases], ["done", "failed", "done"])
    test.assertIn("All voxels have the value 7", queue.cases[1].message)
    test.assertIsNotNone(queue.result(2))


CHECKS = (
    checkDenoise,
    checkSuperResolution,
    checkSegment,
    checkDifference,
    checkPreview,
    checkCancel,
    checkRefusal,
    checkRegion,
    checkSequence,
    checkRecipe,
    checkQueue,
)
NETWORK_CHECKS = (checkDenoise, checkSuperResolution, checkSegment)


def checksHere():
    """The checks that can be made here, and those that cannot, since networks need packages."""
    if not missingPackages():
        return CHECKS, ()
    return tuple(check for check in CHECKS if check not in NETWORK_CHECKS), NETWORK_CHECKS
