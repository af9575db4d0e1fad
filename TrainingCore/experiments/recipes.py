"""The recipes that an experiment compares, and the visits that all of them can be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.cohort import Cohort
from ..data.recipe import has_key, load_recipe
from ..runtime.errors import BadInput
from ..systems.checks import check_recipe, training_volumes


def open_recipes(specifications: Sequence[str], changes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Load the recipes of an experiment.

    Args:
        specifications: NAME=RECIPE, or RECIPE for its own name.
        changes: `key=value`, made in every recipe that has the key.

    Returns:
        Recipes by the name that the report gives them.

    Raises:
        BadInput: the recipes have different targets, two have one name, or none has a changed key.
    """
    entries = [(name if equals else Path(entry).stem, which if equals else entry)
               for entry in specifications for name, equals, which in [entry.partition("=")]]  # fmt: skip
    before = [load_recipe(which) for _name, which in entries]
    recipes: dict[str, dict[str, Any]] = {}
    for (name, which), own in zip(entries, before):
        known = [change for change in changes if any(has_key(other, change) for other in before)]
        mine = [change for change in changes if has_key(own, change) or change not in known]
        recipe = load_recipe(which, mine)
        check_recipe(recipe)
        if name in recipes:
            raise BadInput(f"Two recipes are called {name!r}. Write one of them as NAME=RECIPE.")
        if not name.replace("-", "").replace("_", "").isalnum():
            raise BadInput(f"--compare {name}={which}: a name may contain only letters, digits, - and _.")
        recipes[name] = recipe
    targets = {recipe["data"]["target"] for recipe in recipes.values()}
    if len(targets) > 1:
        raise BadInput(f"The recipes have different targets ({', '.join(sorted(targets))}) and cannot be compared.")
    return recipes


def name_recipes_without_key(recipes: dict[str, dict[str, Any]], changes: Sequence[str]) -> str:
    """Name the recipes that lack a changed key, for a message.

    Args:
        recipes: recipes by name.
        changes: changes as key=value.

    Returns:
        One sentence; empty if every recipe has every key.
    """
    missing = {key: [name for name, recipe in recipes.items() if not has_key(recipe, key)] for key in changes}
    sentences = [f"{', '.join(names)} without --set {key.split('=')[0]}" for key, names in missing.items() if names]
    return f"Not every recipe has every key: {'; '.join(sentences)}." if sentences else ""


def open_cohort(path: Path, recipes: dict[str, dict[str, Any]]) -> Cohort:
    """Open the visits that every recipe can be trained on.

    Args:
        path: prepared BIDS dataset.
        recipes: recipes by name.

    Returns:
        Visits that have all volumes needed.

    Raises:
        BadInput: the dataset cannot be read, or no visit is usable.
    """
    needed = dict.fromkeys(name for recipe in recipes.values() for name in training_volumes(recipe))
    inputs = dict.fromkeys(name for recipe in recipes.values() for name in recipe["data"]["inputs"])
    return Cohort.read(path, list(inputs)).usable_for_training(list(needed))
