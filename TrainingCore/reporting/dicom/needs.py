"""The packages that DICOM output needs, which nobody else has to install."""

from __future__ import annotations

from importlib.util import find_spec

from ...runtime.errors import BadInput


def check_installed(package: str, purpose: str) -> None:
    """Raise BadInput, saying how to install it, where a package is missing.

    Args:
        package: `highdicom` or `pynetdicom`.
        purpose: what needs it, as the subject of a sentence.
    """
    if find_spec(package) is None:
        raise BadInput(f"{purpose} needs the package {package}. Install it with: pip install {package}.")
