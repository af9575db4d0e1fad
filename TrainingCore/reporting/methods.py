"""Settings section of experiment reports: every recipe with its changes from the recipe it is based on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.recipe import differences_to_root
from ..systems.registry import entry_of
from .document import Report


def add_methods(report: Report, recipes: Mapping[str, dict[str, Any]], seed: int | None = None) -> None:
    """Add the settings of every recipe to a report.

    Args:
        report: report to extend.
        recipes: recipes by name.
        seed: seed of the folds, or None.
    """
    report.add_heading("Settings")
    report.add_table(
        [{"recipe": name, **changed_settings(recipe)} for name, recipe in recipes.items()],
        "Training settings. All others are those of the base recipe, whose file in TrainingCore/recipes marks which "
        "settings are from the paper and which are ours." + ("" if seed is None else f" Seed of the folds: {seed}."),
        titles={"from": "based on", "other": "other settings"},
    )


def changed_settings(recipe: dict[str, Any]) -> dict[str, str]:
    """Describe a recipe and what it changes.

    Args:
        recipe: a complete recipe.

    Returns:
        `makes` (description), `from` (base recipe), `other` (settings that differ from the base).
    """
    result = differences_to_root(recipe)
    root, outputs = result.pop("base"), str(recipe["description"])
    result.pop("description", None)
    if entry_of(recipe["system"]).closed_form:  # ignores the training settings that its base may have
        result = {key: value for key, value in result.items() if key.startswith("data.")}
    other = "; ".join(f"{key} {_value_text(value)}" for key, value in result.items())
    return {"makes": outputs, "from": root, "other": other or "none"}


def _value_text(value: Any) -> str:
    """Format a setting: lists with commas, numbers in six digits."""
    if isinstance(value, list):
        return ", ".join(map(_value_text, value))
    return f"{value:g}" if isinstance(value, float) else "off" if value is False else str(value)


def length_text(recipe: Mapping[str, Any]) -> str:
    """Describe the length of a training, e.g. `each trained for 20 epochs`.

    Args:
        recipe: a complete recipe.

    Returns:
        A phrase.
    """
    steps, epochs = recipe["iterations"], recipe["epochs"]
    return f"each trained for {_plural(steps, 'step')}" if steps else f"each trained for {_plural(epochs, 'epoch')}"


def _plural(count: int, noun: str) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
