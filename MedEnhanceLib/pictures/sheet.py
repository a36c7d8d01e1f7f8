"""A sheet of panels with titles, as PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from MedEnhanceLib.pictures.colouring import Pixels, diverging
from MedEnhanceLib.pictures.slices import Slice
from MedEnhanceLib.volume import Label

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

BACKGROUND, INK, FAINT = (16, 18, 22), (235, 238, 242), (150, 158, 168)
MARGIN, GAP = 24, 18
HEADING, TITLE, NOTE = 24, 17, 14
LINE = 1.35
BAR_WIDTH, BAR_HEIGHT = 150, 12
FOOTER = "AI-processed. Research use only, not for diagnosis."


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture on the sheet.

    Attributes:
        title: above it.
        colours: the slice with (row, column, 3) bytes as pixels.
        caption: below it.
        limit: of the diverging colours, when a scale is to be drawn below.
        labels: whose colours are to be explained below.
    """

    title: str
    colours: Slice
    caption: str = ""
    limit: float | None = None
    labels: tuple[Label, ...] = ()


def sheet(heading: str, note: str, panels: Sequence[Panel], columns: int, width: int) -> bytes:
    """A PNG file's bytes: the panels in rows of ``columns``, each ``width`` pixels wide.

    All panels are drawn at the same number of screen pixels per mm, so that voxels keep their
    true aspect and panels their true size.
    """
    from PIL import Image, ImageDraw

    scale = width / max(_size_mm(panel)[1] for panel in panels)
    pictures = [_picture(panel, scale) for panel in panels]
    rows = [range(r, min(r + columns, len(panels))) for r in range(0, len(panels), columns)]
    heights = [max(pictures[n].height for n in row) for row in rows]
    below = [max(_below_height(panels[n]) for n in row) for row in rows]
    above = round(TITLE * LINE) + 6
    top = MARGIN + round(HEADING * LINE) + round(NOTE * LINE) + GAP
    total_width = 2 * MARGIN + columns * width + (columns - 1) * GAP
    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    total_width = max(
        total_width, *(round(_text_width(probe, *t)) + 2 * MARGIN for t in _lines(heading, note))
    )
    total_height = top + sum(heights) + sum(below) + len(rows) * (above + GAP) + NOTE + MARGIN
    page = Image.new("RGB", (total_width, total_height), BACKGROUND)
    draw = ImageDraw.Draw(page)
    _write(draw, (MARGIN, MARGIN), heading, HEADING, INK)
    _write(draw, (MARGIN, MARGIN + round(HEADING * LINE)), note, NOTE, FAINT)
    for row, height, room in zip(rows, heights, below, strict=True):
        for column, number in enumerate(row):
            place = (MARGIN + column * (width + GAP), top)
            _draw_panel(page, draw, panels[number], pictures[number], place, above)
        top += above + height + room + GAP
    _write(draw, (MARGIN, top), FOOTER, NOTE, FAINT)
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def _draw_panel(
    page: Image, draw: ImageDraw, panel: Panel, picture: Image, place: tuple[int, int], above: int
) -> None:
    x, y = place
    _write(draw, (x, y), panel.title, TITLE, INK)
    y += above
    page.paste(picture, (x, y))
    _draw_edges(draw, panel.colours.edges, x, y, picture)
    y += picture.height + 6
    if panel.caption:
        _write(draw, (x, y), panel.caption, NOTE, FAINT)
        y += round(NOTE * LINE)
    if panel.limit is not None:
        _draw_scale(page, draw, panel.limit, x, y + 3)
    for label in panel.labels:
        draw.rectangle((x, y + 4, x + 12, y + 16), fill=label.color)
        _write(draw, (x + 20, y + 1), label.name, NOTE, FAINT)
        y += round(NOTE * LINE)


def _draw_edges(draw: ImageDraw, edges: tuple[str, str], x: int, y: int, picture: Image) -> None:
    left, top = edges
    draw.text((x + 5, y + picture.height / 2), left, FAINT, _font(NOTE), anchor="lm")
    draw.text((x + picture.width / 2, y + 3), top, FAINT, _font(NOTE), anchor="mt")


def _draw_scale(page: Image, draw: ImageDraw, limit: float, x: int, y: int) -> None:
    from PIL import Image

    ramp = diverging(np.linspace(-limit, limit, BAR_WIDTH)[None], limit)
    least, most = f"\u2212{limit:.3g}", f"+{limit:.3g}"
    start = x + round(_text_width(draw, least, NOTE)) + 8
    bar = Image.fromarray(np.repeat(ramp, BAR_HEIGHT, axis=0))
    page.paste(bar, (start, y + 3))
    _write(draw, (x, y), least, NOTE, FAINT)
    _write(draw, (start + BAR_WIDTH + 8, y), most, NOTE, FAINT)


def _picture(panel: Panel, scale: float) -> Image:
    """The panel's pixels as rectangles of their true aspect, not smoothed."""
    from PIL import Image

    height, width = _size_mm(panel)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pixels: Pixels = np.ascontiguousarray(panel.colours.pixels)
    return Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)


def _size_mm(panel: Panel) -> tuple[float, float]:
    rows, columns = panel.colours.pixels.shape[:2]
    return rows * panel.colours.spacing[0], columns * panel.colours.spacing[1]


def _below_height(panel: Panel) -> int:
    lines = bool(panel.caption) + (panel.limit is not None) + len(panel.labels)
    return round(lines * NOTE * LINE) + 8


def _lines(heading: str, note: str) -> list[tuple[str, int]]:
    return [(heading, HEADING), (note, NOTE)]


def _write(
    draw: ImageDraw, place: tuple[int, int], text: str, size: int, colour: tuple[int, int, int]
) -> None:
    draw.text(place, text, colour, _font(size))


def _text_width(draw: ImageDraw, text: str, size: int) -> float:
    return float(draw.textlength(text, _font(size)))


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)
