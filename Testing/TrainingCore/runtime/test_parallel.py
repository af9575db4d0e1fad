"""Parallel processes end with the block that started them, whatever ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from strikes import send_sigterm, struck_after

from TrainingCore.runtime.errors import BadInput
from TrainingCore.runtime.parallel import BrokenProcessPool, parallel_results
from TrainingCore.runtime.stopping import Stopped, listen, stop_listening

psutil = pytest.importorskip("psutil")


def workers() -> set[Any]:
    """Living child processes but for loky's tracker of resources, which ends with this process."""
    children = psutil.Process().children(recursive=True)
    return {child for child in children if "resource_tracker" not in " ".join(child.cmdline())}


@pytest.fixture
def others() -> set[Any]:
    """Processes of earlier tests."""
    return workers()


def test_results_come_as_they_arrive() -> None:
    with parallel_results(pow_of_two, range(5), 2) as results:
        assert sorted(results) == [1, 2, 4, 8, 16]


def pow_of_two(exponent: int) -> int:
    return 2**exponent


@pytest.mark.parametrize("calls", [0, 20, 2000])
def test_no_process_outlives_the_block_wherever_a_signal_strikes(calls: int, others: set[Any]) -> None:
    kept = signal.signal(signal.SIGTERM, lambda *_: None)

    def work() -> None:
        with contextlib.suppress(Stopped):
            listen()
            with parallel_results(time.sleep, [600, 600], 2):
                if not calls:
                    send_sigterm()
                for _ in range(3000):
                    time.sleep(0.001)

    try:
        struck_after(calls, work, send_sigterm if calls else lambda: None)
    finally:
        stop_listening(for_good=False)
        signal.signal(signal.SIGTERM, kept)
    assert workers() <= others


def test_an_error_of_one_task_ends_the_others_and_keeps_its_kind(others: set[Any]) -> None:
    with pytest.raises(BadInput, match="2 is bad"), parallel_results(fail_at_two, [600, 2], 2) as results:
        list(results)
    assert workers() <= others


def fail_at_two(number: int) -> None:
    if number == 2:
        raise BadInput("2 is bad")
    time.sleep(number)


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is POSIX")
def test_a_process_that_the_system_ends_is_said() -> None:
    kill: Callable[[int], None] = signal.raise_signal
    with pytest.raises(BrokenProcessPool), parallel_results(kill, [signal.SIGKILL], 1) as results:
        list(results)


@pytest.mark.parametrize(("visits", "count"), [(3, 8), (7, 3), (6, 3), (1, 4), (0, 2)])
def test_every_process_of_a_training_takes_the_same_number_of_steps(visits: int, count: int) -> None:
    from TrainingCore.runtime.processes import Processes

    shares = [Processes(rank, count, None).share(list(range(visits))) for rank in range(count)]
    assert len({len(share) for share in shares}) == 1
    assert {index for share in shares for index in share} == set(range(visits))
