"""Rules for the settings of the contrast enhancement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...data.case import ALL_MRI
from ..registry import Entry, register
from ..rules import Rule, adam_rules, depth_rules

LOSSES = ("l2", "l1")


def contrast_enhancement_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """(holds, what is wrong otherwise)."""
    data, network = recipe["data"], recipe["network"]
    yield data["intensity"]["rule"] == "unit", "data.intensity.rule must be unit: the network ends in [0, 1]"
    yield data["target"] != "dvr", "data.target must be an MRI: the network ends in [0, 1]"
    yield from depth_rules(recipe, "network")
    yield network["convolutions"] >= 1, "network.convolutions must be at least 1"
    added_to = recipe["enhancement"]["added_to"]
    yield added_to in ("", *ALL_MRI), f"enhancement.added_to must be empty or one of {', '.join(ALL_MRI)}"
    yield added_to != data["target"], "enhancement.added_to must not be the target"
    yield recipe["enhancement"]["amplified"] >= 0, "enhancement.amplified must not be negative"
    yield recipe["loss"] in LOSSES, f"loss must be one of {', '.join(LOSSES)}"
    yield 0 <= recipe["flips"]["training"] <= 1, "flips.training is a probability, between 0 and 1"
    yield from adam_rules(recipe["optimizer"])


register(
    Entry(
        "contrast_enhancement",
        load="TrainingCore.systems.contrast_enhancement:ContrastEnhancement",
        citation="Bone et al., ISBI 2021",
        rules=contrast_enhancement_rules,
        disease="glioma",
    )
)
