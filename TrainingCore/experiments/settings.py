"""Settings shared by all experiments, and their output folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..runtime.files import read_json

GPU_WORKERS = 4  # (ours)


@dataclass(frozen=True)
class FoldSettings:
    """How the people of a cohort are divided.

    Attributes:
        number: of folds.
        stratify: columns of participants.tsv that the folds are balanced for.
        seed: of the division.
    """

    number: int = 5
    stratify: list[str] = field(default_factory=list)
    seed: int = 0


@dataclass(frozen=True)
class Compute:
    """Where trainings run: `jobs` at a time, each on `device` with `threads` CPU threads (0: all).

    Attributes:
        workers: processes that prepare visits ahead of each training, None: as many as suit the device.
        scheduler: Dask cluster that the trainings run on, tcp://HOST:PORT or local:N, None: this machine.
    """

    jobs: int = 1
    device: str = "auto"
    threads: int = 0
    workers: int | None = None
    scheduler: str | None = None

    def processes_ahead(self, simulated: bool) -> int:
        """Choose the number of processes that prepare visits ahead of one training.

        On a CPU one process that simulates keeps up with the training; a GPU is faster than one core augments.

        Args:
            simulated: whether the people are simulated on the fly.

        Returns:
            `workers` if it is set, else GPU_WORKERS on a GPU, else 1 for simulated people and 0 for a cohort.
        """
        if self.workers is not None:
            return self.workers
        from ..runtime.processes import choose_device

        on_gpu = choose_device(self.device).type == "cuda"
        return GPU_WORKERS if on_gpu else int(simulated)


@dataclass(frozen=True)
class Experiment:
    """The folder of a finished experiment or evaluation.

    >>> Experiment(Path("cv")).summary()["recipes"]                                      # doctest: +SKIP
    """

    path: Path

    @property
    def report(self) -> Path:
        """Path of the report."""
        return self.path / "report.html"

    def summary(self) -> dict[str, Any]:
        """Content of summary.json."""
        summary: dict[str, Any] = read_json(self.path / "summary.json")
        return summary
