"""Edition of the simulated patient, and a fingerprint of its named constants and of the decimal numbers in its code.

An edition is frozen before schedules or systems are compared, so that it cannot be tuned to favour one of them. Its
fingerprint is stored in every sidecar; FROZEN records it, and a test fails if a number changes without a new edition.
Integers and formulas in the code are not part of it: `test_frozen.py` compares means of one person per site with those
of the commit that froze the edition.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import inspect
from typing import Any

EDITION = 2
FROZEN: dict[int, str] = {2: "b52703148e89cd05"}  # edition -> fingerprint
MODULES = (
    *("acquisition", "anatomy", "cortex", "diffuse", "gadolinium", "lesion_classes", "lesion_growth", "lesions"),
    *("lookalikes", "microstructure", "mri", "people", "pet", "placed_masks", "protocols", "randomness", "rater"),
    *("signals", "template", "terrain", "tissues", "tracts", "tumours", "vascular"),
)


def constants() -> list[str]:
    """List every named constant of the simulated patient (`NAME = value`), and the decimal numbers in its code.

    Module names are left out, so that moving or importing a constant changes nothing.
    """
    named: set[str] = set()
    numbers: list[float] = []
    for module_name in MODULES:
        module = importlib.import_module(f"{__package__}.{module_name}")
        named |= {f"{name} = {_as_text(value)}" for name, value in vars(module).items() if _is_constant(name, value)}
        numbers += _decimals(module_name)
    return [*sorted(named), *(repr(number) for number in sorted(numbers))]


def _is_constant(name: str, value: Any) -> bool:
    return name.isupper() and not callable(value)


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_as_text(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(_as_text(part) for part in value) + ")"
    return getattr(value, "__name__", repr(value))


@functools.cache
def _decimals(module_name: str) -> tuple[float, ...]:
    module = importlib.import_module(f"{__package__}.{module_name}")
    tree = ast.parse(inspect.getsource(module))
    values = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return tuple(value for value in values if isinstance(value, float))


def fingerprint() -> str:
    """Return sixteen hexadecimal digits that change with any of `constants`."""
    return hashlib.sha256("\n".join(constants()).encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=1)
def phantom_edition() -> dict[str, Any]:
    """Return {edition, constants} of the simulated patient for sidecars, cards and cases."""
    return {"edition": EDITION, "constants": fingerprint()}
