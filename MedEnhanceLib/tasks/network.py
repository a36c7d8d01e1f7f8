"""The door from the tasks to the engine; opening it is what imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import DependencyError
from MedEnhanceLib.options import RunOptions
from MedEnhanceLib.reporting import Reporter
from MedEnhanceLib.volume import Volume

if TYPE_CHECKING:
    from MedEnhanceLib.engine.forward import Forward


@dataclass(frozen=True)
class Traces:
    """What a run leaves behind besides its output.

    Attributes:
        facts: for provenance.
        notes: for the user, among the warnings.
        uncertainty: how unsure the network was, on the output's grid, when that was asked for.
    """

    facts: dict[str, Any]
    notes: tuple[str, ...] = ()
    uncertainty: Volume | None = None


def open_network(bundle: Bundle, options: RunOptions, reporter: Reporter) -> Forward:
    """Load the bundle's network; raises `DependencyError` when torch or monai is missing."""
    try:
        from MedEnhanceLib.engine.forward import Forward
    except ImportError as error:
        raise DependencyError(
            f"The model '{bundle.id}' needs the package '{error.name}', which is not installed; "
            "install it (in Slicer: press Apply in the panel and agree; elsewhere: pip install "
            f"{error.name}), or choose a classical filter."
        ) from error
    return Forward(bundle, options, reporter)


def traces_of(forward: Forward) -> Traces:
    """Device, precision and weights that were really used, and what the network took."""
    return Traces(
        {
            "device": str(forward.device),
            "precision": forward.precision_name,
            "weights_sha256": forward.bundle.verify_weights(),
            "network_seconds": round(forward.seconds, 2),
            "network_core_seconds": round(forward.core_seconds, 2),
        },
        tuple(forward.notes),
    )


FILTER_TRACES = Traces({"device": "cpu", "precision": "float32"})
