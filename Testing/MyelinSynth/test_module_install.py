"""Installing what is missing and asking for GPUs: in child processes, after a question, without freezing anything."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
if os.name == "nt":
    pytest.skip("the stand-in interpreter is a POSIX script", allow_module_level=True)

import slicer
from MyelinSynthLib.errors import SynthesisError
from MyelinSynthLib.run import childprocess, devices, install
from MyelinSynthLib.run.childprocess import State, Step
from MyelinSynthLib.run.devices import DeviceQuery
from MyelinSynthLib.run.install import Installation, prepareInstallation
from test_module_childprocess import gone
from test_module_synthesis import makeStandIn

ASKED = """import json, pathlib, sys
log = pathlib.Path(__file__).with_name("asked.jsonl")
kept = [pathlib.Path(after).read_text() for before, after in zip(sys.argv, sys.argv[1:]) if before == "-c"]
with log.open("a") as stream:
    stream.write(json.dumps([sys.argv[1:], kept]) + "\\n")
print("Collecting packages", flush=True)
"""


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """The few things that installing asks of Slicer; `missing` and `answer` are what it answers."""
    known = types.SimpleNamespace(missing=set(), answer=True, questions=[], testing=False)

    def ask(text: str, **_options: object) -> bool:
        known.questions.append(text)
        return known.answer

    monkeypatch.setattr(install, "_isMet", lambda requirement: str(requirement) not in known.missing)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", types.ModuleType("PyTorchUtils"))
    app = types.SimpleNamespace(temporaryPath=str(tmp_path), testingEnabled=lambda: known.testing)
    monkeypatch.setattr(slicer, "app", app, raising=False)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", ask)
    return known


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the interpreter do something else."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def choose(code: str) -> None:
        path = makeStandIn(folder, code)
        monkeypatch.setattr(childprocess, "pythonExecutable", lambda: path)

    return choose


def finish(installation: Installation, seconds: float = 30.0) -> None:
    limit = time.monotonic() + seconds
    while installation.pump():
        assert time.monotonic() < limit
        time.sleep(0.02)


def prepared(lines: list[str] | None = None, steps: list[Step] | None = None) -> Installation | None:
    return prepareInstallation((steps if steps is not None else []).append, (lines if lines is not None else []).append)


def test_nothing_is_asked_where_nothing_is_missing(application: types.SimpleNamespace) -> None:
    assert prepared() is None
    assert application.questions == []


def test_pytorch_and_the_rest_are_installed_after_one_question(
    application: types.SimpleNamespace, python: Callable[[str], None], tmp_path: Path
) -> None:
    application.missing = {"torch>=2.4", "deepbet>=1.0.2"}
    python(ASKED)
    lines: list[str] = []
    steps: list[Step] = []
    installation = prepared(lines, steps)
    assert len(application.questions) == 1
    assert "torch" in application.questions[0]
    assert "deepbet" in application.questions[0]
    installation.start()
    finish(installation)
    assert installation.state is State.SUCCEEDED
    asked = [json.loads(line) for line in (tmp_path / "bin" / "asked.jsonl").read_text().splitlines()]
    commands = [words[1:4] for words, _kept in asked]
    assert commands[0] == ["pip", "install", "light-the-torch>=0.5"]
    assert commands[1] == ["light_the_torch", "install", "torch>=2.4"]
    assert commands[2] == ["pip", "install", "deepbet>=1.0.2"]
    assert all("numpy==" in kept[0] for _words, kept in asked), "Slicer's own packages stay as they are"
    assert lines.count("Collecting packages") == 3
    assert "PyTorch" in steps[0].message
    assert not list(tmp_path.glob("*constraints*"))


def test_a_script_installs_without_a_question_and_waits(
    application: types.SimpleNamespace, python: Callable[[str], None], tmp_path: Path
) -> None:
    install.installMissing()
    application.missing = {"deepbet>=1.0.2"}
    python(ASKED)
    lines: list[str] = []
    install.installMissing(lines.append)
    assert application.questions == []
    assert "Collecting packages" in lines
    assert len((tmp_path / "bin" / "asked.jsonl").read_text().splitlines()) == 1
    assert not list(tmp_path.glob("*constraints*"))


def test_no_means_no(application: types.SimpleNamespace) -> None:
    application.missing, application.answer = {"deepbet>=1.0.2"}, False
    with pytest.raises(SynthesisError, match="Without these packages"):
        prepared()


def test_testing_mode_installs_nothing(application: types.SimpleNamespace) -> None:
    application.missing, application.testing = {"torch>=2.4"}, True
    assert prepared() is None
    assert application.questions == []


def test_without_the_pytorch_extension_the_remedy_is_said(
    application: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    application.missing = {"torch>=2.4"}
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(SynthesisError, match="Extensions Manager"):
        prepared()


def test_a_failed_installation_says_pips_own_reason(
    application: types.SimpleNamespace, python: Callable[[str], None], tmp_path: Path
) -> None:
    application.missing = {"deepbet>=1.0.2", "nibabel>=5.2"}
    python("import sys; print('ERROR: No matching distribution found for deepbet', file=sys.stderr); sys.exit(1)")
    installation = prepared()
    installation.start()
    with pytest.raises(SynthesisError, match="No matching distribution found for deepbet"):
        finish(installation)
    assert not list(tmp_path.glob("*constraints*"))
    assert not installation.pump()


def test_cancelling_ends_the_installer_and_what_it_started(
    application: types.SimpleNamespace, python: Callable[[str], None], tmp_path: Path
) -> None:
    application.missing = {"deepbet>=1.0.2"}
    python(
        "import subprocess, sys, time\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(other.pid, flush=True); time.sleep(600)\n"
    )
    lines: list[str] = []
    installation = prepared(lines)
    installation.start()
    limit = time.monotonic() + 20
    while not lines and time.monotonic() < limit:
        installation.pump()
        time.sleep(0.02)
    installation.cancel()
    finish(installation)
    assert installation.state is State.CANCELLED
    assert gone(int(lines[0]))
    assert not list(tmp_path.glob("*constraints*"))


def test_gpus_are_found_by_name_among_other_words() -> None:
    found: list[list[str]] = []
    query = DeviceQuery(found.append)
    for line in ("hello", "[1]", '{"gpus": 3}', '{"gpus": ["NVIDIA A", "NVIDIA B"]}'):
        query._onLine(line)
    assert found == [["NVIDIA A", "NVIDIA B"]]
    assert [device for device, _words in devices.choices(found[0])] == ["auto", "cuda:0", "cuda:1", "cpu"]
    assert "NVIDIA B" in devices.choices(found[0])[2][1]


def test_the_real_question_is_answered_where_pytorch_is_and_harmless_where_it_is_not() -> None:
    found: list[list[str]] = []
    query = DeviceQuery(found.append)
    query.start()
    limit = time.monotonic() + 120
    while query.pump() and time.monotonic() < limit:
        time.sleep(0.05)
    assert not query.running
    assert len(found) == (1 if importlib.util.find_spec("torch") else 0)


def test_a_slicer_that_is_too_old_is_told_so(
    application: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install.sys, "version_info", (3, 9, 10))
    with pytest.raises(SynthesisError, match=r"5\.10"):
        prepared()


def test_what_is_installed_is_found_without_slicer_packaging(monkeypatch: pytest.MonkeyPatch) -> None:
    """3D Slicer 5.10 has no slicer.packaging."""
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    known = {"torch": "2.13.0+cpu", "deepbet": "1.0.2", "nibabel": "5.3.0rc1", "Jinja2": "3.0"}

    def versionOf(name: str) -> str:
        if name not in known:
            raise importlib.metadata.PackageNotFoundError(name)
        return known[name]

    monkeypatch.setattr(install, "version", versionOf)
    missing = install.missingPackages()
    assert not {one for one in missing if one.startswith(("torch", "deepbet", "nibabel"))}
    assert "Jinja2>=3.1" in missing, "too old"
    assert "pydicom>=2.4" in missing, "not there"
    assert all(line[0].isalpha() for line in missing), "comments are no packages"
    assert not install._isOtherInstallRunning()


def test_an_installation_of_others_is_waited_for(
    application: types.SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaging = types.ModuleType("slicer.packaging")
    packaging.isPipInstallInProgress = lambda: True
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    application.missing = {"deepbet>=1.0.2"}
    with pytest.raises(SynthesisError, match="other Python packages"):
        prepared()


WITHOUT_LIGHT_THE_TORCH = (
    ASKED
    + """
