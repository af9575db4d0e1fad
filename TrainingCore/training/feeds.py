"""Data loading for training: visits of a cohort or simulated visits, prepared in advance by worker processes.

A feed is a list of *tasks* (seed, epoch, visits) and a *maker* that turns a task into the data of a step. Workers are
processes of torch's DataLoader. Since a task is complete in itself, the data depend neither on the number of workers
nor on whether a run was interrupted and resumed.
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
from ..runtime.parallel import end_with_parent
from ..runtime.processes import Processes
from ..runtime.stopping import defer_signals
from .augmentation import augment
from .simulated import SimulatedPeople
from .store import CaseStore
from .windows import random_window

NICENESS = 5  # of workers, so that the training process has priority (ours)
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
        """Yield all steps of some epochs, one after the other.

        Args:
            epochs: numbers of the epochs, from 0; a resumed run starts above 0.
        """
        ...

    def first_visit(self) -> Case:
        """A visit for the example picture, not augmented."""
        ...


class _Tasks(Dataset[Any]):
    """Tasks as a data set for torch's DataLoader."""

    def __init__(self, tasks: Sequence[Any], make: Callable[[Any], Any]) -> None:
        self.tasks, self.make = tasks, make

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, index: int) -> Any:
        return self.make(self.tasks[index])


def _as_it_is(item: Any) -> Any:
    return item


def _start_worker(_number: int) -> None:
    """End a worker with the training; Ctrl-C is ignored, since the parent process handles it and ends its workers."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(AttributeError, OSError):  # Windows has no nice
        os.nice(NICENESS)


def prefetch(tasks: Sequence[Any], make: Callable[[Any], Any], workers: int) -> Generator[Any, None, None]:
    """Yield make(task) for every task in order.

    Workers end with the iterator, and also if this process is killed.

    Args:
        tasks: the tasks.
        make: picklable function.
        workers: number of worker processes, which prepare two tasks in advance each; 0 for this process.
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


