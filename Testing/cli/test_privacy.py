"""Who the patient is stands in the input only: in no file, no name, no sentence and no log."""

from __future__ import annotations

import gzip
import re
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib import MedEnhanceError, read_volume, write_image
from MedEnhanceLib.io import list_series
from MedEnhanceLib.worker import Worker
from Testing.lib.dicom_files import MR_IMAGE, write_series

from .conftest import Run, scan

SECRETS = {
    "0010|0010": "ZZQUARTZ^Yolanda^Xenia",
    "0010|0020": "PID-7788-99",
    "0010|0030": "19531107",
    "0010|4000": "Comment Marmalade",
    "0008|0020": "20210403",
    "0008|0021": "20210404",
    "0008|0022": "20210405",
    "0008|0030": "112233.445566",
    "0008|0050": "ACC5566778",
    "0008|0080": "Hospital Borogove",
    "0008|0090": "Dr^Jabberwock",
    "0008|1030": "Study of Zzquartz",
    "0008|1070": "Operator^Mimsy",
    "0020|0010": "STUDY4433",
}
NAMES = ("zzquartz", "yolanda", "xenia", "borogove", "jabberwock", "mimsy", "marmalade")
DATES = ("19531107", "20210403", "20210404", "20210405", "112233")
MARKS = (*NAMES, *DATES, "pid-7788", "7788-99", "acc5566778", "study4433")


@pytest.fixture
def series(tmp_path: Path) -> Path:
    kind = {"0008|0060": "MR", "0008|0016": MR_IMAGE}
    told = {"0008|103e": "T1 of Zzquartz Yolanda, PID-7788-99, born 19531107"}
    folder = tmp_path / "series"
    write_series(folder, scan().voxels, tags={**kind, **SECRETS, **told})
    return folder


def check(text: str | bytes, where: str) -> None:
    """Fail when a mark stands in it, in whatever case, or inside of compressed parts."""
    raw = text.encode() if isinstance(text, str) else text
    parts = [
        raw,
        *(_inflated(raw[found.start() :]) for found in re.finditer(b"x[\x01\x9c\xda]", raw)),
    ]
    if raw[:2] == b"\x1f\x8b":
        parts.append(gzip.decompress(raw))
    for part in parts:
        found = [mark for mark in MARKS if mark.encode() in part.lower()]
        assert not found, f"{found} in {where}"


def _inflated(raw: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(raw)
    except zlib.error:
        return b""


def test_the_marks_would_be_found(series: Path) -> None:
    for content in (
        b"x Zzquartz",
        gzip.compress(b"Zzquartz"),
        b"%PDF" + zlib.compress(b"Zzquartz"),
    ):
        with pytest.raises(AssertionError, match="zzquartz"):
            check(content, "a test")
    raw = next(series.iterdir()).read_bytes().lower()
    assert all(mark.encode() in raw for mark in MARKS)


@pytest.mark.parametrize("command", ["denoise", "super-resolution"])
def test_nothing_that_is_written_or_said_tells(
    run: Run, series: Path, tmp_path: Path, command: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    model = {"denoise": "filter-median", "super-resolution": "filter-bspline"}[command]
    for extension, report in ((".nrrd", ".json"), (".nii.gz", ".html"), (".mha", ".pdf")):
        done = run(
            command, series, out / f"x{extension}", "--model", model, "--report", out / f"r{report}"
        )
        assert done.exit_code == 0, done.output
        check(done.output, "what is said")
    written = [path for path in out.iterdir()]
    assert len(written) == 6
    for path in written:
        check(path.read_bytes(), path.name)
        check(path.name, "a name")


def test_an_evaluation_does_not_tell(run: Run, tmp_path: Path) -> None:
    """Files are often called after their patients; rows are only numbered."""
    image, mask = (tmp_path / f"Zzquartz_19531107_{kind}.nii" for kind in ("t1", "mask"))
    write_image(scan(), image)
    write_image(scan().with_voxels((scan().voxels > 100).astype(np.uint8)), mask)
    for command in (
        ("denoise", image, "--noise", 9, "--model", "filter-median"),
        ("super-resolution", image, "--model", "filter-bspline"),
        ("segment", image, "--reference", mask, "--model", "filter-otsu"),
    ):
        out = tmp_path / str(command[0])
        out.mkdir()
        files = ("--report", out / "r.json", "--markdown", out / "r.md", "--picture", out / "r.png")
        done = run("evaluate", *command, *files)
        assert done.exit_code == 0, done.output
        assert f"volume 1 is '{image}'" in done.stderr
        check(done.stdout, "the table")
        for path in out.iterdir():
            check(path.read_bytes(), path.name)


def test_lists_and_errors_do_not_tell(run: Run, series: Path, tmp_path: Path) -> None:
    check(run("denoise", tmp_path / "series", "nowhere/x.nii").output, "an error")
    (found,) = list_series(series)
    assert "***" in str(found)
    check(str(found), "a list")
    files = sorted(series.iterdir())
    whole = files[3].read_bytes()
    faults = {
        "cut short": whole[: len(whole) // 2],
        "moved": whole.replace(b"300", b"777", 1),
        "missing": b"",
        "other size": whole.replace(b"US\x02\x00\x14", b"US\x02\x00\x15"),
    }
    sentences = 0
    for name, raw in faults.items():
        files[3].write_bytes(raw)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            try:
                read_volume(series)
            except MedEnhanceError as error:
                sentences += 1
                check(str(error), name)
        for warning in heard:
            check(str(warning.message), name)
        done = run("--debug", "denoise", series, tmp_path / "x.nii")
        check(done.output, f"the log of {name}")
    assert sentences >= 2


def test_the_worker_does_not_tell(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "temporary"
    private.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(private))
    seen: list[str] = []
    with Worker() as worker:
        for model in ("filter-median", "no-such-model"):
            worker.submit(read_volume(series), "denoise", model)
            while worker.busy:
                for event in worker.poll(0.05):
                    seen.append(repr(event) + event.message + event.details)
                    seen += [repr(event.result.provenance)] if event.result else []
                seen += [str(path) for path in private.rglob("*")]
        seen.append(worker._process.said())
    assert np.char.find(seen, "medenhance-worker").max() >= 0
    check("\n".join(seen), "what the worker says")
