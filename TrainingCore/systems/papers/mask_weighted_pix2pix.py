"""Rules for the settings of the mask-weighted pix2pix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...data.case import ALL_MRI
from ...data.recipe import grid_shape
from ..registry import SystemEntry, register_system
from ..reported import Reported
from ..rules import Rule, adam_rules, no_float16
from ..settings import AdamSettings

NORMS = ("batch", "instance")
SEARCHED = ("data.visits_per_step", "samples", "optimizer.rate", "losses.l1", "losses.mask")
WITH_MASK, WITHOUT_MASK = "with mask loss", "without mask loss"
SMALLEST_MAP = 3  # pixels that the discriminator's last two convolutions, of kernel 4 and stride 1, need at least


@dataclass(frozen=True)
class ResNetSettings:
    """The ResNet generator.

    Attributes:
        skips: ours, off in the paper.
        added_to: ours, off in the paper.
    """

    width: int
    blocks: int
    norm: str
    skips: bool
    added_to: str


@dataclass(frozen=True)
class PatchGANSettings:
    """The PatchGAN."""

    width: int
    layers: int
    norm: str


@dataclass(frozen=True)
class Pix2PixLosses:
    """Weights: adversarial (0: the L1-only twin), l1 is the paper's c1, mask its c2."""

    adversarial: float
    l1: float
    mask: float


@dataclass(frozen=True)
class MaskWeightedPix2PixSettings:
    """samples: random slices of each scan in a step."""

    samples: int
    generator: ResNetSettings
    discriminator: PatchGANSettings
    losses: Pix2PixLosses
    optimizer: AdamSettings


def _mask_weighted_pix2pix_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """Yield (whether the rule holds, what is wrong otherwise)."""
    data, generator, discriminator = recipe["data"], recipe["generator"], recipe["discriminator"]
    intensity = data["intensity"]
    ends = intensity["rule"] == "symmetric" or (intensity["rule"] == "percentile" and intensity["clip"] is True)
    yield ends, "data.intensity must be symmetric, or percentile with clip: true: the generator ends in [-1, 1]"
    yield data["target"] != "dvr", "data.target must be an MRI: the generator ends in [-1, 1]"
    yield recipe["samples"] >= 1, "samples must be at least 1"
    yield generator["width"] >= 1, "generator.width must be at least 1"
    yield generator["blocks"] >= 0, "generator.blocks must not be negative"
    added_to = generator["added_to"]
    yield added_to in ("", *ALL_MRI), f"generator.added_to must be empty or one of {', '.join(ALL_MRI)}"
    yield added_to != data["target"], "generator.added_to must not be the target"
    yield discriminator["width"] >= 1, "discriminator.width must be at least 1"
    yield discriminator["layers"] >= 1, "discriminator.layers must be at least 1"
    smallest = SMALLEST_MAP * 2 ** discriminator["layers"]
    fits = min(grid_shape(recipe)[:2]) >= smallest
    yield fits, f"data.size must be at least {smallest} voxels in plane for discriminator.layers"
    for name, network in (("generator", generator), ("discriminator", discriminator)):
        yield network["norm"] in NORMS, f"{name}.norm must be one of {', '.join(NORMS)}"
    losses = recipe["losses"]
    yield all(value >= 0 for value in losses.values()), "losses must not be negative"
    yield any(value > 0 for value in losses.values()), "one of the losses must be above 0"
    yield from no_float16(recipe)
    yield from adam_rules(recipe["optimizer"])


def _masks(recipe: dict[str, Any]) -> tuple[str, ...]:
    """Lesion masks are needed only for the mask loss."""
    return ("lesions",) if recipe["losses"]["mask"] > 0 else ()


register_system(
    SystemEntry(
        "mask_weighted_pix2pix",
        load="TrainingCore.systems.mask_weighted_pix2pix:MaskWeightedPix2Pix",
        citation="Genc et al., ISMRM 2022",
        reported=Reported(
            "translation",
            by_target={
                "flair": {
                    "ssim_brain": {WITH_MASK: "0.78"},
                    "ssim_lesion_masked": {WITH_MASK: "0.990", WITHOUT_MASK: "0.991"},
                },
                "t1w": {
                    "ssim_brain": {WITH_MASK: "0.89"},
                    "ssim_lesion_masked": {WITH_MASK: "0.994", WITHOUT_MASK: "0.986"},
                },
            },
            searched={
                "flair": dict(zip(SEARCHED, (2, 2, 4.87e-5, 118.74, 151.04))),
                "t1w": dict(zip(SEARCHED, (2, 4, 1.49e-4, 90.24, 124.85))),
            },
        ),
        rules=_mask_weighted_pix2pix_rules,
        settings=MaskWeightedPix2PixSettings,
        masks=_masks,
        disease="glioma",
    )
)
