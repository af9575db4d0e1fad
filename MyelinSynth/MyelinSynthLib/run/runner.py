"""Runs one job at a time in the background: an installation if something is missing, then the job itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

import qt

from ..errors import SynthesisError
from .childprocess import State

PUMP_MILLISECONDS = 100


class Runnable(Protocol):
    """What a runner runs: `Job`s and an `Installation`."""

    outputs: Any

    @property
    def state(self) -> State:
        """How it is going."""

    def start(self) -> None:
        """Begin. Raises SynthesisError."""

    def pump(self) -> bool:
        """Go on; True while it is under way. Raises SynthesisError."""

    def cancel(self) -> None:
        """Ask it to stop."""

    def stop(self) -> None:
        """Stop it and wait."""


def _call(callback: Callable[..., None] | None, *arguments: Any) -> None:
    """Call a callback if there is one."""
    if callback is not None:
        callback(*arguments)


class JobRunner:
    """Starts a job, pumps it by a timer, and says how it ended.

    >>> runner = JobRunner(finished=showNodes, failed=showError)                          # doctest: +SKIP
    >>> runner.start(Synthesis(patient), prepareInstallation(onStep, onLog))              # doctest: +SKIP
    """

    def __init__(
        self,
        finished: Callable[[Any], None],
        failed: Callable[[SynthesisError], None],
        started: Callable[[Runnable], None] | None = None,
        ended: Callable[[State], None] | None = None,
        pumped: Callable[[], None] | None = None,
        installed: Callable[[], None] | None = None,
    ) -> None:
        """Make a runner that has nothing to do.

        Args:
            finished: gets the outputs of the job.
            failed: gets what went wrong.
            started: called before the installation and before the job start, with either.
            ended: called when nothing is under way any more, before `finished` and `failed`; READY where the job could
                not be started.
            pumped: called while something is under way.
            installed: called between a good installation and the job.
        """
        self.job: Runnable | None = None
        self._following: Runnable | None = None  # while packages are installed
        self._finished, self._failed = finished, failed
        self._started, self._ended, self._pumped, self._installed = started, ended, pumped, installed
        self._timer = qt.QTimer()
        self._timer.setInterval(PUMP_MILLISECONDS)
        self._timer.connect("timeout()", self._onTimer)

    @property
    def running(self) -> bool:
        """Whether a job is running."""
        return self.job is not None

    def start(self, job: Runnable, installation: Runnable | None = None) -> None:
        """Start a job.

        Args:
            job: job to run.
            installation: installation to run before it; None if nothing is missing.

        Raises:
            SynthesisError: it cannot be started.
        """
        self._following = None if installation is None else job
        self._begin(job if installation is None else installation)

    def cancel(self) -> None:
        """Request the running job to stop; no job follows it."""
        self.forgetFollowing()
        if self.job is not None:
            self.job.cancel()

    def forgetFollowing(self) -> None:
        """Do not start the job after the installation."""
        self._following = None

    def stop(self) -> None:
        """Stop the running job and wait for its end."""
        self.forgetFollowing()
        if self.job is not None:
            self.job.stop()
            self._end(State.CANCELLED)

    def _onTimer(self) -> None:
        """Poll the child process; at its end start the following job, or report how it ended."""
        job = self.job
        if job is None:
            self._timer.stop()
            return
        try:
            if job.pump():
                _call(self._pumped)
                return
            following, self._following = self._following, None
            if following is not None and job.state is not State.CANCELLED:
                _call(self._installed)
                self._begin(following)
                return
        except SynthesisError as error:
            self._end(State.FAILED)
            self._failed(error)
            return
        except BaseException:
            self._end(State.FAILED)
            raise
        self._end(job.state)
        if job.outputs is not None:
            logging.info(f"MyelinSynth: {type(job).__name__.lower()} done")
            self._finished(job.outputs)

    def _begin(self, job: Runnable) -> None:
        self.job = job
        _call(self._started, job)
        try:
            job.start()
        except BaseException:
            self._end(State.READY)
            raise
        logging.info(f"MyelinSynth: {type(job).__name__.lower()} started")
        self._timer.start()

    def _end(self, state: State) -> None:
        self.job = self._following = None
        self._timer.stop()
        _call(self._ended, state)
