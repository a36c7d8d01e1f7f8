"""How sure a network is: its outputs for mirror images of the input, their mean and spread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from MedEnhanceLib.errors import OptionsError
from MedEnhanceLib.mirrors import MIRRORS, Axes
from MedEnhanceLib.model import Model
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.result import Measure

if TYPE_CHECKING:
    from MedEnhanceLib.engine.forward import Forward

WORST_SLICES = 3
LEAST_SHARE = 0.1
"""A slice counts when it holds this share of the object's voxels in the fullest slice."""
ROUNDING = 1e-5
"""Of the largest value: spreads up to this are those of 32-bit floats."""
SPREAD_MEANING = (
    f"Standard deviation over {len(MIRRORS)} mirror images of the input; where it is large, look "
    "at the input."
)


def check_uncertainty(model: Model) -> None:
    """Raise `OptionsError` when the model is a filter, which cannot tell how sure it is."""
    if not model.is_trained:
        raise OptionsError(
            f"'{model.id}' is a classical filter and cannot say how sure it is; choose a trained "
            "model, or do not ask for the uncertainty."
        )


def mirrored(array: NDArray[Any], axes: Axes) -> NDArray[Any]:
    """The array (k, j, i) seen in mirrors across ``axes``; its own inverse."""
    return np.flip(array, axes) if axes else array


def over_mirrors(
    run: Callable[[Axes], NDArray[np.float32]], forward: Forward, reporter: Reporter
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of what ``run`` gives for each of `MIRRORS`.

    The networks were trained on mirrored patches, so that a difference between their answers is
    a difference they cannot justify. It says where a network is unsure, not how wrong it is:
    what it gets wrong in all mirrors alike is not seen (test-time augmentation, Wang et al.
    2019, doi:10.1016/j.neucom.2019.01.103).

    Args:
        run: takes axes, mirrors the input across them, and gives the output mirrored back, an
            array of its own, which is written into.
        forward: the network, whose progress begins anew with each run.
        reporter: its phase is shared by the runs.
    """
    mean: Any = 0.0
    squares: Any = 0.0
    for number, axes in enumerate(reporter.over(MIRRORS)):
        forward.done = 0
        output = run(axes)
        # Welford's way: sums of squares of large values would lose the small differences.
        change = output - mean
        mean += change / np.float32(number + 1)
        output -= mean
        output *= change
        squares += output
    np.maximum(squares, 0, out=squares)
    squares /= np.float32(len(MIRRORS))
    return mean, np.sqrt(squares, out=squares)


def told_of_spread(mean: NDArray[np.float32], spread: NDArray[np.float32]) -> tuple[str, ...]:
    """A sentence when the spread over the mirrors is no more than rounding.

    A network that is its own mirror image, as a symmetric kernel is, answers all mirrors alike,
    which is not because it is sure.
    """
    if float(spread.max()) > ROUNDING * float(np.abs(mean).max()):
        return ()
    return (
        "The model answers all mirror images alike, whatever it makes of them; the uncertainty is "
        "zero everywhere and says nothing of how sure the result is.",
    )


def uncertainty_evidence(
    uncertainty: NDArray[np.float32], inside: NDArray[np.bool_], unit: str, meaning: str
) -> list[Measure]:
    """The mean uncertainty of the object, and the slices along k where that mean is largest.

    Args:
        uncertainty: (k, j, i).
        inside: the object, of the same shape.
        unit: of the uncertainty.
        meaning: one sentence on what it is.
    """
    if not inside.any():
        return []
    counts = inside.sum(axis=(1, 2))
    means = (uncertainty * inside).sum(axis=(1, 2), dtype=np.float64) / np.maximum(counts, 1)
    means[counts < LEAST_SHARE * counts.max()] = -1
    worst = [int(k) for k in np.argsort(-means)[:WORST_SLICES] if means[k] >= 0]
    return [
        Measure("Uncertainty", None, float(uncertainty[inside].mean()), unit, meaning),
        *[
            Measure(
                f"Mean uncertainty in slice {k}",
                None,
                float(means[k]),
                unit,
                "One of the slices along k where its mean over the object is largest, counted from "
                "0.",
            )
            for k in worst
        ],
    ]
