"""What a recipe's values must keep to. Everything here is found before a run folder exists or torch is imported.

One file per system; what all systems share is in `common`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import BadInput
from ..recipe import leaves
from .common import Rule, common_rules
from .curricular import curricular_rules

RULES: dict[str, Callable[[dict[str, Any]], Iterator[Rule]]] = {
    "curricular": curricular_rules,
}
MASKS_TO_LEARN: dict[str, tuple[str, ...]] = {"curricular": ("lesions", "white_matter")}


def volumes_to_learn(recipe: dict[str, Any]) -> tuple[str, ...]:
    """Names of the volumes that a visit must have to be learnt from."""
    data = recipe["data"]
    return (*data["inputs"], data["target"], "brain", *MASKS_TO_LEARN.get(recipe["system"], ()))


def check_recipe(recipe: dict[str, Any]) -> None:
    """Raise BadInput with one sentence for values that no run can work with."""
    for key, value in leaves(recipe):
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput(f"The recipe cannot be used: {key} is not a finite number.")
    for rules in (common_rules, RULES.get(recipe["system"], _no_rules)):
        for holds, sentence in rules(recipe):
            if not holds:
                raise BadInput(f"The recipe cannot be used: {sentence}.")


def _no_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """A system without settings of its own, like the linear regression, may have any base."""
    yield from ()
