"""The table, JSON and picture that an evaluation ends in."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from MedEnhanceLib import __version__
from MedEnhanceLib.cli import choosing
from MedEnhanceLib.cli.failing import say
from MedEnhanceLib.cli.outputs import (
    PICTURE,
    REPORT,
    Content,
    check_distinct,
    check_outputs,
    json_text,
    write_all,
)
from MedEnhanceLib.cli.tables import number_text, print_table
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume

if TYPE_CHECKING:
    from MedEnhanceLib.evaluation.methods import Method, Row

# Title and number of significant digits of each column.
COLUMNS = {
    "psnr_db": ("PSNR dB", 4),
    "ssim": ("SSIM", 4),
    "sharpness_percent": ("sharpness %", 3),
    "dice": ("Dice", 4),
    "iou": ("IoU", 4),
    "hd95_mm": ("HD95 mm", 3),
    "volume_error_percent": ("volume error %", 3),
    "core_seconds": ("core-s", 3),
    "peak_mb": ("peak MB", 3),
}


class Scoreboard:
    """Collects the rows of one evaluation, and shows them at its end."""

    def __init__(
        self,
        task: Task,
        inputs: list[Path],
        picture: Path | None,
        report: Path | None,
        as_json: bool,
    ) -> None:
        self.task, self.as_json = task, as_json
        self.picture, self.report = picture, report
        self.rows: list[Row] = []
        self.drawing: bytes | None = None
        check_distinct([picture, report])
        kinds = {picture: PICTURE, report: REPORT}
        check_outputs({path: kind for path, kind in kinds.items() if path}, inputs)

    def open_methods(
        self, ids: list[str] | None, folders: list[Path] | None, trusted: list[str] | None
    ) -> None:
        """Find the methods to compare, and load what they run on."""
        from MedEnhanceLib.evaluation.methods import methods_of

        self.named = bool(ids)
        catalog = choosing.open_catalog(folders, trusted)
        self.methods = methods_of(catalog, self.task, ids or ())
        from MedEnhanceLib.evaluation.costs import import_engine

        self.import_seconds = import_engine()

    def methods_for(self, volume: Volume) -> list[Method]:
        """The methods named, or all that do not refuse the volume."""
        from MedEnhanceLib.evaluation.methods import suited

        if self.named:
            return self.methods
        kept = suited(self.methods, volume)
        for method in self.methods:
            if method not in kept:
                say(f"warning: {method.id} is left out, as it does not suit the volume.")
        return kept

    @contextmanager
    def telling(self) -> Iterator[Callable[[str], None]]:
        """Shows on the error stream what is being run."""
        console = Console(stderr=True)
        if not console.is_terminal:
            yield lambda text: None
            return
        with console.status("Reading") as status:
            yield status.update

    def add(self, rows: Sequence[Row], draw: Callable[[], bytes]) -> None:
        """Take in the rows of one case; the first case is drawn."""
        self.rows += rows
        if self.picture and self.drawing is None:
            self.drawing = draw()

    def finish(self, **settings: Any) -> None:
        """Print and write everything."""
        files: dict[Path, Content] = {}
        found = self._found(settings)
        if self.picture and self.drawing:
            files[self.picture] = self.drawing
        if self.report:
            files[self.report] = found
        write_all(files)
        if self.as_json:
            print(json_text(found), end="")
        else:
            print_rows(f"{self.task}, measured", self.rows)
            print(f"Imports, not counted above: {self.import_seconds:.1f} core-s.")

    def _found(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {
            "task": self.task.value,
            "software": f"MedEnhance {__version__}",
            "settings": settings,
            "libraries": {
                name: importlib.metadata.version(name) for name in ("torch", "SimpleITK", "numpy")
            },
            "import_core_seconds": self.import_seconds,
            "rows": [vars(row) for row in self.rows],
        }


def print_rows(title: str, rows: Sequence[Row]) -> None:
    """A table of the metrics that the rows have."""
    used = [name for name in COLUMNS if any(row.values.get(name) is not None for row in rows)]
    print_table(
        title,
        ("volume", "condition", "method", *[COLUMNS[name][0] for name in used]),
        [
            (
                row.subject,
                row.condition,
                row.method,
                *[number_text(row.values.get(name), COLUMNS[name][1]) for name in used],
            )
            for row in rows
        ],
        text_columns=3,
    )
