"""What CMake installs is a working module: configured and installed with a stub of Slicer."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from Testing.fresh_python import printed

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTED = "lib/Slicer/qt-scripted-modules"

# Keeps the path of each file, as Slicer's macro does.
STUB = r"""
set(Slicer_VERSION "@VERSION@")
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/Use.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/Use.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/Use.cmake")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "lib/Slicer/qt-scripted-modules")
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS OR NOT MY_NAME OR NOT MY_SCRIPTS)
    message(FATAL_ERROR "Bad call for '${MY_NAME}': ${MY_UNPARSED_ARGUMENTS}")
  endif()
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      message(FATAL_ERROR "No such file: ${file}")
    endif()
    get_filename_component(folder "${file}" DIRECTORY)
    install(FILES "${CMAKE_CURRENT_SOURCE_DIR}/${file}"
      DESTINATION "${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/${folder}")
  endforeach()
endfunction()
function(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  # Slicer takes a script's folder as it is given: without one it is that of the CMakeLists.txt.
  get_filename_component(folder "${MY_SCRIPT}" PATH)
  if("${folder}" STREQUAL "")
    set(folder "${CMAKE_CURRENT_SOURCE_DIR}")
  endif()
  get_filename_component(name "${MY_SCRIPT}" NAME)
  if(MY_UNPARSED_ARGUMENTS OR NOT IS_ABSOLUTE "${folder}" OR NOT EXISTS "${folder}/${name}")
    message(FATAL_ERROR "No such test: ${MY_SCRIPT}")
  endif()
  message(STATUS "test: ${MY_SCRIPT}")
endfunction()
"""

ASK = """
from MedEnhanceLib.catalog import Catalog
from MedEnhanceLib.resources import models_folder, sample_folder
import MedEnhanceLib
catalog = Catalog.default()
print("library:", MedEnhanceLib.__file__)
print("models:", models_folder())
print("samples:", len(list(sample_folder().glob("*.nii.gz"))))
print("tasks:", *sorted({str(model.task) for model in catalog.entries if model.is_trained}))
print("problems:", len(catalog.problems))
"""


def configure(folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    """Run CMake with a stub of this version of Slicer."""
    (folder / "Use.cmake").write_text("")
    (folder / "SlicerConfig.cmake").write_text(STUB.replace("@VERSION@", version))
    source = ["cmake", "-S", str(REPOSITORY), "-B", str(folder / "build")]
    options = [f"-DSlicer_DIR={folder}", "-DBUILD_TESTING=ON"]
    return subprocess.run([*source, *options], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of scripted modules, and what CMake said."""
    if not shutil.which("cmake") or not shutil.which("cc"):
        pytest.skip("needs CMake and a C compiler")
    folder = tmp_path_factory.mktemp("cmake")
    said = configure(folder, "5.10")
    assert said.returncode == 0, said.stderr
    install = ["cmake", "--install", str(folder / "build"), "--prefix", str(folder / "installed")]
    subprocess.run(install, capture_output=True, check=True)
    return folder / "installed" / SCRIPTED, said.stdout


def test_module_library_and_resources_stand_side_by_side(installed: tuple[Path, str]) -> None:
    folder, _said = installed
    for name in (
        "MedEnhance.py",
        "MedEnhanceSlicer/bridge.py",
        "MedEnhanceLib/worker/__main__.py",
        "Resources/UI/MedEnhance.ui",
        "Resources/Icons/MedEnhance.png",
    ):
        assert (folder / name).is_file(), name
    scripts = [path.name for path in folder.glob("*.py")]
    assert scripts == ["MedEnhance.py"], "Slicer takes every script here for a module"


def test_the_installed_library_finds_its_models(installed: tuple[Path, str]) -> None:
    folder, _said = installed
    found = printed(ASK, folder)
    assert Path(found["library"]).is_relative_to(folder.resolve())
    assert Path(found["models"]) == folder.resolve() / "Resources" / "Models"
    assert found["tasks"] == "denoise segment super-resolution"
    assert int(found["samples"]) > 0
    assert found["problems"] == "0"


def test_ctest_gets_the_self_test(installed: tuple[Path, str]) -> None:
    _folder, said = installed
    assert "test: MedEnhance.py" in said
    assert f"test: {REPOSITORY / 'Testing/slicer/MedEnhanceMRMLTest.py'}" in said


def test_an_older_slicer_is_refused(installed: tuple[Path, str], tmp_path: Path) -> None:
    said = configure(tmp_path, "5.8")
    assert said.returncode != 0
    assert "needs the Python of Slicer 5.10" in " ".join(said.stderr.split())
