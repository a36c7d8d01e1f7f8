"""Keeps the file lists in CMake equal to the files in the repository.

    python -m Testing.repo.cmake_lists          says what differs
    python -m Testing.repo.cmake_lists --write  writes the lists anew

CMake wants every script and resource named, because what is not named is not installed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NOT_INSTALLED = (".gitkeep", ".gitignore")


@dataclass(frozen=True)
class FileList:
    """One `set(NAME ...)` of a CMake file, and the files that belong there."""

    cmake: str
    name: str
    base: str
    folders: tuple[str, ...]
    python: bool

    def on_disk(self) -> list[str]:
        """Paths relative to `base`, as they should be listed."""
        base = REPOSITORY / self.base
        paths = (base / path for folder in self.folders for path in _files(base, folder))
        wanted = (p for p in paths if (p.suffix == ".py") is self.python)
        return sorted({p.relative_to(base).as_posix() for p in wanted})

    def listed(self) -> list[str]:
        """Paths as CMake has them."""
        match = self._pattern().search(self._text())
        if match is None:
            raise ValueError(f"{self.cmake} has no set({self.name} ...)")
        return match.group(2).split()

    def write(self) -> None:
        """Make the list equal to the files."""
        lines = "".join(f"  {path}\n" for path in self.on_disk())
        text = self._pattern().sub(lambda m: m.group(1) + lines + m.group(3), self._text())
        (REPOSITORY / self.cmake).write_text(text, encoding="utf-8")

    def _text(self) -> str:
        return (REPOSITORY / self.cmake).read_text(encoding="utf-8")

    def _pattern(self) -> re.Pattern[str]:
        return re.compile(rf"(set\({self.name}\n)(.*?)(  \))", re.DOTALL)


LISTS = (
    FileList(
        "CMake/LibraryFiles.cmake", "LIBRARY_PYTHON_SCRIPTS", ".", ("MedEnhanceLib",), python=True
    ),
    FileList(
        "CMake/LibraryFiles.cmake",
        "LIBRARY_RESOURCES",
        ".",
        ("MedEnhanceLib", "Resources"),
        python=False,
    ),
    FileList(
        "MedEnhance/CMakeLists.txt", "MODULE_PYTHON_SCRIPTS", "MedEnhance", (".",), python=True
    ),
    FileList(
        "MedEnhance/CMakeLists.txt",
        "MODULE_PYTHON_RESOURCES",
        "MedEnhance",
        ("Resources",),
        python=False,
    ),
)


def _files(base: Path, folder: str) -> list[Path]:
    """Files that are in the repository or would be with `git add`; without git, all of them."""
    top = base / folder
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."]
    try:
        run = subprocess.run(command, cwd=top, capture_output=True, check=True)
        names = [name for name in run.stdout.decode().split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = [str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()]
    existing = (name for name in names if (top / name).is_file())
    return [
        Path(folder) / name
        for name in existing
        if Path(name).name not in NOT_INSTALLED and "__pycache__" not in name
    ]


def differences() -> list[str]:
    """A line for every file that is on one side only."""
    lines = []
    for file_list in LISTS:
        on_disk, listed = set(file_list.on_disk()), set(file_list.listed())
        lines += [f"{file_list.name} lacks {path}" for path in sorted(on_disk - listed)]
        lines += [f"{file_list.name} names {path}, not there" for path in sorted(listed - on_disk)]
    return lines


if __name__ == "__main__":
    if "--write" in sys.argv:
        for entry in LISTS:
            entry.write()
    found = differences()
    print("\n".join(found) or "CMake lists every file.")
    sys.exit(bool(found))
