"""Reports: whole, readable, and silent about whose image it is."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from MedEnhanceLib.errors import FileError
from MedEnhanceLib.geometry import Geometry
from MedEnhanceLib.report import report_bytes, report_of
from MedEnhanceLib.report.facts import facts_of, value_text
from MedEnhanceLib.result import Measure
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Label, LabelMap, Volume

GRID = Geometry((32, 28, 12), (1.0, 1.0, 3.0))
PROVENANCE = {
    "software": "MedEnhance 0.1.0",
    "model": "mr-denoise",
    "weights_sha256": "0123456789abcdef0123",
    "options": {"strength": 1.0, "noise": None, "device": "auto"},
    "input_sha256": "feedfacefeedface",
    "patient": "Doe^Jane",
    "seconds": 3.25,
    "libraries": {"python": "3.11", "torch": "2.6"},
    "input_spacing_mm": [1.0, 1.0, 3.0],
}
MEASURES = (
    Measure("Noise", 21.34, 6.1, "", "Standard deviation; less is better."),
    Measure("Signal < noise", None, 38.0, "dB", "more & better"),
)


def head(noise: float = 40.0) -> Volume:
    z, y, x = np.indices(GRID.shape)
    ball = 500.0 * ((x - 16) ** 2 + (y - 14) ** 2 + (3 * (z - 6)) ** 2 < 130)
    return Volume((ball + np.random.default_rng(0).normal(0, noise, GRID.shape)), GRID, "MR")


def report(task: Task = Task.DENOISE, after: Any = None, **more: Any) -> Any:
    after = after if after is not None else head(10.0)
    return report_of(task, head(), after, MEASURES, PROVENANCE, ("Look < twice.",), **more)


class Tags(HTMLParser):
    """Checks that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "img":
            self.images.append(dict(attrs)["src"])
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def picture_in(text: str) -> Image.Image:
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    (source,) = tags.images
    head, data = source.split(",", 1)
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_html_is_whole_and_needs_nothing_else() -> None:
    text = report_bytes(report(), ".html").decode()
    assert picture_in(text).width > 3 * 300
    assert "Research use only" in text and "Denoising" in text
    assert "Signal &lt; noise" in text and "Look &lt; twice." in text
    assert "21.34" in text and "38 dB" in text and "mr-denoise" in text
    assert not re.search(r"""(src|href)=["'](?!data:)""", text)


def test_nothing_tells_whose_image_it_is() -> None:
    text = report_bytes(report(), ".html").decode()
    text = re.sub(r'src="data:[^"]*"', "", text)
    assert "Doe" not in text and "feedface" not in text
    assert "0123456789ab" in text and "0123456789abc" not in text


@pytest.mark.parametrize("task", list(Task))
def test_each_task_has_its_picture(task: Task) -> None:
    after: Any = head(10.0)
    if task is Task.SUPER_RESOLUTION:
        voxels = np.repeat(after.voxels, 3, axis=0)
        after = Volume(voxels, GRID.refined((1, 1, 3)), "MR")
    if task is Task.SEGMENT:
        labels = (head(0).voxels > 250).astype(np.uint8)
        after = LabelMap(labels, GRID, (Label(1, "Ball", (230, 159, 0)),))
    text = report_bytes(report(task, after), ".html").decode()
    pixels = np.asarray(picture_in(text).convert("RGB")).reshape(-1, 3)
    assert ((pixels == (230, 159, 0)).all(axis=1).any()) == (task is Task.SEGMENT)


def test_nothing_found_and_no_input_still_make_a_report() -> None:
    nothing = LabelMap(np.zeros(GRID.shape, np.uint8), GRID, ())
    assert report_bytes(report(Task.SEGMENT, nothing), ".html")
    text = report_bytes(report_of(Task.DENOISE, None, head(), MEASURES, {}), ".html").decode()
    assert "no longer there" in text and "<img" not in text


def test_the_uncertainty_is_shown() -> None:
    unsure = Volume(np.abs(head().voxels) / 10, GRID, "MR")
    with_it, without = (
        picture_in(report_bytes(r, ".html").decode())
        for r in (report(uncertainty=unsure), report())
    )
    assert with_it.width > without.width


def test_only_networks_are_called_ai() -> None:
    assert report().use.startswith("AI-processed.")
    by_filter = report_of(Task.DENOISE, None, head(), (), {"model": "filter-median"})
    assert by_filter.use.startswith("Processed by a classical filter. Research use only")


@pytest.mark.parametrize(
    ("first", "last", "use"),
    [
        (PROVENANCE, {"model": "filter-bspline"}, "AI-processed."),
        (PROVENANCE, {"unchanged": True}, "AI-processed."),
        ({"model": "filter-median"}, {"unchanged": True}, "Processed by a classical filter."),
        ({**PROVENANCE, "unchanged": True}, {"model": "filter-median"}, "Processed by a classical"),
        ({**PROVENANCE, "unchanged": True}, {"unchanged": True}, "Nothing was changed."),
    ],
)
def test_a_recipe_is_called_what_its_steps_are(
    first: dict[str, Any], last: dict[str, Any], use: str
) -> None:
    made = report_of(Task.DENOISE, None, head(), (), {**last, "steps": [first]})
    assert made.use.startswith(use)
    assert all("0123456789ab" not in value for _name, value in made.facts)


def test_pdf_has_pages() -> None:
    data = report_bytes(report(), ".PDF")
    assert data.startswith(b"%PDF") and data.count(b"/Type /Page\n") == 1
    long = report_of(Task.DENOISE, head(), head(10), MEASURES * 40, PROVENANCE)
    assert report_bytes(long, ".pdf").count(b"/Type /Page\n") > 2
    assert b"Doe^Jane" not in data


def test_another_ending_is_refused() -> None:
    with pytest.raises(FileError, match=r"cannot be a '.docx' file"):
        report_bytes(report(), ".docx")


def test_facts_are_a_list_of_what_may_be_told() -> None:
    facts = dict(facts_of(PROVENANCE))
    assert facts["Options"] == "strength 1, device auto"
    assert facts["Input, mm"] == "1 x 1 x 3"
    assert facts["Libraries"] == "python 3.11, torch 2.6"
    assert facts_of({}) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "0 ml"), (0.01234, "0.0123 ml"), (1234.56, "1235 ml"),
     (123456.7, "123457 ml"), (float("inf"), "infinite")],
)  # fmt: skip
def test_values_are_short(value: float | None, text: str) -> None:
    assert value_text(value, "ml") == text
