"""Importing bundles: good ones arrive whole, bad ones leave nothing behind."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest

from MedEnhanceLib import Catalog, MedEnhanceError, Volume, enhance
from MedEnhanceLib.catalog import user_folder
from MedEnhanceLib.errors import BundleError, FileError
from MedEnhanceLib.importing import copying, import_bundle

from .conftest import denoiser_bundle


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the user's models."""
    monkeypatch.setenv("MEDENHANCE_MODELS", str(tmp_path / "user"))
    return user_folder()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return denoiser_bundle(tmp_path / "elsewhere")


def zipped(folder: Path, archive: Path, top: str = "") -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                packed.write(file, Path(top) / file.relative_to(folder))
    return archive


def refused(source: Path, user: Path, words: str, **more: bool) -> None:
    """Importing fails with these words in one sentence, and changes nothing."""
    before = sorted(user.rglob("*")) if user.exists() else None
    with pytest.raises(MedEnhanceError, match=words) as caught:
        import_bundle(source, **more)
    assert "\n" not in str(caught.value)
    assert (sorted(user.rglob("*")) if user.exists() else None) == before


def test_a_folder_is_imported_and_runs(bundle: Path, user: Path, head: Volume) -> None:
    imported = import_bundle(bundle)
    assert (imported.id, imported.folder) == ("tiny-denoiser", user / "tiny-denoiser")
    assert not imported.trusted and not imported.shipped
    assert [path.name for path in user.iterdir()] == ["tiny-denoiser"]
    shutil.rmtree(bundle)
    result = enhance(head, "denoise", "tiny-denoiser", catalog=Catalog.default())
    assert np.isfinite(result.output.voxels).all()


@pytest.mark.parametrize("top", ["", "folder of any name"])
def test_a_zip_is_imported(bundle: Path, user: Path, tmp_path: Path, top: str) -> None:
    archive = zipped(bundle, tmp_path / "a.zip", top)
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("__MACOSX/._x", "what a Mac adds")
    imported = import_bundle(archive)
    assert imported.folder == user / "tiny-denoiser"
    assert imported.weights.read_bytes() == (bundle / "models" / "model.pt").read_bytes()
    assert sorted(path.name for path in imported.folder.iterdir()) == ["configs", "models"]


def test_into_another_folder(bundle: Path, user: Path, tmp_path: Path) -> None:
    assert import_bundle(bundle, tmp_path / "other").folder.parent == tmp_path / "other"
    assert not user.exists()


def test_a_bundle_without_an_id_is_called_like_its_folder(
    tmp_path: Path, user: Path, bundle: Path
) -> None:
    text = (bundle / "configs" / "metadata.json").read_text()
    (bundle / "configs" / "metadata.json").write_text(text.replace('"id"', '"was"'))
    archive = zipped(bundle, tmp_path / "x.zip", "from_the_zoo")
    assert import_bundle(archive).id == "from_the_zoo"


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "a/../../outside",
        "/medenhance-outside",
        "C:\\outside",
        "..\\outside",
        "a\nb",
        "//x",
    ],
)
def test_names_that_leave_the_folder_are_refused(
    bundle: Path, user: Path, tmp_path: Path, name: str
) -> None:
    archive = zipped(bundle, tmp_path / "a.zip")
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr(name, "x")
    refused(archive, user, "refused")
    assert not (tmp_path / "outside").exists() and not Path("/medenhance-outside").exists()


@pytest.mark.parametrize(
    ("kind", "word"),
    [(stat.S_IFLNK, "a link"), (stat.S_IFCHR, "a device"), (stat.S_IFIFO, "a dev")],
)
def test_links_and_devices_in_archives_are_refused(
    bundle: Path, user: Path, tmp_path: Path, kind: int, word: str
) -> None:
    archive = zipped(bundle, tmp_path / "a.zip")
    entry = zipfile.ZipInfo("models/extra")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr(entry, "/etc/passwd")
    refused(archive, user, word)


def test_links_and_pipes_in_folders_are_refused(bundle: Path, user: Path) -> None:
    link = bundle / "docs"
    link.symlink_to(bundle.parent)
    refused(bundle, user, "a link")
    link.unlink()
    os.mkfifo(link)
    refused(bundle, user, "a device")


def test_zip_bombs_are_refused_before_they_unpack(
    bundle: Path, user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "NEVER_A_BOMB", 1 << 20)
    archive = zipped(bundle, tmp_path / "a.zip")
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("docs/zeros", bytes(20 << 20))
    monkeypatch.setattr(copying, "_write", None)
    refused(archive, user, "no model does")


