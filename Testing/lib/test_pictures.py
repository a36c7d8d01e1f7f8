"""Pictures: the right slice the right way up, in true aspect, in the right colours."""

from __future__ import annotations

import io
from itertools import permutations, product

import numpy as np
import pytest
from PIL import Image

from MedEnhanceLib import Geometry, Label, LabelMap, Volume
from MedEnhanceLib.pictures.colouring import ABOVE, BELOW, NOTHING, diverging, grey, overlay
from MedEnhanceLib.pictures.comparing import Shown, View, comparison_sheet, label_panel
from MedEnhanceLib.pictures.sheet import MARGIN, Panel, sheet
from MedEnhanceLib.pictures.slices import Slice, fullest_share, plane_across, slice_of

LPS_SIZE = (5, 6, 7)


def _marked(order: tuple[int, ...], signs: tuple[int, ...]) -> tuple[np.ndarray, Geometry]:
    """Voxels whose value is 100 z + 10 y + x in LPS indices, stored along other axes."""
    i, j, k = np.meshgrid(*map(np.arange, LPS_SIZE), indexing="ij")
    lps = 100 * k + 10 * j + i  # indexed (x, y, z)
    stored = lps.transpose(order)
    direction = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        direction[world, axis] = sign
    stored = np.flip(stored, [a for a in range(3) if signs[a] < 0])
    spacing = np.array((1.0, 2.0, 3.0))[list(order)]
    geometry = Geometry(stored.shape, tuple(spacing), direction=tuple(map(tuple, direction)))
    return np.ascontiguousarray(stored.T), geometry


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_slices_are_shown_the_same_however_they_are_stored(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    voxels, geometry = _marked(order, signs)
    axial = slice_of(voxels, geometry, "axial", 0.5)
    # Right of the patient on the left, front at the top: x grows to the right, y downwards.
    np.testing.assert_array_equal(axial.pixels[0], 300 + np.arange(5))
    np.testing.assert_array_equal(axial.pixels[:, 0], 300 + 10 * np.arange(6))
    assert axial.spacing == (2.0, 1.0)
    coronal = slice_of(voxels, geometry, "coronal", 0.0)
    np.testing.assert_array_equal(coronal.pixels[:, 0], 100 * np.arange(6, -1, -1))
    assert coronal.spacing == (3.0, 1.0)
    sagittal = slice_of(voxels, geometry, "sagittal", 1.0)
    np.testing.assert_array_equal(sagittal.pixels[-1], 4 + 10 * np.arange(6))
    assert sagittal.spacing == (3.0, 2.0)


def test_fullest_share_finds_the_slice_with_most() -> None:
    mask = np.zeros((7, 6, 5), bool)
    mask[2, 1, 1], mask[4, 2:5, 2:4] = True, True
    geometry = Geometry((5, 6, 7))
    share = fullest_share(mask, geometry, "axial")
    assert slice_of(mask, geometry, "axial", share).pixels.sum() == 6


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize(("axis", "plane"), [(0, "axial"), (1, "sagittal"), (2, "coronal")])
def test_the_plane_across_thick_slices_shows_how_thick_they_are(
    order: tuple[int, ...], axis: int, plane: str
) -> None:
    """However the volume is stored; the axis counts along the patient."""
    _, thin = _marked(order, (1, -1, 1))
    factors = [1.0, 1.0, 1.0]
    factors[order.index(axis)] = 0.5
    assert plane_across(thin.refined(factors), thin) == plane


def test_cropping_keeps_at_least_a_pixel() -> None:
    cut = Slice(np.arange(100).reshape(10, 10), (1, 1), ("R", "A"))
    assert cut.cropped(0.2, 0.6, 0.0, 0.5).pixels.shape == (4, 5)
    assert cut.cropped(0.5, 0.5, 0.5, 0.5).pixels.shape == (1, 1)


def test_colours_of_numbers() -> None:
    values = np.array([[-5.0, 0.0, 5.0, 50.0]])
    assert grey(values, 0, 5)[0].tolist() == [[0] * 3, [0] * 3, [255] * 3, [255] * 3]
    assert diverging(values, 5)[0].tolist() == [list(BELOW), list(NOTHING), *[list(ABOVE)] * 2]


def test_overlay_outlines_labels() -> None:
    values = np.zeros((7, 7), np.uint8)
    values[1:6, 1:6] = 1
    black = np.zeros((7, 7, 3), np.uint8)
    red = overlay(black, values, [Label(1, "One", (200, 0, 0))])
    assert red[1, 1].tolist() == [200, 0, 0]
    assert red[3, 3].tolist() == [80, 0, 0]
    assert red[0, 0].tolist() == [0, 0, 0]


def _opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png)).convert("RGB")


def _painted(rows: int, columns: int, spacing: tuple[float, float]) -> Slice:
    return Slice(np.full((rows, columns, 3), (0, 255, 0), np.uint8), spacing, ("", ""))


def test_pixels_keep_their_true_aspect() -> None:
    # 10 rows of 3 mm by 40 columns of 1 mm: 30 x 40 mm.
    page = np.asarray(_opened(sheet("h", "n", [Panel("t", _painted(10, 40, (3.0, 1.0)))], 1, 400)))
    green = (page == (0, 255, 0)).all(axis=-1)
    rows, columns = np.flatnonzero(green.any(axis=1)), np.flatnonzero(green.any(axis=0))
    assert len(columns) == 400 and columns[0] == MARGIN
    assert len(rows) == 300


def test_nothing_is_cut_off_the_sheet() -> None:
    label = Label(1, "A structure", (1, 2, 3))
    panel = Panel("t", _painted(10, 10, (1.0, 1.0)), "caption", limit=2.0, labels=(label,))
    page = np.asarray(_opened(sheet("A long heading " * 5, "n", [panel, None, panel], 2, 100)))
    background = page[0, 0]
    for edge in (page[:4], page[-4:], page[:, :4], page[:, -4:]):
        assert (edge == background).all()


def test_comparison_shows_errors_of_one_scale() -> None:
    rng = np.random.default_rng(0)
    clean = Volume(rng.random((6, 20, 22), np.float32) * 100, Geometry((22, 20, 6)))
    images = [
        Shown(name, clean.voxels + shift, clean.geometry) for name, shift in (("a", 9), ("b", 3))
    ]
    page = _opened(comparison_sheet("h", "n", clean, images, View(), 150))
    colours = {colour for _, colour in page.getcolors(1 << 24)}
    assert ABOVE in colours


def test_a_segmentation_lies_where_its_image_does() -> None:
    geometry = Geometry((8, 8, 8), direction=((-1, 0, 0), (0, -1, 0), (0, 0, 1)))
    voxels = np.zeros((8, 8, 8), np.float32)
    voxels[4, 1, 2] = 1
    labelmap = LabelMap((voxels > 0).astype(np.uint8), geometry, (Label(1, "x", (255, 0, 0)),))
    panel = label_panel(Shown("t", voxels, geometry), labelmap, View(), (0, 1))
    red = (panel.colours.pixels == (255, 0, 0)).all(axis=-1)
    assert np.argwhere(red).tolist() == [[6, 5]]
