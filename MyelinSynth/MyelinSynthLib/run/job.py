"""Runs a command of TrainingCore on nodes: writes its inputs, polls it, loads its outputs, removes temporary files."""

from __future__ import annotations

import abc
import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from ..errors import SynthesisError
from ..words import _
from .childprocess import ChildProcess, State, Step, importTrainingCore, trainingCommand

SCRATCH_PREFIX = "myelinsynth-run-"
Loaded = TypeVar("Loaded")


class Job(abc.ABC, Generic[Loaded]):
    """Nodes in, child process, nodes out; subclasses write the inputs and load the outputs.

    Call `run`, or, without blocking, `start()`, then `pump()` from a timer until it returns False, then read `outputs`.
    Temporary files are removed at the end, however it ends.

    Attributes:
        command: name of the command of TrainingCore.
        outputs: what `load` returned; None until the job succeeded.
        warnings: notes that the command wrote.
    """

    command = ""  # name of the command of TrainingCore

    def __init__(
        self,
        onStep: Callable[[Step], None] = lambda step: None,
        onLog: Callable[[str], None] = lambda line: None,
        folder: str | Path | None = None,
        python: str | None = None,
    ) -> None:
        """Prepare a job; nothing runs yet.

        Args:
            onStep: called with the progress.
            onLog: called with each other line of the command's output.
            folder: folder for temporary files; None for the system's.
            python: interpreter of the child process; None for Slicer's.
        """
        self.outputs: Loaded | None = None
        self.warnings: list[str] = []
        self._onStep, self._onLog, self._parent, self._python = onStep, onLog, folder, python
        self._scratch: Path | None = None
        self._claim = contextlib.ExitStack()
        self._child: ChildProcess | None = None

    @abc.abstractmethod
    def check(self) -> None:
        """Check the inputs before anything is written.

        Raises:
            SynthesisError: the job cannot succeed.
        """

    @abc.abstractmethod
    def writeInputs(self, scratch: Path) -> list[str]:
        """Write the input files.

        Args:
            scratch: temporary folder of the job.

        Returns:
            Options of the command.

        Raises:
            SynthesisError: a file cannot be written, or a node was deleted.
        """

    @abc.abstractmethod
    def load(self, scratch: Path) -> Loaded:
        """Load what the command wrote.

        Args:
            scratch: temporary folder of the job.

        Returns:
            The new nodes.

        Raises:
            SynthesisError: a file cannot be loaded, or a node was deleted.
        """

    @property
    def state(self) -> State:
        """State of the child process."""
        return self._child.state if self._child else State.READY

    @property
    def reason(self) -> str:
        """Why the command failed, as a sentence."""
        return self._child.reason if self._child else ""

    def start(self) -> None:
        """Write the input files and start the child process.

        Raises:
            RuntimeError: it was started before.
            SynthesisError: the inputs are not usable, or the command cannot be started; temporary files are removed.
        """
        if self._child is not None:
            raise RuntimeError("a job is started once")
        self.check()
        removeLeftovers(Path(self._parent or tempfile.gettempdir()))
        try:
            self._scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=self._parent))
            self._claim.enter_context(_claim(self._scratch))
        except OSError as error:
            self._clean()
            raise SynthesisError(
                _(
                    "The temporary folder could not be created ({cause}). Choose another one in Slicer's settings."
                ).format(cause=error.strerror)
            ) from error
        try:
            options = [*self.writeInputs(self._scratch), "--progress", "json"]
            self._child = ChildProcess(
                trainingCommand(self.command, options, self._python), self._onChildStep, self._onLog
            )
            self._child.start()
        except BaseException:
            self._clean()
            raise

    def pump(self) -> bool:
        """Poll the child process, and load the outputs once it succeeded; return True while it is running.

        Raises:
            SynthesisError: the command failed, or its outputs cannot be loaded.
        """
        if self._child is None or self.outputs is not None or self._scratch is None:
            return False
        if self._child.pump():
            return True
        try:
            if self._child.state is State.FAILED:
                raise SynthesisError(self._child.reason)
            if self._child.state is State.SUCCEEDED:
                self.outputs = self.load(self._scratch)
        finally:
            self._clean()
        return False

    def run(self, interval: float = 0.05) -> Loaded:
        """Run the whole job and wait for its end.

        Args:
            interval: pause between two polls, s.

        Returns:
            The outputs.

        Raises:
            SynthesisError: it failed or was cancelled.
        """
        self.start()
        try:
            while self.pump():
                time.sleep(interval)
        except BaseException:
            self.stop()
            raise
        if self.outputs is None:
            raise SynthesisError(_("The computation was cancelled."))
        return self.outputs

    def cancel(self) -> None:
        """Request it to stop; `pump` detects the end."""
        if self._child:
            self._child.cancel()

    def stop(self) -> None:
        """Stop now and remove temporary files, when the scene, module or application closes."""
        if self._child:
            self._child.stop()
        self._clean()

    def _onChildStep(self, step: Step) -> None:
        if step.fraction is None:
            self.warnings.append(step.message)
        if step.step == "done":
            step = Step(step.step, step.fraction, _("Done"))  # its message names a temporary folder
        self._onStep(step)

    def _clean(self) -> None:
        scratch, self._scratch = self._scratch, None
        if scratch is None:
            return
        self._claim.close()  # before the folder is removed: Windows does not remove open files
        try:
            _remove(scratch)
        except OSError as error:
            logging.warning(f"MyelinSynth: {scratch} could not be removed ({error}); the next run tries again")


def removeLeftovers(folder: Path) -> None:
    """Remove temporary folders of jobs whose Slicer was killed; those of a running Slicer are kept.

    Args:
        folder: folder for temporary files.
    """
    importTrainingCore()
    from TrainingCore.patient.leftovers import abandoned

    for scratch in folder.glob(f"{SCRATCH_PREFIX}*"):
        try:
            if scratch.is_dir() and not scratch.is_symlink() and abandoned(scratch):
                shutil.rmtree(scratch)
        except OSError as error:
            logging.info(f"MyelinSynth: {scratch} could not be removed ({error})")


def _remove(folder: Path, attempts: int = 5) -> None:
    """Remove a folder, with retries: Windows releases the files of a killed process with a delay."""
    for attempt in range(1, attempts + 1):
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError:
            if attempt == attempts:
                raise
            time.sleep(0.2)


def _claim(folder: Path) -> contextlib.AbstractContextManager[None]:
    from TrainingCore.patient.leftovers import claim

    return claim(folder)
