"""Soulier et al. 2024: settings of the curricular system with their rules, and what the paper reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...data.recipe import grid_shape, patch_voxels
from ...networks.sizes import size_after_strides
from ..registry import SystemEntry, register_system
from ..reported import Reported
from ..rules import Rule, adam_rules, no_float16, unet3d_rules, width_rules
from ..schedules import SCHEDULES


@dataclass(frozen=True)
class GeneratorSettings:
    """The 3D U-Net.

    Attributes:
        order: of convolution (c), group norm (g) and ReLU (r) in a block.
    """

    width: int
    levels: int
    order: str
    checkpointing: bool


@dataclass(frozen=True)
class PatchDiscriminatorSettings:
    """patch_mm: edge of a patch; widths, strides: channels and stride of each block."""

    patch_mm: float
    widths: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class ScheduleSettings:
    """name: one of SCHEDULES; share: of random patches, 0 to 1, for `fixed` alone."""

    name: str
    share: float


@dataclass(frozen=True)
class CurricularLosses:
    """Weights of the losses; adversarial 0: no discriminator; error_scale 0: no prediction of the error.

    adversarial_at_most: limit of the adversarial gradient at the output as a multiple of that of L1; 0: none.
    """

    l1: float
    adversarial: float
    adversarial_at_most: float
    lesion_l1: float
    lesion_mean: float
    patch_l1: float
    error_scale: float


@dataclass(frozen=True)
class LabelSettings:
    """Smoothed labels of measured (real) and generated (fake) patches: mean and SD of a normal distribution."""

    real: float
    fake: float
    sd: float


@dataclass(frozen=True)
class BalanceSettings:
    """Gaps between which both networks learn at full weight, factor of a step, smallest factor (systems/balance.py)."""

    low: float
    high: float
    step: float
    floor: float


@dataclass(frozen=True)
class TwoRatesAdamSettings:
    """Adam of generator and discriminator.

    Attributes:
        decay: `none` or `cosine`, over all steps.
    """

    generator_rate: float
    discriminator_rate: float
    betas: tuple[float, ...]
    balance: BalanceSettings
    decay: str


@dataclass(frozen=True)
class CurricularSettings:
    """patches: of a discriminator step; ema: share of the old weights that the generator's moving average keeps."""

    generator: GeneratorSettings
    discriminator: PatchDiscriminatorSettings
    schedule: ScheduleSettings
    patches: int
    losses: CurricularLosses
    labels: LabelSettings
    optimizer: TwoRatesAdamSettings
    ema: float


def learns_map(recipe: dict[str, Any]) -> bool:
    """Check whether a loss of a recipe changes the map, and not the scale of its error alone.

    Args:
        recipe: a complete recipe of the system.

    Returns:
        Whether one of these losses has a weight.
    """
    return any(recipe["losses"][name] > 0 for name in ("l1", "lesion_mean", "patch_l1", "adversarial"))


def _curricular_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """Yield (whether the rule holds, what is wrong otherwise)."""
    yield from _network_rules(recipe)
    yield from _training_rules(recipe)


def _network_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    settings = recipe["discriminator"]
    yield settings["patch_mm"] > 0, "discriminator.patch_mm must be above 0 mm"
    patch = patch_voxels(recipe)
    yield patch >= 2, f"discriminator.patch_mm must span at least 2 voxels, not {patch}"
    yield min(grid_shape(recipe)) >= patch, f"data.size must be at least one patch ({patch} voxels)"
    yield recipe["data"]["visits_per_step"] == 1, "data.visits_per_step must be 1: the generator sees one whole volume"
    yield from unet3d_rules(recipe)
    yield from width_rules(settings["widths"], "discriminator.widths")
    strides = settings["strides"]
    whole = len(strides) == len(settings["widths"]) and all(
        isinstance(stride, int) and stride >= 1 for stride in strides
    )
    yield whole, "discriminator.strides must be whole numbers, one for each of discriminator.widths"
    left = size_after_strides(patch, strides) if whole else 0
    yield left == 1, f"discriminator.strides bring a patch of {patch} voxels to {left}, not to 1"
    yield recipe["patches"] >= 1, "patches must be at least 1"
    yield from no_float16(recipe)


def _training_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    rates, balance, labels = recipe["optimizer"], recipe["optimizer"]["balance"], recipe["labels"]
    yield 0 <= recipe["ema"] < 1, "ema must be at least 0 and below 1"
    yield recipe["schedule"]["name"] in SCHEDULES, f"schedule.name must be one of {', '.join(SCHEDULES)}"
    yield 0 <= recipe["schedule"]["share"] <= 1, "schedule.share must be between 0 and 1"
    yield all(value >= 0 for value in recipe["losses"].values()), "losses must not be negative"
    losses = recipe["losses"]
    yield learns_map(recipe) or losses["error_scale"] > 0, "one of losses must be above 0, or nothing is learnt"
    beside = any(losses[name] > 0 for name in ("l1", "lesion_mean", "patch_l1"))
    yield beside or losses["adversarial_at_most"] == 0, "losses.adversarial_at_most needs losses.l1 to compare with"
    yield labels["sd"] >= 0, "labels.sd must not be negative"
    yield from adam_rules(rates)
    yield 0 < balance["floor"] <= 1 and 0 < balance["step"] <= 1, "optimizer.balance needs floor and step in (0, 1]"


register_system(
    SystemEntry(
        "curricular",
        load="TrainingCore.systems.curricular:Curricular",
        citation="Soulier et al., SPIE Medical Imaging 2024",
        reported=Reported(
            "dvr",
            pooled={
                "lesion level r": {"curricular": "0.70", "anticurricular": "0.62"},
                "patient level r": {"curricular": "0.74", "anticurricular": "0.61"},
            },
        ),
        rules=_curricular_rules,
        settings=CurricularSettings,
        masks=lambda recipe: ("lesions", "white_matter"),
    )
)
