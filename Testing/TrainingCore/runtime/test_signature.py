"""A command line is made from a function's signature and docstring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import pytest

from TrainingCore.runtime.signature import AtLeast, Option, command, parser_of, read_docstring


def greet(
    name: str,
    folder: Annotated[Path, Option("FOLDER", positional=True)],
    *,
    times: Annotated[int, AtLeast(1)] = 1,
    others: Annotated[Sequence[str], Option("NAME")] = ("Grace",),
    changes: Annotated[Sequence[str], Option("key=value", flag="--set")] = (),
    tone: Literal["warm", "cool"] = "warm",
    height: float | None = None,
    loud: bool = False,
    quiet: bool = False,
) -> dict[str, object]:
    """Greet somebody, in 100 % of cases.

    Args:
        name: who is greeted; a line
            that goes on.
        folder: where the greeting is written.
        times: how often.
        others: who else is greeted.
        changes: values to change.
        tone: of the voice.
        height: of the letters, mm.
        loud: shout.
        quiet: whisper.

    Returns:
        All of it.

    Example:
        python -m TrainingCore.greet --name Ada \
            out
    """
    return locals()


def test_every_kind_of_option_reaches_the_function(capsys: pytest.CaptureFixture[str]) -> None:
    main = command(greet, done=lambda values: repr(sorted(values.items())))
    words = "out --name Ada --times 3 --others Bo Cy --others Di --set a=1 b=2 --tone cool --height 2.5 --loud"
    assert main(words.split()) == 0
    printed = capsys.readouterr().out
    expected = greet(
        "Ada",
        Path("out"),
        times=3,
        others=["Bo", "Cy", "Di"],
        changes=["a=1", "b=2"],
        tone="cool",
        height=2.5,
        loud=True,
    )
    assert printed.strip() == repr(sorted(expected.items()))


def test_defaults_are_those_of_the_function(capsys: pytest.CaptureFixture[str]) -> None:
    command(greet, done=lambda values: repr(values))(["--name", "Ada", "out"])
    assert capsys.readouterr().out.strip() == repr(greet("Ada", Path("out")))


@pytest.mark.parametrize(
    "words",
    ["out", "--name Ada", "out --name Ada --times 0", "out --name Ada --tone hot", "out --name Ada --loud --quiet"],
)
def test_bad_options_end_with_code_2(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command(greet, exclusive=[("loud", "quiet")])(words.split())
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_the_help_is_the_docstring() -> None:
    text = " ".join(parser_of(greet).format_help().split())
    for part in ("Greet somebody, in 100 % of cases.", "who is greeted; a line that goes on", "(default: Grace)"):
        assert part in text
    assert "example: python -m TrainingCore.greet --name Ada out" in text


def test_an_undocumented_parameter_is_a_defect() -> None:
    def forgetful(name: str) -> None:
        """Do nothing."""

    assert read_docstring(forgetful).arguments == {}
    with pytest.raises(KeyError):
        parser_of(forgetful)


def test_the_exit_code_can_depend_on_the_result() -> None:
    assert command(greet, code=lambda _values: 1)(["--name", "Ada", "out"]) == 1
