"""What must be there before the first synthesis: PyTorch through its extension, the rest by Slicer's own installer."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from .errors import SynthesisError
from .words import _

TORCH_VERSION = ">=2.4"
REQUIREMENTS = Path(__file__).resolve().parents[1] / "Resources" / "requirements.txt"


def torchInstalled() -> bool:
    """Whether PyTorch is there; does not import it."""
    return importlib.util.find_spec("torch") is not None


def ensureRequirements() -> None:
    """Install what is missing, after asking. Raises SynthesisError where PyTorch cannot be had or was declined."""
    from slicer.packaging import load_requirements, pip_ensure

    if not torchInstalled():
        installTorch()
    pip_ensure(load_requirements(REQUIREMENTS), requester="MyelinSynth")


def installTorch() -> None:
    """Install PyTorch by the PyTorch extension, which picks the build for this computer's GPU."""
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise SynthesisError(
            _("MyelinSynth needs the PyTorch extension. Install it in the Extensions Manager and restart Slicer.")
        ) from error
    installed = PyTorchUtils.PyTorchUtilsLogic().installTorch(
        askConfirmation=True, torchVersionRequirement=TORCH_VERSION
    )
    if installed is None:
        raise SynthesisError(
            _("PyTorch was not installed, so no map can be made. Press the button again to install it.")
        )
