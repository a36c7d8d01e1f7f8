"""The table, JSON and picture that an evaluation ends in."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from MedEnhanceLib import __version__
from MedEnhanceLib.cli import choosing
from MedEnhanceLib.cli.failing import say
from MedEnhanceLib.cli.outputs import (
    JSON_REPORT,
    MARKDOWN,
    PICTURE,
    Content,
    check_distinct,
    check_outputs,
    json_text,
    write_all,
)
from MedEnhanceLib.cli.tables import number_text, print_table
from MedEnhanceLib.errors import CancelledError, MedEnhanceError
from MedEnhanceLib.task import Task
from MedEnhanceLib.volume import Volume

if TYPE_CHECKING:
    from MedEnhanceLib.evaluation.methods import Method, Row

# Title and number of significant digits of each column.
COLUMNS = {
    "psnr_db": ("PSNR dB", 4),
    "ssim": ("SSIM", 4),
    "sharpness_percent": ("sharp %", 3),
    "rmse": ("RMSE", 3),
    "rmse_hu_soft": ("soft HU", 3),
    "rmse_hu_lung": ("lung HU", 3),
    "rmse_hu_bone": ("bone HU", 3),
    "rmse_hu_air": ("air HU", 3),
    "shift_hu_soft": ("soft shift", 2),
    "consistency_percent": ("misfit %", 3),
    "dice": ("Dice", 4),
    "iou": ("IoU", 4),
    "hd95_mm": ("HD95 mm", 3),
    "volume_error_percent": ("volume error %", 3),
    "core_seconds": ("core-s", 3),
    "core_us_per_voxel": ("core-us/voxel", 3),
    "peak_mb": ("peak MB", 3),
}


MARK = " *"
INCOMPLETE = "Incomplete: the evaluation ended with an error, and what was to follow is lacking."


@dataclass(frozen=True)
class Shown:
    """Where the results go: files, when named, and standard output as JSON or as a table."""

    picture: Path | None = None
    report: Path | None = None
    markdown: Path | None = None
    as_json: bool = False


class Scoreboard:
    """Collects the rows of one evaluation, and shows them at its end."""

    def __init__(self, task: Task, inputs: list[Path], shown: Shown) -> None:
        self.task, self.shown = task, shown
        self.rows: list[Row] = []
        self.drawing: bytes | None = None
        self.failure: MedEnhanceError | None = None
        kinds = {shown.picture: PICTURE, shown.report: JSON_REPORT, shown.markdown: MARKDOWN}
        check_distinct(list(kinds))
        check_outputs({path: kind for path, kind in kinds.items() if path}, inputs)

    def open_methods(
        self,
        ids: list[str] | None,
        folders: list[Path] | None,
        trusted: list[str] | None,
        peers: bool = False,
    ) -> None:
        """Find the methods to compare, and load what they run on.

        Args:
            ids: of models, filters and peers; None for all models and filters.
            peers: all installed peers too.
        """
        from MedEnhanceLib.engine.imports import import_engine
        from MedEnhanceLib.evaluation.methods import methods_of
        from MedEnhanceLib.evaluation.peers import PREFIX, peers_of

        self.named = bool(ids)
        ours = None if not ids else [name for name in ids if not name.startswith(PREFIX)]
        others = [name for name in ids or () if name.startswith(PREFIX)]
        others += self._installed_peers() if peers else []
        catalog = choosing.open_catalog(folders, trusted)
        self.methods = methods_of(catalog, self.task, ours)
        self.methods += peers_of(self.task, list(dict.fromkeys(others)))
        self.import_seconds = import_engine()

    def _installed_peers(self) -> list[str]:
        from MedEnhanceLib.evaluation.peers import peer_ids

        if missing := peer_ids(self.task, installed=False):
            say(
                f"warning: {', '.join(missing)} left out, as pip install medenhance[bench] has "
                "not been run."
            )
        return peer_ids(self.task)

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
    def running(self) -> Iterator[Callable[[str], None]]:
        """What is done within ends with the first failure; `finish` tells of it.

        Unless it is that of the first case: then there is nothing to be shown.
        """
        try:
            with self._telling() as told:
                yield told
        except CancelledError:
            raise
        except MedEnhanceError as error:
            if not self.rows:
                raise
            self.failure = error

    @contextmanager
    def _telling(self) -> Iterator[Callable[[str], None]]:
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
        if self.shown.picture and self.drawing is None:
            self.drawing = draw()

    def finish(self, notes: Sequence[str] = (), **settings: Any) -> None:
        """Print and write everything.

        Args:
            notes: how it was measured, in sentences, below the table.
            settings: for JSON.

        Raises:
            MedEnhanceError: at the end, what kept the evaluation from going on.
        """
        notes = [*notes, f"Imports, not counted above: {self.import_seconds:.1f} core-s."]
        notes += [INCOMPLETE] if self.failure is not None else []
        files: dict[Path, Content] = {}
        found = self._found(settings)
        if self.shown.picture and self.drawing:
            files[self.shown.picture] = self.drawing
        if self.shown.report:
            files[self.shown.report] = found
        if self.shown.markdown:
            files[self.shown.markdown] = markdown_text(self._title, self.rows, notes).encode()
        write_all(files)
        if self.shown.as_json:
            print(json_text(found), end="")
        else:
            print_rows(self._title, self.rows)
            print("\n".join(notes))
        if self.failure is not None:
            raise type(self.failure)(f"{self.failure} Only what was done before is shown.")

    @property
    def _title(self) -> str:
        return f"{self.task}, measured"

    def _found(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {
            "task": self.task.value,
            "software": f"MedEnhance {__version__}",
            "settings": settings,
            "complete": self.failure is None,
            "libraries": {name: importlib.metadata.version(name) for name in self._libraries()},
            "import_core_seconds": self.import_seconds,
            "rows": [vars(row) for row in self.rows],
        }

    def _libraries(self) -> list[str]:
        from MedEnhanceLib.evaluation.peers import distributions

        return ["torch", "SimpleITK", "numpy", *distributions(m.id for m in self.methods)]


def markdown_text(title: str, rows: Sequence[Row], notes: Sequence[str]) -> str:
    """The same table as Markdown, with the notes below."""
    header, cells = table_of(rows)
    lines = [header, ("---",) * len(header), *cells]
    table = [f"| {' | '.join(line)} |" for line in lines]
    below = [f"- {note}" for note in (*footnotes(rows), *notes)]
    return "\n".join([f"## {title}", "", *table, "", *below, ""])


def print_rows(title: str, rows: Sequence[Row]) -> None:
    """A table of the metrics that the rows have."""
    header, cells = table_of(rows)
    print_table(title, header, cells, text_columns=3)
    for note in footnotes(rows):
        print(note)


def footnotes(rows: Sequence[Row]) -> list[str]:
    """What the marks in the table mean."""
    return [f"{MARK.strip()} {note}." for note in dict.fromkeys(r.note for r in rows if r.note)]


def table_of(rows: Sequence[Row]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Titles of the columns that the rows have values for, and the cells."""
    used = [name for name in COLUMNS if any(row.values.get(name) is not None for row in rows)]
    header = ("volume", "condition", "method", *[COLUMNS[name][0] for name in used])
    cells = [
        (
            row.subject,
            row.condition + (MARK if row.note else ""),
            row.method,
            *[number_text(row.values.get(name), COLUMNS[name][1]) for name in used],
        )
        for row in rows
    ]
    return header, cells
