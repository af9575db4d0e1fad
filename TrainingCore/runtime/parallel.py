"""Work in parallel processes (joblib's loky), none of which outlives the block that started it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool  # joblib's own errors of a broken pool derive from it
from typing import Any, TypeVar

from .errors import MyelinSynthError
from .stopping import defer_signals

__all__ = ["BrokenProcessPool", "end_with_parent", "explain_broken_pool", "parallel_results"]

PARENT_SECONDS = 1.0
Task = TypeVar("Task")
Result = TypeVar("Result")


@contextlib.contextmanager
def parallel_results(
    work: Callable[[Task], Result], tasks: Sequence[Task], processes: int, threads: int | None = None
) -> Iterator[Iterator[Result]]:
    """Run tasks in parallel processes, which start at once and end with the block.

    Args:
        work: function of one task; it, the tasks and the results must be picklable.
        tasks: arguments of `work`.
        processes: number of processes.
        threads: threads of linear algebra in each process (default: its share of the cores).

    Yields:
        Iterator over the results in the order in which they arrive.

    Raises:
        BrokenProcessPool: the operating system ended a process, most likely for lack of memory.
    """
    import joblib  # 0.7 s, which `--help` and runs without child processes need not wait for

    with contextlib.ExitStack() as stack:
        with defer_signals(children_ignore_sigint=True):
            with joblib.parallel_config(backend="loky", inner_max_num_threads=threads):
                parallel = joblib.Parallel(
                    n_jobs=max(processes, 2),  # with 1 joblib would stay in this process, and a crash would end it
                    batch_size=1,
                    pre_dispatch=1 if processes == 1 else 2 * processes,
                    return_as="generator_unordered",
                    initializer=_start_process,
                )
                results = parallel(joblib.delayed(work)(task) for task in tasks)
            stack.callback(_end_processes, results)
        yield results


@contextlib.contextmanager
def explain_broken_pool(what: str, remedy: str) -> Iterator[None]:
    """Turn a broken pool in the block into one sentence.

    Args:
        what: what a process did, with its article: "a training".
        remedy: sentence that says what to do.

    Raises:
        MyelinSynthError: the operating system ended a process.
    """
    try:
        yield
    except BrokenProcessPool as error:
        raise MyelinSynthError(
            f"The operating system ended {what}, most likely for lack of memory. {remedy}"
        ) from error


def _end_processes(results: Any) -> None:
    """Close joblib's generator, which ends its processes, and suppress its warnings about this."""
    excepthook = threading.excepthook
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # the pool may be broken already
        warnings.simplefilter("ignore", UserWarning)
        threading.excepthook = lambda _what: None
        try:
            results.close()
        finally:
            threading.excepthook = excepthook


def end_with_parent() -> None:
    """End this process within a second of its parent's end, kill -9 and lack of memory included (not on Windows)."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os._exit(1)

    if os.name == "posix":
        threading.Thread(target=watch, daemon=True).start()


def _start_process() -> None:
    """In every process: end with the parent, and keep libraries' warnings from the terminal."""
    end_with_parent()
    if not os.environ.get("MYELINSYNTH_DEBUG"):
        warnings.simplefilter("ignore")
