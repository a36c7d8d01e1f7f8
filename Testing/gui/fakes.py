"""An inference process that says exactly what a test wants, and models that need no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.model import Model
from MedEnhanceLib.progress import CANCELLED
from MedEnhanceLib.result import Measure, Progress, Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Label, LabelMap, Volume
from MedEnhanceLib.worker.protocol import Event


class FakeModel(Model):
    """Stands for a trained network."""

    @property
    def is_trained(self) -> bool:
        return True


HIPPOCAMPUS = (
    Label(1, "Anterior hippocampus", (230, 159, 0)),
    Label(2, "Posterior hippocampus", (0, 114, 178)),
)


def catalog() -> Catalog:
    """One network per task and the median filter."""
    described = {
        Task.DENOISE: ("MR denoiser (residual CNN)", "Removes Rician noise from MR images."),
        Task.SUPER_RESOLUTION: ("MR super-resolution (residual CNN)", "Sharpens thick slices."),
        Task.SEGMENT: ("Hippocampus (3D U-Net)", "Finds the hippocampus in T1 crops around it."),
    }
    networks = [
        FakeModel(
            id=f"fake-{task.value}",
            title=title,
            task=task,
            method="3D U-Net" if task is Task.SEGMENT else "residual CNN",
            modality="MR",
            body_part="brain",
            contrasts=("T1",),
            description=description,
            labels=HIPPOCAMPUS if task is Task.SEGMENT else (),
            ranges={"spacing_mm": (0.5, 1.5)} if task is Task.DENOISE else {},
        )
        for task, (title, description) in described.items()
    ]
    filters = [model for model in Catalog.default().entries if not model.is_trained]
    return Catalog((*networks, *filters), ())


@dataclass
class FakeWorker:
    """Answers when the test says so.

    Attributes:
        jobs: what was submitted: (volume, task, model, options).
        guides: what was submitted along with them.
        trusted: what the last job may trust.
        obeys: whether a cancellation is answered.
    """

    jobs: list[tuple[Volume, Task, str, Any]] = field(default_factory=list)
    guides: list[Volume | None] = field(default_factory=list)
    trusted: tuple[str, ...] = ()
    events: list[Event] = field(default_factory=list)
    busy: bool = False
    closed: bool = False
    obeys: bool = True
    cancelled: bool = False

    def submit(
        self,
        volume: Volume,
        task: Task,
        model: str = "auto",
        options: Any = None,
        model_folders: Any = (),
        trusted: Any = (),
        guide: Volume | None = None,
    ) -> str:
        assert not self.busy
        self.busy, self.cancelled = True, False
        self.jobs.append((volume, task, model, options))
        self.guides.append(guide)
        self.trusted = tuple(trusted)
        return self.job

    @property
    def job(self) -> str:
        return f"job{len(self.jobs)}"

    def poll(self) -> list[Event]:
        events, self.events = self.events, []
        if any(event.is_last for event in events):
            self.busy = False
        return events

    def cancel(self) -> None:
        self.cancelled = True
        if self.obeys:
            self.events = [Event("cancelled", self.job, message=CANCELLED)]

    def close(self) -> None:
        self.busy, self.closed = False, True

    def report(self, fraction: float, phase: str, seconds_left: float | None = None) -> None:
        """The run has come so far."""
        progress = Progress(fraction, phase, seconds_left)
        self.events.append(Event("progress", self.job, progress=progress))

    def fail(self, sentence: str, error: str = "DeviceError") -> None:
        """The run has failed."""
        self.events.append(Event("error", self.job, message=sentence, error=error, details="trace"))

    def succeed(self, warnings: tuple[str, ...] = (), **made: Any) -> None:
        """The run is over: the voxels come back as they went, or the bright ones as labels.

        ``made`` is added to the provenance.
        """
        volume, task, model, _options = self.jobs[-1]
        output: Volume | LabelMap = volume.with_voxels(volume.voxels.copy())
        if task is Task.SEGMENT:
            voxels = (volume.voxels > volume.voxels.mean()).astype("uint8")
            voxels[:, :, volume.voxels.shape[2] // 2 :] *= 2
            output = LabelMap(voxels, volume.geometry, HIPPOCAMPUS)
        evidence: tuple[Measure, ...] = (
            Measure("noise", 21.3, 6.1, "", "standard deviation of the noise"),
            Measure("mean of homogeneous tissue", 402.5, 401.9, "", "should not change"),
            Measure("signal to noise", 14.2, 38.0, "dB", "higher is better"),
        )
        if isinstance(output, LabelMap):
            volumes = output.volumes_ml().items()
            evidence = tuple(Measure(f"volume of {name}", None, ml, "ml") for name, ml in volumes)
        weights = {"weights_sha256": "0123"} if model.startswith("fake-") else {}
        result = Result(task, output, evidence, {"model": model, **weights, **made}, warnings)
        self.events.append(Event("result", self.job, result=result))