@pytest.mark.parametrize(("limit", "value"), [("MOST_FILES", 2), ("MOST_BYTES", 500)])
def test_too_much_is_refused(
    bundle: Path,
    user: Path,
    tmp_path: Path,
    limit: str,
    value: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(copying, limit, value)
    refused(bundle, user, "no model needs")
    refused(zipped(bundle, tmp_path / "a.zip"), user, "no model needs")


def test_a_name_given_twice_is_refused(bundle: Path, user: Path, tmp_path: Path) -> None:
    archive = zipped(bundle, tmp_path / "a.zip")
    with zipfile.ZipFile(archive, "a") as packed:
        packed.writestr("MODELS/model.pt", "another")
    refused(archive, user, "twice")


def test_damaged_archives_are_one_sentence(bundle: Path, user: Path, tmp_path: Path) -> None:
    """Cut short, or with bytes changed anywhere: refused, or imported whole."""
    whole = zipped(bundle, tmp_path / "a.zip").read_bytes()
    archive = tmp_path / "b.zip"
    for length in (0, 10, len(whole) // 2, len(whole) - 5):
        archive.write_bytes(whole[:length])
        refused(archive, user, "no intact zip")
    rng = np.random.default_rng(0)
    survived = 0
    for _ in range(40):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(len(damaged), size=3)] = rng.integers(256, size=3)
        archive.write_bytes(damaged.tobytes())
        try:
            import_bundle(archive, replace=True)
            survived += 1
        except MedEnhanceError:
            pass
        assert not user.exists() or len(list(user.iterdir())) == 1
    assert survived < 25


def test_what_is_no_bundle_is_refused(user: Path, tmp_path: Path, bundle: Path) -> None:
    refused(tmp_path / "nothing", user, "does not exist")
    refused(tmp_path, user, "no MONAI bundle")
    two = zipped(bundle, tmp_path / "two.zip", "a")
    with zipfile.ZipFile(two, "a") as packed:
        packed.write(bundle / "configs" / "metadata.json", "b/configs/metadata.json")
    refused(two, user, "more than one")
    (bundle / "configs" / "inference.json").unlink()
    refused(bundle, user, "inference.json")


def test_wrong_weights_are_refused(bundle: Path, user: Path) -> None:
    with (bundle / "models" / "model.pt").open("ab") as file:
        file.write(b"x")
    refused(bundle, user, "damaged or was changed")


def test_a_name_that_is_taken(bundle: Path, user: Path, tmp_path: Path) -> None:
    import_bundle(bundle)
    refused(bundle, user, "already.*--replace")
    other = denoiser_bundle(tmp_path / "elsewhere", "other", id="tiny-denoiser", version="2")
    refused(other, user, "already")
    assert import_bundle(other, replace=True).folder == user / "tiny-denoiser"
    assert [path.name for path in user.iterdir()] == ["tiny-denoiser"]


def test_a_name_in_another_guise_gains_no_trust(bundle: Path, user: Path, tmp_path: Path) -> None:
    """Trust is given by id or folder; neither may be had by choosing a clever name."""
    user.mkdir()
    shutil.copytree(bundle, user / "kept-elsewhere")
    clever = denoiser_bundle(tmp_path / "clever", "tiny-denoiser", id="another")
    assert import_bundle(clever).folder.name == "another"
    shutil.move(user / "another", user / "occupied")
    refused(denoiser_bundle(tmp_path / "again", "x", id="occupied"), user, "already")


@pytest.mark.parametrize("name", ["filter-median", "mr-denoise-residual", "auto"])
def test_names_of_what_came_along_are_refused(tmp_path: Path, user: Path, name: str) -> None:
    refused(denoiser_bundle(tmp_path, "mine", id=name), user, "came with", replace=True)


def test_when_replacing_fails_the_old_model_stays(
    bundle: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_bundle(bundle)
    real = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == "tiny-denoiser" and ".replaced" not in str(source):
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(FileError, match="No space left"):
        import_bundle(bundle, replace=True)
    assert [path.name for path in user.iterdir()] == ["tiny-denoiser"]


def test_a_model_that_a_killed_import_left_aside_is_told(bundle: Path, user: Path) -> None:
    import_bundle(bundle)
    os.replace(user / "tiny-denoiser", user / ".replaced-tiny-denoiser")
    (problem,) = Catalog.default().problems
    assert "'tiny-denoiser'" in problem and "import it again, or rename" in problem
    import_bundle(bundle, replace=True)
    assert not Catalog.default().problems


def test_what_an_import_that_was_killed_after_replacing_left_aside_goes(
    bundle: Path, user: Path
) -> None:
    import_bundle(bundle)
    shutil.copytree(user / "tiny-denoiser", user / ".replaced-tiny-denoiser")
    import_bundle(bundle, replace=True)
    assert [path.name for path in user.iterdir()] == ["tiny-denoiser"]


def test_a_folder_where_nothing_can_be_kept(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileError, match="cannot be kept"):
        import_bundle(bundle, tmp_path / "file")


@pytest.mark.parametrize("odd", ["", "a\x1b[31m", "x" * 99])
def test_an_id_that_is_no_name(tmp_path: Path, user: Path, odd: str) -> None:
    with pytest.raises(BundleError, match="no name"):
        import_bundle(denoiser_bundle(tmp_path, "fine", id=odd))
