"""Whole volumes: a second network finds the regions, and each is labelled in a crop around it.

Two stand-in networks read brightness alone: in a grey head the left region is dark, the right one
bright. So it is known exactly what must come out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from MedEnhanceLib import Catalog, Geometry, Volume, enhance, suitability
from MedEnhanceLib.bundle import Bundle, read_bundle
from MedEnhanceLib.diagnosis import bundle_state
from MedEnhanceLib.engine import networks
from MedEnhanceLib.errors import BundleError, OptionsError, UnsuitableError
from MedEnhanceLib.finder import SIDES, Region, labels_of_regions
from MedEnhanceLib.importing import import_bundle
from MedEnhanceLib.options import SegmentOptions
from MedEnhanceLib.progress import Reporter
from MedEnhanceLib.tasks.finding import (
    RAS,
    Found,
    believable,
    grid_around,
    locate,
    shrunk,
    straight_grid,
)
from MedEnhanceLib.tasks.network import open_network
from MedEnhanceLib.tasks.regions import label_regions
from MedEnhanceLib.volume import Label

from .conftest import LABELS, OBLIQUE, opened_short_of_memory, write_bundle

GREY, DARK, BRIGHT = 500.0, 150.0, 950.0
RADIUS = 10.0
HEAD = Geometry((64, 60, 56), (2.0, 2.1, 2.4), (-60.0, 20.0, 80.0), OBLIQUE)
"""128 x 126 x 134 mm, oblique."""


class Brightness(torch.nn.Module):
    """Channel 1 where the image is below ``low`` but no air, channel 2 where above ``high``."""

    def __init__(self, air: float, low: float, high: float) -> None:
        super().__init__()
        self.thresholds = torch.nn.Parameter(torch.tensor([air, low, high]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        air, low, high = self.thresholds
        dark = torch.minimum(low - x, x - air)
        return torch.cat([torch.zeros_like(x), 40 * dark, 40 * (x - high)], dim=1)


FINDER = {
    "weights": "models/finder.pt",
    "network_def": {
        "_target_": "MedEnhanceLib.engine.networks.Brightness",
        "air": 0.05,
        "low": 0.45,
        "high": 1.3,
    },
    "spacing_mm": 5,
    "multiple": 4,
    "normalisation": "robust_peak",
    "regions": [
        {"name": "Left", "title": "left kernel"},
        {"name": "Right", "title": "right kernel", "colors": [[1, 2, 3], [4, 5, 6]]},
    ],
    "crop_mm": [40, 44, 36],
    "crop_spacing_mm": 1,
    "extent_mm": [90, 300],
    "region_ml": [1, 10],
    "labelled_ml": [1, 10],
    "apart_mm": [30, 80],
    "confidence": 0.4,
}


@pytest.fixture(autouse=True)
def brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in network, where bundles may name it."""
    monkeypatch.setattr(networks, "Brightness", Brightness, raising=False)


def kernels_bundle(root: Path, **changes: Any) -> Path:
    """A bundle that labels in crops of 25 to 70 mm and has a finder; ``changes`` go to it."""
    definition = {
        "_target_": "MedEnhanceLib.engine.networks.Brightness",
        "air": -100,
        "low": -1.5,
        "high": 1.5,
    }
    folder = write_bundle(
        root / "kernels",
        Brightness(-100, -1.5, 1.5),
        definition,
        task="segment",
        modality="MR",
        contrasts=["T1"],
        labels=LABELS,
        ranges={"extent_mm": [25, 70]},
        input={"normalisation": "zscore_nonzero", "orientation": "RAS", "spacing_mm": [1, 1, 1]},
    )
    weights = folder / "models/finder.pt"
    torch.save(Brightness(0.05, 0.45, 1.3).state_dict(), weights)
    finder = {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest(), **FINDER, **changes}
    path = folder / "configs/metadata.json"
    metadata = json.loads(path.read_text())
    metadata["medenhance"]["finder"] = finder
    path.write_text(json.dumps(metadata))
    return folder


@pytest.fixture
def kernels(tmp_path: Path) -> Bundle:
    return read_bundle(kernels_bundle(tmp_path))


def test_a_bundle_with_a_damaged_finder_is_not_imported(kernels: Bundle, tmp_path: Path) -> None:
    with (kernels.folder / "models/finder.pt").open("ab") as weights:
        weights.write(b"x")
    with pytest.raises(BundleError, match="damaged or was changed"):
        import_bundle(kernels.folder, tmp_path / "user")
    state = bundle_state(kernels)
    assert not state["ok"] and "damaged or was changed" in state["state"]


