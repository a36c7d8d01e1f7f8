"""What users type for noise levels and labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from MedEnhanceLib.errors import OptionsError

if TYPE_CHECKING:
    from MedEnhanceLib.model import Model
    from MedEnhanceLib.volume import Volume


@dataclass(frozen=True)
class NoiseLevel:
    """A noise level in the volume's unit, or in percent of its peak, or neither: to estimate."""

    absolute: float | None = None
    percent: float | None = None

    def of(self, volume: Volume, model: Model) -> float | None:
        """In the volume's unit; the peak is that of evaluations, for CT 2000 HU."""
        if self.percent is None:
            return self.absolute
        from MedEnhanceLib.assessment import known_modality
        from MedEnhanceLib.evaluation.scoring import peak_of

        modality, _ = known_modality(volume, model)
        return self.percent / 100 * peak_of(replace(volume, modality=modality))


def parse_noise(text: str) -> NoiseLevel:
    """ "auto", "12.5" or "3%"."""
    if text.strip().lower() == "auto":
        return NoiseLevel()
    percent = text.strip().endswith("%")
    level = _positive(text.strip().rstrip("%"))
    if level is None:
        raise OptionsError(
            f"The noise level '{text}' is neither 'auto', nor a positive number such as 12.5, nor "
            "a percentage of the peak such as 3%."
        )
    return NoiseLevel(percent=level) if percent else NoiseLevel(absolute=level)


def parse_percentages(text: str) -> tuple[float, ...]:
    """ "3,5,9": positive noise levels."""
    values = [_number(part) for part in text.split(",")]
    if not all(v is not None and math.isfinite(v) and v > 0 for v in values):
        raise OptionsError(f"The noise '{text}' must be positive numbers such as 3,5,9.")
    return tuple(v for v in values if v is not None)


def parse_labels(text: str | None) -> tuple[int, ...] | None:
    """ "1,2": values of labels; None for all."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise OptionsError(f"The labels '{text}' must be whole numbers such as 1,2.") from None


def _positive(text: str) -> float | None:
    value = _number(text)
    return value if value is not None and math.isfinite(value) and value > 0 else None


def _number(text: str) -> float | None:
    try:
        return float(text.strip().rstrip("%"))
    except ValueError:
        return None
