"""Settings of the lesion finder, a system of our own, with their rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..registry import SystemEntry, register_system
from ..rules import Rule, adam_rules, depth_rules, no_float16
from ..settings import AdamSettings


@dataclass(frozen=True)
class FoldedUNetSettings:
    """The U-Net on folded voxels."""

    width: int
    levels: int


@dataclass(frozen=True)
class LesionFinderLosses:
    """Weights of the two terms."""

    cross_entropy: float
    dice: float


@dataclass(frozen=True)
class LesionFinderSettings:
    """Window and losses of the lesion finder.

    Attributes:
        window: edge in voxels of what the network sees at once in training.
        small_lesions: largest weight of a voxel in the cross-entropy.
        missing_input: probability of a blank input, of each.
        ema: share of the old weights that the moving average keeps.
        missing_t1w: probability of a blank T1w in the steps in which no input is blank already.
    """

    network: FoldedUNetSettings
    window: int
    small_lesions: float
    missing_input: float
    losses: LesionFinderLosses
    optimizer: AdamSettings
    ema: float
    missing_t1w: float = 0.0


def _lesion_finder_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """Yield (whether the rule holds, what is wrong otherwise)."""
    network, factor = recipe["network"], 2 ** recipe["network"]["levels"]
    yield from depth_rules(recipe, "network")
    yield recipe["data"]["target"] == "lesions", "data.target must be lesions"
    fits = recipe["window"] >= factor and recipe["window"] % factor == 0
    yield fits, f"window must be a multiple of {factor} voxels with network.levels {network['levels']}"
    yield 0 <= recipe["lesion_windows"] <= 1, "lesion_windows is a probability, 0 to 1"
    yield 0 <= recipe["missing_input"] <= 0.5, "missing_input is a probability, 0 to 0.5"
    yield 0 <= recipe.get("missing_t1w", 0.0) <= 1, "missing_t1w is a probability, 0 to 1"
    yield recipe["small_lesions"] >= 1, "small_lesions must be at least 1"
    yield min(recipe["losses"].values()) >= 0, "losses must not be negative"
    yield max(recipe["losses"].values()) > 0, "one of the losses must be above 0"
    yield 0 <= recipe["ema"] < 1, "ema must be at least 0 and below 1"
    yield from adam_rules(recipe["optimizer"])
    yield from no_float16(recipe)


register_system(
    SystemEntry(
        "lesion_finder",
        load="TrainingCore.systems.lesion_finder:LesionFinder",
        rules=_lesion_finder_rules,
        settings=LesionFinderSettings,
        masks=lambda recipe: ("lesions",),
    )
)
