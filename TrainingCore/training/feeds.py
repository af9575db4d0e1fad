"""What a training step is fed with, step by step: visits of a cohort, or simulated ones; made ahead by workers.

A feed is a list of *tasks* (numbers that say everything: seed, epoch, visits) and a *maker* that turns a task into what
the step needs. Workers are processes of torch's DataLoader; since a task says everything, what they make depends
neither on how many there are nor on when a run was killed and resumed.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch.utils.data import DataLoader, Dataset

from ..data.case import Case
from ..runtime.processes import Processes
from ..runtime.stopping import defer_signals
from .augmentation import augment
from .simulated import SimulatedPeople
from .windows import random_window

NICENESS = 5  # of workers: a step that waits for the network's own thread comes first (ours)
Batch = tuple[list[Case], np.random.Generator]  # augmented visits of a step, and its source of random numbers


class Visits(Protocol):
    """Prepared visits by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Case: ...


class Feed(Protocol):
    """Steps of every epoch, in order."""

    def __len__(self) -> int:
        """Steps of an epoch, for this process."""
        ...

    def steps(self, epochs: range) -> Generator[Batch, None, None]:
        """All steps of some epochs, one after the other."""
        ...

    def first_visit(self) -> Case:
        """A visit to make a picture of, not augmented."""
        ...


class _Tasks(Dataset[Any]):
    """Tasks as torch's DataLoader wants them."""

    def __init__(self, tasks: Sequence[Any], make: Callable[[Any], Any]) -> None:
        self.tasks, self.make = tasks, make

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, index: int) -> Any:
        return self.make(self.tasks[index])


def _as_it_is(item: Any) -> Any:
    return item


