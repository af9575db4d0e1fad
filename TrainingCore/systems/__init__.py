"""One file per published system. The trainer asks for a system by name and knows no paper."""

from __future__ import annotations

from typing import Any

from ..errors import BadInput

NAMES = ("curricular", "linear")


def system_class(name: str) -> type[Any]:
    """The class of a system by its name; imports torch only now."""
    if name == "curricular":
        from .curricular import Curricular

        return Curricular
    if name == "linear":
        from .linear import LinearVoxelwise

        return LinearVoxelwise
    raise BadInput(f"There is no system called {name!r}. Known systems: {', '.join(NAMES)}.")
