"""Rules for the settings of the curricular system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..data.recipe import grid_shape
from ..training.schedules import SCHEDULES
from .common import Rule, adam_rules, no_float16, unet3d_rules, width_rules


def curricular_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """(holds, what is wrong otherwise)."""
    yield from _network_rules(recipe)
    yield from _training_rules(recipe)


def _network_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    patch = recipe["discriminator"]["patch"]
    yield min(grid_shape(recipe)) >= patch, f"data.size must be at least one patch ({patch} voxels)"
    yield recipe["data"]["visits_per_step"] == 1, "data.visits_per_step must be 1: the generator sees one whole volume"
    yield from unet3d_rules(recipe)
    yield from width_rules(recipe["discriminator"]["widths"], "discriminator.widths")
    yield recipe["patches"] >= 1, "patches must be at least 1"
    yield from no_float16(recipe)


def _training_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    rates, balance, labels = recipe["optimizer"], recipe["optimizer"]["balance"], recipe["labels"]
    yield 0 <= recipe["ema"] < 1, "ema must be at least 0 and below 1"
    yield recipe["schedule"]["name"] in SCHEDULES, f"schedule.name must be one of {', '.join(SCHEDULES)}"
    yield 0 <= recipe["schedule"]["share"] <= 1, "schedule.share must be between 0 and 1"
    yield all(value >= 0 for value in recipe["losses"].values()), "losses must not be negative"
    yield labels["sd"] >= 0, "labels.sd must not be negative"
    yield from adam_rules(rates)
    yield 0 < balance["floor"] <= 1 and 0 < balance["step"] <= 1, "optimizer.balance needs floor and step in (0, 1]"