def prefetch_one(
    items: Generator[Any, None, None], change: Callable[[Any], Any], wait: bool = False
) -> Generator[Any, None, None]:
    """Yield change(item) for every item in order; a thread computes the next one in the meantime.

    Args:
        items: the items.
        change: function to apply.
        wait: whether to compute each item only on demand, for work that would compete for the caller's cores.
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
class _CohortMaker:
    """Augments the visits of a step: (seed, epoch, visits) -> Batch."""

    visits: Visits
    recipe: dict[str, Any]

    def __call__(self, task: tuple[int, int, list[int]]) -> Batch:
        seed, epoch, chosen = task
        rng = np.random.default_rng([seed, epoch, chosen[0]])
        return [augmented(self.visits[index], self.recipe, rng) for index in chosen], rng


class CohortFeed:
    """Every visit of a cohort once per epoch, in random order."""

    def __init__(self, visits: Visits, recipe: dict[str, Any], processes: Processes, workers: int = 0) -> None:
        self.visits, self.recipe, self.processes, self.workers = visits, recipe, processes, workers
        self.per_step = recipe["data"].get("visits_per_step", 1)

    def __len__(self) -> int:
        return math.ceil(math.ceil(len(self.visits) / self.processes.count) / self.per_step)

    def steps(self, epochs: range) -> Generator[Batch, None, None]:
        """Yield all steps of some epochs; see Feed.

        Args:
            epochs: numbers of the epochs, from 0.
        """
        tasks = [(self.recipe["seed"], epoch, chosen) for epoch in epochs for chosen in self._chosen(epoch)]
        visits = self.visits
        if self.workers and isinstance(visits, CaseStore):
            visits = visits.for_one_of(self.workers)  # or every worker would get a copy of the whole cache
        return prefetch(tasks, _CohortMaker(visits, self.recipe), self.workers)

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
class _SimulatedMaker:
    """Simulates a person once and augments the visit for each use: (number, uses) -> {use: Case}."""

    people: SimulatedPeople
    rank: int = 0
    count: int = 1

    def __call__(self, task: tuple[int, list[int]]) -> dict[int, Case]:
        number, uses = task
        case, recipe = self.people.case(number), self.people.recipe
        seeds = {use: [recipe["seed"], 73, self.spread(use)] for use in uses}
        return {use: augmented(case, recipe, np.random.default_rng(seed)) for use, seed in seeds.items()}

    def spread(self, number: int) -> int:
        """A number that no other process of `torchrun` has; the number itself if there is one process."""
        return number * self.count + self.rank


class SimulatedFeed:
    """New simulated people throughout training; each visit is reused a few times, with other visits in between.

    The recipe's `simulated` group sets the number of `visits` per epoch, the uses of each (`reuse`), and the number of
    new visits between two uses of a visit (`apart`). Use number n is use n % reuse of a visit: of visit n // reuse if
    it is the first, otherwise of the visit `apart`, 2 `apart`, ... earlier. The number of a use thus determines its
    visit.
    """

    def __init__(self, people: SimulatedPeople, processes: Processes, workers: int = 0) -> None:
        settings = people.recipe["simulated"]
        self.people, self.processes, self.workers = people, processes, workers
        self._maker = _SimulatedMaker(people, processes.rank, processes.count)
        self.per_step = people.recipe["data"].get("visits_per_step", 1)
        self.visits, self.reuse, self.apart = settings["visits"], settings["reuse"], settings["apart"]

    def __len__(self) -> int:
        return max(1, self.visits // (self.processes.count * self.per_step))

    def _visit_of(self, use: int) -> int:
        """Number of the visit of a use; the newest visit as long as there are no older ones."""
        new, turn = use // self.reuse, use % self.reuse
        old = new - turn * self.apart
        return old if old >= 0 else new

    def steps(self, epochs: range) -> Generator[Batch, None, None]:
        """Yield all steps of some epochs; see Feed.

        Args:
            epochs: numbers of the epochs, from 0.
        """
        first, last = epochs.start * len(self), epochs.stop * len(self)
        cases = self._cases(range(first * self.per_step, last * self.per_step))
        try:
            for step in range(first, last):
                batch = [next(cases) for _ in range(self.per_step)]
                yield batch, np.random.default_rng([self.people.recipe["seed"], 74, self._maker.spread(step)])
        finally:
            cases.close()

    def first_visit(self) -> Case:
        """See Feed."""
        return self.people.case(0)

    def _cases(self, uses: range) -> Generator[Case, None, None]:
        """Yield use after use; visits are simulated on demand and kept until their last use."""
        uses_of: dict[int, list[int]] = {}
        for use in uses:
            uses_of.setdefault(self._visit_of(use), []).append(use)
        tasks = [(self._person(visit), own) for visit, own in uses_of.items()]
        kept: dict[int, Case] = {}
        with contextlib.closing(prefetch(tasks, self._maker, self.workers)) as simulated:
            for use in uses:
                while use not in kept:
                    kept.update(next(simulated))
                yield kept.pop(use)

    def _person(self, visit: int) -> int:
        """Number of the person; every process of `torchrun` gets different people."""
        return visit * self.processes.count + self.processes.rank


def augmented(case: Case, recipe: dict[str, Any], rng: np.random.Generator) -> Case:
    """Augment a visit, or a random window of it, according to the recipe.

    Args:
        case: a prepared visit; it is not changed.
        recipe: its keys `window`, `lesion_windows` and `augmentation` are used.
        rng: source of all draws.

    Returns:
        The augmented visit, on the grid of `case` or of the window.
    """
    if edge := recipe.get("window", 0):
        case = random_window(case, (edge, edge, edge), recipe["lesion_windows"], rng)
    return augment(case, recipe["augmentation"], recipe["data"]["intensity"], rng, recipe["data"]["target"])
