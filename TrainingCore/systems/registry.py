"""Registry of systems by name: their properties without torch, and their classes on demand.

A system of this package has a file in `systems/papers` that registers it. Another package registers its own at run time
with `register_system`, or is found by its entry point in the group `myelinsynth.systems`, a function that registers:

>>> register_system(SystemEntry("mine", load="my.mine:Mine", recipe=Path("mine.yaml")))           # doctest: +SKIP
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


def _no_rules(recipe: Recipe) -> Iterator[Rule]:
    """No rules, for systems without settings of their own."""
    yield from ()


def _no_masks(recipe: Recipe) -> tuple[str, ...]:
    """No masks besides the brain mask."""
    return ()


@dataclass(frozen=True)
class SystemEntry:
    """Properties of a system that are available without importing torch.

    Attributes:
        name: value of `system` in recipes.
        load: the class, or "module:Class" to import it on first use.
        citation: the paper, e.g. "Soulier et al., SPIE Medical Imaging 2024"; empty for a comparator of ours.
        rules: yields (whether the rule holds, what is wrong otherwise) for a recipe.
        masks: returns the masks that a visit needs for training, besides the brain mask.
        disease: disease that `train --simulate` simulates: ms, wmh or glioma.
        closed_form: whether it has a closed-form solution; reports then omit training settings.
        recipe: base recipe with every key; None: recipes/<name>.yaml of this package, or that of the recipe's base.
        reported: results of the paper, which reports show beside ours.
        settings: dataclass of its settings, whose types are checked before the rules (see systems/settings.py).
    """

    name: str
    load: str | type[System]
    citation: str = ""
    rules: Callable[[Recipe], Iterator[Rule]] = _no_rules
    masks: Callable[[Recipe], tuple[str, ...]] = _no_masks
    disease: str = "ms"
    closed_form: bool = False
    recipe: Path | None = None
    reported: Reported | None = None
    settings: type | None = None

    def system_class(self) -> type[System]:
        """Load the class of the system; imports torch."""
        if not isinstance(self.load, str):
            return self.load
        module, _, name = self.load.partition(":")
        return getattr(import_module(module), name)


_ENTRIES: dict[str, SystemEntry] = {}


def register_system(entry: SystemEntry) -> None:
    """Register a system; replaces a system of the same name.

    Args:
        entry: the system; its recipe, if it has one, becomes a base recipe of that name.
    """
    _ENTRIES[entry.name] = entry
    if entry.recipe is not None:
        add_root(entry.name, entry.recipe)


def unregister(name: str) -> None:
    """Remove a system that was registered at run time.

    Args:
        name: name of the system.

    Raises:
        KeyError: no such system.
    """
    entry = _ENTRIES.pop(name)
    if entry.recipe is not None:
        add_root(name, None)


@cache
def _discover() -> None:
    """Import the files of `systems/papers`, then the entry points of other packages."""
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
    """Look up the entry of a system.

    Args:
        name: value of `system` in a recipe.

    Returns:
        The entry.

    Raises:
        BadInput: the system is unknown.
    """
    _discover()
    if name not in _ENTRIES:
        raise BadInput(f"There is no system called {name!r}. Known systems: {', '.join(_ENTRIES)}.")
    return _ENTRIES[name]


def reported_for(task: str) -> Reported:
    """Look up the results that a paper reports for a task.

    Args:
        task: name of the task (see evaluation.tasks).

    Returns:
        The results; empty if no registered paper has any.
    """
    _discover()
    known = (entry.reported for entry in _ENTRIES.values() if entry.reported is not None)
    return next((figures for figures in known if figures.task == task), Reported(task))
