"""Umbrella command: `myelinsynth train ...` is the same as `python -m TrainingCore.train ...`."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from . import RESEARCH_USE, __version__

# In the order of a typical workflow; each is a module of this package with a `main`.
COMMANDS = (
    "demo",
    "synthesize",
    "list_dicom",
    "send_dicom",
    "bids_app",
    "change",
    "preprocess",
    "simulate",
    "describe",
    "train",
    "evaluate",
    "crossvalidate",
    "tune",
    "ablate",
    "learning_curve",
    "export",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command named by the first argument, or list all commands if there is none.

    Args:
        argv: command-line arguments without the program name (default: those of the process).

    Returns:
        Exit code: 0 success, 1 failure, 2 bad input.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["--version"]:
        print(f"myelinsynth {__version__}")
        return 0
    name = words[0].replace("-", "_") if words else "_h"
    from .runtime.cli import run_command

    if name in ("_h", "__help"):
        return run_command(_print_overview)
    if name not in COMMANDS:
        print(f"error: there is no command {words[0]!r}. Choose from: {', '.join(COMMANDS)}.", file=sys.stderr)
        return 2
    return run_command(importlib.import_module(f"TrainingCore.{name}").main, words[1:])


def _print_overview(_argv: Sequence[str] | None) -> int:
    print(_overview(), flush=True)  # flushed here, where a closed pipe is handled: `myelinsynth | head -1`
    return 0


def _overview() -> str:
    """Help text with every command and the summary line of its module, read without importing it."""
    lines = ["usage: myelinsynth COMMAND [options]", "", "commands:"]
    lines += [f"  {name:<16}{_summary(name)}" for name in COMMANDS]
    return "\n".join([*lines, "", "myelinsynth COMMAND --help shows its options and an example.", RESEARCH_USE])


def _summary(name: str) -> str:
    source = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    text = " ".join((ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].split())
    return text.partition(": python -m")[0].rstrip(".")


def run() -> None:
    """Entry point of the installed command `myelinsynth`."""
    raise SystemExit(main())


if __name__ == "__main__":
    run()
