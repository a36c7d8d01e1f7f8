"""What client and process say to each other: one JSON object a line.

To the process, on its standard input:

    {"do": "run", "id": ..., "task": ..., "model": ..., "options": {...} or null,
     "model_folders": [...], "trusted": [...],
     "volume": {"geometry": {...}, "modality": ..., "units": ...},
     "guide": null or the same of the guide}
    {"do": "cancel", "id": ...}

From the process, on its standard output: events, as `Event.to_json` writes them. Every job ends
with exactly one event of kind "result", "error" or "cancelled". Signs, which tell nobody but the
client that lines arrive, are written alike: "listening" once, "heard" for every job.

Voxels never pass through the pipe. Those of job ID lie in the private folder as ``ID.in.npy``,
those of its guide as ``ID.guide.npy``, those of its result as ``ID.out.npy`` and of the result's
uncertainty as ``ID.uncertainty.npy``; whoever has read such a file deletes it. The end of the input
tells the process to end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib import errors
from MedEnhanceLib.errors import CancelledError, MedEnhanceError, WorkerError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.options import Options, options_from_json
from MedEnhanceLib.result import Measure, Progress, Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Label, LabelMap, Volume

LAST_KINDS = ("result", "error", "cancelled")
KINDS = ("progress", "warning", *LAST_KINDS)
LISTENING, HEARD = "listening", "heard"
SIGNS = (LISTENING, HEARD)
LONGEST_LINE = 1 << 22
OUTPUT, UNCERTAINTY = "output", "uncertainty"
Load = Callable[[str, str], NDArray[Any]]
"""Fetches voxels of a job's result: of its output or of its uncertainty."""


@dataclass(frozen=True)
class Header:
    """A volume apart from its voxels."""

    geometry: Geometry
    modality: str
    units: str

    @classmethod
    def of(cls, volume: Volume) -> Header:
        """What is to be known of a volume besides its voxels."""
        return cls(volume.geometry, volume.modality, volume.units)

    def with_voxels(self, voxels: NDArray[Any]) -> Volume:
        """The volume of these voxels."""
        return Volume(voxels, self.geometry, self.modality, self.units)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, for :meth:`from_json`."""
        return {
            "geometry": self.geometry.to_json(),
            "modality": self.modality,
            "units": self.units,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Header:
        """The inverse of :meth:`to_json`."""
        geometry = Geometry.from_json(data["geometry"])
        return cls(geometry, str(data["modality"]), str(data["units"]))


@dataclass(frozen=True)
class Job:
    """What the process is asked to do, apart from the voxels.

    Attributes:
        id: letters and digits, also the name of the job's files.
        task, model, options: as for `enhance`.
        model_folders, trusted: as for `Catalog.default`.
        volume: to work on.
        guide: when there is one.
    """

    id: str
    task: Task
    model: str
    options: Options | None
    model_folders: tuple[str, ...]
    trusted: tuple[str, ...]
    volume: Header
    guide: Header | None = None

    def __post_init__(self) -> None:
        # The name becomes part of a path, so it must not be able to leave the folder.
        if not re.fullmatch(r"[A-Za-z0-9]{1,64}", self.id):
            raise WorkerError(f"'{self.id}' is no name for a job; use letters and digits.")

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, for :meth:`from_json`."""
        return {
            "id": self.id,
            "task": self.task.value,
            "model": self.model,
            "options": None if self.options is None else self.options.to_json(),
            "model_folders": list(self.model_folders),
            "trusted": list(self.trusted),
            "volume": self.volume.to_json(),
            "guide": None if self.guide is None else self.guide.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Job:
        """The inverse of :meth:`to_json`."""
        task = Task.named(data["task"])
        options, guide = data["options"], data.get("guide")
        return cls(
            id=str(data["id"]),
            task=task,
            model=str(data["model"]),
            options=None if options is None else options_from_json(task, options),
            model_folders=tuple(str(folder) for folder in data["model_folders"]),
            trusted=tuple(str(name) for name in data["trusted"]),
            volume=Header.from_json(data["volume"]),
            guide=None if guide is None else Header.from_json(guide),
        )


@dataclass(frozen=True, eq=False)
class Event:
    """What the process reports.

    Attributes:
        kind: "progress", "warning", "result", "error" or "cancelled".
        job: the job it is about, "" when about none.
        progress: of kind "progress".
        message: one sentence for the user, of kinds "warning", "error" and "cancelled".
        details: what an expert would want to read besides, such as a traceback.
        error: name of the error's class.
        result: of kind "result".
    """

    kind: str
    job: str = ""
    progress: Progress | None = None
    message: str = ""
    details: str = ""
    error: str = ""
    result: Result | None = None

    @property
    def is_last(self) -> bool:
        """Whether the job is over with this event."""
        return self.kind in LAST_KINDS

    @property
    def exception(self) -> MedEnhanceError:
        """What to raise for an event of kind "error" or "cancelled"."""
        if self.kind == "cancelled":
            return CancelledError(self.message)
        kind = getattr(errors, self.error, None)
        if isinstance(kind, type) and issubclass(kind, MedEnhanceError):
            return kind(self.message)
        return MedEnhanceError(self.message)

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON, without the result's voxels."""
        return {
            "kind": self.kind,
            "job": self.job,
            "progress": None if self.progress is None else asdict(self.progress),
            "message": self.message,
            "details": self.details,
            "error": self.error,
            "result": None if self.result is None else _result_to_json(self.result),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any], load: Load) -> Event:
        """The inverse of :meth:`to_json`; ``load`` fetches the voxels of a job's result."""
        if data["kind"] not in KINDS:
            raise ValueError(f"unknown kind of event '{data['kind']}'")
        progress, result = data["progress"], data["result"]
        return cls(
            kind=data["kind"],
            job=str(data["job"]),
            progress=None if progress is None else Progress(**progress),
            message=str(data["message"]),
            details=str(data["details"]),
            error=str(data["error"]),
            result=None if result is None else _result_from_json(result, data["job"], load),
        )


