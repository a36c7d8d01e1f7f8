"""How torch's threads wait for one another where others want the processor too."""

from __future__ import annotations

from pathlib import Path

import pytest

from Testing.fresh_python import printed

ASKED = """
import os, sys
from MedEnhanceLib import engine
print("torch was first:", "torch" in sys.modules)
from MedEnhanceLib.engine import forward
print("loop:", os.environ["GOMP_SPINCOUNT"])
"""


@pytest.mark.parametrize(("told", "expected"), [(None, "1000"), ("7", "7")])
def test_the_loop_is_short_before_torch_reads_it(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, expected: str
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    if told is not None:
        monkeypatch.setenv("GOMP_SPINCOUNT", told)
    assert printed(ASKED, tmp_path, root) == {"torch was first": "False", "loop": expected}
