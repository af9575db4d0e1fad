"""Installation of the Python packages needed for synthesis: PyTorch (as its extension does it) and requirements.

Nothing is installed without asking, nothing is imported into Slicer, and Slicer does not wait: the installer runs as a
child process with progress and log in the panel, and can be cancelled.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import slicer

from ..errors import SynthesisError
from ..words import _
from . import childprocess
from .childprocess import ENDED, ChildProcess, State, Step

TORCH = "torch>=2.4"
# What PyTorchUtilsLogic.installTorch of the PyTorch extension runs (SlicerPyTorch 2024-04); called here it would freeze
# Slicer until gigabytes are downloaded. light-the-torch picks the build for the computer's GPU.
TORCH_STEPS = (("pip", "install", "light-the-torch>=0.5"), ("light_the_torch", "install", TORCH, "torchvision"))
# Where that does not work: light-the-torch 0.8.1 needs download.pytorch.org, which a hospital may not reach, ends there
# with a TypeError (pip >= 23.1), and asks for pip < 26.1, while 3D Slicer 5.12.3 has 26.1.1. PyPI has builds, too.
TORCH_FROM_PYPI = ("pip", "install", TORCH, "torchvision")
OLDEST_PYTHON = (3, 10)  # TrainingCore's; 3D Slicer 5.8 has 3.9
REQUIREMENTS = Path(__file__).resolve().parents[2] / "Resources" / "requirements.txt"
KEPT = ("numpy", "scipy", "SimpleITK", "vtk", "requests")  # Slicer's own, in use while the installer runs


class Installation:
    """Installs packages by a sequence of child processes; used like a Synthesis: start, pump, cancel, stop, state."""

    def __init__(
        self, missing: Sequence[str], onStep: Callable[[Step], None], onLog: Callable[[str], None], python: str = ""
    ) -> None:
        self._missing, self._onStep, self._onLog = list(missing), onStep, onLog
        self._python = python or childprocess.pythonExecutable()
        self._constraints: Path | None = None
        self._commands: list[tuple[str, list[str]]] = []
        self._instead: list[
            tuple[str, list[str]]
        ] = []  # commands to run instead of the remaining ones if a step for PyTorch fails
        self._child: ChildProcess | None = None
        self._ended = False
        self.outputs = None

    @property
    def state(self) -> State:
        """State of the current installer."""
        return self._child.state if self._child else State.READY

    def start(self) -> None:
        """Start the first installer.

        Raises:
            SynthesisError: it cannot be started.
        """
        self._constraints = _writeConstraints()
        self._commands = self._plan()
        self._next()

    def pump(self) -> bool:
        """Poll the installer; return True while the installation is running.

        Raises:
            SynthesisError: a package could not be installed.
        """
        if self._child is None or self._ended:
            return False
        if self._child.pump():
            return True
        if self._child.state is State.SUCCEEDED and self._commands:
            self._next()
            return True
        if self._child.state is State.FAILED and self._instead:
            self._onLog(_("PyTorch: {cause} Trying PyPI instead.").format(cause=_lastError(self._child)))
            self._commands = self._instead
            self._next()
            return True
        self._ended = True
        self._clean()
        if self._child.state is State.FAILED:
            raise SynthesisError(
                _(
                    "The Python packages could not be installed ({cause}). Check the internet connection and the free "
                    "disk space, then press the button again. See the log for details."
                ).format(cause=_lastError(self._child))
            )
        return False

    def cancel(self) -> None:
        """Request the installer to stop; `pump` detects the end."""
        if self._child:
            self._child.cancel()

    def stop(self) -> None:
        """Stop immediately, for a closing application."""
        self._commands.clear()
        self._instead = []
        if self._child and self._child.state not in ENDED:
            self._child.stop()
        self._clean()

    def _plan(self) -> list[tuple[str, list[str]]]:
        plan = []
        rest = [requirement for requirement in self._missing if requirement != TORCH]
        if rest:
            words = _("Installing {packages}").format(packages=", ".join(rest))
            plan.append((words, ["pip", "install", *rest]))
        if TORCH in self._missing:
            words = _("Installing PyTorch (a large download)")
            self._instead = [(words, list(TORCH_FROM_PYPI)), *plan]
            plan = [(words, list(step)) for step in TORCH_STEPS] + plan
        return plan

    def _next(self) -> None:
        words, (module, *arguments) = self._commands.pop(0)
        if (module, *arguments) not in TORCH_STEPS:
            self._instead = []
        if self._constraints:
            arguments += ["-c", str(self._constraints)]
        self._onStep(Step("install", None, words))
        self._child = ChildProcess([self._python, "-m", module, *arguments], self._onStep, self._onLog)
        self._child.start()

    def _clean(self) -> None:
        importlib.invalidate_caches()
        if self._constraints:
            self._constraints.unlink(missing_ok=True)
            self._constraints = None


def missingPackages() -> list[str]:
    """Return the requirements that are not met, as pip writes them; nothing is imported.

    Raises:
        SynthesisError: Slicer is too old.
    """
    from packaging.requirements import Requirement  # comes with Slicer; slicer.packaging only with 5.12

    if sys.version_info < OLDEST_PYTHON:
        raise SynthesisError(_("MyelinSynth needs 3D Slicer 5.10 or newer."))
    lines = [line.strip() for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines()]
    requirements = [TORCH, *(line for line in lines if line and not line.startswith("#"))]
    importlib.invalidate_caches()
    return [requirement for requirement in requirements if not _isMet(Requirement(requirement))]


def _isMet(requirement: Any) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _isOtherInstallRunning() -> bool:
    """Return whether another module is installing packages."""
    try:
        from slicer.packaging import isPipInstallInProgress
    except ImportError:
        return False  # cannot be determined before 3D Slicer 5.12
    return isPipInstallInProgress()


def prepareInstallation(
    onStep: Callable[[Step], None], onLog: Callable[[str], None], torch: bool = True
) -> Installation | None:
    """Ask the user to install missing packages.

    In testing mode nothing is ever installed, as with `slicer.packaging.pip_ensure`.

    Args:
        onStep: called with the progress.
        onLog: called with each line of the installer's output.
        torch: whether PyTorch is needed; False for commands that run no network.

    Returns:
        An Installation to start; None if nothing is missing.

    Raises:
        SynthesisError: the user declined, another installation is running, or the PyTorch extension is missing.
    """
    missing = [requirement for requirement in missingPackages() if torch or requirement != TORCH]
    if not missing:
        return None
    if slicer.app.testingEnabled():
        logging.info(f"MyelinSynth: testing mode, not installed: {', '.join(missing)}")
        return None
    if _isOtherInstallRunning():
        raise SynthesisError(
            _("Slicer is installing other Python packages. Try again when the installation has finished.")
        )
    _checkTorchExtension(missing)
    question = _(
        "MyelinSynth needs Python packages that are not installed:\n{packages}\n\nThey will be downloaded from the "
        "internet (PyTorch with GPU support: up to 3 GB) and installed into Slicer. Continue?"
    ).format(packages="\n".join(f"- {requirement}" for requirement in missing))
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("MyelinSynth")):
        raise SynthesisError(_("Without these packages, no map can be synthesized. Press the button to try again."))
    return Installation(missing, onStep, onLog)


def installMissing(onLog: Callable[[str], None] = print) -> None:
    """Install missing packages without asking and wait for the end, for scripts whose user agreed.

    Args:
        onLog: called with progress and with each line of the installer's output.

    Raises:
        SynthesisError: a package could not be installed, or the PyTorch extension is missing.
    """
    missing = missingPackages()
    _checkTorchExtension(missing)
    if missing:
        installation = Installation(missing, lambda step: onLog(step.message), onLog)
        installation.start()
        try:
            while installation.pump():
                time.sleep(0.1)
        finally:
            installation.stop()


def _checkTorchExtension(missing: Sequence[str]) -> None:
    if TORCH not in missing:
        return
    try:
        import PyTorchUtils  # noqa: F401 - light; `find_spec` fails on modules that Slicer itself has loaded
    except ImportError as error:
        raise SynthesisError(
            _("MyelinSynth needs the PyTorch extension. Install it in the Extensions Manager and restart Slicer.")
        ) from error


def _writeConstraints() -> Path | None:
    """Write a constraints file that keeps pip from replacing packages in use by Slicer."""
    lines = []
    for name in KEPT:
        try:
            lines.append(f"{name}=={version(name)}\n")
        except PackageNotFoundError:
            continue
    handle, path = tempfile.mkstemp(prefix="myelinsynth-", suffix="-constraints.txt", dir=slicer.app.temporaryPath)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.writelines(lines)
    return Path(path)


def _lastError(child: ChildProcess) -> str:
    for line in reversed(child.log):
        if line.startswith("ERROR: "):
            return line[len("ERROR: ") :].strip()
    return child.reason
