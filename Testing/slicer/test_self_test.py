"""The self test that Slicer runs through CTest, run here on the same nodes and models."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import slicer


def test_self_test_passes(scene: Any) -> None:
    import MedEnhance

    parent = SimpleNamespace(path="MedEnhance.py")
    module = MedEnhance.MedEnhance(parent)
    assert parent.title == "MedEnhance"
    assert parent.categories
    slicer.selfTests["MedEnhance"]()
    assert module.moduleName == "MedEnhance"


def test_networks_are_left_out_where_their_packages_are_missing(
    scene: Any, monkeypatch: Any
) -> None:
    """As on the machines that build extensions; nothing is installed there."""
    from MedEnhanceSlicer import selfTest

    assert selfTest.checksHere() == (selfTest.CHECKS, ())
    monkeypatch.setattr(selfTest, "missingPackages", lambda: ["torch"])
    checks, left = selfTest.checksHere()
    assert selfTest.checkSegment in left and selfTest.checkPreview in checks
    assert {*checks, *left} == set(selfTest.CHECKS)


def test_sample_data_is_registered(scene: Any, monkeypatch: Any) -> None:
    import hashlib
    import sys
    import urllib.request

    from MedEnhanceSlicer import sampleData

    registered: list[dict[str, Any]] = []

    def register(
        category: str,
        sampleName: str,
        uris: str,
        fileNames: str,
        nodeNames: str,
        thumbnailFileName: str,
        loadFileType: str,
        loadFileProperties: dict[str, Any],
        checksums: str,
    ) -> None:
        known = locals()
        registered.append({name: known[name] for name in known if name != "registered"})

    logic = SimpleNamespace(registerCustomSampleDataSource=register)
    monkeypatch.setitem(sys.modules, "SampleData", SimpleNamespace(SampleDataLogic=logic))
    sampleData.register()
    assert len(registered) == len(sampleData.sampleFiles()) > 0
    for source in registered:
        assert source["category"] == "MedEnhance"
        assert Path(source["thumbnailFileName"]).is_file()
        assert source["uris"].startswith("file://")
        with urllib.request.urlopen(source["uris"]) as opened:
            digest = hashlib.sha256(opened.read()).hexdigest()
        assert source["checksums"] == f"SHA256:{digest}"
    labels = [s for s in registered if s["loadFileProperties"].get("labelmap")]
    assert [s["nodeNames"] for s in labels] == ["MedEnhance hippocampus t1 labels"]


def test_sample_data_without_that_module_is_no_error(scene: Any, monkeypatch: Any) -> None:
    import sys

    from MedEnhanceSlicer import sampleData

    monkeypatch.setitem(sys.modules, "SampleData", None)
    sampleData.register()