@pytest.fixture
def only_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.setattr("MedEnhanceLib.catalog.models_folder", lambda: tmp_path / "none")
    kernels_bundle(tmp_path / "models")
    return Catalog.default(extra_folders=[tmp_path / "models"])


def middle_of(geometry: Geometry) -> np.ndarray:
    return geometry.to_world((np.array(geometry.size) - 1) / 2)


def ball(geometry: Geometry, centre: np.ndarray) -> np.ndarray:
    """Voxels (k, j, i) within the radius of an LPS point."""
    index = np.stack(np.indices(geometry.shape)[::-1], axis=-1)
    return np.linalg.norm(geometry.to_world(index) - centre, axis=-1) < RADIUS


def head(geometry: Geometry = HEAD, left: float = DARK, right: float = BRIGHT) -> Volume:
    """A grey block with a dark ball 27 mm to the left of its middle, and a bright one right.

    One voxel is black, as is then what lies beyond the block.
    """
    voxels = np.random.default_rng(0).normal(GREY, 10, geometry.shape)
    for value, centre in zip((left, right), centres(geometry), strict=True):
        inside = ball(geometry, centre)
        voxels[inside] += value - GREY
    voxels[0, 0, 0] = 0
    return Volume(voxels.astype(np.float32), geometry, "MR")


def centres(geometry: Geometry = HEAD) -> tuple[np.ndarray, np.ndarray]:
    middle = middle_of(geometry)
    return middle + np.array([27, 6, -4]), middle + np.array([-27, 3, 5])


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * np.count_nonzero(first & second) / (first.sum() + second.sum())


