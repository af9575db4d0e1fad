"""Load the trained system of a bundle."""

from __future__ import annotations

from typing import Any

from ..data.bundle import Bundle
from . import system_class
from .ensemble import Ensemble


def load_system(bundle: Bundle, device: Any = "cpu") -> Any:
    """Load the trained system of a bundle onto a device.

    Args:
        bundle: any bundle.
        device: torch device, or its name.

    Returns:
        The system, or an Ensemble if the bundle has several members.

    Raises:
        BadInput: the weights do not belong to the described network.
    """
    kind = system_class(bundle.description["system"])
    if bundle.description.get("members", 1) == 1:
        return kind.from_bundle(bundle, device)
    return Ensemble([kind.from_bundle(member, device) for member in bundle.members()])
