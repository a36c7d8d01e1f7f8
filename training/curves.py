"""Draw the validation curve of a run: ``python -m training.curves`` for all published models.

The picture stands beside ``docs/curve.csv`` in the bundle; its card shows it.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from MedEnhanceLib.pictures.sheet import BACKGROUND, FAINT, INK

Row = dict[str, str]
WIDTH, HEIGHT = 420, 220
"""Of one plot, in pixels."""
LEFT, RIGHT, TOP, BELOW = 62, 24, 38, 34
GRID = (44, 48, 56)
COLOURS = (
    (90, 170, 255),
    (255, 160, 80),
    (120, 220, 140),
    (230, 120, 200),
    (240, 220, 110),
    (225, 225, 225),
    (255, 95, 95),
)
COUNTED, LOSSES = ("step", "minutes"), ("loss", "edges", "adversarial", "critic")
"""Columns that say when, and those of the training itself; the others are of the validation."""
FONT, LINE = 13, 19
ROUND_STEPS = (1, 2, 2.5, 5, 10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path("Resources/Models"))
    args = parser.parse_args()
    for path in sorted(args.models.glob("*/docs/curve.csv")):
        print(write_curve(path))


def write_curve(table: Path) -> Path:
    """Draw ``curve.csv`` as ``curve.png`` beside it."""
    picture = table.with_suffix(".png")
    draw_curve(read_curve(table)).save(picture, optimize=True)
    return picture


def read_curve(table: Path) -> list[Row]:
    """The rows of a training curve; none when there is no such file."""
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def draw_curve(rows: Sequence[Row]) -> Image.Image:
    """Losses on the left, measures on validation subjects on the right, over the steps.

    An upright line marks the step with the best score, whose weights are published.
    """
    columns = {name: [float(row[name]) for row in rows] for name in rows[0]}
    steps, scores = columns["step"], columns["score"]
    measures = [name for name in columns if name not in (*COUNTED, *LOSSES, "score")]
    plots = {"Training": [n for n in LOSSES if n in columns], "Validation": measures or ["score"]}
    size = WIDTH * len(plots), HEIGHT + LINE * max(map(len, plots.values())) + LINE // 2
    page = Image.new("RGB", size, BACKGROUND)
    for number, (title, names) in enumerate(plots.items()):
        lines = {name: columns[name] for name in names}
        best = steps[int(np.argmax(scores))]
        _plot(ImageDraw.Draw(page), number * WIDTH, title, steps, lines, best)
    return page


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``, some ``about`` of them."""
    rough = max(high - low, 1e-9) / about
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min(s for s in ROUND_STEPS if s * power >= rough * 0.999)
    first = np.ceil(low / step - 1e-6)
    return [float(step * n) + 0.0 for n in np.arange(first, np.floor(high / step + 1e-6) + 1)]


def _plot(
    draw: ImageDraw.ImageDraw,
    left: int,
    title: str,
    steps: Sequence[float],
    lines: dict[str, list[float]],
    best: float,
) -> None:
    values = [value for line in lines.values() for value in line]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.5
    frame = _Frame(left, steps[-1], low - margin, high + margin)
    frame.draw(draw, title)
    draw.line([frame.place(best, frame.low), frame.place(best, frame.high)], FAINT)
    for (name, line), colour, number in zip(
        lines.items(), COLOURS * 3, range(len(lines)), strict=False
    ):
        points = [frame.place(step, value) for step, value in zip(steps, line, strict=True)]
        draw.line(points, colour, 2)
        for x, y in points:
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), colour)
        _name(draw, left, number, name, colour)


class _Frame:
    """Where a step and a value lie in one plot."""

    def __init__(self, left: int, last: float, low: float, high: float) -> None:
        self.left, self.last, self.low, self.high = left, last, low, high

    def place(self, step: float, value: float) -> tuple[float, float]:
        across = (WIDTH - LEFT - RIGHT) * step / max(self.last, 1)
        up = (HEIGHT - TOP - BELOW) * (value - self.low) / (self.high - self.low)
        return self.left + LEFT + across, HEIGHT - BELOW - up

    def draw(self, draw: ImageDraw.ImageDraw, title: str) -> None:
        """Title, grid and numbers."""
        font = ImageFont.load_default(FONT)
        draw.text((self.left + LEFT, 10), title, INK, font)
        for value in ticks(self.low, self.high):
            start, end = self.place(0, value), self.place(self.last, value)
            draw.line([start, end], GRID)
            draw.text((start[0] - 6, start[1]), f"{value:.4g}", FAINT, font, "rm")
        for step in ticks(0, self.last, 4):
            foot = self.place(step, self.low)
            draw.line([foot, self.place(step, self.high)], GRID)
            draw.text((foot[0], foot[1] + 6), f"{step:.0f}", FAINT, font, "mt")
        draw.text((self.left + WIDTH - RIGHT, HEIGHT - 12), "steps", FAINT, font, "rm")


def _name(
    draw: ImageDraw.ImageDraw, left: int, number: int, name: str, colour: tuple[int, int, int]
) -> None:
    """The line's name below the plot, in its colour."""
    y = HEIGHT + LINE * number
    draw.line((left + LEFT, y + LINE // 2, left + LEFT + 18, y + LINE // 2), colour, 2)
    words = name.replace("_", " ")
    draw.text((left + LEFT + 26, y + LINE // 2), words, INK, ImageFont.load_default(FONT), "lm")


if __name__ == "__main__":
    main()
