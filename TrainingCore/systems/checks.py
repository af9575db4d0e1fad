"""Check a recipe before a run folder exists or torch is imported."""

from __future__ import annotations

import math
from typing import Any

from ..data.recipe import leaves
from ..runtime.errors import BadInput
from .registry import entry_of
from .rules import common_rules
from .settings import read_settings


def training_volumes(recipe: dict[str, Any]) -> tuple[str, ...]:
    """List the volumes that a visit must have to be usable for training.

    Args:
        recipe: a complete recipe.

    Returns:
        Names of inputs, target, brain mask, and the masks that the system needs.
    """
    data = recipe["data"]
    return (*data["inputs"], data["target"], "brain", *entry_of(recipe["system"]).masks(recipe))


def check_recipe(recipe: dict[str, Any]) -> None:
    """Check the values of a recipe by the rules that all systems share and by those of its own system.

    Args:
        recipe: a complete recipe.

    Raises:
        BadInput: a value is invalid, or the system is unknown.
    """
    for key, value in leaves(recipe):
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput(f"The recipe cannot be used: {key} is not a finite number.")
    entry = entry_of(recipe["system"])
    for rules in (common_rules, entry.rules):
        for holds, sentence in rules(recipe):
            if not holds:
                raise BadInput(f"The recipe cannot be used: {sentence}.")
    if entry.settings is not None:
        read_settings(entry.settings, recipe)
