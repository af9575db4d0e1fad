"""The training loop, the same for all systems.

All random numbers come from generators seeded by (seed, epoch, visit). Checkpoints therefore need no random state, and
an interrupted run resumes from its last complete epoch with bit-identical results on the same device and number of
threads.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
import torch

from ..data.run import Run
from ..runtime.errors import MyelinSynthError
from ..runtime.processes import Processes
from ..systems.samples import Sample, make_sample
from ..systems.system import System
from ..systems.training_progress import TrainingProgress
from .feeds import Batch, Feed, Visits, prefetch_one
from .state import load_state, save_state

LOG = logging.getLogger(__name__)
Tell = Callable[[float, str], None]


class Trainer:
    """Trains one system on prepared visits, epoch by epoch, into a Run.

    >>> Trainer(system, run, CohortFeed(visits, recipe, processes), validation, processes).train(tell=print)
    """

    def __init__(self, system: System, run: Run, training: Feed, validation: Visits, processes: Processes) -> None:
        self.system, self.run, self.processes = system, run, processes
        self.training, self.validation = training, validation
        self.recipe = run.recipe
        self.log: list[dict[str, Any]] = []
        self.best = math.inf
        self.epochs = self._count_epochs()

    def _count_epochs(self) -> int:
        """Number of epochs; if the recipe sets a number of steps, the last epoch may exceed it.

        A system may define its own number, as closed-form systems do, or run several phases.
        """
        if self.system.epochs is not None:
            return self.system.epochs
        iterations = self.recipe.get("iterations", 0)
        if not iterations:
            return self.system.phases * self.recipe["epochs"]
        return -(-self.system.phases * iterations // len(self.training))

    def train(self, tell: Tell, watch: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Train from the current state of the run to its last epoch.

        Args:
            tell: shows progress, called with (fraction, message).
            watch: called with the log entry of every epoch after it was saved.
        """
        start = self._resume()
        board = _tensorboard(self.run) if self.processes.first else None
        if self.processes.count > 1:
            self.system.distribute()
        with contextlib.closing(self._samples(start)) as samples:
            for epoch in range(start, self.epochs):
                began = time.monotonic()
                entry = {"epoch": epoch + 1, **self._one_epoch(epoch, samples, tell)}
                if self.processes.first:
                    for sentence in self.system.warnings(entry) if epoch == start else ():
                        LOG.warning(sentence)
                    self._finish(entry, epoch, began, tell)
                    if board is not None:
                        for key, value in entry.items():
                            board.add_scalar(key, value, epoch + 1)
                if watch is not None:
                    watch(entry)
        if board is not None:
            board.close()

    def _finish(self, entry: dict[str, Any], epoch: int, began: float, tell: Tell) -> None:
        """Validate if it is due after this epoch, and save everything."""
        last = epoch + 1 == self.epochs
        if len(self.validation) and (last or (epoch + 1) % self.recipe["log"]["validate_every"] == 0):
            entry |= self._validate(tell, epoch)
        entry["seconds"] = round(time.monotonic() - began, 2)
        self._keep(entry, epoch)

    def _resume(self) -> int:
        """Restore the checkpoint, if there is one; returns the next epoch."""
        if not self.run.checkpoint.is_file():
            return 0
        tensors, facts = load_state(self.run.checkpoint)
        self.system.load_state(tensors, facts["system"])
        self.best = facts["best"] if facts["best"] is not None else math.inf
        self.log = [entry for entry in self.run.log() if entry["epoch"] <= facts["epochs_done"]]
        return int(facts["epochs_done"])

    def _samples(self, start: int) -> Generator[tuple[list[Sample], np.random.Generator], None, None]:
        """Yield all steps of the remaining epochs, on the device."""
        data, device = self.recipe["data"], self.processes.device

        def on_device(step: Batch) -> tuple[list[Sample], np.random.Generator]:
            cases, rng = step
            return [make_sample(case, data["inputs"], data["target"], device) for case in cases], rng

        steps = self.training.steps(range(start, self.epochs))
        return prefetch_one(steps, on_device, wait=device.type == "cpu")

    def _one_epoch(
        self, epoch: int, samples: Iterator[tuple[list[Sample], np.random.Generator]], tell: Tell
    ) -> dict[str, float]:
        epochs, steps = self.epochs, len(self.training)
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}  # a loss may exist in some of the steps only
        for step in range(steps):
            share = (epoch + step / steps) / epochs
            batch, rng = next(samples)
            losses = self.system.training_step(batch, TrainingProgress(epoch, epochs, share), rng)
            self._check(losses, epoch)
            for key, value in losses.items():
                sums[key] = sums.get(key, 0.0) + value
                counts[key] = counts.get(key, 0) + 1
            tell(share, _say(epoch, epochs, losses, self.system.progress_losses))
        self._check_weights(epoch)
        return self.processes.mean({key: total / counts[key] for key, total in sums.items()})

    def _check(self, losses: dict[str, float], epoch: int) -> None:
        bad = [key for key, value in losses.items() if not math.isfinite(value)]
        if bad:
            raise MyelinSynthError(
                f"Training stopped in epoch {epoch + 1}: {bad[0]} became NaN or infinite. The last complete epoch is "
                "kept. Start a new run with a lower learning rate."
            )

    def _check_weights(self, epoch: int) -> None:
        """Raise if the last step of an epoch made a weight NaN, which no loss shows before the next one."""
        bad = any(not torch.isfinite(weight).all() for weight in self.system.weights().values())
        self._check({"a weight": math.nan if bad else 0.0}, epoch)

    def _validate(self, tell: Tell, epoch: int) -> dict[str, float]:
        data = self.recipe["data"]
        results = []
        for index in range(len(self.validation)):
            tell((epoch + 1) / self.epochs, f"epoch {epoch + 1}: validating")
            sample = make_sample(self.validation[index], data["inputs"], data["target"], self.processes.device)
            results.append(self.system.validation_step(sample))
        means, known = {}, set()
        for key in results[0]:
            values = [r[key] for r in results if math.isfinite(r[key])]
            means[f"validation_{key}"] = float(np.mean(values)) if values else 0.0
            known |= {key} if values else set()
        if known & set(self.system.score):  # else nothing was measured, e.g. nobody has lesions: no epoch is better
            means["validation_score"] = sum(means[f"validation_{key}"] for key in self.system.score)
        return means

    def _keep(self, entry: dict[str, Any], epoch: int) -> None:
        """Save the epoch; the checkpoint is written last, so that it is consistent with the files before it."""
        score = entry.get("validation_score")
        if score is not None and score < self.best:
            self.best = score
            save_state(self.run.best_checkpoint, self.system.weights(), {"epoch": epoch + 1, "score": score})
        every = self.recipe["log"]["pictures_every"]
        if every and ((epoch + 1) % every == 0 or epoch + 1 == self.epochs):
            self._picture(epoch)
        self.log.append(entry)
        self.run.write_log(self.log)
        tensors, facts = self.system.state()
        best = self.best if math.isfinite(self.best) else None
        save_state(self.run.checkpoint, tensors, {"epochs_done": epoch + 1, "best": best, "system": facts})

    def _picture(self, epoch: int) -> None:
        from .pictures import save_picture

        case = self.validation[0] if len(self.validation) else self.training.first_visit()
        data = self.recipe["data"]
        path = self.run.path / "pictures" / f"epoch-{epoch + 1:04d}.png"
        save_picture(path, case, self.system.predict_case(case), f"epoch {epoch + 1}", data["inputs"], data["target"])


def _say(epoch: int, epochs: int, losses: dict[str, float], formats: dict[str, str]) -> str:
    parts = [text.format(losses[key]) for key, text in formats.items() if key in losses]
    return "  ".join([f"epoch {epoch + 1}/{epochs}", *parts])


def _tensorboard(run: Run) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None  # an extra: pip install tensorboard
    return SummaryWriter(str(run.path / "tensorboard"))
