"""``medenhance demo``: the three tasks on the sample volumes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from MedEnhanceLib.cli import choosing
from MedEnhanceLib.cli.failing import say
from MedEnhanceLib.cli.outputs import REPORT, Content, check_outputs, write_all
from MedEnhanceLib.cli.progress import shown_progress
from MedEnhanceLib.cli.scoreboard import print_rows
from MedEnhanceLib.cli.tables import console, print_evidence
from MedEnhanceLib.errors import FileError

if TYPE_CHECKING:
    from MedEnhanceLib.cli.stories import Story

REPORT_FILE = "report.json"


def demo(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the results go; made when missing.")
    ] = Path("out"),
    device: choosing.Device = "cpu",
    quiet: choosing.Quiet = False,
) -> None:
    """Denoise, refine and segment the sample volumes, and compare with what is known of them.

    Leaves the result volumes, a picture for each task and a report in the folder. Takes a minute
    or two, and no network.
    """
    started = time.monotonic()
    _open_folder(out)
    from MedEnhanceLib.catalog import Catalog
    from MedEnhanceLib.cli.stories import STORIES

    catalog = Catalog.default()
    report: dict[str, object] = {"intended_use": "Research use only, not for diagnosis."}
    written: list[Path] = []
    for name, tell in STORIES.items():
        with shown_progress(quiet) as progress:
            story = tell(catalog, device, progress)
        files: dict[Path, Content] = {out / file: data for file, data in story.files.items()}
        write_all(files)
        written += files
        report[name] = story.report()
        if not quiet:
            _print(story)
        for warning in story.result.warnings:
            say(f"warning: {warning}")
    write_all({out / REPORT_FILE: report})
    if not quiet:
        names = ", ".join(str(path) for path in [*written, out / REPORT_FILE])
        console().print(f"Written: {names}", markup=False, highlight=False)
        console().print(f"Done in {time.monotonic() - started:.0f} s.", highlight=False)


def _open_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"The folder '{out}' cannot be made ({error.strerror}); name another with --out."
        ) from error
    check_outputs({out / REPORT_FILE: REPORT}, [])


def _print(story: Story) -> None:
    print_evidence(story.title, story.result.evidence)
    print_rows("Measured against what is known", story.rows)
    console().print(story.note, style="dim", markup=False, highlight=False)
    console().print()
