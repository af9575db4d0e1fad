"""`myelinsynth COMMAND` runs every command, and says so quickly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from TrainingCore import __main__ as umbrella
from TrainingCore import api

ROOT = Path(umbrella.__file__).parent


def test_every_command_module_is_listed() -> None:
    modules = {path.stem for path in ROOT.glob("*.py") if "run_command(main)" in path.read_text(encoding="utf-8")}
    assert modules == set(umbrella.COMMANDS)


def test_the_overview_names_every_command_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert umbrella.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in umbrella.COMMANDS:
        [line] = [line for line in lines if line.split()[:1] == [name]]
        assert len(line.split()) > 3
    assert "research use only" in lines[-1].lower()


def test_a_command_is_run_with_its_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert umbrella.main(["describe", "linear"]) == 0
    assert "parameters" in capsys.readouterr().out


def test_an_unknown_command_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert umbrella.main(["trian"]) == 2
    assert "there is no command 'trian'" in capsys.readouterr().err


def test_a_closed_pipe_causes_no_traceback() -> None:
    command = [sys.executable, "-m", "TrainingCore"]
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert not process.stderr


@pytest.mark.parametrize("name", umbrella.COMMANDS)
def test_no_help_imports_torch(name: str) -> None:
    code = f"import sys, TrainingCore.{name} as m\ntry: m.main(['--help'])\n"
    code += "except SystemExit: print('torch' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout.endswith("\nFalse\n"), process.stderr


def test_the_api_has_a_documented_function_for_its_commands() -> None:
    for name in api.__all__:
        function = getattr(api, name)
        assert function.__name__ == name
        assert "Args:" in function.__doc__
