"""Bone et al. 2021: rules for the settings of the contrast enhancement, and what the paper reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...data.case import ALL_MRI
from ..registry import SystemEntry, register_system
from ..reported import Reported
from ..rules import Rule, adam_rules, depth_rules
from ..settings import AdamSettings

LOSSES = ("l2", "l1")
# Table 1, in its order: inputs -> L2 (1e-5), tumour L2 (1e-4), PSNR (dB), SSIM (%), mean (SD) over 105 patients
TABLE_1: Mapping[frozenset[str], tuple[str, str, str, str]] = {
    frozenset({"t1ce_low", "t1w", "adc", "flair"}): ("31.6 (11.4)", "74.4 (80.2)", "35.3 (1.52)", "94.2 (1.31)"),
    frozenset({"t1w", "adc", "flair"}): ("65.3 (30.9)", "263 (185)", "32.2 (1.69)", "91.6 (2.00)"),
    frozenset({"t1ce_low", "adc", "flair"}): ("34.0 (13.2)", "129 (99.5)", "35.0 (1.54)", "94.0 (1.29)"),
    frozenset({"t1ce_low", "t1w", "flair"}): ("32.2 (12.0)", "84.1 (86.8)", "35.2 (1.56)", "94.1 (1.32)"),
    frozenset({"t1ce_low", "t1w", "adc"}): ("32.0 (12.2)", "79.9 (83.8)", "35.2 (1.55)", "94.2 (1.33)"),
    frozenset({"t1w", "adc"}): ("66.9 (30.9)", "264 (190)", "32.1 (1.68)", "91.5 (2.01)"),
    frozenset({"t1ce_low", "adc"}): ("33.9 (13.0)", "133 (102)", "35.0 (1.56)", "94.1 (1.31)"),
    frozenset({"t1ce_low", "t1w"}): ("31.3 (11.5)", "87.1 (87.8)", "35.3 (1.54)", "94.2 (1.31)"),
    frozenset({"t1w"}): ("65.7 (30.8)", "260 (186)", "32.2 (1.71)", "91.6 (1.99)"),
    frozenset({"t1ce_low"}): ("36.9 (14.3)", "137 (106)", "34.6 (1.59)", "93.8 (1.32)"),
}
MEASURES = ("l2", "tumour_l2", "psnr", "ssim")
FIGURE_4 = (
    "Bone et al. 2021 (84 training subjects, 300 epochs) draw these curves without numbers and read off them: a width "
    "of 8 is clearly worse than 16; 32 helps the tumour L2 alone; with twice the people PSNR would stay below 36.1 dB "
    "and SSIM below 94.6 %; the tumour L2 shows no clear sign of saturation."
)


@dataclass(frozen=True)
class VNetSettings:
    """The V-Net.

    Attributes:
        convolutions: in every residual block.
        checkpointing: less memory for a third more time.
    """

    width: int
    levels: int
    convolutions: int
    checkpointing: bool


@dataclass(frozen=True)
class AdditionSettings:
    """Additions of ours, off in the paper.

    Attributes:
        added_to: input that the output is added to; empty for none.
        amplified: gain of the low dose's uptake as one more input; 0 for none.
    """

    added_to: str
    amplified: float


@dataclass(frozen=True)
class FlipSettings:
    """training: probability of a flip along each axis; averaged: average all eight flips at validation and test."""

    training: float
    averaged: bool


@dataclass(frozen=True)
class ContrastEnhancementSettings:
    """loss: l2 or l1."""

    network: VNetSettings
    enhancement: AdditionSettings
    loss: str
    flips: FlipSettings
    optimizer: AdamSettings


def _contrast_enhancement_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """Yield (whether the rule holds, what is wrong otherwise)."""
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


register_system(
    SystemEntry(
        "contrast_enhancement",
        load="TrainingCore.systems.contrast_enhancement:ContrastEnhancement",
        citation="Bone et al., ISBI 2021",
        reported=Reported(
            "enhancement",
            {
                "l2": {"all four inputs": "31.6"},
                "tumour_l2": {"all four inputs": "74.4"},
                "psnr": {"all four inputs": "35.3"},
                "ssim": {"all four inputs": "94.2"},
            },
            inputs={inputs: dict(zip(MEASURES, row)) for inputs, row in TABLE_1.items()},
            inputs_order="FLAIR → ADC → T1w. Kept to the end: T1w, low dose",
            learning_curves=FIGURE_4,
        ),
        rules=_contrast_enhancement_rules,
        settings=ContrastEnhancementSettings,
        disease="glioma",
    )
)
