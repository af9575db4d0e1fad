"""What every experiment takes besides its cohort and recipes, and what it leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..runtime.files import read_json


@dataclass(frozen=True)
class FoldSettings:
    """How the people of a cohort are divided.

    number: of folds; stratify: columns of participants.tsv that the folds are balanced for; seed: of the division.
    """

    number: int = 5
    stratify: list[str] = field(default_factory=list)
    seed: int = 0


@dataclass(frozen=True)
class Compute:
    """Where trainings run: `jobs` at a time, each on `device` with `threads` CPU threads (0: all)."""

    jobs: int = 1
    device: str = "auto"
    threads: int = 0


@dataclass(frozen=True)
class Experiment:
    """The folder of a finished experiment or evaluation.

    >>> Experiment(Path("cv")).summary()["recipes"]                                      # doctest: +SKIP
    """

    path: Path

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    def summary(self) -> dict[str, Any]:
        """What was measured, as summary.json holds it."""
        summary: dict[str, Any] = read_json(self.path / "summary.json")
        return summary