if "light_the_torch" in sys.argv or sys.argv[4].startswith("light"):
    sys.exit("TypeError: build_source() missing 1 required keyword-only argument")
"""
)


@pytest.mark.parametrize("alone", [True, False])
def test_pytorch_comes_from_pypi_where_its_own_index_cannot_be_reached(
    application: types.SimpleNamespace, python: Callable[[str], None], tmp_path: Path, alone: bool
) -> None:
    application.missing = {"torch>=2.4"} | (set() if alone else {"deepbet>=1.0.2"})
    python(WITHOUT_LIGHT_THE_TORCH)
    lines: list[str] = []
    installation = prepared(lines)
    installation.start()
    finish(installation)
    assert installation.state is State.SUCCEEDED
    asked = [json.loads(line)[0] for line in (tmp_path / "bin" / "asked.jsonl").read_text().splitlines()]
    commands = [words[1:4] for words in asked]
    assert commands[1] == ["pip", "install", "torch>=2.4"]
    assert commands[2:] == ([] if alone else [["pip", "install", "deepbet>=1.0.2"]])
    assert any("build_source" in line and "PyPI" in line for line in lines), "the log says why"


def test_pytorch_that_comes_from_nowhere_is_said(
    application: types.SimpleNamespace, python: Callable[[str], None], tmp_path: Path
) -> None:
    application.missing = {"torch>=2.4", "deepbet>=1.0.2"}
    python("import sys; print('ERROR: No matching distribution found for', sys.argv[4], file=sys.stderr); sys.exit(1)")
    installation = prepared()
    installation.start()
    with pytest.raises(SynthesisError, match="No matching distribution found for torch"):
        finish(installation)
    assert not list(tmp_path.glob("*constraints*"))
