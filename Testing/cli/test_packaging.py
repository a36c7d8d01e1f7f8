"""What is promised about installing: README, Makefile, pyproject.toml and constraints.txt agree."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

import MedEnhanceLib
from MedEnhanceLib.cli.check import CLI_PACKAGES
from MedEnhanceLib.diagnosis import REQUIRED
from MedEnhanceLib.resources import models_folder, sample_folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture(scope="module")
def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


def _name(requirement: str) -> str:
    return re.split(r"[<>=!;\[ ]", requirement)[0].lower().replace("_", "-")


def test_the_library_is_typed_for_its_users(root: Path) -> None:
    assert (root / "MedEnhanceLib" / "py.typed").exists()
    tree = ast.parse((root / "MedEnhanceLib" / "__init__.py").read_text("utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    homes = {each.asname: node.module for node in imports for each in node.names if each.asname}
    assert {*homes, "__version__"} == set(MedEnhanceLib.__all__)
    for name, home in homes.items():
        assert getattr(MedEnhanceLib, name) is getattr(importlib.import_module(home), name)


def test_check_asks_for_what_pyproject_requires(project: dict) -> None:
    stated = dict(line.split(">=") for line in project["project"]["dependencies"])
    assert stated == {**REQUIRED, **CLI_PACKAGES}


def test_everything_installed_is_pinned(root: Path, project: dict) -> None:
    lines = (root / "constraints.txt").read_text().splitlines()
    pinned = {_name(line) for line in lines if line and not line.startswith("#")}
    assert all("==" in line for line in lines if line and not line.startswith("#"))
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["dev"], *extras["training"]]
    assert {_name(line) for line in wanted} <= pinned
    # CUDA packages are several GB and for Linux alone.
    assert not {name for name in pinned if name.startswith(("nvidia", "cuda", "triton"))}


def test_readme_gives_the_commands_of_the_makefile(root: Path) -> None:
    readme = (root / "README.md").read_text("utf-8")
    makefile = (root / "Makefile").read_text("utf-8")
    blocks = re.findall(r"```(?:\w*)\n(.*?)```", readme, re.DOTALL)
    commands = {line.strip() for block in blocks for line in block.splitlines()}
    assert {"make demo", "make test"} <= commands
    for target in ("demo", "test", "lint"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    plain = [c for c in commands if " -m pip install " in c]
    assert len(plain) >= 2, "README lacks the commands for machines without make"
    for command in plain:
        assert "-c constraints.txt" in command
    installed = {command.split(" -e ")[1].strip('"') for command in plain}
    assert installed == {".", ".[dev,training]"}
    for what in installed:
        assert f"-e {what}" in makefile.replace('"', "")
    for program in ("medenhance demo", "-m pytest"):
        assert any(program in c for c in commands) and program in makefile


def test_continuous_integration_calls_the_test_command_of_the_readme(root: Path) -> None:
    script = (root / ".ci" / "run").read_text("utf-8").splitlines()
    assert "make test" in script
    assert "make lint" in script


def test_commands_in_the_readme_are_real(root: Path) -> None:
    from typer.testing import CliRunner

    from MedEnhanceLib.cli.main import app

    readme = (root / "README.md").read_text("utf-8")
    named = set(re.findall(r"^medenhance ([a-z-]+)", readme, re.MULTILINE))
    assert named >= {"denoise", "super-resolution", "segment", "models", "check"}
    for command in named:
        told = CliRunner().invoke(app, [command, "--help"])
        assert told.exit_code == 0, command
        for line in re.findall(rf"^medenhance {command} (.*)$", readme, re.MULTILINE):
            options = re.findall(r"(--[a-z-]+)", line)
            nested = line.split()[0] if command == "evaluate" else None
            words = [command, nested, "--help"] if nested else [command, "--help"]
            text = CliRunner().invoke(app, words).stdout
            assert all(option in text for option in options), line


def test_resources_are_found() -> None:
    assert (models_folder() / "mr-denoise-residual" / "configs" / "metadata.json").is_file()
    assert (sample_folder() / "mr_head_t1.nii.gz").is_file()
