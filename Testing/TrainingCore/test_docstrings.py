"""Public functions say in their docstrings what their arguments mean."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("TrainingCore", "MyelinSynth")


@cache
def trees() -> dict[Path, ast.Module]:
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in files}


@cache
def classes() -> dict[str, list[ast.ClassDef]]:
    found: dict[str, list[ast.ClassDef]] = {}
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(node)
    return found


def bases(owner: ast.ClassDef) -> Iterator[ast.ClassDef]:
    """Base classes that are written in this repository, by name."""
    for base in owner.bases:
        expression = base.value if isinstance(base, ast.Subscript) else base
        name = expression.attr if isinstance(expression, ast.Attribute) else getattr(expression, "id", "")
        for parent in classes().get(name, []):
            if parent is not owner:
                yield parent
                yield from bases(parent)


def public_functions(body: list[ast.stmt], owner: ast.ClassDef | None = None) -> Iterator[tuple[ast.FunctionDef, bool]]:
    """Public functions and methods, and whether a base class documents the method's arguments."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, node)
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            parents = [method for parent in bases(owner) for method in parent.body] if owner else []
            yield node, any(isinstance(m, ast.FunctionDef) and m.name == node.name and documented(m) for m in parents)


def arguments(function: ast.FunctionDef) -> list[str]:
    """Names of the arguments; one with a leading underscore is demanded by a caller and unused."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
    return [argument.arg for argument in every if argument.arg not in ("self", "cls") and argument.arg[0] != "_"]


def documented(function: ast.FunctionDef) -> list[str]:
    """Names in the Args section, without stars."""
    text = ast.get_docstring(function) or ""
    section = re.search(r"^Args:\n((?:    .*\n?|\n(?=    ))+)", text, re.MULTILINE)
    return re.findall(r"^    \*{0,2}(\w+): ", section[1], re.MULTILINE) if section else []


def test_every_argument_of_a_public_function_is_documented() -> None:
    wrong, seen = [], 0
    for path, tree in trees().items():
        for function, inherited in public_functions(tree.body):
            seen += 1
            named, expected = documented(function), arguments(function)
            if not named and (inherited or not expected):
                continue
            if sorted(named) != sorted(expected):
                lacking, unknown = sorted(set(expected) - set(named)), sorted(set(named) - set(expected))
                wrong.append(f"{path}:{function.lineno} {function.name}: add {lacking}, remove {unknown}")
    assert seen > 1000
    assert not wrong, "Args sections that do not fit the arguments:\n" + "\n".join(wrong)
