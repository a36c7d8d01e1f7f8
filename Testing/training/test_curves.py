"""The picture of a training curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.curves import COLOURS, HEIGHT, WIDTH, draw_curve, read_curve, ticks, write_curve
from training.run_folder import append_row


@pytest.fixture
def table(tmp_path: Path) -> Path:
    for step, (loss, gain) in enumerate([(0.9, 1.0), (0.5, 3.0), (0.4, 2.5)], start=1):
        row = {"step": 100 * step, "minutes": step, "loss": loss, "gain_db": gain, "score": gain}
        append_row(tmp_path / "curve.csv", row)
    return tmp_path / "curve.csv"


def test_loss_falls_and_gain_rises_in_the_picture(table: Path) -> None:
    pixels = np.asarray(draw_curve(read_curve(table)))
    assert pixels.shape[1] == 2 * WIDTH
    blue = (pixels == COLOURS[0]).all(axis=-1)[:HEIGHT]
    loss, gain = blue[:, :WIDTH], blue[:, WIDTH:]
    for plot, rises in ((loss, False), (gain, True)):
        columns = np.flatnonzero(plot.any(axis=0))
        first, last = (np.flatnonzero(plot[:, c]).mean() for c in (columns[0], columns[-1]))
        assert bool(last < first) is rises


def test_picture_stands_beside_the_table(table: Path) -> None:
    assert write_curve(table) == table.with_name("curve.png")
    assert table.with_name("curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_single_row_and_no_table(table: Path) -> None:
    assert draw_curve(read_curve(table)[:1]).width == 2 * WIDTH
    assert read_curve(table.with_name("none.csv")) == []


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 1000) == [0, 200, 400, 600, 800, 1000]
    assert ticks(-2.4, 5.3) == [-2, 0, 2, 4]
    assert ticks(0.773, 0.892) == pytest.approx([0.775, 0.8, 0.825, 0.85, 0.875])
