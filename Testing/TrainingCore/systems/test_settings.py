"""Settings of systems: typed, complete in every recipe, and refused in one sentence where they are not."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from TrainingCore.data.recipe import available, load_recipe
from TrainingCore.runtime.errors import BadInput
from TrainingCore.systems.registry import entry_of
from TrainingCore.systems.settings import read_settings


@dataclass(frozen=True)
class Network:
    """A group."""

    width: int
    slope: float = 0.2
    widths: tuple[int, ...] = ()


@dataclass(frozen=True)
class Own:
    """Settings with a group."""

    network: Network
    norm: str = "batch"


def test_keys_become_fields_and_others_are_left_out() -> None:
    own = read_settings(Own, {"network": {"width": 8, "slope": 1, "widths": [4, 8]}, "seed": 0})
    assert own == Own(Network(8, 1.0, (4, 8)))
    assert isinstance(own.network.slope, float)


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        ({}, "it has no network"),
        ({"network": 3}, "network must be a group"),
        ({"network": {}}, "it has no network.width"),
        ({"network": {"width": 2.5}}, "network.width must be a whole number, not 2.5"),
        ({"network": {"width": True}}, "network.width must be a whole number"),
        ({"network": {"width": 2, "widths": [1, "x"]}}, "network.widths must be a whole number, not 'x'"),
        ({"network": {"width": 2}, "norm": 1}, "norm must be a word"),
    ],
)
def test_a_missing_or_mistyped_key_is_named(recipe: dict, sentence: str) -> None:
    with pytest.raises(BadInput) as raised:
        read_settings(Own, recipe)
    assert sentence in str(raised.value)


@pytest.mark.parametrize("name", available())
def test_every_recipe_holds_the_settings_of_its_system(name: str) -> None:
    recipe = load_recipe(name)
    kind = entry_of(recipe["system"]).settings
    assert kind is None or isinstance(read_settings(kind, recipe), kind)
