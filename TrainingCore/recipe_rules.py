"""What a recipe's values must keep to. Everything here is found before a run folder exists or torch is imported."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .case import MRI, VOLUME_NAMES
from .errors import BadInput
from .recipe import grid_shape, leaves
from .training.schedules import SCHEDULES

Rule = tuple[bool, str]


def check_recipe(recipe: dict[str, Any]) -> None:
    """Raise BadInput with one sentence for values that no run can work with."""
    for key, value in leaves(recipe):
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput(f"The recipe cannot be used: {key} is not a finite number.")
    for rules in (_data_rules, _network_rules, _training_rules):
        for holds, sentence in rules(recipe):
            if not holds:
                raise BadInput(f"The recipe cannot be used: {sentence}.")


def _data_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    data, rule = recipe["data"], recipe["data"]["intensity"]
    patch = recipe["discriminator"]["patch"]
    yield min(grid_shape(recipe)) >= patch, f"data.size must be at least one patch ({patch} voxels)"
    yield data["field_of_view"] > 0, "data.field_of_view must be above 0 mm"
    known = ", ".join(MRI)
    yield bool(data["inputs"]) and set(data["inputs"]) <= set(MRI), f"data.inputs must be a list out of {known}"
    yield data["target"] in VOLUME_NAMES, f"data.target must be one of {', '.join(VOLUME_NAMES)}"
    yield rule["rule"] == "percentile", "data.intensity.rule must be percentile"
    yield 0 <= rule["low"] < rule["high"] <= 100, "data.intensity needs 0 <= low < high <= 100"
    yield data["validation_people"] >= 0, "data.validation_people must not be negative"
    yield data["training_people"] >= 0, "data.training_people must not be negative"
    yield data["memory_gb"] >= 0, "data.memory_gb must not be negative"


def _network_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    generator, widths = recipe["generator"], recipe["discriminator"]["widths"]
    yield generator["width"] >= 1, "generator.width must be at least 1"
    yield 1 <= generator["levels"] <= 7, "generator.levels must be between 1 and 7"
    yield 2 ** (generator["levels"] - 1) <= min(grid_shape(recipe)), "generator.levels is too many for data.size"
    yield generator["order"] in ("gcr", "cgr"), "generator.order must be gcr or cgr"
    whole = bool(widths) and all(isinstance(width, int) and width >= 1 for width in widths)
    yield whole, "discriminator.widths must be a list of whole numbers"
    yield recipe["patches"] >= 1, "patches must be at least 1"
    yield recipe["precision"] in ("auto", "float32", "bfloat16"), "precision must be auto, float32 or bfloat16"


def _training_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    rates, balance, labels = recipe["optimizer"], recipe["optimizer"]["balance"], recipe["labels"]
    yield recipe["seed"] >= 0, "seed must not be negative"
    yield recipe["epochs"] >= 1, "epochs must be at least 1"
    yield 0 <= recipe["ema"] < 1, "ema must be at least 0 and below 1"
    yield recipe["schedule"]["name"] in SCHEDULES, f"schedule.name must be one of {', '.join(SCHEDULES)}"
    yield 0 <= recipe["schedule"]["share"] <= 1, "schedule.share must be between 0 and 1"
    yield all(value >= 0 for value in recipe["losses"].values()), "losses must not be negative"
    yield labels["sd"] >= 0, "labels.sd must not be negative"
    positive = rates["generator_rate"] > 0 and rates["discriminator_rate"] > 0
    yield positive, "the learning rates must be above 0"
    betas = rates["betas"]
    right = len(betas) == 2 and all(isinstance(beta, (int, float)) and 0 <= beta < 1 for beta in betas)
    yield right, "optimizer.betas must be two numbers of at least 0 and below 1"
    yield 0 < balance["floor"] <= 1 and 0 < balance["step"] <= 1, "optimizer.balance needs floor and step in (0, 1]"
    yield rates["decay"] in ("none", "cosine"), "optimizer.decay must be none or cosine"
    amounts = recipe["augmentation"]
    yield all(value >= 0 for value in amounts.values()), "augmentation amounts must not be negative"
    yield max(amounts["flip"], amounts["slices"]) <= 1, "augmentation.flip and .slices are probabilities, at most 1"
    yield recipe["log"]["validate_every"] >= 1, "log.validate_every must be at least 1"
    yield recipe["log"]["pictures_every"] >= 0, "log.pictures_every must not be negative"