def to_line(data: dict[str, Any]) -> bytes:
    """One line of the protocol; numbers of numpy's become plain ones."""
    return json.dumps(data, default=_plain).encode() + b"\n"


def from_line(line: bytes) -> dict[str, Any]:
    """The object in a line; raises `ValueError` when there is none."""
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError(f"not an object but {type(data).__name__}")
    return data


def _result_to_json(result: Result) -> dict[str, Any]:
    output = result.output
    common = {
        "task": result.task.value,
        "geometry": output.geometry.to_json(),
        "evidence": [vars(measure) for measure in result.evidence],
        "provenance": result.provenance,
        "warnings": list(result.warnings),
        "uncertainty": result.uncertainty and Header.of(result.uncertainty).to_json(),
    }
    if isinstance(output, LabelMap):
        return {**common, "labels": [label.to_json() for label in output.labels]}
    return {**common, "modality": output.modality, "units": output.units}


def _result_from_json(data: dict[str, Any], job: str, load: Load) -> Result:
    voxels, uncertainty = load(job, OUTPUT), None
    if data["uncertainty"] is not None:
        uncertainty = Header.from_json(data["uncertainty"]).with_voxels(load(job, UNCERTAINTY))
    geometry = Geometry.from_json(data["geometry"])
    output: Volume | LabelMap
    if "labels" in data:
        output = LabelMap(voxels, geometry, tuple(map(Label.from_json, data["labels"])))
    else:
        output = Volume(voxels, geometry, data["modality"], data["units"])
    return Result(
        task=Task.named(data["task"]),
        output=output,
        evidence=tuple(Measure(**measure) for measure in data["evidence"]),
        provenance=data["provenance"],
        warnings=tuple(data["warnings"]),
        uncertainty=uncertainty,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
