"""One command of TrainingCore on files that are written from the scene and read back: start, pump, cancel, clean up."""

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
Made = TypeVar("Made")


class Job(abc.ABC, Generic[Made]):
    """Nodes in, child process, nodes out; the subclasses say which.

    `run`, or, not blocking: `start()`, then `pump()` from a timer until it says False, then `outputs`. Temporary files
    are gone at the end, however it ends. `cancel` ends the whole process tree. folder: where temporary files may be
    written; python: the interpreter of the child.
    """

    command = ""  # of TrainingCore

    def __init__(
        self,
        onStep: Callable[[Step], None] = lambda step: None,
        onLog: Callable[[str], None] = lambda line: None,
        folder: str | Path | None = None,
        python: str | None = None,
    ) -> None:
        self.outputs: Made | None = None
        self.warnings: list[str] = []
        self._onStep, self._onLog, self._parent, self._python = onStep, onLog, folder, python
        self._scratch: Path | None = None
        self._claim = contextlib.ExitStack()
        self._child: ChildProcess | None = None

    def check(self) -> None:
        """Raises SynthesisError where it cannot work."""

    @abc.abstractmethod
    def writeInputs(self, scratch: Path) -> list[str]:
        """Write the files and return the options of the command. Raises SynthesisError."""

    @abc.abstractmethod
    def load(self, scratch: Path) -> Made:
        """Make the nodes of what the command wrote. Raises SynthesisError."""

    @property
    def state(self) -> State:
        """How it is going."""
        return self._child.state if self._child else State.READY

    @property
    def reason(self) -> str:
        """Why it failed."""
        return self._child.reason if self._child else ""

    def start(self) -> None:
        """Write the files and start the child. Raises SynthesisError, leaving nothing behind."""
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
            self._child = ChildProcess(trainingCommand(self.command, options, self._python), self._heard, self._onLog)
            self._child.start()
        except BaseException:
            self._clean()
            raise

    def pump(self) -> bool:
        """Go on; True while it is under way. At a good end the nodes are made. Raises SynthesisError on failure."""
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

    def run(self, interval: float = 0.05) -> Made:
        """Do all of it and wait for it. Raises SynthesisError where it fails or is cancelled."""
        self.start()
        try:
            while self.pump():
                time.sleep(interval)
        except BaseException:
            self.stop()
            raise
        if self.outputs is None:
            raise SynthesisError(_("It was cancelled."))
        return self.outputs

    def cancel(self) -> None:
        """Ask it to stop; `pump` notices the end."""
        if self._child:
            self._child.cancel()

    def stop(self) -> None:
        """Stop now and clean up, whatever it was doing: for a closing scene, module or application."""
        if self._child:
            self._child.stop()
        self._clean()

    def _heard(self, step: Step) -> None:
        if step.fraction is None:
            self.warnings.append(step.message)
        if step.step == "done":
            step = Step(step.step, step.fraction, _("Done"))  # the folder that it names is temporary: gone in a moment
        self._onStep(step)

    def _clean(self) -> None:
        scratch, self._scratch = self._scratch, None
        if scratch is None:
            return
        self._claim.close()  # before the folder goes: Windows removes no file that is open
        try:
            _remove(scratch)
        except OSError as error:
            logging.warning(f"MyelinSynth: {scratch} could not be removed ({error}); the next run tries again")


def removeLeftovers(folder: Path) -> None:
    """Remove the temporary files of a Slicer that was killed while it synthesized; those of a living one stay."""
    importTrainingCore()
    from TrainingCore.patient.leftovers import abandoned

    for scratch in folder.glob(f"{SCRATCH_PREFIX}*"):
        try:
            if scratch.is_dir() and not scratch.is_symlink() and abandoned(scratch):
                shutil.rmtree(scratch)
        except OSError as error:
            logging.info(f"MyelinSynth: {scratch} could not be removed ({error})")


def _remove(folder: Path, attempts: int = 5) -> None:
    """Remove a folder; Windows lets go of the files of a process that was killed a moment later."""
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
