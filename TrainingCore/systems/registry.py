"""Systems by name: what is known of them without torch, and their classes once they are asked for.

A system of this package has a file in `systems/papers` that registers it. Another package registers its own at run time
with `register`, or is found by its entry point in the group `myelinsynth.systems`, a function that registers:

>>> register(SystemEntry("mine", load="my_package.mine:Mine", recipe=Path("mine.yaml")))               # doctest: +SKIP
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.recipe import add_root
from ..runtime.errors import BadInput
from .reported import Reported
from .rules import Rule

if TYPE_CHECKING:
    from .system import System

Recipe = dict[str, Any]


def no_rules(recipe: Recipe) -> Iterator[Rule]:
    """Rules of a system without settings of its own, which may have any base."""
    yield from ()


def no_masks(recipe: Recipe) -> tuple[str, ...]:
    """Masks of a system that needs none besides the brain's."""
    return ()


@dataclass(frozen=True)
class SystemEntry:
    """What is known of a system without importing torch.

    Attributes:
        name: as recipes call it in `system`.
        load: its class, or where that is as "module:Class", imported when it is first used.
        citation: the paper, e.g. "Soulier et al., SPIE Medical Imaging 2024"; empty for a comparator of ours.
        rules: (holds, what is wrong otherwise) for its part of a recipe.
        masks: names of the masks that a recipe needs to learn from a visit, besides the brain's.
        disease: what its patients have (ms, wmh or glioma), which `train --simulate` simulates.
        closed_form: solved at once; a report names none of its recipe's training settings.
        recipe: its root recipe with every key; None: recipes/<name>.yaml of this package, or that of the recipe's base.
        reported: the paper's own figures, which reports print beside ours.
        settings: dataclass of its own settings, whose types are checked before its rules (see systems/settings.py).
    """

    name: str
    load: str | type[System]
    citation: str = ""
    rules: Callable[[Recipe], Iterator[Rule]] = no_rules
    masks: Callable[[Recipe], tuple[str, ...]] = no_masks
    disease: str = "ms"
    closed_form: bool = False
    recipe: Path | None = None
    reported: Reported | None = None
    settings: type | None = None

    def system_class(self) -> type[System]:
        """The class of the system; imports torch only now."""
        if not isinstance(self.load, str):
            return self.load
        module, _, name = self.load.partition(":")
        return getattr(import_module(module), name)


_ENTRIES: dict[str, SystemEntry] = {}


def register(entry: SystemEntry) -> None:
    """Make a system known by its name, in place of one that had it before."""
    _ENTRIES[entry.name] = entry
    if entry.recipe is not None:
        add_root(entry.name, entry.recipe)


def unregister(name: str) -> None:
    """Forget a system that was registered at run time."""
    entry = _ENTRIES.pop(name)
    if entry.recipe is not None:
        add_root(name, None)


@cache
def _discover() -> None:
    """Import the files of `systems/papers`, then what other packages offer."""
    from . import papers

    for module in pkgutil.iter_modules(papers.__path__):
        import_module(f"{papers.__name__}.{module.name}")
    for point in entry_points(group="myelinsynth.systems"):
        point.load()()


def system_names() -> tuple[str, ...]:
    """Names of all known systems."""
    _discover()
    return tuple(_ENTRIES)


def entry_of(name: str) -> SystemEntry:
    """What is known of a system by its name.

    Raises:
        BadInput: unknown one.
    """
    _discover()
    if name not in _ENTRIES:
        raise BadInput(f"There is no system called {name!r}. Known systems: {', '.join(_ENTRIES)}.")
    return _ENTRIES[name]


def reported_for(task: str) -> Reported:
    """Figures of the paper whose models a task measures; empty if no registered paper has any."""
    _discover()
    known = (entry.reported for entry in _ENTRIES.values() if entry.reported is not None)
    return next((figures for figures in known if figures.task == task), Reported(task))
