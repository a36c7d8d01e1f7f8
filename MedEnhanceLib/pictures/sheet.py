"""A sheet of panels with titles, as PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from MedEnhanceLib.pictures.colouring import Pixels, diverging
from MedEnhanceLib.pictures.slices import Slice
from MedEnhanceLib.volume import Label

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

BACKGROUND, INK, FAINT = (16, 18, 22), (235, 238, 242), (150, 158, 168)
MARGIN, GAP = 24, 18
HEADING, TITLE, NOTE = 24, 17, 14
LINE = 1.35
ABOVE = round(TITLE * LINE) + 6
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


def sheet(
    heading: str,
    note: str,
    panels: Sequence[Panel | None],
    columns: int,
    width: int,
    footer: str = FOOTER,
) -> bytes:
    """A PNG file's bytes: the panels in rows of ``columns``, each ``width`` pixels wide.

    The panels of a row are drawn at the same number of screen pixels per mm, so that voxels keep
    their true aspect and neighbours their true sizes. None leaves a gap.
    """
    rows = [_placed(panels[n : n + columns], width) for n in range(0, len(panels), columns)]
    page, draw = _empty_page(heading, note, rows, columns, width)
    top = _top_of_panels()
    for row in rows:
        for column, placed in enumerate(row):
            if placed:
                _draw_panel(page, draw, placed, (MARGIN + column * (width + GAP), top))
        top += _row_height(row)
    _write(draw, (MARGIN, top), footer, NOTE, FAINT)
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


@dataclass(frozen=True, eq=False)
class _Placed:
    panel: Panel
    picture: Image


_Row = list["_Placed | None"]


def _placed(panels: Sequence[Panel | None], width: int) -> _Row:
    """A row whose widest panel fills its column."""
    scale = width / max(_size_mm(panel)[1] for panel in panels if panel)
    return [_Placed(panel, _picture(panel, scale)) if panel else None for panel in panels]


def _empty_page(
    heading: str, note: str, rows: Sequence[_Row], columns: int, width: int
) -> tuple[Image, ImageDraw]:
    """A page with its heading, large enough for the rows."""
    from PIL import Image, ImageDraw

    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    words = max(_text_width(probe, heading, HEADING), _text_width(probe, note, NOTE))
    across = max(columns * (width + GAP) - GAP, math.ceil(words)) + 2 * MARGIN
    down = _top_of_panels() + sum(map(_row_height, rows)) + NOTE + MARGIN
    page = Image.new("RGB", (across, down), BACKGROUND)
    draw = ImageDraw.Draw(page)
    _write(draw, (MARGIN, MARGIN), heading, HEADING, INK)
    _write(draw, (MARGIN, MARGIN + round(HEADING * LINE)), note, NOTE, FAINT)
    return page, draw


def _top_of_panels() -> int:
    return MARGIN + round(HEADING * LINE) + round(NOTE * LINE) + GAP


def _row_height(row: _Row) -> int:
    placed = [entry for entry in row if entry]
    pictures = max(entry.picture.height for entry in placed)
    return ABOVE + pictures + max(_below_height(entry.panel) for entry in placed) + GAP


def _draw_panel(page: Image, draw: ImageDraw, placed: _Placed, place: tuple[int, int]) -> None:
    panel, picture = placed.panel, placed.picture
    x, y = place
    _write(draw, (x, y), panel.title, TITLE, INK)
    y += ABOVE
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
    places = {"lm": (x + 5, y + picture.height / 2), "mt": (x + picture.width / 2, y + 3)}
    for (anchor, place), letter in zip(places.items(), edges, strict=True):
        draw.text(place, letter, INK, font(NOTE), anchor, stroke_width=2, stroke_fill=BACKGROUND)


def _draw_scale(page: Image, draw: ImageDraw, limit: float, x: int, y: int) -> None:
    from PIL import Image

    ramp = diverging(np.linspace(-limit, limit, BAR_WIDTH)[None], limit)
    least, most = f"-{limit:.3g}", f"+{limit:.3g}"
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


def _write(
    draw: ImageDraw, place: tuple[int, int], text: str, size: int, colour: tuple[int, int, int]
) -> None:
    draw.text(place, text, colour, font(size))


def _text_width(draw: ImageDraw, text: str, size: int) -> float:
    return float(draw.textlength(text, font(size)))


def font(size: int) -> FreeTypeFont | ImageFont:
    """What pictures and pages are written in; imports Pillow."""
    from PIL import ImageFont

    return ImageFont.load_default(size)
