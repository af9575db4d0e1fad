"""Rules for the settings of the joint synthesis and segmentation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..registry import SystemEntry, register_system
from ..reported import Reported
from ..rules import Rule, adam_rules, no_float16, width_rules
from ..settings import AdamSettings

MODES = ("joint", "offline", "unimodal")


@dataclass(frozen=True)
class UNet2DSettings:
    """Both 2D U-Nets.

    Attributes:
        widths: channels of each level.
        first_kernel: edge of the first level's filters in pixels.
    """

    widths: tuple[int, ...]
    first_kernel: int


@dataclass(frozen=True)
class JointFlairWMHSettings:
    """mode: joint, offline or unimodal; slices_per_visit: random slices of each visit in a step."""

    mode: str
    slices_per_visit: int
    networks: UNet2DSettings
    optimizer: AdamSettings


def _joint_flair_wmh_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """Yield (whether the rule holds, what is wrong otherwise)."""
    networks = recipe["networks"]
    yield recipe["mode"] in MODES, f"mode must be one of {', '.join(MODES)}"
    pictures = recipe["mode"] != "unimodal" or recipe["log"]["pictures_every"] == 0
    yield pictures, "mode unimodal makes no FLAIR to draw: set log.pictures_every=0"
    yield recipe["data"]["target"] != "dvr", "data.target must be an MRI contrast, such as flair"
    yield recipe["slices_per_visit"] >= 1, "slices_per_visit must be at least 1"
    yield from width_rules(networks["widths"], "networks.widths", min_stages=2)
    yield networks["first_kernel"] >= 1 and networks["first_kernel"] % 2 == 1, "networks.first_kernel must be odd"
    yield from adam_rules(recipe["optimizer"])
    yield from no_float16(recipe)


register_system(
    SystemEntry(
        "joint_flair_wmh",
        load="TrainingCore.systems.joint_flair_wmh:JointFlairWMH",
        citation="Orbes-Arteaga et al. 2018",
        reported=Reported(
            "wmh",
            {
                "dsc": {"joint": "57.81", "offline": "54.42", "unimodal": "55.99"},
                "fpr": {"joint": "58.20", "offline": "63.50", "unimodal": "78.67"},
                "fnr": {"joint": "41.33", "offline": "43.39", "unimodal": "38.06"},
                "mae": {"joint": "0.2566", "offline": "0.3153"},
                "psnr_unit_peak": {"joint": "11.01", "offline": "9.65"},
            },
        ),
        rules=_joint_flair_wmh_rules,
        settings=JointFlairWMHSettings,
        masks=lambda recipe: ("lesions",),
        disease="wmh",
    )
)
