"""Published systems. The trainer asks for a system by name and knows no paper; `registry` says how names are found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import entry_of, system_names

if TYPE_CHECKING:
    from .system import System


def system_class(name: str) -> type[System]:
    """The class of a system by its name; imports torch only now.

    Raises:
        BadInput: unknown name.
    """
    return entry_of(name).system_class()


NAMES = system_names()  # of this package and of those installed beside it
