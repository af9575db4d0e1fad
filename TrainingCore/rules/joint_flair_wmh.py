"""Rules for the settings of the joint synthesis and segmentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .common import Rule, adam_rules

MODES = ("joint", "offline", "unimodal")


def joint_flair_wmh_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """(holds, what is wrong otherwise)."""
    networks, widths = recipe["networks"], recipe["networks"]["widths"]
    yield recipe["mode"] in MODES, f"mode must be one of {', '.join(MODES)}"
    pictures = recipe["mode"] != "unimodal" or recipe["log"]["pictures_every"] == 0
    yield pictures, "mode unimodal makes no FLAIR to draw: set log.pictures_every=0"
    yield recipe["data"]["target"] != "dvr", "data.target must be an MRI contrast, such as flair"
    yield recipe["slices_per_visit"] >= 1, "slices_per_visit must be at least 1"
    whole = len(widths) >= 2 and all(isinstance(width, int) and width >= 1 for width in widths)
    yield whole, "networks.widths must be a list of at least two whole numbers"
    yield networks["first_kernel"] >= 1 and networks["first_kernel"] % 2 == 1, "networks.first_kernel must be odd"
    yield from adam_rules(recipe["optimizer"])
    yield recipe["precision"] != "float16", "precision must be auto, float32 or bfloat16"
