"""The folder of a run: its checkpoint, its best weights, its curve, its TensorBoard events."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter

from MedEnhanceLib.errors import FileError
from training.whole_files import told_when_unwritten, written_whole

State = dict[str, Any]
ELSEWHERE = "another folder with --runs"


class RunFolder:
    """Everything a run leaves on disk.

    ``checkpoint.pt`` lets it go on, ``best.pt`` holds the weights to be published, ``curve.csv``
    and the TensorBoard events hold one row for each validation.
    """

    def __init__(self, path: Path) -> None:
        with told_when_unwritten(f"'{path}'", ELSEWHERE):
            path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._log: SummaryWriter | None = None

    @property
    def has_checkpoint(self) -> bool:
        return (self.path / "checkpoint.pt").exists()

    def read_checkpoint(self, device: torch.device) -> State:
        path = self.path / "checkpoint.pt"
        try:
            state: State = torch.load(path, map_location=device, weights_only=True)
        except Exception as error:  # what is no pickle any more fails in any way
            raise FileError(
                f"'{path}' is damaged ({type(error).__name__}); remove it, and the run begins anew."
            ) from error
        return state

    def write_checkpoint(self, state: State) -> None:
        write_weights(state, self.path / "checkpoint.pt")

    def write_best(self, weights: State) -> None:
        write_weights(weights, self.path / "best.pt")

    def forget_after(self, step: int) -> None:
        """Take out of the curve what a run that was stopped had told of steps it makes again."""
        path = self.path / "curve.csv"
        if not path.exists():
            return
        with path.open(newline="", encoding="utf-8") as file:
            heading, *rows = [*csv.reader(file)] or [[]]
        if not heading:
            path.unlink()
            return
        kept = [row for row in rows if int(row[0]) <= step]
        with (
            written_whole(path) as partial,
            partial.open("w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file).writerows([heading, *kept])

    def report(
        self, step: int, seconds: float, losses: dict[str, float], measures: dict[str, float]
    ) -> None:
        """Add a row to the curve, to TensorBoard and to what is printed."""
        row = {"step": step, "minutes": round(seconds / 60, 1)}
        row |= {name: round(value, 5) for name, value in losses.items()}
        row |= {name: round(value, 4) for name, value in measures.items()}
        append_row(self.path / "curve.csv", row)
        self._log = self._log or SummaryWriter(str(self.path))
        for name, value in losses.items():
            self._log.add_scalar(name, value, step)
        for name, value in measures.items():
            self._log.add_scalar(f"validation/{name}", value, step)
        self._log.flush()
        print(json.dumps(row), flush=True)

    def close(self) -> None:
        """Close the TensorBoard events."""
        if self._log is not None:
            self._log.close()
            self._log = None


def append_row(path: Path, row: dict[str, float]) -> None:
    """Add a row to a CSV file, with a heading when the file is new.

    Raises:
        FileError: when the file has other columns.
    """
    new = not path.exists()
    if not new and path.read_text(encoding="utf-8").splitlines()[0] != ",".join(row):
        raise FileError(
            f"'{path}' has other columns than this run ({', '.join(row)}); begin another run with "
            "--runs."
        )
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def write_weights(state: State, path: Path) -> None:
    """Weights, and whatever else torch can save; whole or not at all."""
    with told_when_unwritten(f"'{path}'", ELSEWHERE), written_whole(path) as partial:
        torch.save(state, partial)
