"""Packages are installed only after asking, without moving those that Slicer needs."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import slicer
from MedEnhanceSlicer import dependencies

from MedEnhanceLib.errors import DependencyError
from MedEnhanceLib.task import Task
from Testing.gui.fakes import catalog

TRAINED = next(m for m in catalog().models(Task.DENOISE) if m.is_trained)
FILTER = next(m for m in catalog().models(Task.DENOISE) if not m.is_trained)


class Computer:
    """What is installed, what was asked and what was installed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, installed: set[str]) -> None:
        self.installed = installed
        self.asked: list[str] = []
        self.calls: list[tuple[Any, str]] = []
        self.agrees = True
        self.versions = {
            "numpy": "2.1.3",
            "SimpleITK": "2.5.0",
            "scipy": "1.14.1",
            "torch": "2.6.0+cu126",
            "torchvision": "0.21.0+cu126",
        }
        monkeypatch.setattr(dependencies, "isInstalled", lambda name: name in self.installed)
        monkeypatch.setattr(importlib.metadata, "version", self._version)
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", self._ask)
        torch_utils = types.ModuleType("PyTorchUtils")
        torch_utils.PyTorchUtilsLogic = lambda: self  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "PyTorchUtils", torch_utils)
        packaging = types.ModuleType("slicer.packaging")
        packaging.pip_ensure = self._pip  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)

    def _version(self, name: str) -> str:
        if name not in self.versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return self.versions[name]

    def _ask(self, text: str, *_args: Any, **_kwargs: Any) -> bool:
        self.asked.append(text)
        return self.agrees

    def _pip(self, requirements: list[str], constraints: str, **_kwargs: Any) -> None:
        self.calls.append((requirements, Path(constraints).read_text("utf-8")))
        self.installed |= {requirement.split(">")[0] for requirement in requirements}

    def installTorch(self, askConfirmation: bool, torchVersionRequirement: str) -> object:
        assert not askConfirmation
        self.calls.append(("torch" + torchVersionRequirement, ""))
        self.installed.add("torch")
        return object()


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Computer:
    return Computer(monkeypatch, set())


def test_filters_need_nothing(bare: Computer) -> None:
    dependencies.checkFor(FILTER)
    assert dependencies.ensureFor(FILTER) == ""
    assert not bare.asked


def test_nothing_is_asked_when_all_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    computer = Computer(monkeypatch, set(dependencies.REQUIRED))
    assert dependencies.ensureFor(TRAINED) == ""
    assert not computer.asked and not computer.calls


def test_a_script_is_told_what_is_missing(bare: Computer) -> None:
    with pytest.raises(DependencyError, match="needs the Python packages torch, monai"):
        dependencies.checkFor(TRAINED)
    assert not bare.asked


def test_installing_asks_once_and_protects_numpy(bare: Computer) -> None:
    told: list[str] = []
    assert dependencies.ensureFor(TRAINED, told.append) == ""
    assert told == ["Installing torch, monai, safetensors; that takes minutes."]
    assert len(bare.asked) == 1
    assert "torch, monai" in bare.asked[0] and "Install them now?" in bare.asked[0]
    assert bare.calls[0][0] == "torch" + dependencies.TORCH_REQUIREMENT
    requirements, constraints = bare.calls[1]
    assert [r.split(">")[0] for r in requirements] == ["monai", "safetensors"]
    protected = "numpy==2.1.3 SimpleITK==2.5.0 scipy==1.14.1 torch==2.6.0 torchvision==0.21.0"
    assert constraints.split() == protected.split()


def test_what_is_too_old_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the set-up says that Apply installs it, so Apply must."""
    version = importlib.metadata.version

    def older(name: str) -> str:
        return "2.3.1+cu121" if name == "torch" else version(name)

    monkeypatch.setattr(importlib.metadata, "version", older)
    assert dependencies.missingFor(TRAINED) == ["torch"]
    assert dependencies.summary().startswith("Missing or too old: torch.")


def test_declining_installs_nothing(bare: Computer) -> None:
    bare.agrees = False
    with pytest.raises(DependencyError, match="as you chose"):
        dependencies.ensureFor(TRAINED)
    assert not bare.calls


def test_without_the_pytorch_extension_there_is_advice(
    bare: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(DependencyError, match="Extensions Manager"):
        dependencies.ensureFor(TRAINED)


def test_older_slicer_uses_its_own_installer(
    bare: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    arguments: list[str] = []

    def pip_install(given: list[str]) -> None:
        arguments.extend(given)
        bare.installed |= {"monai", "safetensors"}

    monkeypatch.setattr(slicer.util, "pip_install", pip_install)
    dependencies.ensureFor(TRAINED)
    assert arguments[0].startswith("monai") and arguments[-2] == "--constraint"


def test_a_failed_installation_is_one_sentence(
    bare: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(dependencies, "pipInstall", fail)
    with pytest.raises(DependencyError, match="could not be installed: no route to host"):
        dependencies.ensureFor(TRAINED)


def test_an_installation_that_did_nothing_is_noticed(
    bare: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependencies, "pipInstall", lambda *_args: None)
    with pytest.raises(DependencyError, match="monai, safetensors could not be installed"):
        dependencies.ensureFor(TRAINED)


def test_a_restart_is_advised_when_loaded_packages_changed(bare: Computer) -> None:
    before = {"numpy": "1.26.4", "torch": "2.6.0+cu126"}
    assert "numpy changed" in dependencies.restartAdvice(before)
    assert dependencies.restartAdvice(bare.versions) == ""
