"""Published systems. The trainer looks a system up by name, see `registry`, and does not depend on any paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import entry_of, system_names

if TYPE_CHECKING:
    from .system import System


def system_class(name: str) -> type[System]:
    """Look up the class of a system by name; imports torch.

    Args:
        name: value of `system` in a recipe.

    Returns:
        The class, not yet built.

    Raises:
        BadInput: unknown name.
    """
    return entry_of(name).system_class()


NAMES = system_names()  # systems of this package and of installed plug-ins
