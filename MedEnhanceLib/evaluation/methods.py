"""What is compared: anything that takes a volume and gives a better one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from MedEnhanceLib.assessment import suitability
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.enhancement import enhance
from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.model import Model
from MedEnhanceLib.options import Options
from MedEnhanceLib.result import Result
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume


@dataclass(frozen=True)
class Method:
    """One way of doing a task.

    Attributes:
        id: as in the catalogue, or of a program of others.
        run: takes the volume and the task's options, and a model also a guide.
        model: its entry in the catalogue; None for programs of others (`peers`).
    """

    id: str
    run: Callable[..., Result]
    model: Model | None = None

    @property
    def is_trained(self) -> bool:
        """Whether it is one of the trained models."""
        return self.model is not None and self.model.is_trained


@dataclass(frozen=True)
class Row:
    """One line of a table of results.

    Attributes:
        subject: which volume.
        condition: what was done to it, or which structure is looked at.
        method: id of the method; "input" for the worsened volume itself.
        values: by name of the metric.
        note: what limits the comparison, "" for nothing.
    """

    subject: str
    condition: str
    method: str
    values: dict[str, float | None] = field(default_factory=dict)
    note: str = ""

    def plus(self, **values: float | None) -> Row:
        """With further values."""
        return replace(self, values={**self.values, **values})


def methods_of(catalog: Catalog, task: Task, ids: Sequence[str] | None) -> list[Method]:
    """The models and filters named; all of the task for None.

    Raises:
        MedEnhanceError: when one is unknown or for another task.
    """
    models = catalog.models(task) if ids is None else [catalog.find(name) for name in ids]
    for model in models:
        if model.task is not task:
            raise OptionsError(f"The model '{model.id}' is for {model.task}, not for {task}.")
    return [_method(catalog, model) for model in models]


def _method(catalog: Catalog, model: Model) -> Method:
    def run(volume: Volume, options: Options, guide: Volume | None = None) -> Result:
        return enhance(volume, model.task, model.id, options, guide=guide, catalog=catalog)

    return Method(model.id, run, model)


def shown(method: Method, guide: Volume | None) -> Method:
    """The method, given a guide along when it takes one."""
    if guide is None or method.model is None or not method.model.takes_guide:
        return method
    return replace(method, run=partial(method.run, guide=guide))


def suited(methods: Sequence[Method], volume: Volume) -> list[Method]:
    """The methods without those whose model refuses the volume."""
    return [
        method
        for method in methods
        if method.model is None or suitability(volume, method.model).verdict != "refused"
    ]
