"""Prepare many visits in parallel: on this machine (joblib's loky) or on a cluster (Dask)."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..runtime.errors import BadInput, MyelinSynthError
from ..runtime.parallel import BrokenProcessPool, parallel_results
from .worker import VisitOutcome, prepare_visit

CONNECT_SECONDS = 15
WORKERS_SECONDS = 60  # to wait for the first worker of a cluster
ADDRESS = re.compile(r"\w+://.+:\d+$")
POLL_SECONDS = 0.5
DASHBOARD = "127.0.0.1:0"  # Dask's dashboard: any free port, local only (None would mean 8787 even if in use)
# Workers keep an hour of call stacks for Dask's dashboard: about 1 MB a visit until then (docs/cohorts.md)
NO_PROFILE = {"distributed.worker.profile.enabled": False}
# Dask also lowers the C library's limit for returning memory (MALLOC_TRIM_THRESHOLD_): every large array is then mapped
# and cleared anew, which doubles the CPU time of a visit (docs/cohorts.md)
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), 1)
WORKERS = {**NO_PROFILE, "distributed.nanny.pre-spawn-environ": ONE_THREAD}
MISSING = "{} needs the package {}: pip install '{}'."


def on_this_machine(
    tasks: Sequence[Any], jobs: int, work: Callable[[Any], VisitOutcome] = prepare_visit
) -> Iterator[VisitOutcome]:
    """Prepare visits in parallel processes on this machine.

    If a process dies (out of memory, a crash), the remaining visits are processed with half as many processes, until
    the failing visit is identified with a single process.

    Args:
        tasks: objects with a `label`, which can be pickled.
        jobs: number of processes.
        work: function of one task.

    Yields:
        Outcomes in the order in which they arrive.
    """
    left = {task.label: task for task in tasks}
    while left:
        try:
            with parallel_results(work, list(left.values()), jobs) as outcomes:
                for outcome in outcomes:
                    del left[outcome.label]
                    yield outcome
        except BrokenProcessPool:
            if jobs == 1:
                guilty = next(iter(left))
                del left[guilty]
                yield VisitOutcome(
                    guilty, "failed", "The operating system ended its process, most likely for lack of memory."
                )
            jobs = max(jobs // 2, 1)


def on_a_cluster(
    tasks: Sequence[Any],
    address: str,
    work: Callable[[Any], VisitOutcome] = prepare_visit,
    meanwhile: Callable[[], None] = lambda: None,
) -> Iterator[VisitOutcome]:
    """Prepare visits on the workers of a Dask cluster.

    Tasks of a killed worker are given to the other workers; a task that kills four workers fails.

    Args:
        tasks: objects with a `label`, which can be pickled.
        address: `tcp://HOST:PORT` of a running scheduler, or `local:N` for N worker processes on this machine.
        work: function of one task.
        meanwhile: called repeatedly while waiting.

    Yields:
        Outcomes in the order in which they arrive.

    Raises:
        BadInput: the scheduler cannot be reached.
        MyelinSynthError: the connection to the scheduler is lost.
    """
    distributed = _import("distributed", "--scheduler", "dask[distributed]")
    import dask

    settings = {
        "distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s",
        **WORKERS,
    }  # a busy scheduler is not dead
    with dask.config.set(settings), contextlib.ExitStack() as stack:
        if address.startswith("local:"):
            count = local_workers(address)
            cluster = distributed.LocalCluster(
                n_workers=count, threads_per_worker=1, processes=True, dashboard_address=DASHBOARD, silence_logs=50
            )
            client = stack.enter_context(distributed.Client(stack.enter_context(cluster), set_as_default=False))
        else:
            client = stack.enter_context(_connect(distributed, address))
        try:
            client.wait_for_workers(1, timeout=WORKERS_SECONDS)
        except TimeoutError as error:
            raise BadInput(
                f"The Dask scheduler at {address} has no worker. Start some: dask worker {address}"
            ) from error
        yield from _collect(client, tasks, address, work, meanwhile)


def local_workers(address: str) -> int:
    """Parse the number of workers in `local:N`.

    Args:
        address: value of --scheduler that starts with `local:`.

    Raises:
        BadInput: N is not a whole number of at least 1.
    """
    number = address.removeprefix("local:")
    if not number.isdigit() or int(number) < 1:
        raise BadInput(f"--scheduler {address}: write local:N with the number of workers, e.g. local:4.")
    return int(number)


def _connect(distributed: Any, address: str) -> Any:
    if not ADDRESS.match(address):  # Dask would print a traceback of its own as well, 30 s later
        raise BadInput(f"--scheduler {address}: give the address of a Dask scheduler, tcp://HOST:8786, or local:N.")
    try:
        return distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise BadInput(
            f"No Dask scheduler answers at {address}. Start one (dask scheduler) and give its address, tcp://HOST:8786."
        ) from error


def _collect(
    client: Any,
    tasks: Sequence[Any],
    address: str,
    work: Callable[[Any], VisitOutcome],
    meanwhile: Callable[[], None],
) -> Iterator[VisitOutcome]:
    """Yield the outcome of every task as it arrives, also of those that Dask gave up on."""
    ended: queue.Queue[Any] = queue.Queue()
    labels = {}
    for task in tasks:
        future = client.submit(work, task, pure=False)
        labels[future.key] = task.label
        future.add_done_callback(ended.put)
    del future  # a future that is kept keeps its result in the memory of a worker
    while labels:
        try:
            future = ended.get(timeout=POLL_SECONDS)
        except queue.Empty:
            meanwhile()
            if client.status != "running":
                raise MyelinSynthError(f"The Dask scheduler at {address} was lost. Run again to resume.") from None
            continue
        yield _outcome(future, labels.pop(future.key), address)


def _outcome(future: Any, label: str, address: str) -> VisitOutcome:
    from distributed import KilledWorker

    try:
        outcome: VisitOutcome = future.result()
        return outcome
    except KilledWorker:
        return VisitOutcome(label, "failed", "It ended every worker that tried it, most likely for memory.")
    except (Exception, asyncio.CancelledError) as error:
        raise MyelinSynthError(f"The Dask cluster at {address} failed: {error}. Run again to resume.") from error


def _import(package: str, what: str, install: str) -> Any:
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MyelinSynthError(MISSING.format(what, package, install)) from error
