"""The three things MedEnhance does."""

from __future__ import annotations

from enum import Enum

from MedEnhanceLib.errors import OptionsError


class Task(str, Enum):
    """What is done to a volume. The values are what the command line and bundles say."""

    DENOISE = "denoise"
    SUPER_RESOLUTION = "super-resolution"
    SEGMENT = "segment"

    def __str__(self) -> str:
        return self.value

    @classmethod
    def named(cls, name: str) -> Task:
        """The task called ``name``; raises `OptionsError` naming the choices."""
        try:
            return cls(name)
        except ValueError:
            choices = ", ".join(task.value for task in cls)
            raise OptionsError(f"There is no task '{name}'; choose one of {choices}.") from None
