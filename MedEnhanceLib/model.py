"""What is known of a model before anything heavy is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Label

COMPARATORS = (("comparator", "comparator_value"), ("second_comparator", "second_value"))
"""Keys of a result: what it may be compared with, and the value of that."""


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
