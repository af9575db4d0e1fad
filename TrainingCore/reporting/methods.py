"""What a reader needs to do a protocol again: the settings of every recipe where they are not its system's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.recipe import differences
from ..systems.registry import entry_of
from .document import Report


def add_methods(report: Report, recipes: Mapping[str, dict[str, Any]], seed: int | None = None) -> None:
    """The recipes of a report and what was changed in them. recipes: {name: recipe}; seed: of the folds, or None."""
    report.add_heading("Settings")
    report.add_table(
        [{"recipe": name, **changed_settings(recipe)} for name, recipe in recipes.items()],
        "Training settings. Those not listed are as in the recipe it is based on, whose file in TrainingCore/recipes "
        "marks what is the paper's and what is ours." + ("" if seed is None else f" Seed of the folds: {seed}."),
        titles={"from": "based on", "other": "other settings"},
    )


def changed_settings(recipe: dict[str, Any]) -> dict[str, str]:
    """{makes, from, other}: a recipe's description, its root, and its settings that the root has not."""
    result = differences(recipe)
    root, outputs = result.pop("base"), str(recipe["description"])
    result.pop("description", None)
    if entry_of(recipe["system"]).closed_form:  # a closed form uses none of the others, which its base may have
        result = {key: value for key, value in result.items() if key.startswith("data.")}
    other = "; ".join(f"{key} {value_text(value)}" for key, value in result.items())
    return {"makes": outputs, "from": root, "other": other or "none"}


def value_text(value: Any) -> str:
    """A setting for people: lists with commas, numbers in six digits."""
    if isinstance(value, list):
        return ", ".join(map(value_text, value))
    return f"{value:g}" if isinstance(value, float) else "off" if value is False else str(value)


def length_text(recipe: Mapping[str, Any]) -> str:
    """How long every model was trained, in words."""
    steps, epochs = recipe["iterations"], recipe["epochs"]
    return f"each trained for {plural(steps, 'step')}" if steps else f"each trained for {plural(epochs, 'epoch')}"


def plural(count: int, noun: str) -> str:
    """`1 epoch`, `2 epochs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