class TestWhole:
    def test_each_region_is_labelled_where_it_is(self, only_kernels: Catalog) -> None:
        volume = head()
        result = enhance(volume, "segment", "kernels", catalog=only_kernels)
        labels = result.labelmap
        assert [label.name for label in labels.labels] == [
            "Left first",
            "Left second",
            "Right first",
            "Right second",
        ]
        assert [label.value for label in labels.labels] == [1, 2, 3, 4]
        assert labels.labels[3].color == (4, 5, 6)
        assert labels.geometry == volume.geometry
        left, right = centres()
        assert dice(labels.voxels == 1, ball(HEAD, left)) > 0.9
        assert dice(labels.voxels == 4, ball(HEAD, right)) > 0.9
        assert not np.isin(labels.voxels, [2, 3]).any()

    def test_evidence_holds_the_volume_of_each_side(self, only_kernels: Catalog) -> None:
        result = enhance(head(), "segment", "kernels", catalog=only_kernels)
        after = {m.name: m.after for m in result.evidence}
        true_ml = 4 / 3 * np.pi * (RADIUS / 10) ** 3
        assert after["Volume of left kernel"] == pytest.approx(true_ml, rel=0.1)
        assert after["Volume of right kernel"] == pytest.approx(true_ml, rel=0.1)
        assert after["Confidence in left kernel"] > 0.8
        assert len(result.provenance["finder_sha256"]) == 64

    def test_an_impossible_volume_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("MedEnhanceLib.catalog.models_folder", lambda: tmp_path / "none")
        kernels_bundle(tmp_path, labelled_ml=[1.5, 3.5])
        catalog = Catalog.default(extra_folders=[tmp_path])
        result = enhance(head(), "segment", "kernels", catalog=catalog)
        (warning,) = [w for w in result.warnings if "right kernel" in w]
        assert warning.startswith("The right kernel was labelled with 4.")

    def test_a_region_off_its_coarse_centre_is_seen_whole(self, kernels: Bundle) -> None:
        """The first crop cuts the ball in half; later ones follow it."""
        x, y, z = centres()[0] + np.array([0, 0, 17])
        volume, forward = head(), open_network(kernels, SegmentOptions(), Reporter())
        found = [Found(0, (x, y, z), 1.0, 4.0)]
        labels = label_regions(volume, found, forward, SegmentOptions(), Reporter())
        assert dice(labels == 1, ball(HEAD, centres()[0])) > 0.9

    def test_a_crop_begins_on_a_voxel(self, kernels: Bundle) -> None:
        """So nothing is interpolated where the volume has the crop's spacing and axes."""
        straight = Geometry((112, 108, 100), (1.0, 1.0, 1.0), (60.3, 55.1, -50.4), RAS)
        forward, (x, y, z) = (
            open_network(kernels, SegmentOptions(), Reporter()),
            centres(straight)[0],
        )
        found = [Found(0, (x + 0.4, y - 0.3, z + 0.5), 1.0, 4.0)]
        labels = label_regions(head(straight), found, forward, SegmentOptions(), Reporter())
        assert np.array_equal(labels == 1, ball(straight, centres(straight)[0]))

    def test_an_island_stays_if_asked_for(self, kernels: Bundle) -> None:
        forward = open_network(kernels, SegmentOptions(), Reporter())
        x, y, z = centres()[0]
        index = np.stack(np.indices(HEAD.shape)[::-1], axis=-1)
        island = np.linalg.norm(HEAD.to_world(index) - (x, y + 16.5, z), axis=-1) < 3
        volume = Volume(np.where(island, np.float32(DARK), head().voxels), HEAD, "MR")
        kept = {
            alone: label_regions(
                volume,
                [Found(0, (x, y, z), 1.0, 4.0)],
                forward,
                SegmentOptions(keep_largest=alone),
                Reporter(),
            )
            for alone in (True, False)
        }
        assert not kept[True][island].any()
        assert kept[False][island].mean() > 0.7
        assert dice(kept[True] == 1, ball(HEAD, centres()[0])) > 0.9

    def test_the_side_is_in_the_codes(self) -> None:
        code, front, left = ("SCT", "2", "Kernel"), ("SCT", "3", "Anterior"), SIDES["Left"]
        regions = (Region("Left", "left kernel"), Region("Lower", "lower kernel"))
        labels = (Label(1, "Whole", type=code), Label(2, "Front", type=code, modifier=front))
        whole, part, *lower = labels_of_regions(labels, regions)
        assert (whole.modifier, whole.region) == (left, None)
        assert (part.modifier, part.region, part.region_modifier) == (front, code, left)
        assert [(x.modifier, x.region) for x in lower] == [(None, None), (front, None)]

    def test_only_some_labels(self, only_kernels: Catalog) -> None:
        result = enhance(head(), "segment", "kernels", {"labels": [2]}, catalog=only_kernels)
        assert [label.value for label in result.labelmap.labels] == [2, 4]
        assert set(np.unique(result.labelmap.voxels)) == {0, 4}
        with pytest.raises(OptionsError, match="no label 4"):
            enhance(head(), "segment", "kernels", {"labels": [4]}, catalog=only_kernels)

    def test_doubt_is_that_of_the_labels_asked_for(self, only_kernels: Catalog) -> None:
        options = {"labels": [2], "uncertainty": True}
        second = enhance(head(), "segment", "kernels", options, catalog=only_kernels)
        both = enhance(head(), "segment", "kernels", {"uncertainty": True}, catalog=only_kernels)
        assert second.uncertainty is not None and both.uncertainty is not None
        dark = both.labelmap.voxels == 1
        assert second.uncertainty.voxels[dark].max() < 1e-6 < both.uncertainty.voxels[dark].max()

    def test_what_is_missing_is_said(self, only_kernels: Catalog) -> None:
        result = enhance(head(left=GREY), "segment", "kernels", catalog=only_kernels)
        assert set(np.unique(result.labelmap.voxels)) == {0, 4}
        (warning,) = [w for w in result.warnings if "left kernel" in w]
        assert "confidence of only" in warning
        assert "Volume of left kernel" not in {m.name for m in result.evidence}

    def test_what_the_finder_lacked_and_took_is_told(
        self, only_kernels: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("MedEnhanceLib.tasks.finding.open_network", opened_short_of_memory)
        result = enhance(head(), "segment", "kernels", catalog=only_kernels)
        assert any("Memory was short" in warning for warning in result.warnings)
        assert result.provenance["network_seconds"] >= 100

    def test_nothing_found_is_a_refusal(self, only_kernels: Catalog) -> None:
        with pytest.raises(UnsuitableError, match="No left kernel and no right kernel was found"):
            enhance(head(left=GREY, right=GREY), "segment", "kernels", catalog=only_kernels)

    def test_a_crop_is_labelled_as_before(self, only_kernels: Catalog) -> None:
        grid = grid_around(centres()[0], (40, 44, 36), 1.0)
        voxels = np.random.default_rng(0).normal(GREY, 10, grid.shape).astype(np.float32)
        voxels[ball(grid, centres()[0])] -= GREY - DARK
        crop = Volume(voxels, grid, "MR")
        result = enhance(crop, "segment", "kernels", catalog=only_kernels)
        assert [label.name for label in result.labelmap.labels] == ["First", "Second"]
        assert dice(result.labelmap.voxels == 1, ball(grid, centres()[0])) > 0.95
        assert "finder_sha256" not in result.provenance


class TestSuitability:
    def test_whole_volumes_suit(self, kernels: Bundle) -> None:
        assert suitability(head(), kernels).verdict == "good"

    def test_between_crop_and_whole_is_refused(self, kernels: Bundle) -> None:
        slab = Geometry((64, 60, 30), (2.0, 2.1, 2.4))
        found = suitability(head(slab), kernels)
        assert found.verdict == "refused"
        assert "25 to 70 mm, or for whole volumes of 90 to 300 mm" in found.reasons[0]

    def test_without_a_finder_wholes_are_refused(self, kernels: Bundle) -> None:
        alone = dataclasses.replace(kernels, finder=None)
        assert suitability(head(), alone).verdict == "refused"


class TestBadBundles:
    def test_wrong_hash(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = kernels_bundle(tmp_path)
        with (folder / "models/finder.pt").open("ab") as file:
            file.write(b"x")
        monkeypatch.setattr("MedEnhanceLib.catalog.models_folder", lambda: tmp_path / "none")
        catalog = Catalog.default(extra_folders=[tmp_path])
        with pytest.raises(BundleError, match="damaged or was changed"):
            enhance(head(), "segment", "kernels", catalog=catalog)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"network_def": {"_target_": "os.system", "command": "ls"}}, "allow-list"),
            ({"network_def": {**FINDER["network_def"], "low": "$print(1)"}}, "expression"),
            ({"network_def": {"low": 1}}, "no _target_"),
            ({"weights": "../../secret.pt"}, "outside its own folder"),
            ({"weights": "models/lost.pt"}, "lacks its weights"),
            ({"regions": []}, "finds nothing"),
            ({"spacing_mm": 0}, "no length"),
            ({"crop_mm": [40, 40]}, "cannot be understood"),
            ({"sha256": ""}, "sha256"),
        ],
    )
    def test_impossible_facts(self, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
        folder = kernels_bundle(tmp_path, **changes)
        with pytest.raises(BundleError, match=words):
            read_bundle(folder)


class TestGrids:
    def test_the_straight_grid_holds_every_corner(self) -> None:
        grid = straight_grid(HEAD, 5.0)
        corners = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in HEAD.size])).reshape(3, -1).T
        index = grid.to_index(HEAD.to_world(corners))
        assert (index >= -0.5 - 1e-6).all()
        assert (index <= np.array(grid.size) - 0.5 + 1e-6).all()
        # Index i grows to the patient's right, j to the front, k to the head.
        assert np.array(grid.direction) == pytest.approx(np.diag([-1, -1, 1]))

    def test_the_grid_lies_around_its_centre(self) -> None:
        grid = grid_around((10.0, -7.0, 3.0), (36, 51, 38), 1.0)
        assert middle_of(grid) == pytest.approx([10.0, -7.0, 3.0])

    def test_shrinking_moves_nothing(self) -> None:
        volume = head()
        grid = straight_grid(HEAD, 5.0)
        bright = np.maximum(shrunk(volume, grid) - GREY - 100, 0)
        found = locate(bright / bright.max(), grid, 1)
        assert np.linalg.norm(np.subtract(found.centre, centres()[1])) < 1.5


