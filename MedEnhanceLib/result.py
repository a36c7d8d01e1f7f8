"""What a run gives back, and what it reports on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import LabelMap, Volume


@dataclass(frozen=True)
class Measure:
    """One line of evidence.

    Attributes:
        name: what was measured ("noise", "mean of homogeneous tissue").
        before, after: the value in the input and in the output; None where it has no meaning.
        unit: unit of both, "" for plain numbers.
        meaning: one sentence on how to read it.
    """

    name: str
    before: float | None
    after: float | None
    unit: str = ""
    meaning: str = ""


@dataclass(frozen=True, eq=False)
class Result:
    """Output of a run.

    Attributes:
        task: what was done.
        output: the new volume, or the segmentation.
        evidence: what changed, measured on this very run.
        provenance: how it was made: model, version, weights hash, options, device, precision,
            seconds, library versions, hash of the input. Holds no patient identity.
        warnings: sentences the user should read.
        uncertainty: how unsure the network was, on the output's grid, when it was asked for: the
            standard deviation in the output's unit, for a segmentation the probability that
            another label is right, as the network sees it.
    """

    task: Task
    output: Volume | LabelMap
    evidence: tuple[Measure, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    uncertainty: Volume | None = None

    @property
    def volume(self) -> Volume:
        """The output of denoising or super-resolution; raises `OptionsError` for labels."""
        if not isinstance(self.output, Volume):
            raise OptionsError("This result is a segmentation and has no volume; use .labelmap.")
        return self.output

    @property
    def labelmap(self) -> LabelMap:
        """The output of segmentation; raises `OptionsError` for a volume."""
        if not isinstance(self.output, LabelMap):
            raise OptionsError("This result is a volume and has no labels; use .volume.")
        return self.output

    @property
    def note(self) -> str:
        """One sentence on the evidence, where it is not that of the output itself; else ""."""
        strength = self.provenance.get("options", {}).get("strength", 1)
        if strength == 1 or not self.evidence:
            return ""
        return f"Measured at full strength; the output has strength {strength:g}."

    def report(self) -> dict[str, Any]:
        """Evidence, provenance and warnings as plain JSON values."""
        return {
            "task": self.task.value,
            "evidence": [vars(measure) for measure in self.evidence],
            "note": self.note,
            "provenance": self.provenance,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Progress:
    """How far the whole run is.

    Attributes:
        fraction: 0 to 1 of the whole run.
        phase: what is being done now ("estimating noise", "network").
        seconds_left: estimate, or None while there is none.
    """

    fraction: float
    phase: str
    seconds_left: float | None = None


ProgressCallback = Callable[[Progress], None]
CancelCallback = Callable[[], bool]
