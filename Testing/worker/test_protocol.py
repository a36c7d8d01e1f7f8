"""What is said between client and process survives being written down."""

from __future__ import annotations

import numpy as np
import pytest

from MedEnhanceLib.errors import CancelledError, MedEnhanceError, TrustError
from MedEnhanceLib.options import DenoiseOptions, SegmentOptions, SuperResolutionOptions
from MedEnhanceLib.result import Measure, Progress, Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Label, LabelMap, Volume
from MedEnhanceLib.worker.protocol import Event, Header, Job, from_line, to_line


class Voxels:
    """The voxels of each part of the result of the job "ab"."""

    def __init__(self, parts: dict[str, Volume | LabelMap | None]) -> None:
        self.parts = parts

    def __call__(self, job: str, part: str) -> np.ndarray:
        image = self.parts[part]
        assert job == "ab" and image is not None
        return image.voxels


def no_voxels(job: str, part: str) -> np.ndarray:
    raise AssertionError(f"asked for the voxels of {job!r}")


@pytest.mark.parametrize(
    ("task", "options"),
    [
        (Task.DENOISE, DenoiseOptions(device="cuda:1", strength=0.25, noise=3.5)),
        (Task.SUPER_RESOLUTION, SuperResolutionOptions(spacing=(1.0, 1.0, 0.5), tile=64)),
        (Task.SEGMENT, SegmentOptions(labels=(2,), keep_largest=False)),
        (Task.SEGMENT, None),
    ],
)
def test_jobs(volume: Volume, task: Task, options) -> None:
    header = Header(volume.geometry, "MR", "")
    job = Job("ab12", task, "my-model", options, ("a b", "ü"), ("x",), header)
    assert Job.from_json(from_line(to_line(job.to_json()))) == job


def test_progress_and_sentences() -> None:
    for event in (
        Event("progress", "ab", Progress(0.5, "network", None)),
        Event("progress", "ab", Progress(0.5, "network", 12.5)),
        Event("warning", "ab", message="Größe"),
        Event("error", "", message="It failed.", details="line\nline", error="TrustError"),
        Event("cancelled", "ab", message="Cancelled."),
    ):
        line = to_line(event.to_json())
        assert line.count(b"\n") == 1
        assert vars(Event.from_json(from_line(line), no_voxels)) == vars(event)


def test_results(volume: Volume) -> None:
    evidence = (Measure("noise", None, float("nan")), Measure("mean", np.float32(2.5), 1e300))
    labels, table = np.abs(volume.voxels), (Label(1, "a"), Label(2, "b"))
    outputs = (volume, LabelMap(labels, volume.geometry, table))
    unsure = Volume(np.ones(volume.voxels.shape, np.float32), volume.geometry, "MR", "HU")
    for output, uncertainty in zip(outputs, (None, unsure), strict=True):
        provenance = {"seconds": np.float64(2.5), "sizes": np.array([1, 2]), "path": [None, True]}
        given = Result(Task.SEGMENT, output, evidence, provenance, ("careful",), uncertainty)
        line = to_line(Event("result", "ab", result=given).to_json())
        parts = {"output": output, "uncertainty": uncertainty}
        back = Event.from_json(from_line(line), Voxels(parts)).result
        assert back is not None
        assert type(back.output) is type(output)
        assert back.output.geometry == output.geometry
        assert [m.name for m in back.evidence] == ["noise", "mean"]
        assert back.evidence[0].before is None and np.isnan(back.evidence[0].after)
        assert (back.evidence[1].before, back.evidence[1].after) == (2.5, 1e300)
        assert back.provenance == {"seconds": 2.5, "sizes": [1, 2], "path": [None, True]}
        assert (back.task, back.warnings) == (Task.SEGMENT, ("careful",))
        assert (back.uncertainty is None) == (uncertainty is None)
        if back.uncertainty is not None:
            assert back.uncertainty.geometry == volume.geometry
            assert (back.uncertainty.modality, back.uncertainty.units) == ("MR", "HU")
        if isinstance(output, LabelMap):
            assert back.labelmap.labels == output.labels
        else:
            assert (back.volume.modality, back.volume.units) == ("CT", "HU")


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (Event("error", message="no", error="TrustError"), TrustError),
        (Event("error", message="no", error="KeyError"), MedEnhanceError),
        (Event("error", message="no", error="annotations"), MedEnhanceError),
        (Event("error", message="no"), MedEnhanceError),
        (Event("cancelled", message="no"), CancelledError),
    ],
)
def test_what_an_event_raises(event: Event, kind: type[Exception]) -> None:
    assert type(event.exception) is kind
    assert str(event.exception) == "no"
    assert event.is_last
