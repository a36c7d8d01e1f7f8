"""What is known of a model before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Label

COMPARATORS = (("comparator", "comparator_value"), ("second_comparator", "second_value"))
"""Keys of a result: what it may be compared with, and the value of that."""
RANGES = {
    "spacing_mm": "voxels {:g} to {:g} mm",
    "noise_percent": "noise {:g} to {:g} % of the peak",
    "noise_hu": "noise {:g} to {:g} HU",
    "factor": "factor {:g} to {:g}",
    "extent_mm": "extent {:g} to {:g} mm",
    "labelled_ml": "labels of {:g} to {:g} ml together",
}
"""What a model was trained for, in words."""


@dataclass(frozen=True)
class Model:
    """One entry of the list of models: a trained network (`Bundle`) or a `Filter`.

    Attributes:
        id: unique short name, as typed on the command line.
        title: what a user reads in a list.
        task: what it does.
        method: how, in the field's words ("residual CNN", "non-local means").
        modality: DICOM modality it is for ("MR", "CT"), or "" for any.
        contrasts: e.g. ("T1", "FLAIR"); empty for any.
        body_part: what it was trained on; "" for any.
        version: of the model.
        description: a sentence or two.
        ranges: (least, most) it was trained for, by name: "spacing_mm", "noise_percent"
            (of the peak), "noise_hu" (in soft tissue), "factor", "extent_mm"; beyond
            "labelled_ml", of all labels together, there is a warning.
        labels: of a segmentation model.
        limits: plain sentences on what it cannot do.
        results: measured results; each with subject, condition, metric, value and command,
            and mostly with one or two `COMPARATORS`.
        training_data: name, source, licence, subjects.
        preference: the higher, the sooner it is taken where several models suit a volume.
    """

    id: str
    title: str
    task: Task
    method: str
    modality: str = ""
    contrasts: tuple[str, ...] = ()
    body_part: str = ""
    version: str = ""
    description: str = ""
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    labels: tuple[Label, ...] = ()
    limits: tuple[str, ...] = ()
    results: tuple[dict[str, Any], ...] = ()
    training_data: tuple[dict[str, Any], ...] = ()
    preference: int = 0

    @property
    def is_trained(self) -> bool:
        """Whether this is a trained network rather than a classical filter."""
        return False

    @property
    def takes_guide(self) -> bool:
        """Whether a second contrast of the same patient may be given along."""
        return False

    @property
    def scope(self) -> tuple[str, ...]:
        """What it was trained for, in words: its ranges."""
        return tuple(_range(name, *limits) for name, limits in self.ranges.items())


def _range(name: str, least: float, most: float) -> str:
    if name in RANGES:
        return RANGES[name].format(least, most)
    return f"{name.replace('_', ' ')} {least:g} to {most:g}"
