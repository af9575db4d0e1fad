"""Rules for the settings of the curricular system."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..recipe import grid_shape
from ..training.schedules import SCHEDULES
from .common import Rule, adam_rules


def curricular_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """(holds, what is wrong otherwise)."""
    yield from _network_rules(recipe)
    yield from _training_rules(recipe)


def _network_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    generator, widths, patch = recipe["generator"], recipe["discriminator"]["widths"], recipe["discriminator"]["patch"]
    yield min(grid_shape(recipe)) >= patch, f"data.size must be at least one patch ({patch} voxels)"
    yield recipe["data"]["visits_per_step"] == 1, "data.visits_per_step must be 1: the generator sees one whole volume"
    yield generator["width"] >= 1, "generator.width must be at least 1"
    yield 1 <= generator["levels"] <= 7, "generator.levels must be between 1 and 7"
    yield 2 ** (generator["levels"] - 1) <= min(grid_shape(recipe)), "generator.levels is too many for data.size"
    yield generator["order"] in ("gcr", "cgr"), "generator.order must be gcr or cgr"
    whole = bool(widths) and all(isinstance(width, int) and width >= 1 for width in widths)
    yield whole, "discriminator.widths must be a list of whole numbers"
    yield recipe["patches"] >= 1, "patches must be at least 1"
    yield recipe["precision"] != "float16", "precision must be auto, float32 or bfloat16"


def _training_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    rates, balance, labels = recipe["optimizer"], recipe["optimizer"]["balance"], recipe["labels"]
    yield 0 <= recipe["ema"] < 1, "ema must be at least 0 and below 1"
    yield recipe["schedule"]["name"] in SCHEDULES, f"schedule.name must be one of {', '.join(SCHEDULES)}"
    yield 0 <= recipe["schedule"]["share"] <= 1, "schedule.share must be between 0 and 1"
    yield all(value >= 0 for value in recipe["losses"].values()), "losses must not be negative"
    yield labels["sd"] >= 0, "labels.sd must not be negative"
    yield from adam_rules(rates)
    yield 0 < balance["floor"] <= 1 and 0 < balance["step"] <= 1, "optimizer.balance needs floor and step in (0, 1]"
    yield rates["decay"] in ("none", "cosine"), "optimizer.decay must be none or cosine"
