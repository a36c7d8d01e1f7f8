"""PyTorch that is missing, or installed but broken."""

from __future__ import annotations

import sys

import pytest

from MedEnhanceLib import Catalog, Volume, enhance
from MedEnhanceLib.errors import DependencyError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "needs the package 'torch'"),
        (OSError("[WinError 126] Error loading c10.dll"), "loaded .*c10.dll.; install them again"),
        (ImportError("libfoo.so: cannot open"), "loaded .libfoo.so: cannot open.; install"),
    ],
)
def test_why_a_network_cannot_be_run_is_told(
    catalog: Catalog, head: Volume, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "MedEnhanceLib.engine.forward":
                raise error

    monkeypatch.delitem(sys.modules, "MedEnhanceLib.engine.forward", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(DependencyError, match=said):
        enhance(head, "denoise", "tiny-denoiser", catalog=catalog)