class TestBelief:
    def test_of_two_too_near_the_surer_one_stays(self, kernels: Bundle) -> None:
        assert kernels.finder is not None
        near = [Found(0, (0, 0, 0), 0.6, 3.0), Found(1, (12, 0, 0), 0.9, 3.0)]
        kept, doubts = believable(near, kernels.finder)
        assert [f.number for f in kept] == [1]
        assert doubts == ["left kernel would be 12 mm from the other one"]

    @pytest.mark.parametrize("ml", [0.2, 30.0])
    def test_impossible_sizes_are_not_believed(self, kernels: Bundle, ml: float) -> None:
        assert kernels.finder is not None
        kept, doubts = believable([Found(1, (0, 0, 0), 0.9, ml)], kernels.finder)
        assert not kept
        assert doubts == [f"right kernel would have {ml:.1f} ml"]

    def test_two_places_are_less_sure_than_one(self) -> None:
        grid = grid_around((0, 0, 0), (20, 20, 20), 5.0)
        one = np.zeros(grid.shape, np.float32)
        one[5:7, 5:7, 5:7] = 0.9
        two = one.copy()
        two[14:16, 14:16, 14:16] = 0.8
        assert locate(one, grid, 0).confidence == pytest.approx(0.9, abs=1e-3)
        assert locate(two, grid, 0).confidence == pytest.approx(0.9 * 0.9 / 1.7, abs=1e-3)
