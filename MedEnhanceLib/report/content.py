"""What a report says, apart from how it is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from MedEnhanceLib.provenance import Changer, changer_of
from MedEnhanceLib.report.facts import facts_of
from MedEnhanceLib.report.picture import picture_of
from MedEnhanceLib.result import Measure
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import LabelMap, Volume

USES = {
    Changer.NETWORK: "AI-processed. Research use only, not for diagnosis.",
    Changer.FILTER: "Processed by a classical filter. Research use only, not for diagnosis.",
    Changer.NONE: "Nothing was changed. Research use only, not for diagnosis.",
}
TITLES = {
    Task.DENOISE: "Denoising",
    Task.SUPER_RESOLUTION: "Super-resolution",
    Task.SEGMENT: "Segmentation",
}


@dataclass(frozen=True)
class Report:
    """A report.

    Attributes:
        title: what was done.
        use: what it may be used for.
        facts: name and value of how it was made.
        measures: what was measured.
        warnings: sentences that the user should read.
        picture: PNG bytes, or none.
        note: one sentence on the measures, or "".
    """

    title: str
    use: str
    facts: tuple[tuple[str, str], ...]
    measures: tuple[Measure, ...]
    warnings: tuple[str, ...]
    picture: bytes | None = None
    note: str = ""

    @property
    def has_before(self) -> bool:
        """Whether any measure has a value before the run."""
        return any(measure.before is not None for measure in self.measures)


def use_of(provenance: Mapping[str, Any]) -> str:
    """What a result may be used for, and what it was made by.

    Args:
        provenance: of the run; "steps" may hold that of runs before it on the same image.
    """
    return USES[changer_of([*provenance.get("steps", ()), provenance])]


def report_of(
    task: Task,
    before: Volume | None,
    after: Volume | LabelMap,
    measures: Iterable[Measure],
    provenance: Mapping[str, Any],
    warnings: Iterable[str] = (),
    uncertainty: Volume | None = None,
    note: str = "",
) -> Report:
    """The report of a run.

    Args:
        task: what was done.
        before: the input; without it there is no picture.
        after: the output.
        measures, provenance, warnings: of the run; see `Result`.
        uncertainty: on the output's grid, if it was asked for.
        note: one sentence on the measures.
    """
    picture = None if before is None else picture_of(task, before, after, uncertainty)
    return Report(
        TITLES[task],
        use_of(provenance),
        tuple(facts_of(provenance)),
        tuple(measures),
        tuple(warnings),
        picture,
        note,
    )
