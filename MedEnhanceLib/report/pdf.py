"""A report as PDF: A4 pages drawn with Pillow, which is there wherever pictures are."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from MedEnhanceLib.pictures.sheet import font
from MedEnhanceLib.report.content import Report
from MedEnhanceLib.report.facts import value_text

if TYPE_CHECKING:
    from PIL.Image import Image

DPI = 150
PAGE = (1240, 1754)
"""A4 at this resolution."""
MARGIN = 90
WIDTH = PAGE[0] - 2 * MARGIN
HEADING, SUBHEADING, TEXT = 44, 28, 22
LINE = 1.4
INK, FAINT, RULE, ALERT = (20, 20, 20), (110, 110, 110), (205, 205, 205), (213, 94, 0)
COLUMN_GAP = 20
TALLEST_PICTURE = 0.55
Colour = tuple[int, int, int]


def pdf_bytes(report: Report) -> bytes:
    """The whole file."""
    pages = _Pages(report.use)
    pages.write(report.title, HEADING)
    pages.write(report.use, TEXT, ALERT)
    for warning in report.warnings:
        pages.write(warning, TEXT)
    if report.picture is not None:
        pages.picture(report.picture)
    pages.write("What changed", SUBHEADING)
    if report.note:
        pages.write(report.note, TEXT, FAINT)
    _write_measures(pages, report)
    pages.write("How it was made", SUBHEADING)
    for name, value in report.facts:
        pages.row([(name, 0.3, False), (value, 0.7, False)])
    return pages.to_bytes()


def _write_measures(pages: _Pages, report: Report) -> None:
    if report.has_before:
        pages.row([("", 0.6, False), ("Before", 0.2, True), ("After", 0.2, True)], FAINT)
    for measure in report.measures:
        values = [measure.before, measure.after] if report.has_before else [measure.after]
        numbers = [(value_text(value, measure.unit), 0.2, True) for value in values]
        pages.row([(measure.name, 0.6, False), *numbers])
        if measure.meaning:
            pages.write(measure.meaning, TEXT - 4, FAINT)


class _Pages:
    """Writes from top to bottom, and begins a new page with its footer when one is full."""

    def __init__(self, footer: str) -> None:
        self._footer = footer
        self._images: list[Image] = []
        self._begin()

    def write(self, text: str, size: int, colour: Colour = INK) -> None:
        """A paragraph as wide as the page."""
        height = round(size * LINE)
        if size >= SUBHEADING:
            # A heading needs something below it, and some air above.
            self._need(4 * height)
            self._top += size // 2
        for line in self._lines(text, size, WIDTH):
            self._need(height)
            self._draw.text((MARGIN, self._top), line, colour, font(size))
            self._top += height

    def row(self, cells: list[tuple[str, float, bool]], colour: Colour = INK) -> None:
        """Cells beside each other: text, share of the page's width, whether it is a number."""
        height = round(TEXT * LINE)
        wrapped = [
            (self._lines(text, TEXT, round(share * WIDTH) - COLUMN_GAP), share, is_number)
            for text, share, is_number in cells
        ]
        self._need(height * max(len(lines) for lines, _, _ in wrapped) + 4)
        self._draw.line((MARGIN, self._top, MARGIN + WIDTH, self._top), RULE)
        left = float(MARGIN)
        for lines, share, is_number in wrapped:
            edge = left + share * WIDTH - COLUMN_GAP
            for number, line in enumerate(lines):
                x = edge - self._draw.textlength(line, font(TEXT)) if is_number else left
                self._draw.text((x, self._top + number * height + 2), line, colour, font(TEXT))
            left += share * WIDTH
        self._top += height * max(len(lines) for lines, _, _ in wrapped) + 4

    def picture(self, png: bytes) -> None:
        """As wide as the page, or as high as leaves room for the rest."""
        from PIL import Image

        image = Image.open(io.BytesIO(png)).convert("RGB")
        scale = min(WIDTH / image.width, TALLEST_PICTURE * PAGE[1] / image.height)
        size = (round(image.width * scale), round(image.height * scale))
        self._need(size[1] + 20)
        small = image.resize(size, Image.Resampling.LANCZOS)
        self._images[-1].paste(small, (MARGIN, self._top + 10))
        self._top += size[1] + 20

    def to_bytes(self) -> bytes:
        """All pages as one file."""
        file = io.BytesIO()
        first, *rest = self._images
        first.save(file, "PDF", resolution=DPI, save_all=True, append_images=rest)
        return file.getvalue()

    def _begin(self) -> None:
        from PIL import Image, ImageDraw

        self._images.append(Image.new("RGB", PAGE, (255, 255, 255)))
        self._draw = ImageDraw.Draw(self._images[-1])
        self._draw.text((MARGIN, PAGE[1] - MARGIN + 20), self._footer, FAINT, font(TEXT - 4))
        self._top = MARGIN

    def _need(self, height: int) -> None:
        if self._top + height > PAGE[1] - MARGIN:
            self._begin()

    def _lines(self, text: str, size: int, width: float) -> list[str]:
        """The text in lines that fit; a word longer than a line is left to stick out."""
        lines: list[str] = []
        for word in text.split():
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and self._draw.textlength(longer, font(size)) <= width:
                lines[-1] = longer
            else:
                lines.append(word)
        return lines or [""]
