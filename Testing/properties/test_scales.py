"""Intensities there and back, for any values that an image may have."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MedEnhanceLib.errors import VolumeError
from MedEnhanceLib.intensity import SCALINGS, scaling_named


@given(
    st.sampled_from(sorted(SCALINGS)),
    st.integers(0, 2**32 - 1),
    st.floats(1e-6, 1e6),
    st.floats(-3, 3),
    st.sampled_from(["i2", "u1", "f4", "f8", ">i2"]),
)
def test_scales_are_undone(name: str, seed: int, width: float, shift: float, kind: str) -> None:
    values = np.random.default_rng(seed).normal(shift, 1, (3, 4, 5)) * width
    limits = (-30_000, 30_000) if kind.endswith("i2") else (0, 250) if kind == "u1" else None
    voxels = (values if limits is None else values.clip(*limits)).astype(kind)
    try:
        scaling = scaling_named(name, voxels)
    except VolumeError as error:
        assert "constant" in str(error) or "above zero" in str(error)
        assert voxels.max() <= 0 or len(np.unique(voxels[voxels != 0])) < 2
        return
    normal = scaling.normalise(voxels)
    assert normal.dtype == np.float32 and np.isfinite(normal).all()
    size = max(float(np.abs(voxels.astype(float)).max()), abs(scaling.offset))
    restored = scaling.restore(normal).astype(float)
    assert restored == pytest.approx(voxels.astype(float), abs=2e-6 * size)
