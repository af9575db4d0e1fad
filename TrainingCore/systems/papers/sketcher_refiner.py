"""Rules for the settings of the sketcher-refiner and of its comparator, the two-layer network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..registry import SystemEntry, register_system
from ..reported import Reported
from ..rules import Rule, adam_rules, no_float16, unet3d_rules, width_rules
from ..settings import AdamSettings


@dataclass(frozen=True)
class StageGeneratorSettings:
    """The 3D U-Net of both stages.

    Attributes:
        linear_path: a linear regression beside it (ours).
    """

    width: int
    levels: int
    order: str
    slope: float
    dropout: float
    checkpointing: bool
    linear_path: bool


@dataclass(frozen=True)
class GridDiscriminatorSettings:
    """The discriminator of both stages.

    Attributes:
        patch: voxels along each axis of a cell of its grid.
    """

    patch: tuple[int, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True)
class StageLosses:
    """Weights of the losses; adversarial 0: no discriminators."""

    adversarial: float
    lambda_sketcher: float
    lambda_refiner: float


@dataclass(frozen=True)
class StageAdamSettings:
    """Adam of both stages."""

    sketcher_rate: float
    refiner_rate: float
    betas: tuple[float, ...]
    decay: str


@dataclass(frozen=True)
class SketcherRefinerSettings:
    """stages: 2, or 1 for the sketcher alone."""

    stages: int
    generator: StageGeneratorSettings
    discriminator: GridDiscriminatorSettings
    losses: StageLosses
    optimizer: StageAdamSettings


@dataclass(frozen=True)
class TwoLayerSettings:
    """features: maps of each hidden layer; kernel: edge of its filters in voxels."""

    features: int
    kernel: int


@dataclass(frozen=True)
class TwoLayerDNNSettings:
    """The network and its Adam."""

    network: TwoLayerSettings
    optimizer: AdamSettings


def _sketcher_refiner_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """Yield (whether the rule holds, what is wrong otherwise)."""
    generator = recipe["generator"]
    yield recipe["stages"] in (1, 2), "stages must be 1 (the sketcher alone) or 2"
    yield from unet3d_rules(recipe)
    yield 0 <= generator["slope"] <= 1, "generator.slope must be between 0 and 1"
    yield 0 <= generator["dropout"] < 1, "generator.dropout must be at least 0 and below 1"
    yield from _discriminator_rules(recipe)
    losses = recipe["losses"]
    yield all(value >= 0 for value in losses.values()), "losses must not be negative"
    for stage in ("sketcher", "refiner")[: recipe["stages"]]:
        learns = losses["adversarial"] > 0 or losses[f"lambda_{stage}"] > 0
        yield learns, f"losses.adversarial or losses.lambda_{stage} must be above 0, or the {stage} learns nothing"
    yield from adam_rules(recipe["optimizer"])
    yield from no_float16(recipe)


def _discriminator_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    patch, widths = recipe["discriminator"]["patch"], recipe["discriminator"]["widths"]
    yield from width_rules(widths, "discriminator.widths")
    edges = len(patch) == 3 and all(isinstance(edge, int) and edge >= 1 for edge in patch)
    yield edges, "discriminator.patch must be three whole numbers"
    halvings = 2 ** len(widths)
    fits = edges and all(edge % halvings == 0 for edge in patch)
    yield fits, f"each edge of discriminator.patch must be a multiple of {halvings}, which its stages halve away"


def _two_layer_dnn_rules(recipe: dict[str, Any]) -> Iterator[Rule]:
    """Yield (whether the rule holds, what is wrong otherwise)."""
    network = recipe["network"]
    yield network["features"] >= 1, "network.features must be at least 1"
    yield network["kernel"] >= 1 and network["kernel"] % 2 == 1, "network.kernel must be odd"
    yield from adam_rules(recipe["optimizer"])
    yield from no_float16(recipe)


register_system(
    SystemEntry(
        "sketcher_refiner",
        load="TrainingCore.systems.sketcher_refiner:SketcherRefiner",
        citation="Wei et al. 2018",
        reported=Reported("demyelination", {"dice": {"sketcher-refiner": "0.83"}}),
        rules=_sketcher_refiner_rules,
        settings=SketcherRefinerSettings,
        masks=lambda recipe: ("white_matter",),  # a visit without lesion mask is one of a control
    )
)
register_system(
    SystemEntry(
        "two_layer_dnn",
        load="TrainingCore.systems.two_layer_dnn:TwoLayerDNN",
        citation="Li et al. 2014",
        rules=_two_layer_dnn_rules,
        settings=TwoLayerDNNSettings,
    )
)