def _start_worker(_number: int) -> None:
    """Ctrl-C is the parent's business, which ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(AttributeError, OSError):  # Windows has no nice
        os.nice(NICENESS)


def made_ahead(tasks: Sequence[Any], make: Callable[[Any], Any], workers: int) -> Generator[Any, None, None]:
    """make(task) for every task, in order; by worker processes two tasks ahead each, or in this process (workers 0).

    make must be picklable. Workers end with the iterator, and by themselves where this process is killed.
    """
    if workers == 0 or not tasks:
        yield from map(make, tasks)
        return
    loader = DataLoader(
        _Tasks(tasks, make),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        multiprocessing_context="spawn",  # a forked child may hang in the parent's thread pool
        worker_init_fn=_start_worker,
    )
    with defer_signals(children_ignore_sigint=True):
        course = iter(loader)
    try:
        yield from course
    finally:
        stop: Callable[[], None] | None = getattr(course, "_shutdown_workers", None)
        if stop is not None:
            stop()


def one_ahead(
    items: Generator[Any, None, None], change: Callable[[Any], Any], wait: bool = False
) -> Generator[Any, None, None]:
    """change(item) for every item, in order; a thread makes the next one while the caller works with this one.

    Args:
        wait: make each only when it is asked for, for work that would take the caller's own cores.
    """
    if wait:
        with contextlib.closing(items):
            yield from map(change, items)
        return
    nothing = object()

    def following() -> Any:
        item = next(items, nothing)
        return item if item is nothing else change(item)

    with ThreadPoolExecutor(1) as thread:
        try:
            coming = thread.submit(following)
            while (item := coming.result()) is not nothing:
                coming = thread.submit(following)
                yield item
        finally:
            thread.shutdown(wait=True, cancel_futures=True)
            items.close()


# -- visits of a cohort ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CohortMaker:
    """Augments the visits of a step: task (seed, epoch, visits) -> Batch."""

    visits: Visits
    recipe: dict[str, Any]

    def __call__(self, task: tuple[int, int, list[int]]) -> Batch:
        seed, epoch, chosen = task
        rng = np.random.default_rng([seed, epoch, chosen[0]])
        return [augmented(self.visits[index], self.recipe, rng) for index in chosen], rng


class CohortFeed:
    """Every visit of a cohort once an epoch, in a new order."""

    def __init__(self, visits: Visits, recipe: dict[str, Any], processes: Processes, workers: int = 0) -> None:
        self.visits, self.recipe, self.processes, self.workers = visits, recipe, processes, workers
        self.per_step = recipe["data"].get("visits_per_step", 1)

    def __len__(self) -> int:
        return math.ceil(math.ceil(len(self.visits) / self.processes.count) / self.per_step)

    def steps(self, epochs: range) -> Generator[Batch, None, None]:
        """All steps of some epochs; see Feed."""
        tasks = [(self.recipe["seed"], epoch, chosen) for epoch in epochs for chosen in self._chosen(epoch)]
        return made_ahead(tasks, CohortMaker(self.visits, self.recipe), self.workers)

    def first_visit(self) -> Case:
        """See Feed."""
        return self.visits[0]

    def _chosen(self, epoch: int) -> list[list[int]]:
        """Numbers of the visits of every step of an epoch."""
        order = np.random.default_rng([self.recipe["seed"], epoch]).permutation(len(self.visits)).tolist()
        mine = self.processes.share(order)
        return [mine[first : first + self.per_step] for first in range(0, len(mine), self.per_step)]


# -- simulated visits --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SimulatedMaker:
    """Simulates a person once and augments the visit for each of its uses: task (number, uses) -> {use: Case}."""

    people: SimulatedPeople

    def __call__(self, task: tuple[int, list[int]]) -> dict[int, Case]:
        number, uses = task
        case, recipe = self.people.case(number), self.people.recipe
        return {use: augmented(case, recipe, np.random.default_rng([recipe["seed"], 73, use])) for use in uses}


class SimulatedFeed:
    """New simulated people at every turn; a visit comes again a few times, other visits in between.

    The recipe's `simulated` group: `visits` an epoch, `reuse` uses of each, `apart` new visits between two uses of one.
    Use number n is a visit's use n % reuse: of visit n // reuse when it is new, and of the visits `apart`, 2 `apart`,
    ... before it, which are older. So the numbers of a use and of its visit follow from one another.
    """

    def __init__(self, people: SimulatedPeople, processes: Processes, workers: int = 0) -> None:
        settings = people.recipe["simulated"]
        self.people, self.processes, self.workers = people, processes, workers
        self.per_step = people.recipe["data"].get("visits_per_step", 1)
        self.visits, self.reuse, self.apart = settings["visits"], settings["reuse"], settings["apart"]

    def __len__(self) -> int:
        return max(1, self.visits // (self.processes.count * self.per_step))

    def visit_of(self, use: int) -> int:
        """Number of the visit of a use; before there are older visits, the new one."""
        new, turn = use // self.reuse, use % self.reuse
        old = new - turn * self.apart
        return old if old >= 0 else new

    def steps(self, epochs: range) -> Generator[Batch, None, None]:
        """All steps of some epochs; see Feed."""
        first, last = epochs.start * len(self), epochs.stop * len(self)
        cases = self._cases(range(first * self.per_step, last * self.per_step))
        try:
            for step in range(first, last):
                batch = [next(cases) for _ in range(self.per_step)]
                yield batch, np.random.default_rng([self.people.recipe["seed"], 74, step])
        finally:
            cases.close()

    def first_visit(self) -> Case:
        """See Feed."""
        return self.people.case(0)

    def _cases(self, uses: range) -> Generator[Case, None, None]:
        """Use after use; visits are simulated as they are needed, and kept augmented until their last use."""
        wanted: dict[int, list[int]] = {}
        for use in uses:
            wanted.setdefault(self.visit_of(use), []).append(use)
        tasks = [(self._person(visit), own) for visit, own in wanted.items()]
        kept: dict[int, Case] = {}
        with contextlib.closing(made_ahead(tasks, SimulatedMaker(self.people), self.workers)) as simulated:
            for use in uses:
                while use not in kept:
                    kept.update(next(simulated))
                yield kept.pop(use)

    def _person(self, visit: int) -> int:
        """Each of `torchrun`'s processes meets people of its own."""
        return visit * self.processes.count + self.processes.rank


def augmented(case: Case, recipe: dict[str, Any], rng: np.random.Generator) -> Case:
    """A visit, or a window of it where the recipe has one, varied as the recipe's `augmentation` says."""
    if edge := recipe.get("window", 0):
        case = random_window(case, (edge, edge, edge), recipe["lesion_windows"], rng)
    return augment(case, recipe["augmentation"], recipe["data"]["intensity"], rng, recipe["data"]["target"])
