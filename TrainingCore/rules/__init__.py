"""What a recipe's values must keep to. Everything here is found before a run folder exists or torch is imported.

One file per system; what all systems share is in `common`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from ..data.recipe import leaves
from ..runtime.errors import BadInput
from .common import Rule, common_rules
from .contrast_enhancement import contrast_enhancement_rules
from .curricular import curricular_rules
from .joint_flair_wmh import joint_flair_wmh_rules
from .mask_weighted_pix2pix import mask_weighted_pix2pix_rules, masks_of_mask_weighted_pix2pix
from .sketcher_refiner import sketcher_refiner_rules, two_layer_dnn_rules

RULES: dict[str, Callable[[dict[str, Any]], Iterator[Rule]]] = {
    "curricular": curricular_rules,
    "sketcher_refiner": sketcher_refiner_rules,
    "two_layer_dnn": two_layer_dnn_rules,
    "joint_flair_wmh": joint_flair_wmh_rules,
    "mask_weighted_pix2pix": mask_weighted_pix2pix_rules,
    "contrast_enhancement": contrast_enhancement_rules,
}
Masks = Callable[[dict[str, Any]], tuple[str, ...]]
MASKS_TO_LEARN: dict[str, Masks] = {  # without which a recipe cannot learn from a visit, besides the brain's
    "curricular": lambda recipe: ("lesions", "white_matter"),
    "sketcher_refiner": lambda recipe: ("white_matter",),  # a visit without lesion mask is one of a control
    "joint_flair_wmh": lambda recipe: ("lesions",),
    "mask_weighted_pix2pix": masks_of_mask_weighted_pix2pix,
}


def volumes_to_learn(recipe: dict[str, Any]) -> tuple[str, ...]:
    """Names of the volumes that a visit must have to be learnt from."""
    data, masks = recipe["data"], MASKS_TO_LEARN.get(recipe["system"])
    return (*data["inputs"], data["target"], "brain", *(masks(recipe) if masks else ()))


def check_recipe(recipe: dict[str, Any]) -> None:
    """Raise BadInput with one sentence for values that no run can work with."""
    for key, value in leaves(recipe):
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput(f"The recipe cannot be used: {key} is not a finite number.")
    for rules in (common_rules, RULES.get(recipe["system"], _no_rules)):
        for holds, sentence in rules(recipe):
            if not holds:
                raise BadInput(f"The recipe cannot be used: {sentence}.")


def _no_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """A system without settings of its own, like the linear regression, may have any base."""
    yield from ()
