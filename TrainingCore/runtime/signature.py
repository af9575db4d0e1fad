"""Generate a command line from a typed function: the signature defines the options, the docstring the help.

    def greet(name: str, *, times: Annotated[int, AtLeast(1)] = 1) -> int:
        '''Greet somebody.

        Args:
            name: who is greeted.
            times: how often.

        Example:
            python -m TrainingCore.greet --name Ada --times 2
        '''

    main = command(greet, done=lambda count: f"Greeted {count} times")

Help, documentation and code are therefore always consistent. Based on argparse instead of jsonargparse (ours): options
with several values keep their usual form (`--people 01 02`), Slicer's Python needs no further package, and `--help`
takes a tenth of the time of importing torch.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .cli import at_least, parser

ProgressMode = Literal["bar", "json", "none"]


@dataclass(frozen=True)
class AtLeast:
    """Annotation of a whole number: the smallest value that the option takes."""

    least: int


@dataclass(frozen=True)
class Option:
    """Annotation of a parameter: how the help names its value (`--minimum MM3`), or other flags than its name."""

    metavar: str | None = None
    flag: str | None = None
    positional: bool = False


@dataclass(frozen=True)
class Documentation:
    """A Google-style docstring in parts; arguments maps each parameter to its text."""

    summary: str
    arguments: dict[str, str]
    example: str


def command(
    function: Callable[..., Any],
    done: Callable[[Any], str | None] | None = None,
    exclusive: Sequence[Sequence[str]] = (),
    required: Sequence[str] = (),
    code: Callable[[Any], int] = lambda _result: 0,
    keywords: Mapping[str, str] | None = None,
) -> Callable[[Sequence[str] | None], int]:
    """Create the `main` of a command module from its function.

    Args:
        function: keyword arguments in, a result out; docstring in Google style with an `Example:` section.
        done: sentence to print from the function's result, or None for nothing; silent with `--progress json`.
        exclusive: groups of mutually exclusive parameters; one of them is required if all are in `required`.
        required: parameters that are required on the command line although the function has a default.
        code: computes the exit code from the result, for commands that can succeed partially.
        keywords: names and help of the options that the function takes as `**keywords`, in its annotation's type.

    Returns:
        main(argv) -> exit code; argv is that of the process where it is None.
    """

    def main(argv: Sequence[str] | None = None) -> int:
        """Parse the options, call the function, print where its result is."""
        values = vars(arguments().parse_args(argv))
        result = function(**values)
        sentence = done(result) if done else None
        if sentence and values.get("progress") != "json":
            print(sentence)
        return code(result)

    def arguments() -> argparse.ArgumentParser:
        return parser_of(function, exclusive, required, keywords)

    main.__module__ = function.__module__
    main.arguments = arguments  # type: ignore[attr-defined]  # for the documentation and the tests of examples
    return main


def parser_of(
    function: Callable[..., Any],
    exclusive: Sequence[Sequence[str]] = (),
    required: Sequence[str] = (),
    keywords: Mapping[str, str] | None = None,
) -> argparse.ArgumentParser:
    """Create an argument parser with one option per parameter of a function.

    Args:
        function: annotated function with a Google-style docstring.
        exclusive: groups of parameters of which at most one may be given.
        required: parameters that must be given.
        keywords: name -> help of the options that `**keywords` accepts.

    Returns:
        The parser (see `command`).
    """
    text = read_docstring(function)
    options = parser(function.__module__.rpartition(".")[2], text.summary, text.example)
    if function.__module__ == "__main__":
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        module = spec.name.removesuffix(".__main__") if spec else f"TrainingCore.{function.__name__}"
        options.prog = f"python -m {module}"
    groups: dict[str, Any] = {}
    for names in exclusive:
        group = options.add_mutually_exclusive_group(required=set(names) <= set(required))
        groups |= dict.fromkeys(names, group)
    texts = text.arguments | dict(keywords or {})
    for name, parameter in _expanded(inspect.signature(function).parameters, keywords or {}).items():
        needed = name in required and name not in groups
        _add_option(groups.get(name, options), parameter, _annotation(function, parameter), texts[name], needed)
    return options


def _expanded(parameters: Mapping[str, inspect.Parameter], keywords: Mapping[str, str]) -> dict[str, inspect.Parameter]:
    """The parameters with `**keywords` replaced by one optional parameter per name."""
    expanded: dict[str, inspect.Parameter] = {}
    for name, parameter in parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            optional = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, default=None)
            expanded |= {keyword: optional.replace(name=keyword) for keyword in keywords}
        else:
            expanded[name] = parameter
    return expanded


def read_docstring(function: Callable[..., Any]) -> Documentation:
    """Split a Google-style docstring into summary, arguments and example.

    A parameter without an entry raises KeyError later, when its option is added.

    Args:
        function: the documented function.

    Returns:
        The parts; lines of an argument's text are joined.
    """
    text = inspect.getdoc(function) or ""
    head, *sections = re.split(r"^(Args|Returns|Raises|Example|Note):\n", text, flags=re.MULTILINE)
    parts = dict(zip(sections[::2], sections[1::2]))
    arguments: dict[str, str] = {}
    for entry in re.split(r"\n(?=    \w+: )", "\n" + parts.get("Args", "").rstrip()):
        name, colon, words = entry.strip().partition(": ")
        if colon:
            arguments[name] = " ".join(words.split())
    example = re.sub(r"(?<=\S) +", " ", inspect.cleandoc(parts.get("Example", "")))  # continued lines are one line
    return Documentation(head.strip(), arguments, example.replace("\n", "\n  "))


def _annotation(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Evaluate the annotation of one parameter only: the other annotations may need heavy imports."""
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    return eval(parameter.annotation, vars(sys.modules[function.__module__]))  # our own source text


