"""Rician noise made to look Gaussian of standard deviation 1, and the way back.

Denoisers made for Gaussian noise (BM4D) are used on MR magnitude images between a transform that
makes the noise's spread the same at all intensities, and an inverse that also takes the Rician
bias off. After A. Foi 2011, "Noise estimation and removal in MR imaging: the
variance-stabilization approach", doi:10.1109/ISBI.2011.5872758. As there, the transform is
found by numerical optimisation, down to no signal at all, and the inverse is the exact unbiased
one (Makitalo and Foi 2011, doi:10.1109/TIP.2010.2056693): it maps the *mean* of the transformed
magnitude, E[f(m) | signal], to the signal.

Everything is computed once for sigma = 1 and scaled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

MAGNITUDE_STEP = 0.02
LARGEST_MAGNITUDE = 18.0
LARGEST_SIGNAL = 12.0
# From this magnitude on the spread is that of the Gaussian, and the slope is 1.
LINEAR_FROM = 9.0
KNOT_STEP = 0.2
# How dear an uneven slope is: a steep transform of the least magnitudes has heavy tails.
SMOOTHNESS = 0.3
MOST_STEPS = 80
ENOUGH = 1e-9


@dataclass(frozen=True, eq=False)
class Stabiliser:
    """The transform for sigma = 1 and its inverse, as tables.

    Attributes:
        magnitudes, values: f at each magnitude.
        signals, means: E[f(m)] at each true signal, rising.
        spreads: standard deviation of f(m) at each signal; 1 is perfect.
    """

    magnitudes: FloatArray
    values: FloatArray
    signals: FloatArray
    means: FloatArray
    spreads: FloatArray

    def forward(self, voxels: NDArray[Any], sigma: float) -> NDArray[np.float32]:
        """Magnitudes, whose noise has spread ``sigma`` in each channel, with noise of spread 1."""
        scaled = np.maximum(np.asarray(voxels, np.float64), 0) / sigma
        beyond = np.maximum(scaled - self.magnitudes[-1], 0)
        return (np.interp(scaled, self.magnitudes, self.values) + beyond).astype(np.float32)

    def inverse(self, transformed: NDArray[Any], sigma: float) -> NDArray[np.float32]:
        """The signals whose transformed magnitudes have these means; any shape."""
        means = np.asarray(transformed, np.float64)
        signals = np.interp(means, self.means, self.signals)
        # Here f(m) = m + constant, and E[m] is the signal + 1 / (2 signal).
        offset = self.values[-1] - self.magnitudes[-1]
        high = np.maximum(means - offset, 2.0)
        beyond = (high + np.sqrt(high**2 - 2)) / 2
        return (sigma * np.where(means > self.means[-1], beyond, signals)).astype(np.float32)


@lru_cache(maxsize=1)
def rician_stabiliser() -> Stabiliser:
    """The optimised transform; a tenth of a second, once.

    The logarithm of its slope is linear between knots, so that it always rises. Levenberg and
    Marquardt's method brings the variance to 1 at all signals.
    """
    magnitudes = np.arange(0, LARGEST_MAGNITUDE + MAGNITUDE_STEP / 2, MAGNITUDE_STEP)
    signals = np.concatenate([np.linspace(0, 4, 81), np.linspace(4.1, LARGEST_SIGNAL, 80)])
    chances = _rician_chances(magnitudes, signals)
    slopes = _optimised(_Problem(chances, _hats(magnitudes)))
    values = _integral(slopes)
    means = chances @ values
    spreads = np.sqrt(chances @ values**2 - means**2)
    return Stabiliser(magnitudes, values, signals, np.maximum.accumulate(means), spreads)


def _rician_chances(magnitudes: FloatArray, signals: FloatArray) -> FloatArray:
    """How likely each magnitude (column) is for each signal (row) at sigma = 1; rows sum to 1."""
    product = signals[:, None] * magnitudes[None]
    bessel = np.i0(product) * np.exp(-product)
    density = magnitudes * np.exp(-((magnitudes - signals[:, None]) ** 2) / 2) * bessel
    return density / density.sum(axis=1, keepdims=True)


def _hats(magnitudes: FloatArray) -> FloatArray:
    """Values (magnitude x knot) of the piecewise linear functions that are 1 at one knot."""
    knots = np.arange(0, LINEAR_FROM, KNOT_STEP)
    return np.maximum(0, 1 - np.abs(magnitudes[:, None] - knots) / KNOT_STEP)


def _integral(slopes: FloatArray) -> FloatArray:
    """f from its slopes by the trapezium rule; zero at magnitude zero."""
    steps = (slopes[1:] + slopes[:-1]) / 2 * MAGNITUDE_STEP
    return np.concatenate([[0.0], np.cumsum(steps)])


@dataclass(frozen=True, eq=False)
class _Problem:
    """Least squares in the logarithms of the slope at the knots."""

    chances: FloatArray
    hats: FloatArray

    def residuals(self, logs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Error of the variance at each signal and unevenness of the slope, and their Jacobian."""
        slopes = np.exp(self.hats @ logs)
        values = _integral(slopes)
        means = self.chances @ values
        errors = self.chances @ values**2 - means**2 - 1
        changes = np.apply_along_axis(_integral, 0, slopes[:, None] * self.hats)
        weighted = 2 * self.chances * (values - means[:, None])
        # The knot after the last has the slope 1, whose logarithm is 0.
        bend = SMOOTHNESS * np.diff(np.eye(len(logs) + 1), 2, axis=0)[:, :-1]
        return np.concatenate([errors, bend @ logs]), np.vstack([weighted @ changes, bend])


def _optimised(problem: _Problem) -> FloatArray:
    """Slopes of the transform at each magnitude."""
    logs = np.zeros(problem.hats.shape[1])
    errors, jacobian = problem.residuals(logs)
    damping = 1e-3
    for _ in range(MOST_STEPS):
        normal = jacobian.T @ jacobian + damping * np.eye(len(logs))
        tried = logs - np.linalg.solve(normal, jacobian.T @ errors)
        new_errors, new_jacobian = problem.residuals(tried)
        gain = float(errors @ errors - new_errors @ new_errors)
        if gain <= 0:
            damping *= 5
            continue
        logs, errors, jacobian, damping = tried, new_errors, new_jacobian, damping / 5
        if gain < ENOUGH:
            break
    return np.exp(problem.hats @ logs)
