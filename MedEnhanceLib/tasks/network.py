"""The door from the tasks to the engine; opening it is what imports torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.assessment import LARGEST_VALUE
from MedEnhanceLib.bundle import Bundle
from MedEnhanceLib.errors import DependencyError, InferenceError
from MedEnhanceLib.intensity import Scaling
from MedEnhanceLib.options import RunOptions
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.slabs import Slab, over_slabs
from MedEnhanceLib.system_memory import short_of_memory
from MedEnhanceLib.volume import Volume

if TYPE_CHECKING:
    from MedEnhanceLib.engine.forward import Forward

LARGEST_OUTPUT = 10 * LARGEST_VALUE
"""Networks may overshoot what volumes may hold, not leave what can be computed with."""


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
    """Load the bundle's network.

    Raises:
        DependencyError: when torch or monai is missing, or cannot be loaded.
    """
    try:
        from MedEnhanceLib.engine.forward import Forward
    except (ImportError, OSError) as error:
        if short_of_memory(error):
            raise
        if not isinstance(error, ModuleNotFoundError):
            first_line = (str(error).splitlines() or [type(error).__name__])[0]
            raise DependencyError(
                f"The model '{bundle.id}' needs PyTorch and MONAI, which are installed but cannot "
                f"be loaded ({first_line}); install them again, or choose a classical filter."
            ) from error
        raise DependencyError(
            f"The model '{bundle.id}' needs the package '{error.name}', which is not installed; "
            "install it (in Slicer: press Apply in the panel and agree; elsewhere: pip install "
            f"{error.name}), or choose a classical filter."
        ) from error
    return Forward(bundle, options, reporter)


def in_units(voxels: NDArray[np.float32], scaling: Scaling, model: Bundle) -> NDArray[np.float32]:
    """The same array, changed from the network's scale to the volume's unit.

    Raises:
        InferenceError: when there are values that cannot be computed with.
    """

    def restored(slab: Slab) -> tuple[np.float32, np.float32]:
        part = voxels[slab.core]
        with np.errstate(over="ignore", invalid="ignore"):
            scaling.restore(part)
        return part.min(), part.max()

    # Python's min and max lose NaN.
    extremes = np.array(over_slabs(restored, voxels.shape))
    least, largest = extremes.min(), extremes.max()
    # A comparison with NaN is false.
    if not (least >= -LARGEST_OUTPUT and largest <= LARGEST_OUTPUT):
        raise InferenceError(
            f"The network of '{model.id}' gave values from {least:.3g} to {largest:.3g} in the "
            "volume's unit, which cannot be computed with, so nothing is handed over; try "
            "--precision float32 (in the panel: Settings and set-up > Precision), or another model."
        )
    return voxels


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


def with_helper(traces: Traces, helper: Traces) -> Traces:
    """The traces of a run in which another network had helped: its notes, and what it took."""
    taken: dict[str, Any] = {
        name: round(traces.facts[name] + helper.facts[name], 2)
        for name in ("network_seconds", "network_core_seconds")
        if name in traces.facts and name in helper.facts
    }
    # Both may have found memory short.
    notes = tuple(dict.fromkeys((*helper.notes, *traces.notes)))
    return replace(traces, facts={**traces.facts, **taken}, notes=notes)


FILTER_TRACES = Traces({"device": "cpu", "precision": "float32"})
