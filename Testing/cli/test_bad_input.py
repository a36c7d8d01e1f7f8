"""Bad input: one sentence, exit code 1, no file left behind, and the input untouched."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from typer.testing import Result

from MedEnhanceLib.resources import sample_folder
from Testing.cli.conftest import Run, scan
from Testing.lib.conftest import denoiser_bundle

NOISE = np.random.default_rng(0)


def _write(path: Path, voxels: np.ndarray, vector: bool = False, **header: object) -> Path:
    image = sitk.GetImageFromArray(voxels, isVector=vector)
    if "spacing" in header:
        image.SetSpacing(header["spacing"])
    sitk.WriteImage(image, str(path))
    return path


def _with_nan(path: Path) -> Path:
    voxels = scan().voxels.astype(np.float32)
    voxels[3, 4, 5], voxels[3, 4, 6] = np.nan, np.inf
    return _write(path, voxels)


def _truncated(path: Path) -> Path:
    _write(path, scan().voxels)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def _labels(path: Path) -> Path:
    voxels = np.zeros((12, 20, 24), np.uint8)
    voxels[3:9, 4:16, 5:12], voxels[3:9, 4:16, 12:20] = 1, 2
    return _write(path, voxels)


def _text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


BAD_INPUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "colour": (
        lambda p: _write(p / "a.nii", NOISE.integers(0, 9, (6, 7, 8, 3), np.uint8), True),
        "colour",
    ),
    "vector": (
        lambda p: _write(p / "a.nrrd", NOISE.random((6, 7, 8, 2), np.float32), True),
        "2 numbers per voxel",
    ),
    "empty file": (lambda p: _text(p / "a.nii.gz", ""), "empty file"),
    "not a number": (lambda p: _with_nan(p / "a.nii"), "NaN"),
    "constant": (
        lambda p: _write(p / "a.nii", np.full((6, 7, 8), 7, np.int16)),
        "All voxels have the value 7",
    ),
    "one line of voxels": (
        lambda p: _write(p / "a.nii", NOISE.integers(0, 99, (1, 1, 40), np.uint8)),
        "(40, 1, 1)",
    ),
    "two axes": (
        lambda p: _write(p / "a.mha", NOISE.integers(0, 99, (20, 30), np.uint8)),
        "2D image of 30 x 20",
    ),
    "four axes": (
        lambda p: _write(p / "a.nii", NOISE.integers(0, 99, (3, 6, 7, 8), np.int16)),
        "4D series of 3 volumes",
    ),
    "huge spacing": (
        lambda p: _write(p / "a.mha", scan().voxels, spacing=(1.0, 1.0, 5000.0)),
        "5000",
    ),
    "unknown extension": (lambda p: _text(p / "a.xyz", "words"), "'.xyz'"),
    "truncated": (lambda p: _truncated(p / "a.nii"), "a.nii"),
    "rubbish": (lambda p: _text(p / "a.nrrd", "no header at all"), "a.nrrd"),
    "missing": (lambda p: p / "a.nii", "does not exist"),
    "folder without images": (lambda p: _text(p / "notes.txt", "words").parent, "no DICOM"),
    "labels": (lambda p: _labels(p / "a.nii"), "looks like a segmentation"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_volumes(run: Run, tmp_path: Path, name: str) -> None:
    make, said = BAD_INPUTS[name]
    source_folder, target_folder = tmp_path / "in", tmp_path / "out"
    source_folder.mkdir()
    target_folder.mkdir()
    source = make(source_folder)
    before = _contents(source_folder)
    done = run("denoise", source, target_folder / "o.nii", "--report", target_folder / "o.json")
    _refused(done, said)
    assert _contents(source_folder) == before
    assert list(target_folder.iterdir()) == []


BAD_OUTPUTS = {
    "unknown extension": ("o.xyz", [], "'.xyz'"),
    "no extension": ("o", [], "no extension"),
    "dicom": ("o.dcm", [], "'.dcm'"),
    "segmentation's name": ("o.seg.nrrd", [], "segmentation's name"),
    "missing folder": ("nowhere/o.nii", [], "does not exist"),
    "a folder": (".", [], "is a folder"),
    "the input": ("scan.nii.gz", [], "never written over"),
    "the input by another way": ("../{here}/scan.nii.gz", [], "never written over"),
    "removed into the input": ("o.nii", ["--removed", "scan.nii.gz"], "never written over"),
    "twice the same": ("o.nii", ["--removed", "o.nii"], "two outputs"),
    "report of another kind": ("o.nii", ["--report", "o.txt"], "*.json"),
    "report in a missing folder": ("o.nii", ["--report", "nowhere/o.json"], "does not exist"),
}


@pytest.mark.parametrize("name", BAD_OUTPUTS)
def test_bad_outputs(
    run: Run, volume_file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    output, more, said = BAD_OUTPUTS[name]
    folder = volume_file.parent
    monkeypatch.chdir(folder)
    before = _contents(folder)
    output = output.replace("{here}", folder.name)
    _refused(run("denoise", "scan.nii.gz", output, "--model", "filter-median", *more), said)
    assert _contents(folder) == before


def test_voxels_of_an_input_that_was_renamed(run: Run, tmp_path: Path) -> None:
    """The header says where they are; its own name does not."""
    _write(tmp_path / "scan.nhdr", scan().voxels)
    (tmp_path / "scan.nhdr").rename(tmp_path / "renamed.nhdr")
    before = _contents(tmp_path)
    arguments = ("denoise", tmp_path / "renamed.nhdr")
    done = run(*arguments, tmp_path / "scan.nhdr", "--model", "filter-median")
    _refused(done, "would write over the voxels of the input 'renamed.nhdr'")
    assert _contents(tmp_path) == before
    assert run(*arguments, tmp_path / "o.nhdr", "--model", "filter-median").exit_code == 0


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode elsewhere")
def test_names_that_are_no_unicode(run: Run, volume_file: Path) -> None:
    """They would end the program inside of ITK."""
    odd = volume_file.with_name(os.fsdecode(b"caf\xe9.nii.gz"))
    _refused(run("denoise", volume_file, odd, "--model", "filter-median"), "Unicode")
    volume_file.rename(odd)
    done = run("denoise", odd, volume_file.with_name("o.nii"), "--model", "filter-median")
    _refused(done, "Unicode")


def test_a_series_of_what_is_no_dicom(run: Run, volume_file: Path) -> None:
    out = volume_file.with_name("o.nii")
    done = run("denoise", volume_file, out, "--model", "filter-median", "--series", "5")
    _refused(done, "no series '5'")
    assert not out.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="names are shorter there")
def test_names_that_are_too_long(run: Run, volume_file: Path) -> None:
    long = f"{'x' * 300}.nii.gz"
    out = volume_file.with_name(long)
    _refused(run("denoise", volume_file, out, "--model", "filter-median"), "no possible name")
    done = run("denoise", out, volume_file.with_name("o.nii"), "--model", "filter-median")
    _refused(done, "no possible name")


BAD_OPTIONS = {
    "unknown model": (["--model", "best-of-all"], "no model 'best-of-all'"),
    "model of another task": (["--model", "filter-bspline"], "super-resolution"),
    "noise in words": (["--noise", "much"], "'much'"),
    "no noise": (["--noise", "0"], "'0'"),
    "strength": (["--strength", "1.5"], "1.5"),
    "device": (["--device", "tpu"], "'tpu'"),
    "precision": (["--precision", "int4"], "'int4'"),
    "tile": (["--tile", "2"], "2"),
    "folder of models": (["--models", "nowhere"], "'nowhere' does not exist"),
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_bad_options(run: Run, volume_file: Path, name: str) -> None:
    options, said = BAD_OPTIONS[name]
    before = _contents(volume_file.parent)
    _refused(run("denoise", volume_file, volume_file.with_name("o.nii"), *options), said)
    assert _contents(volume_file.parent) == before


def test_a_device_that_does_not_compute(run: Run, volume_file: Path) -> None:
    done = run(
        "denoise", volume_file, volume_file.with_name("o.nii"), "--model", "mr-denoise-residual",
        "--device", "cuda:63",
    )  # fmt: skip
    _refused(done, "'cuda:63' cannot be used")
    assert _contents(volume_file.parent).keys() == {"scan.nii.gz"}


def test_super_resolution_with_nothing_to_do(run: Run, volume_file: Path) -> None:
    done = run("super-resolution", volume_file, volume_file.with_name("o.nii"), "--factor", 1, 1, 1)
    _refused(done, "nothing to refine")


def test_super_resolution_with_spacing_and_factor(run: Run, volume_file: Path) -> None:
    done = run(
        "super-resolution", volume_file, volume_file.with_name("o.nii"), "--factor", 1, 1, 2,
        "--spacing", 1, 1, 1,
    )  # fmt: skip
    _refused(done, "not both")


def test_a_label_that_the_model_lacks(run: Run, volume_file: Path) -> None:
    out = volume_file.with_name("o.nii")
    done = run("segment", volume_file, out, "--model", "filter-otsu", "--labels", "1,9")
    _refused(done, "no label 9")


def test_a_volume_beyond_what_the_model_was_made_for(run: Run, tmp_path: Path) -> None:
    done = run("segment", sample_folder() / "mr_head_t1.nii.gz", tmp_path / "o.nii")
    _refused(done, "171 x 216 x 16 mm")
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights(run: Run, volume_file: Path, tmp_path: Path) -> None:
    bundle = denoiser_bundle(tmp_path / "models", "tampered")
    weights = bundle / "models" / "model.pt"
    weights.write_bytes(weights.read_bytes() + b"more")
    done = run(
        "denoise", volume_file, volume_file.with_name("o.nii"), "--models", bundle.parent,
        "--model", "tampered",
    )  # fmt: skip
    _refused(done, "install the model again")
    assert not volume_file.with_name("o.nii").exists()


def test_a_bundle_with_missing_files_is_said_and_left_out(
    run: Run, volume_file: Path, tmp_path: Path
) -> None:
    bundle = denoiser_bundle(tmp_path / "models", "halved")
    (bundle / "models" / "model.pt").unlink()
    done = run(
        "denoise", volume_file, volume_file.with_name("o.nii"), "--models", bundle.parent,
        "--model", "halved",
    )  # fmt: skip
    assert done.exit_code == 1
    warning, refusal = done.stderr.strip().splitlines()
    assert "lacks its weights" in warning and "no model 'halved'" in refusal


@pytest.mark.skipif(
    sys.platform == "win32" or getattr(os, "geteuid", lambda: 1)() == 0,
    reason="permissions bind neither root nor Windows this way",
)
def test_a_folder_without_permission(run: Run, volume_file: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o500)
    done = run("denoise", volume_file, locked / "o.nii", "--model", "filter-median")
    _refused(done, "cannot be written")


def test_an_unwritable_place_is_told_before_the_work(
    run: Run, volume_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("MedEnhanceLib.private.tempfile.mkdtemp", refuse)
    monkeypatch.setattr("MedEnhanceLib.io.reading.read_volume", None)
    _refused(run("denoise", volume_file, volume_file.with_name("o.nii")), "Permission denied")


def test_when_the_last_of_three_files_fails_none_is_left(
    run: Run, volume_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _contents(volume_file.parent)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    done = run(
        "denoise", volume_file, volume_file.with_name("o.nii"), "--model", "filter-median",
        "--removed", volume_file.with_name("r.nii"), "--report", volume_file.with_name("o.json"),
    )  # fmt: skip
    _refused(done, "No space left on device")
    monkeypatch.undo()
    assert _contents(volume_file.parent) == before


def test_a_full_disk_is_told_of_the_file_that_was_named(
    run: Run, volume_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    out = volume_file.with_name("o.nii")
    monkeypatch.setattr("MedEnhanceLib.io.writing.os.fsync", full)
    monkeypatch.setattr("MedEnhanceLib.io.writing._free_bytes", lambda folder: 0)
    done = run("denoise", volume_file, out, "--model", "filter-median")
    _refused(done, f"'{out}' cannot be written: the disk is full (0 MB free, up to 0.")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_outputs_follow_links_and_replace_no_pipes(run: Run, volume_file: Path) -> None:
    link, target, pipe = (volume_file.with_name(name) for name in ("l.json", "t.json", "p.json"))
    out = volume_file.with_name("out.nii")
    target.touch()
    link.symlink_to(target)
    done = run("denoise", volume_file, out, "--model", "filter-median", "--report", link)
    assert done.exit_code == 0 and link.is_symlink() and "evidence" in target.read_text()
    os.mkfifo(pipe)
    done = run("denoise", volume_file, out, "--model", "filter-median", "--report", pipe)
    assert done.exit_code == 1 and "no ordinary file" in done.stderr and pipe.is_fifo()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_in_a_circle(run: Run, volume_file: Path) -> None:
    circle = volume_file.with_name("circle.nii")
    circle.symlink_to(circle)
    out = volume_file.with_name("o.nii")
    _refused(run("denoise", circle, out, "--model", "filter-median"), "circle.nii' does not exist")


def test_the_unexpected_is_one_sentence_with_a_hint(
    run: Run, volume_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("MedEnhanceLib.enhancement.enhance", broken)
    arguments = ("denoise", volume_file, volume_file.with_name("o.nii"), "--model", "filter-median")
    done = run(*arguments)
    _refused(done, "--debug")
    assert "Traceback" not in done.stderr
    assert "Traceback" in run("--debug", *arguments).stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "The computer ran out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "The computer ran out of memory"),
        (SystemError("error return without exception set"), "as it does when memory is short"),
        (ImportError("x.so: failed to map segment from shared object"), "when memory is short"),
    ],
)
def test_short_memory_is_no_fault_to_report(
    run: Run, volume_file: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def short(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("MedEnhanceLib.enhancement.enhance", short)
    out = volume_file.with_name("o.nii")
    _refused(run("denoise", volume_file, out, "--model", "filter-median"), said)


def test_a_command_that_cannot_be_understood(run: Run, volume_file: Path) -> None:
    assert run("denoise", volume_file).exit_code == 2
    assert run("sharpen", volume_file).exit_code == 2
    assert run("super-resolution", volume_file, "o.nii", "--factor", "1", "1").exit_code == 2


def _refused(done: Result, said: str) -> None:
    assert done.exit_code == 1, done.output
    lines = [line for line in done.stderr.strip().splitlines() if "chosen for" not in line]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("medenhance: ") and lines[0].endswith(".")
    assert said in lines[0]


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
