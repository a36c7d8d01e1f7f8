"""Rician noise becomes noise of spread 1 at every signal, and the way back has no bias."""

from __future__ import annotations

import numpy as np
import pytest

from MedEnhanceLib.acquisition import add_rician_noise
from MedEnhanceLib.evaluation.variance_stabilisation import rician_stabiliser

SIGNALS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 9.0, 15.0, 60.0)
SIGMA = 40.0


def _magnitudes(signal: float, count: int = 400_000) -> np.ndarray:
    clean = np.full(count, signal * SIGMA, np.float32)
    return add_rician_noise(clean, SIGMA, np.random.default_rng(3))


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_spread_is_one(signal: float) -> None:
    transformed = rician_stabiliser().forward(_magnitudes(signal), SIGMA)
    assert transformed.std() == pytest.approx(1, abs=0.02)


def test_without_the_transform_the_spread_is_far_from_one() -> None:
    assert _magnitudes(0).std() / SIGMA == pytest.approx(np.sqrt(2 - np.pi / 2), abs=0.01)


@pytest.mark.parametrize("signal", SIGNALS[2:])
def test_the_mean_goes_back_to_the_signal(signal: float) -> None:
    transformed = rician_stabiliser().forward(_magnitudes(signal), SIGMA)
    back = rician_stabiliser().inverse(transformed.mean(dtype=np.float64), SIGMA)
    assert float(back) == pytest.approx(signal * SIGMA, rel=0.01)


def test_no_signal_goes_back_to_hardly_any() -> None:
    stabiliser = rician_stabiliser()
    transformed = stabiliser.forward(_magnitudes(0), SIGMA).mean(dtype=np.float64)
    assert float(stabiliser.inverse(transformed, SIGMA)) < 0.15 * SIGMA
    assert float(stabiliser.inverse(transformed - 1, SIGMA)) == 0


def test_both_ways_rise_and_join_smoothly_where_the_tables_end() -> None:
    stabiliser = rician_stabiliser()
    magnitudes = np.linspace(0, 40, 4001)
    forward = stabiliser.forward(magnitudes, 1.0)
    assert (np.diff(forward) > 0).all()
    back = stabiliser.inverse(np.linspace(forward[0], forward[-1], 4001), 1.0)
    assert (np.diff(back) >= 0).all()
    assert np.diff(back).max() < 0.25
