"""Python's logging hears what a command does, for whoever calls the API and sets logging up."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from TrainingCore.runtime.cli import Progress, run_command


def test_steps_and_notes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "TrainingCore"):
        progress = Progress("none")
        progress.report("register", 0.25, "Registering FLAIR to T1w")
        progress.note("one visit is left out")
    assert [record.getMessage() for record in caplog.records] == [
        "register (25 %): Registering FLAIR to T1w", "Note: one visit is left out",
    ]  # fmt: skip


def test_the_traceback_of_an_unexpected_error_is_logged_and_not_printed(caplog, capsys) -> None:
    def fail(_argv: Sequence[str] | None) -> None:
        raise ZeroDivisionError("no lesions")

    with caplog.at_level(logging.DEBUG, "TrainingCore"):
        assert run_command(fail) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert "ZeroDivisionError: no lesions" in caplog.text
