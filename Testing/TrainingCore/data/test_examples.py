"""What --help and the README show can be typed as it stands: every option exists, every recipe and key is there."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from TrainingCore.data.recipe import available, full_key, load_recipe

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for path in (ROOT / "TrainingCore").rglob("*.py")
    if "run_command(main)" in path.read_text(encoding="utf-8")
)
CALL = re.compile(r"python -m (TrainingCore\.[\w.]+)([^#`|;&\n]*)")


class Understood(Exception):
    """The options were parsed; nothing is run."""


def understand(monkeypatch: pytest.MonkeyPatch, module: str, words: Sequence[str]) -> argparse.Namespace:
    """The options of a command line as the command itself reads them; SystemExit where it does not."""
    parse = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, *given: Any) -> None:
        raise Understood(parse(self, *given))

    with monkeypatch.context() as context:
        context.setattr(argparse.ArgumentParser, "parse_args", stop)
        with pytest.raises(Understood) as found:
            importlib.import_module(module).main(list(words))
    return found.value.args[0]


def recipes_of(chosen: argparse.Namespace) -> set[str]:
    """The recipes that options name; BadInput where one does not know a key that they set."""
    named = getattr(chosen, "recipe", None) or []
    names = [named] if isinstance(named, str) else list(named)
    names += [name for name in getattr(chosen, "compare", None) or [] if "=" not in name]
    names += [chosen.what] if hasattr(chosen, "what") else []
    for name in names:
        load_recipe(name, getattr(chosen, "changes", ()))
    return set(names)


def help_of(module: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as done:
        importlib.import_module(module).main(["--help"])
    assert done.value.code == 0
    return capsys.readouterr().out


def test_every_command_is_found() -> None:
    assert {"TrainingCore.train", "TrainingCore.synthesize", "TrainingCore.phantom.make_atlas"} <= set(COMMANDS)


@pytest.mark.parametrize("module", COMMANDS)
def test_the_examples_of_help_are_understood(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, epilog = help_of(module, capsys).partition("example:\n")
    calls = CALL.findall(epilog)
    assert calls
    for name, words in calls:
        assert name == module
        assert recipes_of(understand(monkeypatch, name, shlex.split(words))) <= set(available())


def test_the_search_space_that_tune_shows_fits_the_recipe_of_its_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, epilog = help_of("TrainingCore.tune", capsys).partition("example:\n")
    [(_, words)] = CALL.findall(epilog)
    recipe = load_recipe(understand(monkeypatch, "TrainingCore.tune", shlex.split(words)).recipe)
    keys = re.findall(r"^  ([\w.]+): \{", epilog, re.MULTILINE)
    assert len(keys) > 1
    assert all(full_key(recipe, key, "--help") for key in keys)


def documented_calls() -> list[tuple[str, str]]:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
    blocks = "\n".join(re.findall(r"```bash\n(.*?)```", "\n".join(texts), re.DOTALL)).replace("\\\n", " ")
    return sorted(set(CALL.findall(blocks)))


@pytest.mark.parametrize(("module", "words"), documented_calls())
def test_the_commands_of_the_documentation_are_understood(
    module: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recipes_of(understand(monkeypatch, module, shlex.split(words))) <= set(available())
