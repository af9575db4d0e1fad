"""Rules for the settings that systems share, checked before a run folder exists or torch is imported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..data.case import ALL_MRI
from ..data.recipe import grid_shape

Rule = tuple[bool, str]
TARGETS = ("dvr", "lesions", *ALL_MRI)
INTENSITIES = ("percentile", "gaussian", "unit", "symmetric")  # see imaging/intensities.py
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
MEMORY_FORMATS = ("auto", "contiguous", "channels_last")


def common_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """Check data, epochs, augmentation and log, which all systems share.

    Args:
        recipe: a complete recipe.

    Yields:
        Whether a rule holds, and what is wrong otherwise.
    """
    data, amounts = recipe["data"], recipe["augmentation"]
    yield data["field_of_view"] > 0, "data.field_of_view must be above 0 mm"
    yield min(grid_shape(recipe)) >= 1, "data.size must be at least one voxel"
    known = bool(data["inputs"]) and set(data["inputs"]) <= set(ALL_MRI)
    yield known, f"data.inputs must be a list out of {', '.join(ALL_MRI)}"
    yield len(set(data["inputs"])) == len(data["inputs"]), "data.inputs names an MRI twice"
    yield data["target"] in TARGETS, f"data.target must be one of {', '.join(TARGETS)}"
    yield data["target"] not in data["inputs"], "data.target must not be among data.inputs"
    yield from _intensity_rules(data["intensity"])
    for key in ("validation_people", "training_people", "memory_gb"):
        yield data[key] >= 0, f"data.{key} must not be negative"
    yield data["visits_per_step"] >= 1, "data.visits_per_step must be at least 1"
    yield recipe["seed"] >= 0, "seed must not be negative"
    yield recipe["epochs"] >= 1, "epochs must be at least 1"
    yield recipe["iterations"] >= 0, "iterations must not be negative"
    yield recipe["precision"] in PRECISIONS, f"precision must be one of {', '.join(PRECISIONS)}"
    yield recipe["memory_format"] in MEMORY_FORMATS, f"memory_format must be one of {', '.join(MEMORY_FORMATS)}"
    yield all(value >= 0 for value in amounts.values()), "augmentation amounts must not be negative"
    yield max(amounts["flip"], amounts["slices"]) <= 1, "augmentation.flip and .slices are probabilities, at most 1"
    fresh = recipe.get("simulated", {})
    yield all(fresh.get(key, 1) >= 1 for key in ("visits", "reuse", "apart")), "simulated numbers must be at least 1"
    yield recipe["log"]["validate_every"] >= 1, "log.validate_every must be at least 1"
    yield recipe["log"]["pictures_every"] >= 0, "log.pictures_every must not be negative"


def _intensity_rules(rule: dict[str, Any]) -> Iterator[Rule]:
    yield rule["rule"] in INTENSITIES, f"data.intensity.rule must be one of {', '.join(INTENSITIES)}"
    if "low" in rule and "high" in rule:
        yield 0 <= rule["low"] < rule["high"] <= 100, "data.intensity needs 0 <= low < high <= 100"
    if "below" in rule and "above" in rule:
        yield min(rule["below"], rule["above"]) > 0, "data.intensity needs below and above (SDs) greater than 0"


def adam_rules(rates: dict[str, Any]) -> Iterator[Rule]:
    """Check an `optimizer` group: rates above 0, betas in [0, 1), a known decay.

    Args:
        rates: the group; every key that ends in `rate` is a learning rate.

    Yields:
        Whether a rule holds, and what is wrong otherwise.
    """
    positive = all(value > 0 for key, value in rates.items() if key.endswith("rate"))
    yield positive, "the learning rates must be above 0"
    betas = rates["betas"]
    right = len(betas) == 2 and all(isinstance(beta, (int, float)) and 0 <= beta < 1 for beta in betas)
    yield right, "optimizer.betas must be two numbers of at least 0 and below 1"
    yield rates.get("decay", "none") in ("none", "cosine"), "optimizer.decay must be none or cosine"


def depth_rules(recipe: dict[str, Any], name: str) -> Iterator[Rule]:
    """Check a 3D network that halves its feature maps from level to level.

    Args:
        recipe: a complete recipe.
        name: group of the network in the recipe.

    Yields:
        Whether a rule holds, and what is wrong otherwise.
    """
    network = recipe[name]
    yield network["width"] >= 1, f"{name}.width must be at least 1"
    yield 1 <= network["levels"] <= 7, f"{name}.levels must be between 1 and 7"
    yield 2 ** (network["levels"] - 1) <= min(grid_shape(recipe)), f"{name}.levels is too many for data.size"


def unet3d_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """Check a `generator` that is the 3D U-Net.

    Args:
        recipe: a complete recipe.

    Yields:
        Whether a rule holds, and what is wrong otherwise.
    """
    yield from depth_rules(recipe, "generator")
    yield recipe["generator"]["order"] in ("gcr", "cgr"), "generator.order must be gcr or cgr"


def width_rules(widths: Any, name: str, min_stages: int = 1) -> Iterator[Rule]:
    """Check a list of channels, one number per stage.

    Args:
        widths: value of the recipe.
        name: its key, for the message.
        min_stages: smallest length of the list.

    Yields:
        Whether a rule holds, and what is wrong otherwise.
    """
    whole = len(widths) >= min_stages and all(isinstance(width, int) and width >= 1 for width in widths)
    yield whole, f"{name} must be a list of {'at least two ' if min_stages == 2 else ''}whole numbers"


def no_float16(recipe: dict[str, Any]) -> Iterator[Rule]:
    """Check the precision of a system that was never tried in float16.

    Args:
        recipe: a complete recipe.

    Yields:
        Whether the rule holds, and what is wrong otherwise.
    """
    yield recipe["precision"] != "float16", "precision must be auto, float32 or bfloat16"
