"""Networks between two."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from MedEnhanceLib.errors import OptionsError
from training import interpolate
from training.interpolate import interpolated

FIRST = {"a": torch.tensor([0.0, 4.0]), "b": torch.tensor(1.0)}
SECOND = {"a": torch.tensor([2.0, 0.0]), "b": torch.tensor(3.0)}


def test_a_quarter_of_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, weights in {"first.pt": FIRST, "second.pt": SECOND}.items():
        torch.save(weights, tmp_path / name)
    words = ["--first", "first.pt", "--second", "second.pt", "--share", "0.25", "--out", "x/c.pt"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["interpolate", *words])
    interpolate.main()
    mixed = torch.load(tmp_path / "x" / "c.pt", weights_only=True)
    assert mixed["a"].tolist() == [0.5, 3.0] and float(mixed["b"]) == 1.5


def test_the_ends_are_the_networks_themselves() -> None:
    for share, expected in ((0.0, FIRST), (1.0, SECOND)):
        mixed = interpolated(FIRST, SECOND, share)
        assert all(torch.equal(mixed[name], expected[name]) for name in expected)


@pytest.mark.parametrize("other", [{"a": FIRST["a"]}, {"a": torch.zeros(3), "b": FIRST["b"]}])
def test_other_networks_are_refused(other: dict[str, torch.Tensor]) -> None:
    with pytest.raises(OptionsError, match="built differently"):
        interpolated(FIRST, other, 0.5)


def test_a_share_beyond_the_ends_is_refused() -> None:
    with pytest.raises(OptionsError, match=r"1\.5"):
        interpolated(FIRST, SECOND, 1.5)
