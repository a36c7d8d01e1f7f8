"""Who may import whom: MedEnhance -> MedEnhanceLib <- training.

What is imported by a name in a string counts like any other import.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from MedEnhanceLib.cli.check import CLI_PACKAGES
from MedEnhanceLib.diagnosis import REQUIRED

REPOSITORY = Path(__file__).resolve().parents[2]
SLICER = {"slicer", "qt", "ctk", "vtk"}
HEAVY = {"torch", "monai", "torchvision"}
FORBIDDEN = {
    "MedEnhanceLib": SLICER | {"MedEnhance", "MedEnhanceSlicer", "training", "Testing"},
    "training": SLICER | {"MedEnhance", "MedEnhanceSlicer", "Testing"},
    "MedEnhance": HEAVY | {"training", "Testing", "PySide6"},
}
IMPORTERS = {"import_module", "__import__"}
COMPUTED = {
    "MedEnhanceLib/__init__.py",
    "MedEnhanceLib/engine/imports.py",
    "MedEnhanceLib/engine/loading.py",
    "MedEnhanceLib/evaluation/peers/packages.py",
}
"""Files that import what a variable names: the library's own, the engine's, and peers."""
IMPORTED_AS = {"pillow": "PIL"}
NAMED_WHERE_IT_LACKS = {"onnxruntime"}
"""In an extra, and an error says so."""


def python_files(folder: str) -> list[Path]:
    return sorted((REPOSITORY / folder).rglob("*.py"))


def imported(path: Path, file_scope_only: bool = False) -> set[str]:
    """Top-level packages that the file imports, relative imports left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = _file_scope(tree) if file_scope_only else list(ast.walk(tree))
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
        elif isinstance(node, ast.Call) and (name := _named_in_string(node)):
            names.add(name.split(".")[0])
    return names


def _named_in_string(call: ast.Call) -> str | None:
    """The module that a call imports: "" when its name is computed, None when it imports none."""
    function = call.func
    name = getattr(function, "attr", None) or getattr(function, "id", None)
    if name not in IMPORTERS:
        return None
    module = getattr(call.args[0], "value", None) if call.args else None
    return module if isinstance(module, str) else ""


def _file_scope(tree: ast.Module) -> list[ast.AST]:
    """What runs on import: everything outside functions and `if TYPE_CHECKING`."""
    found: list[ast.AST] = []
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        found.append(node)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        waiting += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("room", FORBIDDEN)
def test_no_room_is_entered_by_the_wrong_door(room: str) -> None:
    wrong = {
        path.relative_to(REPOSITORY).as_posix(): imported(path) & FORBIDDEN[room]
        for path in python_files(room)
        if imported(path) & FORBIDDEN[room]
    }
    assert python_files(room)
    assert not wrong


def test_only_the_engine_and_training_import_torch() -> None:
    engine = REPOSITORY / "MedEnhanceLib" / "engine"
    wrong = [
        path.relative_to(REPOSITORY).as_posix()
        for path in python_files("MedEnhanceLib")
        if imported(path) & HEAVY and engine not in path.parents
    ]
    assert not wrong


def test_the_library_imports_only_what_is_installed_with_it() -> None:
    installed = {IMPORTED_AS.get(name, name) for name in (*REQUIRED, *CLI_PACKAGES)}
    found = set().union(*(imported(path) for path in python_files("MedEnhanceLib")))
    others = found - set(sys.stdlib_module_names) - {"MedEnhanceLib", ""}
    assert others - installed == NAMED_WHERE_IT_LACKS


def test_modules_whose_name_is_computed_are_imported_in_few_places() -> None:
    wrong = []
    for path in (*python_files("MedEnhanceLib"), *python_files("MedEnhance")):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        calls = [_named_in_string(node) for node in nodes if isinstance(node, ast.Call)]
        file = path.relative_to(REPOSITORY).as_posix()
        if "" in calls and file not in COMPUTED:
            wrong.append(file)
    assert not wrong


def test_the_module_imports_little_at_file_scope() -> None:
    allowed = {"slicer", "qt", "ctk", "vtk", "numpy", "SimpleITK", "scipy"}
    allowed |= {"MedEnhanceLib", "MedEnhanceSlicer"} | set(sys.stdlib_module_names)
    for path in python_files("MedEnhance"):
        assert imported(path, file_scope_only=True) <= allowed, path.name


def test_the_walk_sees_imports_inside_functions(tmp_path: Path) -> None:
    file = tmp_path / "sample.py"
    file.write_text("import os\ndef f():\n    from torch import nn\n")
    assert imported(file) == {"os", "torch"}
    assert imported(file, file_scope_only=True) == {"os"}
    file.write_text("import importlib\nimportlib.import_module('vtk.util')\n__import__('qt')\n")
    assert imported(file, file_scope_only=True) == {"importlib", "vtk", "qt"}
