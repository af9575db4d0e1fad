"""Shared by all commands: exit codes, error messages, progress and interruption.

Exit codes: 0 done, 2 bad input, 1 failure, 130 stopped by Ctrl-C, 143 stopped by SIGTERM, 129 by SIGHUP.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from textwrap import fill
from typing import Any

from .errors import MyelinSynthError
from .files import remove_unfinished
from .stopping import Stopped, check_stopped, listen, received_signal, stop_listening

LOGGER = logging.getLogger("TrainingCore")  # steps at DEBUG, notes at INFO; silent unless the caller sets it up
STOPPED = "stopped: nothing half-written was left behind"


def run_command(main: Callable[[Sequence[str] | None], int | None], argv: Sequence[str] | None = None) -> int:
    """Run a command; exceptions become one sentence on stderr and an exit code.

    Args:
        main: `main` of the command.
        argv: command-line arguments (default: those of the process).

    Returns:
        The exit code.
    """
    try:
        try:
            listen()
            return _code(main, argv)
        finally:
            stop_listening(for_good=main.__module__ == "__main__")
    except (KeyboardInterrupt, Stopped) as stop:
        remove_unfinished()
        return _say(STOPPED, getattr(stop, "code", 130))


def _code(main: Callable[[Sequence[str] | None], int | None], argv: Sequence[str] | None) -> int:
    """Run a command and return its exit code after printing its error; raises Stopped if it was interrupted."""
    try:
        with warnings.catch_warnings():
            if not os.environ.get("MYELINSYNTH_DEBUG"):  # warnings of libraries are of no use to users
                warnings.simplefilter("ignore")
            return main(argv) or 0
    except Exception as error:
        if received_signal():  # a library may have replaced the Stopped exception by another one
            raise Stopped(received_signal()) from error
        return _failed(error)


def _failed(error: Exception) -> int:
    """Print an error to stderr and return its exit code."""
    if isinstance(error, MyelinSynthError):
        return _say(f"error: {error}", error.exit_code)
    if isinstance(error, MemoryError):
        return _say("error: this machine ran out of memory. Close other programs, or use a smaller size.", 1)
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return _say(f"error: {error.strerror or error}{where}. Check the disk and its permissions.", 1)
    if os.environ.get("MYELINSYNTH_DEBUG"):
        raise error
    LOGGER.debug("Unexpected error", exc_info=error)
    hint = "This is a fault of MyelinSynth, not of the files: please report it."
    return _say(f"error: unexpected {type(error).__name__}: {error}. {hint}", 1)


def _say(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr, flush=True)
    return code


def parser(command: str, summary: str, example: str) -> argparse.ArgumentParser:
    """Create an argument parser whose help ends with an example.

    Args:
        command: module name after `python -m TrainingCore.`.
        summary: what the command does; paragraphs are separated by empty lines.
        example: one complete command line.

    Returns:
        The parser, without options.
    """
    width = max(shutil.get_terminal_size().columns - 2, 40)
    return argparse.ArgumentParser(
        prog=f"python -m TrainingCore.{command}",
        description="\n\n".join(fill(paragraph, width) for paragraph in summary.split("\n\n")),
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def at_least(least: int) -> Callable[[str], int]:
    """Create the argparse `type` of an option that accepts whole numbers from a minimum upwards.

    Args:
        least: smallest number accepted.

    Returns:
        Function that converts text to int, or raises ArgumentTypeError.
    """

    def number(text: str) -> int:
        if not text.strip().lstrip("-").isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"give a whole number of at least {least}, not {text}")
        return int(text)

    return number


def add_progress_option(arguments: argparse.ArgumentParser) -> None:
    """Add the option `--progress bar|json|none`; `json` prints one object per line on stdout and nothing else there.

    Args:
        arguments: parser to extend in place.
    """
    arguments.add_argument(
        "--progress",
        choices=("bar", "json", "none"),
        default="bar",
        help="how to show progress (default: bar, on stderr)",
    )


class Progress:
    """Progress of a command: a bar on stderr, JSON lines on stdout, or nothing (silent: no messages either).

    >>> progress = Progress("none")
    >>> progress.report("register", 0.25, "Registering FLAIR to T1w")
    """

    def __init__(self, mode: str = "bar", title: str = "") -> None:
        self.mode = mode
        self._bar: Any = None
        if mode == "bar":
            from tqdm import tqdm

            form = "{desc:<56.90s} {percentage:3.0f}% |{bar}| {elapsed}<{remaining}"
            self._bar = tqdm(total=100.0, desc=title, bar_format=form, file=sys.stderr, leave=True)
        self._started = time.monotonic()

    def report(self, step: str, fraction: float, message: str) -> None:
        """Report progress.

        Args:
            step: identifier of the current step.
            fraction: progress of the whole command, 0 to 1.
            message: text to show.
        """
        check_stopped()
        fraction = min(max(float(fraction), 0.0), 1.0)
        LOGGER.debug("%s (%.0f %%): %s", step, 100 * fraction, message)
        if self.mode == "json":
            line = {"step": step, "fraction": round(fraction, 4), "message": message}
            print(json.dumps(line, ensure_ascii=False), flush=True)
        elif self._bar is not None:
            self._bar.set_description_str(message, refresh=False)
            self._bar.n = max(100.0 * fraction, self._bar.n)
            self._bar.refresh()

    def say(self, message: str) -> None:
        """Print a message: above the bar, or on stderr; as a `note` step in JSON.

        Args:
            message: one sentence.
        """
        LOGGER.info("%s", message)
        if self.mode == "json":
            print(json.dumps({"step": "note", "fraction": None, "message": message}, ensure_ascii=False), flush=True)
        elif self._bar is not None:
            self._bar.write(message, file=sys.stderr)
        elif self.mode != "silent":
            print(message, file=sys.stderr, flush=True)

    def note(self, sentence: str) -> None:
        """Print a sentence with the prefix `Note:`.

        Args:
            sentence: nothing is printed if it is empty.
        """
        if sentence:
            self.say(f"Note: {sentence}")

    def close(self) -> None:
        """End the bar, leaving the terminal on a new line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