def _add_option(group: Any, parameter: inspect.Parameter, annotation: Any, text: str, required: bool) -> None:
    extras: tuple[Any, ...] = ()
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *rest = typing.get_args(annotation)
        extras = tuple(rest)
    option = next((extra for extra in extras if isinstance(extra, Option)), Option())
    settings: dict[str, Any] = {"help": text.removesuffix(".").replace("%", "%%")}
    no_default = parameter.default is inspect.Parameter.empty
    flag = option.flag or f"--{parameter.name.replace('_', '-')}"
    if annotation is bool:
        group.add_argument(flag, dest=parameter.name, action="store_true", **settings)
        return
    settings |= _value_settings(annotation, extras)
    settings["metavar"] = option.metavar or settings.get("metavar")
    if not no_default:
        several = "nargs" in settings  # left out of the values where not given: the function's own default holds
        settings["default"] = argparse.SUPPRESS if several else parameter.default
        settings["help"] += _default_words(parameter.default, settings["help"])
    if option.positional:
        group.add_argument(parameter.name, **settings, **({} if no_default else {"nargs": "?"}))
    else:
        group.add_argument(flag, dest=parameter.name, required=required or no_default, **settings)


def _value_settings(annotation: Any, extras: Sequence[Any]) -> dict[str, Any]:
    """Return argparse's settings for reading a value: type, choices, nargs."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        return _value_settings(Path if Path in members else members[0], extras)
    if origin is Literal:
        return {"choices": typing.get_args(annotation)}
    if origin is typing.Annotated:
        inner, *more = typing.get_args(annotation)
        return _value_settings(inner, (*extras, *more))
    if origin is not None:  # a sequence
        (item, *_rest) = typing.get_args(annotation)
        return {**_value_settings(item, extras), "nargs": "+", "action": "extend"}
    least = next((extra.least for extra in extras if isinstance(extra, AtLeast)), None)
    return {"type": at_least(least) if least is not None and annotation is int else annotation}


def _default_words(default: Any, text: str) -> str:
    if default in (None, "", 0, ()) or isinstance(default, bool) or "(default" in text:
        return ""
    words = " ".join(map(str, default)) if isinstance(default, (list, tuple)) else str(default)
    return f" (default: {words})".replace("%", "%%")
