"""Every script and resource is installed with the extension, and what is listed exists."""

from __future__ import annotations

import json
import re

import pytest

from Testing.repo.cmake_lists import LISTS, REPOSITORY, FileList, differences


def test_cmake_lists_every_file_and_no_other() -> None:
    found = differences()
    assert not found, "\n".join([*found, "Run: python -m Testing.repo.cmake_lists --write"])


@pytest.mark.parametrize("file_list", LISTS, ids=lambda entry: entry.name)
def test_lists_are_not_empty_and_name_nothing_twice(file_list: FileList) -> None:
    listed = file_list.listed()
    assert listed
    assert len(listed) == len(set(listed))


def test_paths_stay_inside_the_install_folder() -> None:
    paths = [path for file_list in LISTS for path in file_list.listed()]
    assert not [path for path in paths if path.startswith("/") or ".." in path.split("/")]


def test_module_and_library_do_not_overwrite_each_other() -> None:
    paths = [path for file_list in LISTS for path in file_list.listed()]
    assert len(paths) == len(set(paths))


def test_extension_metadata_is_complete() -> None:
    text = (REPOSITORY / "CMakeLists.txt").read_text("utf-8")
    values = dict(re.findall(r'set\(EXTENSION_(\w+) "([^"]+)"\)', text))
    assert {
        "HOMEPAGE",
        "CATEGORY",
        "CONTRIBUTORS",
        "DESCRIPTION",
        "ICONURL",
        "SCREENSHOTURLS",
        "DEPENDS",
    } <= set(values)
    entry = json.loads((REPOSITORY / "MedEnhance.json").read_text("utf-8"))
    assert entry["category"] == values["CATEGORY"]
    assert entry["build_dependencies"] == values["DEPENDS"].split()
    assert entry["scm_url"] == values["HOMEPAGE"] + ".git"


def test_icon_and_screenshot_are_where_the_urls_point() -> None:
    from PIL import Image

    text = (REPOSITORY / "CMakeLists.txt").read_text("utf-8")
    files = re.findall(r"SlicerMedEnhance/main/([\w./-]+)", text)
    assert len(files) == 4
    sizes = {name: Image.open(REPOSITORY / name).size for name in files}
    assert sizes["MedEnhance.png"] == (128, 128)
    assert all(min(size) >= 128 for size in sizes.values())
