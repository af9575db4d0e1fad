"""The extension's CMake files, configured and installed against stand-in macros: no file of either room is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).with_name("stand_in_cmake")
MODULES = Path("lib/qt-scripted-modules")
NEVER_INSTALLED = {"CMakeLists.txt", "TrainingCore.cmake"}


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess:
    """Run a command; what it printed is in the failure message."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(build tree, install tree) of the extension."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not installed on this machine")
    build, prefix = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("installed")
    run(cmake, "-S", ROOT, "-B", build, f"-DSlicer_DIR={STAND_INS}", "-DBUILD_TESTING=ON")
    run(cmake, "--install", build, "--prefix", prefix)
    return build, prefix


def files_below(folder: Path) -> set[str]:
    """Relative paths of every file that belongs to a source folder: git's where there is git, else all but caches."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        listed = run("git", "ls-files", ".", cwd=folder).stdout.splitlines()
        return {name for name in listed if (folder / name).exists()}
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in found}


def expected() -> set[str]:
    """What a user must find in the installed module folder."""
    module = {name for name in files_below(ROOT / "MyelinSynth") if name not in NEVER_INSTALLED}
    core = {f"TrainingCore/{name}" for name in files_below(ROOT / "TrainingCore")}
    models = {f"TrainingCore/Resources/models/{name}" for name in files_below(ROOT / "Resources" / "models")}
    return module | core | models


def present(tree: Path) -> set[str]:
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}


def test_everything_in_the_tree_is_installed_and_nothing_else(built: tuple[Path, Path]) -> None:
    installed = present(built[1] / MODULES)
    missing, strangers = expected() - installed, installed - expected()
    assert not missing, f"add to MyelinSynth/CMakeLists.txt or TrainingCore.cmake: {sorted(missing)}"
    assert not strangers, f"installed, but not under version control: {sorted(strangers)}"


def test_the_build_tree_is_complete_too(built: tuple[Path, Path]) -> None:
    assert expected() <= present(built[0] / MODULES)


def test_no_list_is_globbed() -> None:
    for name in ("CMakeLists.txt", "MyelinSynth/CMakeLists.txt", "MyelinSynth/TrainingCore.cmake"):
        assert "glob" not in (ROOT / name).read_text().lower().replace("never globbed", "")


def test_a_loose_script_beside_the_module_would_be_loaded_as_a_module() -> None:
    assert [path.name for path in (ROOT / "MyelinSynth").glob("*.py")] == ["MyelinSynth.py"]


def test_the_index_finds_what_it_wants(built: tuple[Path, Path]) -> None:
    lines = (built[0] / "extension.txt").read_text().splitlines()
    about = dict(line.split("=", 1) for line in lines)
    assert about["CATEGORY"] == "Image Synthesis"
    assert about["DEPENDS"] == "PyTorch"
    assert "not for diagnosis" in about["DESCRIPTION"]
    assert all(";" not in value and value for value in about.values())
    for key in ("LICENSE_FILE", "README_FILE"):
        assert Path(about[key]).is_file()
    for key in ("ICONURL", "SCREENSHOTURLS"):
        address = about[key]
        assert address.startswith("https://")
        assert address.endswith(".png")
        assert (ROOT / address.split("/main/", 1)[1]).is_file()


def test_the_entry_of_the_index_says_the_same(built: tuple[Path, Path]) -> None:
    entry = json.loads((ROOT / "MyelinSynth.json").read_text(encoding="utf-8"))
    lines = (built[0] / "extension.txt").read_text().splitlines()
    about = dict(line.split("=", 1) for line in lines)
    assert entry["category"] == about["CATEGORY"]
    assert entry["build_dependencies"] == about["DEPENDS"].split()
    assert entry["scm_url"] == about["HOMEPAGE"] + ".git"
    # check_git_repository_name and check_cmakelists_content of the Extensions Index
    assert entry["scm_url"].rsplit("/", 1)[1].startswith("Slicer"), (
        "a repository is called Slicer..., its extension not"
    )
    assert "project(MyelinSynth)" in (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert (ROOT / entry["build_subdirectory"] / "CMakeLists.txt").is_file()


@pytest.mark.parametrize("tree", [0, 1], ids=["build tree", "install tree"])
def test_the_command_and_its_model_work_from_where_they_are_installed(built: tuple[Path, Path], tree: int) -> None:
    code = "from TrainingCore.data.bundle import Bundle; print(Bundle.open('demonstration').path)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    options = {"cwd": built[tree] / MODULES, "env": environment | {"PYTHONDONTWRITEBYTECODE": "1"}}
    run(sys.executable, "-m", "TrainingCore.synthesize", "--help", **options)
    assert Path(run(sys.executable, "-c", code, **options).stdout.strip()).is_relative_to(built[tree])
