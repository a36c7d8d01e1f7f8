"""What torch is told of threads and memory before it is loaded, if the user has not told it."""

from __future__ import annotations

from pathlib import Path

import pytest

from Testing.fresh_python import printed

TOLD = {"GOMP_SPINCOUNT": "1000", "THP_MEM_ALLOC_ENABLE": "1"}
ASKED = f"""
import os, sys
from MedEnhanceLib import engine
print("torch was first:", "torch" in sys.modules)
for name in {list(TOLD)}:
    print(name + ":", os.environ[name])
"""


@pytest.mark.parametrize("by_user", [{}, dict.fromkeys(TOLD, "0")])
def test_torch_is_told_before_it_reads_it(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, by_user: dict[str, str]
) -> None:
    for name in TOLD:
        monkeypatch.delenv(name, raising=False)
    for name, value in by_user.items():
        monkeypatch.setenv(name, value)
    expected = {"torch was first": "False", **TOLD, **by_user}
    assert printed(ASKED, tmp_path, root) == expected
