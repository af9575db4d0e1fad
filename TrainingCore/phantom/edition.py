"""Which digital patient made an image: an edition, and a fingerprint of every number that defines it.

An edition is frozen before schedules or systems are compared, so that nothing can be tuned to favour one. Its
fingerprint stands in every sidecar; FROZEN records it, and a test fails where a number changed without a new edition.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import inspect
from typing import Any

EDITION = 2
FROZEN: dict[int, str] = {2: "d5055b091878d17d"}  # edition -> fingerprint
MODULES = (
    *("acquisition", "anatomy", "cortex", "diffuse", "gadolinium", "lesion_classes", "lesion_growth", "lesions"),
    *("lookalikes", "microstructure", "mri", "people", "pet", "placed_masks", "protocols", "randomness", "rater"),
    *("signals", "template", "terrain", "tissues", "tracts", "tumours", "vascular"),
)


def constants() -> dict[str, str]:
    """Every named constant of the digital patient (`module.NAME` -> value as text), and its unnamed decimal numbers."""
    found = {}
    for module_name in MODULES:
        module = importlib.import_module(f"{__package__}.{module_name}")
        for name, value in sorted(vars(module).items()):
            if name.isupper() and not callable(value):
                found[f"{module_name}.{name}"] = _as_text(value)
        found[module_name] = " ".join(_decimals(module_name))
    return found


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_as_text(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(_as_text(part) for part in value) + ")"
    return getattr(value, "__name__", repr(value))


@functools.cache
def _decimals(module_name: str) -> list[str]:
    """Decimal numbers in a module's code, in numerical order: moving code about changes nothing."""
    module = importlib.import_module(f"{__package__}.{module_name}")
    tree = ast.parse(inspect.getsource(module))
    numbers = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [repr(number) for number in sorted(number for number in numbers if isinstance(number, float))]


def fingerprint() -> str:
    """Sixteen hex digits that change with any of `constants`."""
    text = "\n".join(f"{name} = {value}" for name, value in sorted(constants().items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=1)
def provenance() -> dict[str, Any]:
    """What sidecars, cards and cases say of the digital patient: {edition, constants}."""
    return {"edition": EDITION, "constants": fingerprint()}
